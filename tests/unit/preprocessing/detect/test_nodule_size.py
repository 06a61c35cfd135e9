"""The border of a nodule at half maximum: its diameters are right to well under the bar of 1.5 mm, whatever its tissue."""

import numpy as np
import pytest

from preprocessing.detect.nodule_size import axes_mm, sized
from tests.unit.preprocessing.detect.lungs import ball, lung_case, rod

CENTRE_MM = (-24.0, 4.0, 2.0)


def _place(case, centre_mm=CENTRE_MM):
    grid = case.volume.grid
    offset = np.asarray(centre_mm) - grid.slice_origins_mm[0]
    return offset[::-1] / np.array(grid.spacing_mm)


@pytest.mark.parametrize("value_hu", [30.0, -600.0, 600.0])
@pytest.mark.parametrize("diameter_mm", [6.0, 11.0, 20.0])
def test_diameter_of_a_ball(diameter_mm, value_hu):
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, diameter_mm, value_hu))
    found = sized(case, _place(case), diameter_mm / 2)
    tolerance_mm = 1.4 if value_hu > 100 else 0.8  # a calcified border lies a little outside half maximum
    assert found.mean_mm == pytest.approx(diameter_mm, abs=tolerance_mm)
    assert found.short_mm > 0.85 * found.long_mm
    assert found.fullness == pytest.approx(1.0, abs=0.25)
    assert found.slice_index == pytest.approx(_place(case)[0], abs=1.0)


def test_part_solid_nodule_is_measured_with_its_ground_glass():
    def paint(hu, world):
        ball(hu, world, CENTRE_MM, 16.0, -600.0)
        ball(hu, world, CENTRE_MM, 7.0, 30.0)

    found = sized(case := lung_case(paint), _place(case), 8.0)
    assert found.mean_mm == pytest.approx(16.0, abs=1.2)
    assert found.solid_mm == pytest.approx(7.0, abs=1.2)


def test_vessel_that_runs_through_does_not_lengthen_a_nodule():
    def paint(hu, world):
        rod(hu, world, (0.0, 4.0, 2.0), 1.3, 20.0)
        ball(hu, world, CENTRE_MM, 10.0, 30.0)

    found = sized(case := lung_case(paint), _place(case), 5.0)
    assert found.long_mm == pytest.approx(10.0, abs=1.5)
    assert 0 < found.stalk_share < 0.25


def test_plain_lung_has_nothing_to_size():
    case = lung_case()
    assert sized(case, _place(case), 4.0) is None


def test_mask_lies_on_the_study():
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, 12.0, 30.0))
    found = sized(case, _place(case), 6.0)
    volume_ml = float(found.mask.sum()) * float(np.prod(case.volume.grid.spacing_mm)) / 1000
    assert found.mask.shape == tuple(part.stop - part.start for part in found.box)
    assert volume_ml == pytest.approx(np.pi / 6 * 1.2**3, rel=0.15)


def test_axes_of_a_rectangle():
    plane = np.zeros((40, 60), bool)
    plane[10:20, 10:50] = True
    long, short = axes_mm(plane, 0.5)
    assert long == pytest.approx(20.4, abs=0.8)
    assert 4.0 < short < 11.0


def test_axes_of_nothing_are_zero():
    assert axes_mm(np.zeros((5, 5), bool), 0.5) == (0.0, 0.0)
