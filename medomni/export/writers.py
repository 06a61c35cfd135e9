"""A sentence as stretches of cleaned text, each with the person's hand in it, if a person's it was.

    Sentence -> ((text, typed | dictated | None), ...)

Knows nothing about how a stretch is shown.
"""

from itertools import groupby

from medomni.reporting.cleaned import UNPRINTABLE
from medomni.types.report import Origin, Report, Sentence

BY_HAND = (Origin.TYPED, Origin.DICTATED)
"""What a person wrote, as against a machine, a phrase bank or an earlier report."""


def written(sentence: Sentence) -> tuple[tuple[str, Origin | None], ...]:
    """Return the cleaned text of a sentence in stretches by one hand; None where no person changed anything.

    Joined, the stretches are exactly ``clean(sentence.text)``, whatever the spans say.
    """
    letters = list(_letters(sentence))
    return tuple(("".join(letter for letter, _ in run), hand) for hand, run in groupby(letters, key=lambda one: one[1]))


def hands(report: Report) -> tuple[Origin, ...]:
    """Return how persons changed sentences of the report: typed, dictated, both, or not at all."""
    sentences = (sentence for section in report.sections.values() for sentence in section.sentences)
    found = {hand for sentence in sentences if sentence.spans for _, hand in written(sentence)}
    return tuple(hand for hand in BY_HAND if hand in found)


def _letters(sentence: Sentence) -> list[tuple[str, Origin | None]]:
    """Return each letter that can be read with its hand: runs of white space are one space, none at the ends."""
    hand_of: list[Origin | None] = [None] * len(sentence.text)
    for span in sentence.spans:
        hand = span.origin if span.origin in BY_HAND else None
        end = min(span.end, len(hand_of))
        hand_of[span.start : end] = [hand] * (end - span.start)
    letters: list[tuple[str, Origin | None]] = []
    space: tuple[str, Origin | None] | None = None
    for letter, hand in zip(sentence.text, hand_of, strict=True):
        if UNPRINTABLE.match(letter):
            continue
        if letter.isspace():
            space = space or (" ", hand)
            continue
        if space and letters:
            letters.append(space)
        space = None
        letters.append((letter, hand))
    return letters
