"""Opacities where the segmenter proposes and density confirms: agreement counts, disagreement counts for less."""

from dataclasses import replace

import numpy as np
import pytest

from medomni.types.segmentation import Segmentation
from preprocessing.detect.case import Case
from preprocessing.detect.opacity import DISPUTED_SHARE, opacities
from tests.unit.preprocessing.detect.lungs import ball, lung_case

CENTRE_MM, OTHER_MM = (-24.0, 4.0, 2.0), (24.0, 4.0, 2.0)
DIAMETER_MM = 28.0


def _case(proposed_mm):
    """Ground glass in the right lung; the segmenter proposes a ball at each given place (None: it looks for no opacity)."""
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, DIAMETER_MM, -500.0))
    if proposed_mm is None:
        return case
    on = case.volume.grid
    labels = np.zeros(on.shape, np.uint8)
    index = np.stack(np.meshgrid(*map(np.arange, on.shape), indexing="ij"), axis=-1)
    world = on.to_world_mm(index.astype(np.float64))
    for place in proposed_mm:
        labels[np.linalg.norm(world - np.asarray(place), axis=-1) < DIAMETER_MM / 2] = 1
    lesions = Segmentation(labels, on, {1: "lung_opacity"}, "test 1", "0" * 64)
    return Case(case.volume, replace(case.segmentation, lesions=lesions), case.regions, case.coverage)


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
