"""Durations and other amounts of a history in one form: "3周", "three weeks" and "3-week" all become "3 weeks".

folded text -> Amount, Amount...
"""

import re
from dataclasses import dataclass
from functools import cache

from medomni.reporting.lexicon import lexicon
from preprocessing.history_marks import WORD_END, chinese, english


@dataclass(frozen=True)
class Amount:
    """A duration or quantity in the text, in canonical words such as "3 weeks"."""

    start: int
    end: int
    unit: str
    detail: str


def amounts(text: str) -> list[Amount]:
    """Every duration, weight or count of pack-years in a folded text, in order."""
    found = []
    for match in _amount_pattern().finditer(text):
        number = match.group("number")
        number = str(lexicon().numbers.get(number, number))
        number = re.sub(r"\s*(?:-|~|–|至|到)\s*", "-", number)
        unit = _units()[re.sub(r"[ \-]+", " ", match.group("unit"))]
        word = unit.replace("_", "-")
        word = word[:-1] if number == "1" and word.endswith("s") else word
        found.append(Amount(match.start(), match.end(), unit, f"{number} {word}"))
    return found


@cache
def _units() -> dict[str, str]:
    return {term: unit for table in lexicon().durations.values() for unit, terms in table.items() for term in terms}


@cache
def _amount_pattern() -> re.Pattern[str]:
    tables, names = lexicon().durations, lexicon().numbers
    digits = r"\d{1,3}(?:\.\d)?(?:\s?(?:-|~|–|至|到)\s?\d{1,3})?"
    latin = "|".join(name for name in names if name.isascii())
    characters = "".join(name for name in names if not name.isascii())
    number = rf"(?P<number>(?<![\d.月/]){digits}|(?<![a-z])(?:{latin})|(?<![{characters}百])[{characters}])"
    units_en = english(term for terms in tables["en"].values() for term in terms)
    units_zh = chinese(term for terms in tables["zh"].values() for term in terms)
    age = r"(?![ \-]?old|[ \-]?of age|\d{1,2}月)"
    return re.compile(rf"{number}[ \-]?[余多]?(?P<unit>(?:{units_en}){WORD_END}|{units_zh}){age}")
