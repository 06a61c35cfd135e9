"""Patches around a place: right scale, right axes, right window, and defined beyond the edge."""

import numpy as np
import pytest

from preprocessing.detect.nodule_patches import EDGE, FAR_MM, NEAR_MM, patches_at
from tests.unit.preprocessing.detect.lungs import ball, lung_case

CENTRE_MM = (-24.0, 4.0, 2.0)


def _place(case):
    grid = case.volume.grid
    return ((np.asarray(CENTRE_MM) - grid.slice_origins_mm[0])[::-1] / np.array(grid.spacing_mm))[None]


def test_ball_fills_its_share_of_both_patches():
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, 12.0, 150.0), noise_hu=0.0)
    patches = patches_at(case.coarse, _place(case))
    assert patches.shape == (1, 2, EDGE, EDGE, EDGE)
    assert patches.dtype == np.float32
    wanted_mm3 = np.pi / 6 * 12.0**3
    near = float((patches[0, 0] > 0.1).sum()) * NEAR_MM**3
    assert near == pytest.approx(wanted_mm3, rel=0.2)
    inside = np.abs(np.arange(EDGE) - (EDGE - 1) / 2) * FAR_MM < 9.0
    far = float((patches[0, 1][np.ix_(inside, inside, inside)] > 0.1).sum()) * FAR_MM**3
    assert far == pytest.approx(wanted_mm3, rel=0.35)
    assert np.abs(patches).max() <= 1.0


def test_axes_are_those_of_the_patient():
    case = lung_case(lambda hu, world: ball(hu, world, (-24.0 + 6.0, 4.0, 2.0), 6.0, 150.0), noise_hu=0.0)
    near = patches_at(case.coarse, _place(case))[0, 0]
    z, y, x = np.argwhere(near > 0.3).mean(axis=0) - (EDGE - 1) / 2
    assert x == pytest.approx(6.0, abs=0.6)
    assert max(abs(y), abs(z)) < 0.6


def test_place_at_the_corner_has_a_patch():
    case = lung_case()
    assert np.isfinite(patches_at(case.coarse, np.zeros((1, 3)))).all()
