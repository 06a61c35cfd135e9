"""What a description says of the labels, statement by statement, each with its own side, lobe and length.

    text -> Statement, Statement...

A side that stands in one half of a sentence is not lent to a finding of the other half. Knows nothing of any report.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from medomni.reporting.vocabulary import vocabulary
from medomni.types.dictation import Remark
from medomni.types.finding import Laterality, Presence
from preprocessing.commands import grammar
from preprocessing.dictation import read
from preprocessing.targets import lengths_mm, place

LIST = re.compile(r",? and |, | or |、|和|及|，")
_OWN = re.compile(r"(?:an? |no |without |possible |probable |[0-9])|[左右双两无未]", re.IGNORECASE)
"""What begins a statement of its own after a comma or "and"."""


@dataclass(frozen=True)
class Statement:
    """One statement and what it says of each label that it names."""

    text: str
    remarks: tuple[Remark, ...]


def statements(text: str, language: str) -> tuple[Statement, ...]:
    """Return the statements of a description, in its order."""
    return tuple(Statement(part, tuple(_placed(read(part).remarks, part, language))) for part in _cut(text, language))


def is_open(remark: Remark, statement: str, language: str) -> bool:
    """Whether a statement leaves open what it says: "no effusion and cardiomegaly", "the nodule is not 8 mm"."""
    if remark.presence is not Presence.ABSENT:
        return bool(lengths_mm(statement)) and bool(grammar(language).words["negation"].search(statement.lower()))
    first, joint, second = statement.partition(" and ")
    said_twice = [{one.label: one.presence for one in read(part).remarks} for part in (first, second)]
    is_second = remark.label not in said_twice[0] and said_twice[1].get(remark.label) is not Presence.ABSENT
    return bool(joint) and "," not in first and remark.label in said_twice[1] and is_second


def _cut(text: str, language: str) -> list[str]:
    """The text cut where both halves name a finding and the second has a side, a denial or an article of its own."""
    cuts, start = list[str](), 0
    for joint in LIST.finditer(text):
        before, after = text[start : joint.start()], text[joint.end() :]
        next_piece = LIST.split(after)[0]
        has_places = bool(place(before, language).sides and place(next_piece, language).sides)
        if read(before).remarks and read(next_piece).remarks and (_OWN.match(after) or has_places):
            cuts.append(before)
            start = joint.end()
    return [*cuts, text[start:]]


def _placed(remarks: tuple[Remark, ...], statement: str, language: str) -> Iterator[Remark]:
    at, sizes = place(statement, language), lengths_mm(statement)
    size = max(sizes) if sizes and len(remarks) == 1 else None
    for remark in remarks:
        is_sided = vocabulary().label(remark.label).is_sided
        where = {"laterality": Laterality.of(at.sides) if is_sided else Laterality.NONE, "anatomy": at.lobes if is_sided else ()}
        yield remark.model_copy(update={**where, "size_mm": remark.size_mm or size})
