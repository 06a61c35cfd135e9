"""The vocabulary of findings as typed values: names, codes and thresholds of labels and measurements.

    findings.toml -> Vocabulary

One table drives detection, wording, codes and scores; everything that needs a name or a code asks here. This module
knows nothing about a study.
"""

import tomllib
from collections.abc import Callable
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files

from pydantic import Field, TypeAdapter

from medomni.anatomy import anatomy
from medomni.types.codes import Code, Value
from medomni.types.finding import Laterality
from medomni.types.style import Style, rearranged


class Match(StrEnum):
    """How close a code is to the label: the same idea, a near or broader one, or one that needs a site beside it."""

    EXACT = "exact"
    APPROXIMATE = "approximate"
    POST_COORDINATED = "post-coordinated"


class MappedCode(Value):
    """One code of a label, where it was read, and the body site it needs when it is post-coordinated."""

    code: Code
    match: Match
    source: str = Field(min_length=1)
    site: Code | None = None


class LabelEntry(Value):
    """One finding label; the fields are explained at the head of ``findings.toml``."""

    name: str
    en: str
    zh: str
    organ: str
    order: int
    is_significant: bool
    is_critical: bool
    is_sided: bool
    is_measurement_only: bool
    is_always_answered: bool = True
    applies_to: str
    thresholds_hu: tuple[int, ...]
    mentions_en: tuple[str, ...]
    mentions_zh: tuple[str, ...]
    finding_model: str
    finding_model_name: str
    codes: tuple[MappedCode, ...]


class QuantityEntry(Value):
    """One measured quantity: its names, its UCUM unit and its codes."""

    name: str
    en: str
    zh: str
    unit: str
    codes: tuple[MappedCode, ...]


class Hedge(Value):
    """One step of the ladder: the wording for probabilities of at least ``at_least``."""

    name: str
    at_least: float = Field(ge=0, le=1)


class Vocabulary(Value):
    """Every finding and quantity of a report; the organs and structures are ``medomni.anatomy``'s."""

    labels: dict[str, LabelEntry]
    measurements: dict[str, QuantityEntry]
    hedges: tuple[Hedge, ...]

    def label(self, name: str) -> LabelEntry:
        """The entry of a label; raises KeyError for a name the table does not hold."""
        return self.labels[name]

    def name(self, key: str, language: str) -> str:
        """The name of any label, measurement, organ, structure or zone in the language; plain words when unknown."""
        entry = self.labels.get(key) or self.measurements.get(key)
        if entry is None:
            return anatomy().words(key, language)
        return entry.zh if language == "zh" else entry.en


def codes(label: str) -> tuple[MappedCode, ...]:
    """The codes of a finding label, the best match first; empty when no usable code exists."""
    rank = list(Match)
    return tuple(sorted(vocabulary().label(label).codes, key=lambda mapped: rank.index(mapped.match)))


@cache
def vocabulary() -> Vocabulary:
    """The one vocabulary, read once from ``medomni/data/findings.toml``."""
    table = read_table("findings.toml")
    return Vocabulary(
        labels={name: LabelEntry.model_validate(_coded(name, row)) for name, row in tables(table, "labels").items()},
        measurements={
            name: QuantityEntry.model_validate(_coded(name, row)) for name, row in tables(table, "measurements").items()
        },
        hedges=TypeAdapter(tuple[Hedge, ...]).validate_python(table["hedges"]),
    )


def organ_order(organ: str) -> tuple[int, str]:
    """The sort key of an organ: its place in the report, unknown ones last by name."""
    entry = anatomy().organs.get(organ)
    return (entry.order if entry else 999, organ)


def organ_order_of(style: Style | None) -> Callable[[str], tuple[int, str]]:
    """The sort key of an organ in a house style: those it names in its order, the others in their places."""
    if style is None or not style.organs:
        return organ_order
    places = {organ: index for index, organ in enumerate(rearranged(sorted(anatomy().organs, key=organ_order), style.organs))}
    return lambda organ: (places.get(organ, len(places)), organ)


@lru_cache(maxsize=4096)
def side(place: str) -> Laterality:
    """The patient's side of a structure, zone or measurement, read from the table or else from the name itself."""
    entry = anatomy().zones.get(place) or anatomy().structures.get(place)
    if entry and entry.side:
        return Laterality(entry.side)
    words = place.split("_")
    sides = [word for word in ("left", "right") if word in words]
    return Laterality(sides[0]) if len(sides) == 1 else Laterality.NONE


def read_table(name: str) -> dict[str, object]:
    """The TOML table of that file name in ``medomni/data``."""
    return tomllib.loads(files("medomni.data").joinpath(name).read_text(encoding="utf-8"))


def rows(table: dict[str, object], key: str) -> dict[str, object]:
    """The entries of one section of a table."""
    section = table.get(key, {})
    if not isinstance(section, dict):
        raise TypeError(f"{key} must be a table")
    return section


def tables(table: dict[str, object], key: str) -> dict[str, dict[str, object]]:
    """The sub-tables of one section of a table."""
    return {name: row for name, row in rows(table, key).items() if isinstance(row, dict)}


def _coded(name: str, row: dict[str, object]) -> dict[str, object]:
    codes_of_row = row.get("codes", [])
    if not isinstance(codes_of_row, list):
        raise TypeError(f"codes of {name} must be an array")
    return {**row, "name": name, "codes": [_mapped(code) for code in codes_of_row]}


def _mapped(row: dict[str, str]) -> MappedCode:
    site = None
    if "site_code" in row:
        site = Code(system=row["site_system"], code=row["site_code"], display=row["site_display"])
    code = Code(system=row["system"], code=row["code"], display=row["display"])
    return MappedCode(code=code, match=Match(row["match"]), source=row["source"], site=site)
