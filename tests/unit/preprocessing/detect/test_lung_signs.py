"""Signs of each lung: what a test paints into one lung raises its sign there and not in the other."""

import numpy as np
import pytest

from preprocessing.detect.diffuse import rules
from preprocessing.detect.lung_signs import lung_signs
from tests.unit.preprocessing.detect.lungs import LUNG_HU, ball, lung_case

CENTRE_MM = (-24.0, 4.0, 2.0)


def _signs(paint=None):
    return lung_signs(lung_case(paint))


@pytest.fixture(scope="module")
def healthy():
    return _signs()["right"].values


def test_plain_lung_has_no_signs(healthy):
    for name in (
        "strong_outer",
        "lumen_inner",
        "low",
        "airless_outer",
        "rear_ml",
        "plate_ml",
        "mass_ml",
        "sections",
    ):
        assert healthy[name] == 0.0, name


def test_low_density_is_a_share_of_the_lung():
    signs = _signs(lambda hu, world: ball(hu, world, CENTRE_MM, 20.0, -990.0))
    assert 2.0 < signs["right"].values["low"] < 8.0
    assert signs["left"].values["low"] == 0.0


def test_bronchus_with_thick_wall_has_lumen_and_wall():
    def paint(hu, world):
        distance = np.hypot(world[..., 0] - CENTRE_MM[0], world[..., 1] - CENTRE_MM[1])
        inside = (hu < -500) & (distance < 4.5)
        hu[inside] = -100.0
        hu[inside & (distance < 2.5)] = -1000.0

    values = _signs(paint)["right"].values
    assert values["sections"] > 0
    assert values["lumen_mm2"] == pytest.approx(np.pi * 2.5**2, rel=0.35)
    assert values["wall_mm"] == pytest.approx(2.0, abs=0.8)


def test_plate_is_told_from_a_ball():
    def plate(hu, world):
        hu[(hu < -500) & (np.abs(world[..., 2] - 2.0) < 3.0) & (world[..., 0] < 0)] = 20.0

    flat, round_ = _signs(plate)["right"].values, _signs(lambda hu, w: ball(hu, w, CENTRE_MM, 20.0, 20.0))["right"].values
    assert flat["plate_ml"] > 2.0
    assert round_["plate_ml"] == 0.0
    assert round_["mass_ml"] == pytest.approx(4.2, rel=0.4)


def test_patchwork_of_two_densities_has_steps(healthy):
    def paint(hu, world):
        tiles = (np.floor(world / 16.0).sum(axis=-1) % 2 == 0) & (hu < -500)
        hu[tiles] = LUNG_HU + 70.0

    values = _signs(paint)["right"].values
    assert values["steps"] > healthy["steps"] + 20.0
    assert values["spread"] > 50.0


def test_place_lies_in_the_worst_cell():
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, 16.0, -990.0))
    place = np.array(lung_signs(case)["right"].places["low_outer"])
    world = case.volume.grid.to_world_mm(place)
    assert np.linalg.norm(world - np.array(CENTRE_MM)) < 22.0


def test_rules_read_signs_that_exist(healthy):
    for label, rule in rules().items():
        assert set(rule.signs) <= set(healthy), label
