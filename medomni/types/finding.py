"""Findings and measurements: what was seen, where, how large, and the evidence for it."""

from collections.abc import Iterable
from enum import StrEnum

from pydantic import Field, model_validator

from medomni.types.codes import Value

BoxMm = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Opposite corners (lowest, highest) of a box in LPS millimetres (x, y, z)."""


class Presence(StrEnum):
    """The state of a finding; "not evaluated" is never the same as "absent"."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    NOT_EVALUATED = "not_evaluated"


class Laterality(StrEnum):
    """The patient's side, never the side of the screen."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"
    UNKNOWN = "unknown"
    NONE = "none"

    @property
    def sides(self) -> "frozenset[Laterality]":
        """Left, right or both; none where no side is known."""
        both = (Laterality.LEFT, Laterality.RIGHT)
        return frozenset(both if self is Laterality.BILATERAL else {self} & set(both))

    @classmethod
    def of(cls, sides: Iterable[str]) -> "Laterality":
        """The name of sides, "left" and "right": both, one, or none."""
        named = {cls(side) for side in sides}
        return cls.BILATERAL if len(named) > 1 else next(iter(named), cls.NONE)


class Measurement(Value):
    """One measured number with its unit and place; ``value`` is exact, rounding belongs to the writer.

    ``unit`` is a UCUM code (mL, mm, [hnsf'U], %, 1). ``is_lower_bound`` marks a structure cut by the edge of the volume:
    the text then says "at least". ``crosses_gap`` marks one taken across a missing slice: the text then says "about".
    ``decimals`` is how many digits the text shows.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    value: float
    unit: str
    structure: str = ""
    decimals: int = Field(default=0, ge=0, le=3)
    is_lower_bound: bool = False
    crosses_gap: bool = False
    slice_index: int | None = Field(default=None, ge=0)


class Evidence(Value):
    """What supports a finding: on the image a mask, a box or a slice; of a dictation the characters that state it."""

    structure: str = ""
    slice_index: int | None = Field(default=None, ge=0)
    position_mm: tuple[float, float, float] | None = None
    box_mm: BoxMm | None = None
    span: tuple[int, int] | None = None
    source: str = ""


class Finding(Value):
    """One coded observation. ``label`` is a key of ``medomni/data/findings.toml``."""

    id: str = Field(pattern=r"^[a-z0-9_-]+$")
    label: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    presence: Presence
    probability: float | None = Field(default=None, ge=0, le=1)
    laterality: Laterality = Laterality.NONE
    anatomy: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    box_mm: BoxMm | None = None
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""

    @model_validator(mode="after")
    def _no_presence_without_evidence(self) -> "Finding":
        if self.presence in (Presence.PRESENT, Presence.UNCERTAIN) and not self.evidence:
            raise ValueError("a present or uncertain finding needs evidence")
        return self

    def measurement(self, name: str) -> Measurement | None:
        """The measurement of that name, or None."""
        return next((m for m in self.measurements if m.name == name), None)
