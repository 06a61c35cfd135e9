"""Working grids: patient axes, exact positions on every kind of grid, anti-aliasing, labels back."""

import numpy as np
import pytest

from medomni.types.volume import Volume
from preprocessing.resample import AIR_HU, labels_to_study, to_working
from tests import factories

GRIDS = {
    "supine": factories.grid(),
    "prone": factories.prone_grid(),
    "feet_first": factories.feet_first_grid(),
    "coronal": factories.coronal_grid(),
    "rotated": factories.rotated_grid(20),
    "rotated_60": factories.rotated_grid(60),
    "tilted": factories.tilted_grid(15),
    "tilted_back": factories.tilted_grid(-22),
    "uneven": factories.uneven_grid(),
}
every_grid = pytest.mark.parametrize("on", GRIDS.values(), ids=GRIDS.keys())


def ramp(on):
    """HU that rise linearly in patient space: interpolation must reproduce them exactly."""
    hu = factories.world_mm(on) @ np.array([3.0, -2.0, 5.0])
    return Volume(hu.astype(np.float32), on)


@every_grid
def test_working_axes_run_left_back_and_head(on):
    grid = to_working(ramp(on), (2.0, 2.0, 2.0)).grid
    axes = np.stack([grid.row_direction, grid.column_direction, grid.normal])
    assert np.all(np.diag(axes) > 0.5)
    assert grid.is_uniform
    assert np.allclose(grid.spacing_mm, 2.0)


@every_grid
@pytest.mark.parametrize("spacing_mm", [(1.1, 0.9, 1.3), (3.0, 2.0, 1.5), (6.0, 5.0, 5.5)])
def test_a_linear_field_keeps_its_value_at_every_place(on, spacing_mm):
    working = to_working(ramp(on), spacing_mm)
    expected = factories.world_mm(working.grid) @ np.array([3.0, -2.0, 5.0])
    inside = _is_inside(on, factories.world_mm(working.grid), max(spacing_mm) + 1.5)
    assert inside.sum() > 50
    assert np.max(np.abs(working.hu - expected)[inside]) < 0.05


@every_grid
def test_labels_come_back_where_they_were(on):
    mask = factories.ball(on, factories.world_mm(on).reshape(-1, 3).mean(axis=0) + 3.0, 11.0)
    working = to_working(factories.volume(0, on, [(mask, 1000)]), (1.0, 1.0, 1.0))
    back = labels_to_study((working.hu > 500).astype(np.uint8) * 7, working.grid, on)
    assert back.shape == on.shape
    assert back.dtype == np.uint8
    assert set(np.unique(back)) == {0, 7}
    dice = 2 * np.sum((back == 7) & mask) / (np.sum(back == 7) + mask.sum())
    assert dice > 0.93


@every_grid
def test_labels_of_each_voxel_are_those_of_the_nearest_working_voxel(on):
    working = to_working(ramp(on), (2.3, 1.9, 2.1)).grid
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 200, working.shape).astype(np.uint8)
    back = labels_to_study(labels, working, on)
    axes = np.stack([working.normal, working.column_direction, working.row_direction]) / np.array(working.spacing_mm)[:, None]
    index = (factories.world_mm(on) - working.slice_origins_mm[0]) @ axes.T
    z, y, x = np.moveaxis(np.clip(np.floor(index + 0.5).astype(int), 0, np.array(working.shape) - 1), -1, 0)
    is_clear = np.all(np.abs(index - np.floor(index) - 0.5) > 0.02, axis=-1)
    assert np.array_equal(back[is_clear], labels[z, y, x][is_clear])


def test_places_outside_the_sheared_stack_are_air():
    on = factories.tilted_grid(25)
    working = to_working(factories.volume(40, on), (3.0, 2.0, 2.0))
    assert working.hu.min() == AIR_HU
    assert np.mean(working.hu == 40) > 0.5


def test_coarser_voxels_average_fine_texture_instead_of_aliasing_it():
    on = factories.grid((4, 64, 64), (1.0, 0.5, 0.5))
    stripes = np.where(np.arange(64) % 2, 100, -100)[None, None, :] * np.ones((4, 64, 1))
    working = to_working(Volume(stripes.astype(np.int16), on), (1.0, 3.0, 3.0))
    assert np.max(np.abs(working.hu)) < 12


def test_same_spacing_on_a_plain_grid_changes_nothing():
    on = factories.grid()
    hu = np.random.default_rng(1).integers(-1000, 1000, on.shape).astype(np.int16)
    working = to_working(Volume(hu, on), on.spacing_mm)
    assert np.allclose(working.hu, hu, atol=1e-2)
    assert np.allclose(working.grid.slice_origins_mm, on.slice_origins_mm)


def test_a_single_slice_is_resampled_in_its_plane():
    on = factories.grid((1, 20, 30), (1.0, 2.0, 2.0))
    working = to_working(factories.volume(25, on), (1.0, 1.0, 1.0))
    assert working.grid.shape == (1, 40, 60)
    assert np.all(working.hu == 25)


def test_unknown_side_stays_unknown():
    assert not to_working(factories.volume(0, factories.grid(is_side_known=False)), (3.0, 3.0, 3.0)).grid.is_side_known


def test_a_working_grid_of_another_study_is_refused():
    with pytest.raises(ValueError, match="parallel"):
        labels_to_study(np.zeros(factories.SMALL, np.uint8), factories.grid(), factories.rotated_grid(20))


def test_any_rotation_gives_a_right_handed_working_grid():
    from scipy.spatial.transform import Rotation

    for rotation in Rotation.random(40, rng=np.random.default_rng(3)).as_matrix():
        on = factories.oblique_grid(rotation, (5, 6, 7))
        working = to_working(factories.volume(0, on), (2.0, 2.0, 2.0))
        assert np.all(working.hu == 0)


def _is_inside(on, world, margin_mm):
    """Whether places lie inside the scanned volume, at least ``margin_mm`` from its faces."""
    depth = world @ on.normal
    origin = np.stack([np.interp(depth, on.slice_positions_mm, on.slice_origins_mm[:, a]) for a in range(3)], axis=-1)
    down, across = (world - origin) @ on.column_direction, (world - origin) @ on.row_direction
    ends = np.subtract(on.shape[1:], 1) * on.pixel_spacing_mm
    low, high = on.slice_positions_mm[[0, -1]]
    return np.all(
        [
            (place > start + margin_mm) & (place < end - margin_mm)
            for place, start, end in ((depth, low, high), (down, 0, ends[0]), (across, 0, ends[1]))
        ],
        axis=0,
    )
