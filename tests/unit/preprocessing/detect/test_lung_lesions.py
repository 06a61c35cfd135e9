"""What is called a nodule and what an opacity: round ground glass alone is a nodule, beside pneumonia it is part of it."""

from dataclasses import replace

import numpy as np
import pytest

from preprocessing.detect.lung_lesions import CLEAR_AIR_SHARE, SOLID_SHARE, is_distinct, lung_lesions
from preprocessing.detect.nodule import Nodule, is_nodule_shaped, reported_nodules
from preprocessing.detect.nodule_size import SizedNodule
from tests.unit.preprocessing.detect.lungs import ball, lung_case

SIZED = SizedNodule(
    box=(slice(0, 3),) * 3,
    mask=np.ones((3, 3, 3), bool),
    slice_index=1,
    centre=(1.0, 1.0, 1.0),
    long_mm=9.0,
    short_mm=8.0,
    solid_mm=8.0,
    volume_ml=0.3,
    mean_hu=10.0,
    solid_share=1.0,
    air_share=0.95,
    stalk_share=0.0,
)


@pytest.mark.parametrize(
    ("solid_share", "air_share", "wanted"),
    [(1.0, 0.95, True), (SOLID_SHARE - 0.1, 0.95, False), (1.0, CLEAR_AIR_SHARE - 0.1, False)],
)
def test_only_clear_solid_nodules_stand_beside_pneumonia(solid_share, air_share, wanted):
    assert is_distinct(Nodule(5.0, replace(SIZED, solid_share=solid_share, air_share=air_share))) is wanted


@pytest.mark.parametrize(
    ("size_mm", "solid_share", "stalk_share", "wanted"),
    [(8.0, 1.0, 0.1, True), (8.0, 1.0, 0.5, False), (8.0, 0.2, 0.5, True), (24.0, 1.0, 0.5, True)],
)
def test_strands_speak_against_small_solid_nodules_alone(size_mm, solid_share, stalk_share, wanted):
    volume_ml = 4 / 3 * np.pi * (size_mm / 2) ** 3 / 1000
    shape = {"long_mm": size_mm, "short_mm": size_mm, "volume_ml": volume_ml}
    assert is_nodule_shaped(replace(SIZED, **shape, solid_share=solid_share, stalk_share=stalk_share)) is wanted


def test_mean_diameter_is_that_of_both_axes():
    assert SIZED.mean_mm == pytest.approx(8.5)


def test_wide_ground_glass_is_opacity_and_no_nodule():
    case = lung_case(lambda hu, world: ball(hu, world, (-24.0, 4.0, 2.0), 34.0, -500.0))
    found = lung_lesions(case)
    assert not [nodule for nodule in found.nodules if nodule.sized.solid_share < SOLID_SHARE]
    assert case.millilitres(found.opacities.opacity) > 10.0


def test_nodules_are_left_out_of_the_opacities():
    case = lung_case(lambda hu, world: ball(hu, world, (-24.0, 4.0, 2.0), 16.0, 30.0))
    found = lung_lesions(case)
    assert [one.sized.centre for one in found.nodules] == [one.sized.centre for one in reported_nodules(case)]
    if found.nodules:
        assert case.millilitres(found.opacities.opacity) < 0.5
