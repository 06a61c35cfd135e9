"""A house style: in which order and in which words a department writes its reports."""

import string
from typing import Final

from pydantic import Field, field_validator

from medomni.anatomy import anatomy
from medomni.types.codes import Value
from medomni.types.section import SectionName

SLOTS: Final = {
    "findings.absent": {"findings"},
    "findings.absent_in": {"findings", "place"},
    "line.in_places": {"finding", "places", "details", "image"},
    "comparison.none": set[str](),
}
"""The phrases that a style may have, by key of the phrase bank, and the slots of each."""
LONGEST_HEADING: Final = 40
LONGEST_PHRASE: Final = 120


class Style(Value):
    """What reports of one language have in common; what is empty stays as the phrase bank has it.

    Attributes:
        language: of the reports it was learned from, and of those it is for.
        sections: section names in their order; those not named keep their places.
        headings: by section name.
        organs: organs of the findings in their order; others keep their places.
        phrases: by key of the phrase bank, each with the same slots as there.
        reports: how many reports it was learned from.
    """

    language: str = Field(pattern=r"^(en|zh)$")
    sections: tuple[SectionName, ...] = ()
    headings: dict[SectionName, str] = Field(default_factory=dict)
    organs: tuple[str, ...] = ()
    phrases: dict[str, str] = Field(default_factory=dict)
    reports: int = Field(default=0, ge=0)

    @field_validator("sections", "organs")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("a name stands twice")
        return names

    @field_validator("organs")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(names) - set(anatomy().organs):
            raise ValueError(f"no organ: {', '.join(sorted(unknown))}")
        return names

    @field_validator("headings")
    @classmethod
    def _plain(cls, headings: dict[SectionName, str]) -> dict[SectionName, str]:
        for heading in headings.values():
            if not 0 < len(heading) <= LONGEST_HEADING or not heading.isprintable() or set(heading) & set("{}"):
                raise ValueError("a heading is one short line without braces")
        return headings

    @field_validator("phrases")
    @classmethod
    def _with_its_slots(cls, phrases: dict[str, str]) -> dict[str, str]:
        for key, phrase in phrases.items():
            if key not in SLOTS:
                raise ValueError(f"a style has no phrase {key}")
            if len(phrase) > LONGEST_PHRASE or not phrase.isprintable() or _slots(phrase) != sorted(SLOTS[key]):
                raise ValueError(f"{key} needs each of its slots once, and nothing else in braces")
        return phrases


def _slots(phrase: str) -> list[str]:
    """The slots of a phrase in order of the alphabet; one that is not plain is given as it stands."""
    parts = list(string.Formatter().parse(phrase))
    return sorted(f"{name}!{how}:{form}" if how or form else name for _, name, form, how in parts if name is not None)


def rearranged(usual: list[str], wanted: tuple[str, ...]) -> list[str]:
    """The usual order with the wanted names in theirs: names that are not wanted keep their places.

    >>> rearranged(["a", "b", "c", "d"], ("d", "b"))
    ['a', 'd', 'c', 'b']
    """
    turn = iter([name for name in wanted if name in usual])
    return [next(turn) if name in wanted else name for name in usual]
