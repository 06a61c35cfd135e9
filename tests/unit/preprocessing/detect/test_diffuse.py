"""Diffuse disease: rules read signs, probabilities follow the score, and weak signs neither state nor exclude a disease."""

import numpy as np
import pytest

from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Laterality, Presence
from preprocessing.detect.calibration import curves
from preprocessing.detect.diffuse import Rule, diffuse_findings, diffuse_score, rules
from preprocessing.detect.lung_signs import Signs
from tests.unit.preprocessing.detect.lungs import LUNG_HU, lung_case


def test_every_rule_has_a_label_and_a_curve():
    assert set(rules()) <= set(vocabulary().labels)
    assert set(rules()) <= set(curves())


def test_score_is_a_sum_over_logarithms():
    rule = Rule(signs={"steps": 2.0, "low": -1.0}, intercept=0.5, shown_by="low_outer")
    signs = Signs({"steps": np.e - 1.0, "low": 0.0}, {})
    assert rule.score(signs) == pytest.approx(2.5)


def test_plain_lung_gets_no_diffuse_disease():
    found = diffuse_findings(lung_case())
    assert {f.label for f in found} == set(rules())
    assert all(f.presence is Presence.NOT_EVALUATED and f.reason == "not_excluded" for f in found)


def test_patchwork_of_two_densities_is_mosaic_on_both_sides():
    def paint(hu, world):
        tiles = (np.floor(world / 16.0).sum(axis=-1) % 2 == 0) & (hu < -500)
        hu[tiles] = LUNG_HU + 70.0

    case = lung_case(paint)
    finding = next(f for f in diffuse_findings(case) if f.label == "mosaic_attenuation_pattern")
    assert finding.presence is Presence.PRESENT
    assert finding.laterality is Laterality.BILATERAL
    assert all(proof.slice_index is not None and proof.position_mm is not None for proof in finding.evidence)
    assert diffuse_score("mosaic_attenuation_pattern")(case) > 2.5


def test_thick_slices_leave_diffuse_disease_unjudged():
    case = lung_case(spacing_mm=(5.0, 1.0, 1.0), shape=(16, 72, 96))
    assert all(f.reason == "resolution_too_low" for f in diffuse_findings(case))
    assert diffuse_score("atelectasis")(case) is None
