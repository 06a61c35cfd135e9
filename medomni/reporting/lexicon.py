"""The terms of the clinical history as typed values: ``medomni/data/history.toml`` -> Lexicon.

``preprocessing/history.py`` finds them in a text; the writers of a draft name them in the draft's language.
"""

from functools import cache

from pydantic import Field

from medomni.reporting.vocabulary import read_table, tables
from medomni.types.codes import Value
from medomni.types.context import FactKind


class Concept(Value):
    """One thing a history can say; the fields are explained at the head of ``history.toml``."""

    name: str
    kind: FactKind
    en: str
    zh: str
    terms_en: tuple[str, ...] = Field(min_length=1)
    terms_zh: tuple[str, ...] = Field(min_length=1)
    sex: str = Field(default="", pattern="^[MF]?$")
    labels: tuple[str, ...] = ()
    needs_contrast: bool = False

    def named(self, language: str) -> str:
        """The name of the concept in the language."""
        return self.zh if language == "zh" else self.en


class Cues(Value):
    """The words of one language that change what a term means."""

    negation_before: tuple[str, ...]
    negation_after: tuple[str, ...]
    negation_joined: tuple[str, ...]
    answers_yes: tuple[str, ...]
    answers_no: tuple[str, ...]
    answers_unknown: tuple[str, ...]
    ends: tuple[str, ...]
    question_before: tuple[str, ...]
    question_after: tuple[str, ...]
    family: tuple[str, ...]
    patient: tuple[str, ...]
    hypothetical: tuple[str, ...]
    left: tuple[str, ...]
    right: tuple[str, ...]
    bilateral: tuple[str, ...]
    pseudo: tuple[str, ...]


class Instructions(Value):
    """Wordings that try to steer the program."""

    en: tuple[str, ...]
    zh: tuple[str, ...]
    roles: tuple[str, ...]
    markers: tuple[str, ...]


class Lexicon(Value):
    """Everything needed to read a history. ``characters_used`` is how much of a text is read."""

    characters_used: int = Field(gt=0)
    concepts: dict[str, Concept]
    cues: dict[str, Cues]
    sex: dict[str, dict[str, tuple[str, ...]]]
    durations: dict[str, dict[str, tuple[str, ...]]]
    numbers: dict[str, int]
    instructions: Instructions


@cache
def lexicon() -> Lexicon:
    """The one lexicon, read once."""
    table = read_table("history.toml")
    concepts = {name: {"name": name, **row} for name, row in tables(table, "concepts").items()}
    return Lexicon.model_validate({**table, "concepts": concepts})
