"""Whatever way the slices lie, the patient-order view shows the same patient, and goes back without loss."""

import numpy as np
import pytest

from preprocessing.orient import canonical
from tests import factories

GRIDS = [
    factories.grid(),
    factories.prone_grid(),
    factories.feet_first_grid(),
    factories.coronal_grid(),
    factories.rotated_grid(),
    factories.tilted_grid(),
]


@pytest.mark.parametrize("on", GRIDS, ids=["supine", "prone", "feet_first", "coronal", "rotated", "tilted"])
def test_view_runs_to_head_back_and_left_and_restores(on):
    world = factories.world_mm(on)
    volume = factories.volume(on=on)
    view = canonical(volume)
    for axis, coordinate in ((0, 2), (1, 1), (2, 0)):
        along = view.view(world[..., coordinate])
        assert (np.diff(along, axis=axis) > 0).all()
    numbers = np.arange(volume.hu.size).reshape(volume.hu.shape)
    np.testing.assert_array_equal(view.restore(view.view(numbers)), numbers)


def test_spacing_follows_the_axes():
    view = canonical(factories.volume(on=factories.coronal_grid(spacing_mm=(3.0, 2.0, 1.5))))
    assert view.spacing_mm == (2.0, 3.0, 1.5)
