"""Curves, thresholds and extents that are fitted on phantoms of known truth."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from adapters import answers, near
from adapters.samples import load_sample
from medomni.model.config import LABELS, tiny
from medomni.types.opinion import logistic
from tests.unit.adapters.test_near import write_sample


def drawn(count=400, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random(count) < 0.3
    return truth, np.where(truth, 1.5, -1.5) + rng.normal(0, 1.2, count), rng


def test_curve_gives_probabilities_that_hold():
    truth, logits, _ = drawn()
    offset, slope, _, threshold = answers.fit_label(logits, truth, np.full(len(truth), np.nan))
    probability = 1 / (1 + np.exp(-(offset + slope * logits)))
    assert probability.mean() == pytest.approx(truth.mean(), abs=0.02)
    called = probability >= threshold
    assert 2 * (called & truth).sum() / (called.sum() + truth.sum()) > 0.8


def test_joint_curve_leans_on_whichever_knows_more():
    truth, logits, rng = drawn()
    sure = np.where(truth, 4.0, -4.0) + rng.normal(0, 0.5, len(truth))
    joint = answers.fit_label(rng.normal(0, 1, len(truth)), truth, sure)[2]
    assert joint.theirs > joint.own
    joint = answers.fit_label(logits, truth, rng.normal(0, 1, len(truth)))[2]
    assert joint.own > joint.theirs


def test_without_a_detector_the_joint_curve_is_the_models_own():
    truth, logits, _ = drawn()
    offset, slope, joint, _ = answers.fit_label(logits, truth, np.full(len(truth), np.nan))
    for logit in (-2.0, 0.0, 2.0):
        assert joint.probability(logit, None) == pytest.approx(logistic(offset + slope * logit), abs=0.02)


def test_a_detector_that_is_silent_says_something():
    truth, logits, rng = drawn()
    silent = np.where(truth, rng.random(len(truth)) < 0.2, rng.random(len(truth)) < 0.95)
    joint = answers.fit_label(logits * 0.2, truth, np.where(silent, np.nan, 1.0))[2]
    assert joint.probability(0.0, None) < joint.probability(0.0, 0.7)


def test_more_evidence_never_lowers_a_probability():
    truth, logits, _ = drawn()
    _, slope, joint, _ = answers.fit_label(-logits, truth, -logits)
    assert min(slope, joint.own, joint.theirs) >= 0


def test_extent_is_that_under_which_the_lesions_lie(tmp_path):
    class Knows(near.NearNetwork):
        """Sees the ball of each file, and only that."""

        def forward(self, codes, _structures):
            cells = torch.full((1, len(LABELS), 12, 12, 12), -5.0)
            dense = codes.reshape(1, 12, 2, 12, 4, 12, 4).float().mean(dim=(2, 4, 6))
            cells[0, LABELS.index("consolidation")] = (dense[0] > 60) * 6.0 - 5.0
            return SimpleNamespace(cells=cells)

    files = [write_sample(tmp_path / f"{number}.npz", seed=number) for number in range(3)]
    extents = answers.fit_extents(files, Knows(tiny()))
    assert extents["consolidation"].at_least <= 1.0
    assert extents["emphysema"] == answers.USUAL
    boxes = answers.fit_boxes(files, Knows(tiny()), np.zeros((3, len(LABELS))))
    assert {label: extent for label, (extent, _) in boxes.items()} == extents
    alone = answers.fit_boxes(files[:1], Knows(tiny()), np.zeros((1, len(LABELS))))["consolidation"][0]
    assert alone == answers.USUAL  # one lesion fits no extent, with those of two more phantoms it does
    with_more = answers.fit_boxes(files[:1], Knows(tiny()), np.zeros((1, len(LABELS))), files[1:])
    assert with_more["consolidation"][0] == extents["consolidation"]
    sample = load_sample(files[0])
    assert len(answers.true_boxes(sample, "consolidation")) == 1
    assert answers.cells_of(sample, near.NearNetwork(tiny()).eval()).shape == (len(LABELS), 12, 12, 12)


def test_chance_follows_score_and_label_and_is_low_for_what_was_never_seen():
    rng = np.random.default_rng(4)
    score, label = rng.normal(0, 2, 400), rng.normal(0, 2, 400)
    right = score + label > rng.logistic(0, 1, 400)
    chance = answers.fit_chance(list(zip(score.tolist(), label.tolist(), right.tolist(), strict=True)))
    assert chance.score > 0.5 and chance.label > 0.5
    assert chance.of(3.0, 3.0) > 0.9
    assert chance.of(-3.0, -3.0) < 0.1
    assert answers.fit_chance([]) == answers.SELDOM
