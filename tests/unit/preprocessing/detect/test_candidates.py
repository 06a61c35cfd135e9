"""Blob candidates: a ball is found at its place with its radius, a straight vessel is not round."""

import numpy as np
import pytest

from preprocessing.detect.candidates import LEAST_ROUNDNESS, MOST, RADII_MM, candidate_places, find_candidates
from preprocessing.detect.lung_grid import lung_grid
from tests.unit.preprocessing.detect.lungs import ball, lung_case, rod

CENTRE_MM = (-24.0, 4.0, 2.0)


def _nearest(case, centre_mm):
    places = candidate_places(case)
    world = case.volume.grid.to_world_mm(places)
    distance = np.linalg.norm(world - np.asarray(centre_mm), axis=1)
    return int(np.argmin(distance)), float(distance.min())


@pytest.mark.parametrize(("diameter_mm", "value_hu"), [(5.0, 20.0), (10.0, 20.0), (10.0, -600.0), (18.0, -620.0)])
def test_ball_is_found_at_its_centre(diameter_mm, value_hu):
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, diameter_mm, value_hu))
    rank, distance_mm = _nearest(case, CENTRE_MM)
    assert distance_mm < 2.5
    assert rank < 3


def test_candidate_says_radius_and_contrast_of_the_ball():
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, 11.2, 20.0))
    best = max(find_candidates(lung_grid(case)), key=lambda candidate: candidate.contrast_hu)
    assert best.radius_mm == 5.6
    assert 100 < best.contrast_hu < 400
    assert best.roundness > 0.5


def test_straight_vessel_is_not_round():
    case = lung_case(lambda hu, world: rod(hu, world, (0.0, 4.0, 2.0), 2.5, 20.0))
    world = case.volume.grid.to_world_mm(candidate_places(case))
    along = np.hypot(world[:, 1] - 4.0, world[:, 2] - 2.0) < 2.0
    inside = np.abs(np.abs(world[:, 0]) - 24.0) < 10.0
    assert not (along & inside).any()
    assert 0 < LEAST_ROUNDNESS < 1


def test_no_lung_gives_no_candidate():
    case = lung_case()
    empty = type(case)(
        case.volume,
        type(case.segmentation)(
            np.zeros_like(case.segmentation.labels), case.volume.grid, case.segmentation.names, "test 1", "0" * 64
        ),
        (),
        case.coverage,
    )
    assert len(candidate_places(empty)) == 0


def test_each_radius_has_its_own_quota():
    assert len(MOST) == len(RADII_MM)
