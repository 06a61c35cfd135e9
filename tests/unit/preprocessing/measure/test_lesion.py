"""Diameters by the conventions, against shapes whose axes are known."""

import numpy as np
import pytest

from preprocessing.measure.lesion import measure_lesions
from tests import factories

ON = factories.grid(shape=(24, 80, 80), spacing_mm=(1.5, 0.75, 0.75), origin_mm=(-30.0, -30.0, 0.0))


def _ellipse(centre_mm, half_axes_mm, degrees):
    world = factories.world_mm(ON)
    x, y, z = (world[..., k] - centre_mm[k] for k in range(3))
    turn = np.deg2rad(degrees)
    along, across = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    a, b, c = half_axes_mm
    return (along / a) ** 2 + (across / b) ** 2 + (z / c) ** 2 <= 1


@pytest.mark.parametrize("degrees", [0, 30, 77])
def test_axes_of_a_turned_ellipsoid_are_found(degrees):
    mask = _ellipse((2.0, -1.0, 18.0), (12.0, 6.0, 9.0), degrees)
    (lesion,) = measure_lesions(mask, factories.volume(on=ON), "nodule")
    assert lesion.value("long_diameter") == pytest.approx(24.0, abs=1.1)
    assert lesion.value("short_diameter") == pytest.approx(12.0, abs=1.3)
    assert lesion.value("mean_diameter") == pytest.approx(18.0, abs=1.1)
    assert lesion.value("volume") == pytest.approx(4 / 3 * np.pi * 12 * 6 * 9 / 1000, rel=0.03)
    assert lesion.slice_index in (11, 12, 13)  # neighbours of the equator differ by less than half a pixel
    assert lesion.position_mm == pytest.approx((2.0, -1.0, 18.0), abs=1.6)
    assert not lesion.touches_edge


def test_lesion_cut_by_the_edge_has_lower_bounds_but_a_plain_density():
    mask = factories.ball(ON, (0.0, 0.0, 0.0), 8.0)
    (lesion,) = measure_lesions(mask, factories.volume(fill=40, on=ON), "nodule")
    bounds = {m.name: m.is_lower_bound for m in lesion.measurements}
    assert bounds == {
        "long_diameter": True,
        "short_diameter": True,
        "mean_diameter": True,
        "volume": True,
        "mean_hu": False,
    }
    assert lesion.value("mean_hu") == 40


def test_largest_lesion_comes_first_and_specks_are_left_out():
    big, small = factories.ball(ON, (-10, -10, 18), 8), factories.ball(ON, (15, 15, 18), 4)
    speck = np.zeros_like(big)
    speck[20, 70, 70] = True
    lesions = measure_lesions(big | small | speck, factories.volume(on=ON), "nodule")
    assert [round(lesion.value("long_diameter")) for lesion in lesions] == [17, 9]


def test_a_line_of_voxels_has_a_length_and_one_voxel_of_width():
    mask = np.zeros(ON.shape, bool)
    mask[10, 40, 20:40] = True
    (lesion,) = measure_lesions(mask, factories.volume(on=ON), "nodule")
    assert lesion.value("long_diameter") == pytest.approx(15.0, abs=0.1)
    assert lesion.value("short_diameter") == pytest.approx(1.5, abs=0.1)
