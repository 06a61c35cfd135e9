"""How a detector answers: what it claims, it can show."""

import numpy as np

from medomni.types.finding import Presence
from preprocessing.detect.answer import sided_finding
from preprocessing.detect.sides import by_side
from tests.unit.preprocessing.detect.lungs import lung_case


def opacity(voxels):
    case = lung_case()
    mask = np.zeros(case.volume.hu.shape, bool)
    mask[20:24, 30 : 30 + voxels, 60:80] = True
    return by_side("lung_opacity", mask, case.segmentation, case.regions)


def test_a_lesion_is_claimed_with_its_side_and_evidence():
    finding = sided_finding(opacity(20), 0.95)
    assert finding.presence is Presence.PRESENT
    assert finding.evidence


def test_a_lesion_of_which_no_voxel_is_left_is_not_claimed():
    assert sided_finding(opacity(0), 0.95).presence is Presence.ABSENT
