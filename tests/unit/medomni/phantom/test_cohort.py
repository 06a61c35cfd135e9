"""Who is ill with what: about one in four is healthy, every disease is reached, companions come together."""

from itertools import combinations

import numpy as np
import pytest

from medomni.phantom import BodyRegion, draw_findings
from medomni.phantom.cohort import _draw_picture
from medomni.phantom.disease import KINDS
from medomni.phantom.facts import FINDINGS, ORGAN_CHANGES
from medomni.phantom.prior import has_prior


def kinds(seed, region=BodyRegion.CHEST):
    return {item.kind for item in draw_findings(seed, region)}


def test_about_a_quarter_is_healthy_and_every_finding_is_reached():
    drawn = [kinds(seed) for seed in range(400)]
    assert 0.19 < sum(not found for found in drawn) / 400 < 0.31
    assert set().union(*drawn) == {*FINDINGS, *ORGAN_CHANGES} == set(KINDS)


def test_each_of_the_18_is_seen_often_enough_to_be_scored():
    drawn = [kinds(seed) for seed in range(400)]
    assert min(sum(label in found for found in drawn) for label in FINDINGS) >= 0.04 * 400


def test_companions_come_together_more_often_than_by_chance():
    drawn = [kinds(seed) for seed in range(600)]

    def share(*wanted):
        return sum(all(kind in found for kind in wanted) for found in drawn) / 600

    for one, other in [
        ("cardiomegaly", "pleural_effusion"),
        ("coronary_artery_wall_calcification", "arterial_wall_calcification"),
    ]:
        assert share(one, other) > 1.5 * share(one) * share(other)


def test_the_same_seed_draws_the_same_and_regions_differ():
    assert draw_findings(3) == draw_findings(3)
    assert any(draw_findings(seed) != draw_findings(seed, BodyRegion.ABDOMEN) for seed in range(10))
    assert set(ORGAN_CHANGES) <= set().union(*(kinds(seed, BodyRegion.ABDOMEN) for seed in range(200)))


def test_a_healthy_person_has_no_picture():
    for seed in range(40):
        picture = _draw_picture(np.random.default_rng([seed, 5, 0]), BodyRegion.CHEST)
        assert bool(picture) == bool(draw_findings(seed))


def test_some_of_the_ill_and_none_of_the_healthy_were_scanned_before():
    placed = [draw_findings(seed) for seed in range(200)]
    before = [has_prior(seed, items) for seed, items in enumerate(placed)]
    assert 12 < sum(before) < 45
    assert not any(was for was, items in zip(before, placed, strict=True) if not items)


@pytest.mark.parametrize("seed", range(60))
def test_a_sided_disease_is_placed_at_most_once_a_side_but_for_nodules(seed):
    placed = [item for item in draw_findings(seed) if item.kind != "lung_nodule"]
    for one, other in combinations(placed, 2):
        assert one.kind != other.kind or (one.is_sided and one.side != other.side)
