"""Boxes of many cases, with a score each -> how many lesions are found when so many false ones are allowed."""

from collections.abc import Iterable

Shown = tuple[float, bool]
"""Score of a box, and whether it lies over a lesion that no likelier box of its case lies over."""


def sensitivity_at(shown: Iterable[Shown], lesions: int, cases: int, false_a_case: float) -> float:
    """The most lesions that are found with at most so many false boxes a case; boxes of one score count together.

    >>> sensitivity_at([(0.9, True), (0.8, False), (0.7, True), (0.6, False)], lesions=2, cases=1, false_a_case=1.0)
    1.0
    """
    best = right = wrong = 0
    ordered = sorted(shown, key=lambda one: -one[0])
    for number, (score, is_right) in enumerate(ordered):
        right, wrong = right + is_right, wrong + (not is_right)
        is_last_of_score = number + 1 == len(ordered) or ordered[number + 1][0] < score
        if is_last_of_score and wrong <= false_a_case * cases:
            best = max(best, right)
    return best / max(1, lesions)
