"""Opacities where the segmenter proposes and density confirms: agreement counts, disagreement counts for less."""

from dataclasses import replace

import numpy as np
import pytest

from medomni.types.segmentation import Segmentation
from preprocessing.detect.case import Case
from preprocessing.detect.opacity import DISPUTED_SHARE, opacities
from tests import factories
from tests.unit.preprocessing.detect.lungs import ball, lung_case, shown

CENTRE_MM, OTHER_MM = (-24.0, 4.0, 2.0), (24.0, 4.0, 2.0)
DIAMETER_MM = 28.0


def _case(proposed_mm):
    """Ground glass in the right lung; the segmenter proposes a ball at each given place (None: it looks for no opacity)."""
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, DIAMETER_MM, -500.0))
    on = case.volume.grid
    world = factories.world_mm(on)
    glass = np.linalg.norm(world - np.asarray(CENTRE_MM), axis=-1) < DIAMETER_MM / 2
    if proposed_mm is None:
        return shown(case, lung_opacity=glass)
    labels = np.zeros(on.shape, np.uint8)
    for place in proposed_mm:
        labels[np.linalg.norm(world - np.asarray(place), axis=-1) < DIAMETER_MM / 2] = 1
    lesions = Segmentation(labels, on, {1: "lung_opacity"}, "test 1", "0" * 64)
    proposing = Case(case.volume, replace(case.segmentation, lesions=lesions), case.regions, case.coverage)
    return shown(proposing, lung_opacity=glass)


def test_rule_alone_counts_fully():
    found = opacities(case := _case(None), ())
    ml = case.millilitres(found.opacity)
    assert ml == pytest.approx(np.pi / 6 * 2.8**3, rel=0.3)
    assert found.agreed_ml == pytest.approx(ml)


def test_confirmed_proposal_counts_fully():
    found = opacities(case := _case([CENTRE_MM]), ())
    assert found.agreed_ml == pytest.approx(case.millilitres(found.opacity))
    assert found.agreed_ml == pytest.approx(np.pi / 6 * 2.8**3, rel=0.3)


def test_what_only_density_sees_counts_for_less():
    found = opacities(case := _case([]), ())
    assert case.millilitres(found.opacity) > 5.0
    assert found.agreed_ml == pytest.approx(DISPUTED_SHARE * case.millilitres(found.opacity))


def test_proposal_in_normal_lung_is_dropped():
    found = opacities(case := _case([CENTRE_MM, OTHER_MM]), ())
    x = case.coarse.hu.shape[2] // 2
    assert found.opacity[:, :, :x].any()
    assert not found.opacity[:, :, x:].any()


def test_what_the_network_takes_for_nothing_is_dropped_or_counts_for_less_where_the_segmenter_vouches_for_it():
    alone = opacities(shown(_case(None)), ())
    assert not alone.opacity.any()
    assert alone.dropped_ml == pytest.approx(np.pi / 6 * 2.8**3, rel=0.3)  # so the lungs are not called clear
    vouched = opacities(case := shown(_case([CENTRE_MM])), ())
    assert vouched.agreed_ml == pytest.approx(DISPUTED_SHARE * case.millilitres(vouched.opacity))
    assert vouched.dropped_ml == 0.0
    assert not vouched.consolidation.any()


def test_what_is_left_of_a_collapse_is_no_consolidation():
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, DIAMETER_MM, 20.0))
    world = factories.world_mm(case.volume.grid)
    dense = np.linalg.norm(world - np.asarray(CENTRE_MM), axis=-1) < DIAMETER_MM / 2
    found = opacities(shown(case, atelectasis=dense & (world[..., 2] < CENTRE_MM[2])), ())
    assert found.collapsed.any()
    assert not found.consolidation.any()


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (("lung_opacity", "consolidation"), "consolidation"),  # to the network a consolidation is an opacity too
        (("lung_opacity",), "glass"),
        (("atelectasis",), "collapsed"),
    ],
)
def test_airless_lung_is_what_the_network_takes_it_for(seen, expected):
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, DIAMETER_MM, 20.0))
    dense = np.linalg.norm(factories.world_mm(case.volume.grid) - np.asarray(CENTRE_MM), axis=-1) < DIAMETER_MM / 2
    found = opacities(shown(case, **dict.fromkeys(seen, dense)), ())
    assert found.collapsed.any() == (expected == "collapsed")
    assert found.consolidation.any() == (expected == "consolidation")
    assert found.opacity.any() == (expected != "collapsed")
