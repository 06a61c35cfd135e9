"""Emphysema: what is of low attenuation is outlined in the lungs that are named, and the finding points into it."""

import numpy as np

from medomni.types.finding import Laterality, Presence
from preprocessing.detect.emphysema import emphysema
from preprocessing.detect.proofs import proofs
from tests.unit.preprocessing.detect.lungs import LUNG_HU, ball, lung_case

CENTRE_MM, DIAMETER_MM = (-26.0, 0.0, 8.0), 24.0


def _hole(hu, world):
    ball(hu, world, CENTRE_MM, DIAMETER_MM, -985.0)


def test_low_attenuation_has_a_mask_a_slice_and_a_place_in_the_lung_that_is_named():
    case = lung_case(_hole)
    (finding,) = emphysema(case)
    assert finding.presence is not Presence.ABSENT
    assert finding.laterality is Laterality.RIGHT
    made = proofs(case, (finding,))
    mask, low = made.mask("low_attenuation"), case.volume.hu < -950
    assert (mask & low).sum() > 0.9 * mask.sum()
    assert mask.sum() * case.volume.grid.voxel_volumes_ml[0] > 0.6 * np.pi / 6 * DIAMETER_MM**3 / 1000
    (proof,) = finding.evidence
    assert proof.structure == "low_attenuation"
    assert abs(mask.sum(axis=(1, 2))[proof.slice_index] - mask.sum(axis=(1, 2)).max()) <= 0.1 * mask.sum(axis=(1, 2)).max()
    assert np.allclose(proof.position_mm, CENTRE_MM, atol=4.0)


def test_lungs_without_emphysema_hand_no_mask_on():
    case = lung_case()
    (finding,) = emphysema(case)
    assert LUNG_HU > -950
    assert (finding.presence, finding.evidence) == (Presence.ABSENT, ())
    assert not proofs(case, (finding,)).names
