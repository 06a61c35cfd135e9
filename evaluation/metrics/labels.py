"""Scores of sets of labels: F1 of each label, macro and micro, and what the answers of other patients would score.

(true labels, given labels), ... -> LabelScore
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Pair = tuple[set[str], set[str]]
"""True labels and given labels of one case."""


@dataclass(frozen=True)
class LabelScore:
    """Scores over cases.

    Attributes:
        f1: of each label that is true of enough cases.
        positives: cases of which each label is true.
        macro_f1: mean of ``f1``.
        micro_f1: of all labels pooled.
        shuffled_macro_f1: what the answers score when each goes to another case.
    """

    f1: dict[str, float]
    positives: dict[str, int]
    macro_f1: float
    micro_f1: float
    shuffled_macro_f1: float


def score_labels(pairs: Iterable[Pair], least_positives: int = 1) -> LabelScore:
    """Score answers; labels true of fewer than ``least_positives`` cases do not count, here nor in the pooled score."""
    cases = list(pairs)
    positives = Counter(label for truth, _ in cases for label in truth)
    labels = sorted(label for label, count in positives.items() if count >= least_positives)
    f1, micro = _f1(cases, labels)
    turned = [(truth, cases[(number + 1) % len(cases)][1]) for number, (truth, _) in enumerate(cases)]
    shuffled, _ = _f1(turned, labels)
    return LabelScore(f1, dict(positives), _mean(f1), micro, _mean(shuffled))


def _f1(cases: Sequence[Pair], labels: Sequence[str]) -> tuple[dict[str, float], float]:
    hits = Counter(label for truth, given in cases for label in truth & given)
    wrong = Counter(label for truth, given in cases for label in truth ^ given)
    each = {label: _ratio(hits[label], wrong[label]) for label in labels}
    return each, _ratio(sum(hits[label] for label in labels), sum(wrong[label] for label in labels))


def _ratio(hits: int, wrong: int) -> float:
    """2 TP / (2 TP + FP + FN); 0 where there is nothing to find."""
    return 2 * hits / (2 * hits + wrong) if hits + wrong else 0.0


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values()))) if values else 0.0
