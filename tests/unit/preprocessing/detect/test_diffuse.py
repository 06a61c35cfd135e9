"""Diffuse disease: probabilities follow the volume that shows it, and little of it neither states nor excludes."""

import numpy as np
import pytest

from medomni.model import omni_runtime
from medomni.model.config import LABELS as SEEN
from medomni.model.scan import CELL
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Laterality, Presence
from preprocessing.detect import diffuse
from preprocessing.detect.calibration import curves
from preprocessing.detect.diffuse import LABELS, diffuse_findings, shown_ml
from preprocessing.detect.proofs import proofs
from tests.unit.preprocessing.detect.lungs import lung_case


def says(kind, share):
    """In place of the network: one disease in the first ``share`` of the columns, which are the patient's right."""

    def answer(folder, codes, structures):
        z, y, x = (n // step for n, step in zip(codes.shape, CELL, strict=True))
        made = np.zeros((len(SEEN), z, y, x), np.float32)
        made[SEEN.index(kind), :, :, : int(share * x)] = 0.9
        return made

    return answer


def test_every_label_has_words_a_curve_and_a_channel():
    assert set(LABELS) <= set(vocabulary().labels)
    assert set(LABELS) <= set(curves())
    assert set(LABELS) <= set(SEEN)


def test_plain_lung_gets_no_diffuse_disease(monkeypatch):
    monkeypatch.setattr(omni_runtime, "cells_of", says("emphysema", 1.0))
    found = diffuse_findings(lung_case())
    assert {f.label for f in found} == set(LABELS)
    assert all(f.presence is Presence.NOT_EVALUATED and f.reason == "not_excluded" for f in found)


@pytest.mark.parametrize(("share", "side"), [(0.4, Laterality.RIGHT), (1.0, Laterality.BILATERAL)])
@pytest.mark.parametrize("label", LABELS)
def test_a_lung_that_shows_a_disease_gets_it_on_its_side_with_a_place(monkeypatch, label, share, side):
    monkeypatch.setattr(omni_runtime, "cells_of", says(label, share))
    monkeypatch.setattr(diffuse, "calibrated", lambda _, ml: 0.6 if ml > 20 else 0.1)  # the test's lungs are small
    case = lung_case()
    finding = next(f for f in diffuse_findings(case) if f.label == label)
    assert finding.presence in (Presence.UNCERTAIN, Presence.PRESENT)
    assert finding.laterality is side
    assert all(proof.slice_index is not None and proof.position_mm is not None for proof in finding.evidence)
    x_mm = [proof.position_mm[0] for proof in finding.evidence]
    assert min(x_mm) < 0 < max(x_mm) if side is Laterality.BILATERAL else max(x_mm) < 0
    assert shown_ml(label)(case) > 20
    mask, lungs = proofs(case, (finding,)).mask(label), case.segmentation.mask("lung_right", "lung_left")
    assert mask.any()
    assert not (mask & ~lungs).any()
    assert all(proof.structure == label and mask[proof.slice_index].any() for proof in finding.evidence)
    named = case.segmentation.mask("lung_right") if side is Laterality.RIGHT else lungs
    assert not (mask & ~named).any()


def test_thick_slices_leave_diffuse_disease_unjudged():
    case = lung_case(spacing_mm=(5.0, 1.0, 1.0), shape=(16, 72, 96))
    assert all(f.reason == "resolution_too_low" for f in diffuse_findings(case))
    assert shown_ml("atelectasis")(case) is None
