"""Sentences of a reference report: a wording is drawn for a fact and its slots are filled from what was measured.

    Fact, language, rng -> one sentence

The words are ``medomni/data/phantom_en.toml`` and ``phantom_zh.toml``. A wording that names a slot without a value is never used,
so no number appears that was not measured.
"""

import re
import string
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast

import numpy as np

from medomni.phantom.disease import SEVERITIES
from medomni.phantom.facts import Fact

LANGUAGES = ("en", "zh")
_MANY_LOBES = 3
_FATTY_HU = 48
"""Liver HU from which a number proves nothing: contrast medium hides the fat."""
_AN = re.compile(r"\b([Aa]) (?=[aeio]|8\b|8[0-9.]|11\b|18\b)")
_BLANKS = re.compile(r" {2,}")

Table = dict[str, list[str]]


@dataclass(frozen=True)
class Normal:
    """A statement that is true where every label in ``absent`` is absent."""

    organ: str
    absent: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Bank:
    """Every wording of one language; the keys are explained in the files."""

    numbers: list[str]
    separator: str
    last: str
    tables: dict[str, Table]
    forms: dict[str, Table]
    grades: dict[str, list[list[str]]]
    places: dict[str, str]
    sides: dict[str, str]
    names: dict[str, str]
    spoken: dict[str, str]
    openings: tuple[str, ...]
    normals: tuple[Normal, ...]


