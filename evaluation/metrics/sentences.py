"""Two drafts of one study -> the sentences that differ, and those of them that should not.

A sentence may change with what is told of a patient where it repeats that, or where the certainty of a finding that it cites did.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from medomni.reporting.hedge import hedge
from medomni.types.report import Draft, ReceiptKind, Sentence
from medomni.types.section import SectionName

REPEATING = (SectionName.INDICATION,)
"""Sections that repeat the history and are not compared."""


def changed(one: Draft, other: Draft) -> tuple[Sentence, ...]:
    """The sentences of either draft whose text the other's section lacks, sections that repeat the history left out."""
    return tuple(chain(_only_in(one, other), _only_in(other, one)))


def unexplained(one: Draft, other: Draft) -> tuple[Sentence, ...]:
    """The changed sentences that neither quote the history nor cite a finding whose certainty differs."""
    now, then = ({finding.id: hedge(finding) for finding in draft.findings} for draft in (one, other))
    return tuple(
        sentence
        for sentence in changed(one, other)
        if not (sentence.receipt and sentence.receipt.kind is ReceiptKind.HISTORY)
        and all(now.get(key) == then.get(key) for key in sentence.finding_ids)
    )


def _only_in(one: Draft, other: Draft) -> Iterator[Sentence]:
    for name, section in one.sections.items():
        if name in REPEATING:
            continue
        theirs = (
            Counter(sentence.text for sentence in other.sections[name].sentences) if name in other.sections else Counter[str]()
        )
        for sentence in section.sentences:
            if theirs[sentence.text]:
                theirs[sentence.text] -= 1
            else:
                yield sentence
