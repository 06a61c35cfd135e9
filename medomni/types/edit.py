"""Edits: what a person does to a report, one small typed change each, so that it can be shown, applied, told and undone."""

from typing import Annotated, Literal

from pydantic import Field

from medomni.types.codes import Value
from medomni.types.finding import Laterality, Presence
from medomni.types.report import Origin, Verdict
from medomni.types.section import SectionName

LONGEST_TEXT = 4000
"""Characters of one sentence; a page holds some 3,000."""
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Writer = Literal[Origin.TYPED, Origin.DICTATED]


class Reword(Value):
    """The sentence of a section gets another text; ``was`` is the text that was looked at, where a person did."""

    kind: Literal["reword"] = "reword"
    section: SectionName
    index: int = Field(ge=0)
    text: Text
    was: str | None = Field(default=None, max_length=LONGEST_TEXT)
    origin: Writer = Origin.TYPED


class Insert(Value):
    """A sentence is added before the one at ``index``; at the end where there is none."""

    kind: Literal["insert"] = "insert"
    section: SectionName
    index: int = Field(ge=0)
    text: Text
    origin: Writer = Origin.TYPED


class Remove(Value):
    """The sentence of a section is taken out; ``was`` is its text, where a person looked at it."""

    kind: Literal["remove"] = "remove"
    section: SectionName
    index: int = Field(ge=0)
    was: str | None = Field(default=None, max_length=LONGEST_TEXT)


class Judge(Value):
    """A finding of the machine is accepted as it is worded, confirmed (then it is certain), or rejected: then it is absent."""

    kind: Literal["judge"] = "judge"
    finding_id: str
    verdict: Verdict


class Resize(Value):
    """A finding gets the diameter that a person measured, in mm; the sentences about it follow."""

    kind: Literal["resize"] = "resize"
    finding_id: str
    diameter_mm: float = Field(gt=0, le=500)
    origin: Writer = Origin.DICTATED


class State(Value):
    """A person states that a label is there, doubtful or absent; the sentences about it follow."""

    kind: Literal["state"] = "state"
    label: str
    presence: Literal[Presence.PRESENT, Presence.UNCERTAIN, Presence.ABSENT]
    laterality: Laterality = Laterality.NONE
    anatomy: tuple[str, ...] = ()
    diameter_mm: float | None = Field(default=None, gt=0, le=500)
    origin: Writer = Origin.DICTATED


Edit = Annotated[Reword | Insert | Remove | Judge | Resize | State, Field(discriminator="kind")]


class Edits(Value):
    """Edits that are carried out together or not at all, in this order."""

    edits: tuple[Edit, ...] = Field(min_length=1, max_length=100)
