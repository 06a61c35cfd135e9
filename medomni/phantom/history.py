"""The clinical history of a phantom, in English and Chinese, in keeping with its diseases; both say the same.

    person, placed -> text

Words are ``medomni/data/phantom_history.toml``. A history names complaints, not findings: it does not give the answer away.
"""

import string
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from medomni.phantom.disease import Placed
from medomni.phantom.facts import FINDINGS, ORGAN_CHANGES
from medomni.phantom.person import Person


@dataclass(frozen=True)
class Story:
    """One row: whom it fits and how it is told in each language."""

    kinds: frozenset[str]
    from_age: int
    told: dict[str, str]


def history(
    person: Person, placed: tuple[Placed, ...], language: str, order: tuple[str, ...] = (*FINDINGS, *ORGAN_CHANGES)
) -> str:
    """Return the history of a phantom in ``en`` or ``zh``; ``order`` names the weightiest disease first."""
    rng = np.random.default_rng([person.seed, 6])
    complaints, background = _stories()
    stories = [_complaint(placed, complaints, order, rng), *_background(person, placed, background, rng)]
    facts = _numbers(person, rng)
    told = [string.Formatter().vformat(story.told[language], (), facts) for story in stories]
    if language == "zh":
        return f"{'男' if person.sex == 'M' else '女'}，{person.age_years}岁。" + "".join(told)
    return " ".join([f"{person.age_years}-year-old {'man' if person.sex == 'M' else 'woman'}.", *told])


def _complaint(
    placed: tuple[Placed, ...], complaints: tuple[Story, ...], order: tuple[str, ...], rng: np.random.Generator
) -> Story:
    kinds = sorted({item.kind for item in placed}, key=order.index)
    fitting = next((found for kind in kinds if (found := [s for s in complaints if kind in s.kinds])), None)
    stories = fitting or [story for story in complaints if not story.kinds]
    shared = [len(story.kinds & set(kinds)) + float(rng.random()) for story in stories]
    return stories[int(np.argmax(shared))]


def _background(
    person: Person, placed: tuple[Placed, ...], background: tuple[Story, ...], rng: np.random.Generator
) -> list[Story]:
    """Up to two further facts; those of a disease more often in those who have it."""
    kinds = {item.kind for item in placed}
    chances = [0.5 if story.kinds & kinds else 0.0 if story.kinds else 0.15 for story in background]
    told = [s for s, chance in zip(background, chances, strict=True) if rng.random() < chance and person.age_years >= s.from_age]
    smokes = any("{packs}" in story.told["en"] for story in told)
    return [story for story in told if not (smokes and story.told["en"].startswith("Never"))][:2]


def _numbers(person: Person, rng: np.random.Generator) -> dict[str, int]:
    return {
        "days": int(rng.integers(2, 15)),
        "weeks": int(rng.integers(2, 9)),
        "months": int(rng.integers(2, 12)),
        "years": int(rng.integers(2, max(4, min(30, person.age_years - 25)))),
        "packs": int(rng.integers(10, max(12, min(60, person.age_years - 15)))),
    }


@cache
def _stories() -> tuple[tuple[Story, ...], tuple[Story, ...]]:
    raw = tomllib.loads((files("medomni.data") / "phantom_history.toml").read_text(encoding="utf-8"))
    rows = [
        tuple(Story(frozenset(r["kinds"]), r.get("from_age", 0), {"en": r["en"], "zh": r["zh"]}) for r in raw[name])
        for name in ("complaints", "background")
    ]
    return rows[0], rows[1]