@cache
def bank(language: str) -> Bank:
    """The words of a language, read once."""
    text = (files("medomni.data") / f"phantom_{language}.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    spoken = raw["spoken"]
    plain = ("headings", "organs", "technique_lines", "phases", "kernels", "comparison_lines", "margins", "changes")
    return Bank(
        numbers=raw["numbers"],
        separator=raw["separator"],
        last=raw["last"],
        tables={name: cast(Table, raw[name]) for name in (*plain, "findings", "impressions", "several")},
        forms=raw["forms"],
        grades=raw["grades"],
        places=raw["places"],
        sides=raw["sides"],
        names=raw["names"],
        spoken={name: text for name, text in spoken.items() if isinstance(text, str)},
        openings=tuple(spoken["opening"]),
        normals=tuple(Normal(row["organ"], tuple(row["absent"]), tuple(row["texts"])) for row in raw["normals"]),
    )


@dataclass(frozen=True, eq=False)
class Voice:
    """How one author writes: language, unit of lengths and the chance that picks the wordings."""

    language: str
    rng: np.random.Generator
    is_centimetre: bool = False

    @property
    def words(self) -> Bank:
        """The words of the language."""
        return bank(self.language)

    def pick(self, texts: list[str] | tuple[str, ...]) -> str:
        """One of several texts."""
        return texts[int(self.rng.integers(len(texts)))]

    def heading(self, name: str) -> str:
        """A heading of the report."""
        return self.pick(self.words.tables["headings"][name])

    def finding(self, fact: Fact) -> str:
        """What is seen, as a sentence."""
        return self.say(self.words.tables["findings"][self._key(fact)], self.slots(fact))

    def impression(self, fact: Fact) -> str:
        """What it means, in short."""
        return self.say(self.words.tables["impressions"][self._key(fact)], self.slots(fact))

    def change(self, fact: Fact) -> str:
        """How it changed since the prior study, "" without one."""
        if not fact.change:
            return ""
        slots = {"before": text} if (text := self._measured(fact, fact.before)) else {}
        return self.say(self.words.tables["changes"][fact.change], slots)

    def resolved(self, fact: Fact) -> str:
        """That a finding of the prior study is gone."""
        name = self.words.names.get(fact.kind)
        return self.say(self.words.tables["changes"]["resolved"], {"name": name} if name else {})

    def say(self, wordings: list[str], slots: dict[str, str]) -> str:
        """A wording whose slots all have a value, filled; "" when there is none."""
        usable = [text for text in wordings if _slots_of(text) <= slots.keys()]
        if not usable:
            return ""
        return self.tidy(self.pick(usable).format(**slots))

    def tidy(self, text: str) -> str:
        """The text with single blanks, a capital first letter and "an" where English wants it."""
        text = _BLANKS.sub(" ", text).strip()
        if self.language == "en":
            text = _AN.sub(lambda found: found.group(1) + "n ", text)
        return text[:1].upper() + text[1:]

    def slots(self, fact: Fact) -> dict[str, str]:
        """Everything that can be said about a fact, by slot; what is unknown is missing."""
        words = self.words
        kind, measured = fact.kind, fact.measurements
        forms = words.forms.get(kind, {}).get(fact.variant, [])
        margins = words.tables["margins"].get(fact.margin, [])
        grade = words.grades.get(kind, words.grades["default"])[SEVERITIES.index(fact.severity)]
        place = self._place(fact)
        found = {
            "grade": self.pick(grade),
            "form": self.pick(forms) if forms else "",
            "margin": self.pick(margins) if margins else "",
            "side": words.sides.get(fact.side, ""),
            "where": self._with_article(place),
            "site": place,
            "size": self.length(measured[fact.size_name]) if fact.size_name else "",
            "volume": self.volume(measured["volume"]) if measured.get("volume", 0) >= 5 else "",
            "percent": _number(measured, ("height_loss", "percent"), "{:.0f}%"),
            "ratio": _number(measured, ("cardiothoracic_ratio", "broncho_arterial_ratio"), "{:.2f}"),
            "density": _number(measured, ("mean_hu",), "{:.0f} HU") if measured.get("mean_hu", np.inf) < _FATTY_HU else "",
            "score": _number(measured, ("agatston",), "{:.0f}"),
            "level": self._level(fact),
        }
        return {name: text for name, text in found.items() if text}

    def length(self, millimetres: float) -> str:
        """A length in the author's unit."""
        if self.is_centimetre and millimetres >= 9.5:
            return f"{millimetres / 10:.1f} cm"
        return f"{millimetres:.0f} mm"

    def volume(self, ml: float) -> str:
        """A volume in whole tens of mL, in litres from one litre on."""
        if ml >= 995:
            return f"{ml / 1000:.1f} L"
        return f"{round(ml, -1) if ml >= 20 else round(ml):.0f} mL"

    def count(self, number: int) -> str:
        """A small number as a word."""
        return self.words.numbers[number] if number < len(self.words.numbers) else str(number)

    def joined(self, texts: list[str]) -> str:
        """Texts as an enumeration."""
        return self.words.last.join(part for part in (self.words.separator.join(texts[:-1]), texts[-1]) if part)

    def _key(self, fact: Fact) -> str:
        if fact.kind == "pleural_effusion" and fact.side == "both":
            return "pleural_effusion_both"
        if fact.kind == "medical_material" and fact.variant in ("sternal_wires", "clips"):
            return "medical_material_plural"
        return fact.kind

    def _place(self, fact: Fact) -> str:
        places = self.words.places
        if not fact.lobes:
            return places["lungs"] if fact.side == "both" else places.get(f"lung_{fact.side}", "")
        for whole in ("upper", "lower"):
            if set(fact.lobes) == {f"lung_{whole}_lobe_left", f"lung_{whole}_lobe_right"}:
                return places[whole]
        sides = {name.rsplit("_", 1)[1] for name in fact.lobes}
        if len(sides) > 1:
            return places["lungs"]
        if len(fact.lobes) >= _MANY_LOBES or (sides == {"left"} and len(fact.lobes) > 1):
            return places[f"lung_{sides.pop()}"]
        names = [places[name] for name in fact.lobes]
        return self.joined([names[0], *(self._with_article(name) for name in names[1:])])

    def _with_article(self, place: str) -> str:
        return f"the {place}" if self.language == "en" and place and not place.startswith("both") else place

    def _level(self, fact: Fact) -> str:
        number = fact.measurements.get("thoracic_level", 0.0)
        if number:
            return f"T{number:.0f}" if number <= 12 else f"L{number - 12:.0f}"
        return ""

    def _measured(self, fact: Fact, values: dict[str, float]) -> str:
        for name, value in values.items():
            return self.volume(value) if name == "volume" and value >= 5 else "" if name == "volume" else self.length(value)
        return ""


def _number(measured: dict[str, float], names: tuple[str, ...], form: str) -> str:
    return next((form.format(measured[name]) for name in names if name in measured), "")


@cache
def _slots_of(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)
