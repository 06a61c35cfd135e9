"""Spoken numbers and punctuation as they would be written: "eight millimeters period" -> "8 mm.", "八毫米句号" -> "8毫米。".

dictated text -> Written: text, and where in the dictation each of its characters comes from

Number words become digits only before a unit of length, where they cannot mean anything else. The marks around words that were
heard with doubt (``heard.py``) go.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: number for number, word in enumerate(_SMALL)} | {word: 20 + 10 * k for k, word in enumerate(_TENS)}
_ORDINALS = {
    word: number
    for number, word in enumerate(
        ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"), start=1
    )
}
_WORD = "|".join((*_VALUES, "hundred", "point", "and a half"))
_NUMBER = rf"(?:{_WORD})(?:[ -](?:and )?(?:{_WORD})){{0,9}}"
_UNIT = "(?P<unit>mm|cm|millimet(?:er|re)s?|centimet(?:er|re)s?)"
_LENGTH = re.compile(
    rf"\b(?P<first>[0-9]+(?:\.[0-9]+)?|{_NUMBER})(?: (?:by|x|times) (?P<second>[0-9]+(?:\.[0-9]+)?|{_NUMBER}))?[ -]?{_UNIT}\b",
    re.IGNORECASE,
)
_ZH_DIGITS = {letter: number for number, letter in enumerate("零一二三四五六七八九")} | {"两": 2}
_ZH_SCALES = {"十": 10, "百": 100, "千": 1000}
_ZH_LENGTH = re.compile("(?P<number>[零一二三四五六七八九十百千两点]{1,12})(?=毫米|厘米)")
_MARKS = {
    r"\[\?|\?\]": "",
    r"\s{0,9}\b(?:new|next) (?:paragraph|line)\b[ .,]{0,9}": "\n",
    r"\s{1,9}(?:period|full stop)\b\.?": ".",
    r"\s{1,9}comma\b,?": ",",
    r"\s{1,9}semicolon\b;?": ";",
    r"\s{1,9}colon\b:?": ":",
    "句号。?": "。",
    "逗号，?": "，",
    "分号；?": "；",
    "冒号：?": "：",
    "换行|另起一行": "\n",
}
_NOT_A_MARK = re.compile(r"(?:this|that|the|time|follow-up|incubation|sigmoid|ascending|descending|transverse)$", re.IGNORECASE)
"""Words before "period" and "colon" that make them what they are."""


@dataclass(frozen=True)
class Written:
    """A dictation as it would be written; ``origin`` holds where each character comes from, and the end."""

    text: str
    origin: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the dictation behind those of the text."""
        beyond = self.origin[-1]
        first, last = (self.origin[min(at, len(self.text))] for at in (start, end))
        first = min(first, beyond - 1)
        return first, min(max(first + 1, last), beyond)


def written(spoken: str) -> Written:
    """Return the dictation as it would be written."""
    now = Written(spoken, tuple(range(len(spoken) + 1)))
    for pattern, mark in _MARKS.items():
        now = _replaced(now, re.compile(pattern, re.IGNORECASE), partial(_mark, mark=mark))
    now = _replaced(now, _LENGTH, _length)
    return _replaced(now, _ZH_LENGTH, lambda found: _plain(_chinese(found["number"])))


def number_of(words: str) -> int | None:
    """The whole number that digits, a word, an ordinal or Chinese letters stand for; None for anything else.

    >>> number_of("three"), number_of("third"), number_of("12"), number_of("十二"), number_of("some")
    (3, 3, 12, 12, None)
    """
    word = words.strip().lower()
    if word.isascii() and word.isdigit():
        return int(word)
    if word in _VALUES or word in _ORDINALS:
        return _VALUES.get(word, _ORDINALS.get(word))
    return int(_chinese(word)) if word and all(letter in _ZH_DIGITS or letter in _ZH_SCALES for letter in word) else None


def _replaced(now: Written, pattern: re.Pattern[str], write: Callable[[re.Match[str]], str]) -> Written:
    text, origin, end = list[str](), list[int](), 0
    for found in pattern.finditer(now.text):
        new = write(found)
        text += [now.text[end : found.start()], new]
        origin += [*now.origin[end : found.start()], *[now.origin[found.start()]] * len(new)]
        end = found.end()
    return Written("".join((*text, now.text[end:])), (*origin, *now.origin[end:]))


def _mark(found: re.Match[str], mark: str) -> str:
    is_word = mark in ".:" and _NOT_A_MARK.search(found.string[: found.start()])
    return found[0] if is_word else mark


def _length(found: re.Match[str]) -> str:
    unit = "mm" if found["unit"].lower().startswith("m") else "cm"
    numbers = [_plain(_english(number)) for number in (found["first"], found["second"]) if number]
    return f"{' x '.join(numbers)} {unit}"


def _english(words: str) -> float:
    """The value of a number in digits or words."""
    try:
        return float(words)
    except ValueError:
        pass
    whole, part, decimals = 0.0, 0.0, ""
    is_decimal = False
    for word in re.split(r"[ -]", words.lower().replace("and a half", "half")):
        if word == "point":
            is_decimal = True
        elif word == "half":
            part = 0.5
        elif is_decimal and word in _VALUES:
            decimals += str(_VALUES[word])
        elif word == "hundred":
            whole = max(1.0, whole) * 100
        elif word in _VALUES:
            whole += _VALUES[word]
    return whole + part + (float(f"0.{decimals}") if decimals else 0.0)


def _chinese(words: str) -> float:
    whole, _, part = words.partition("点")
    total, digit = 0, 0
    for letter in whole:
        if letter in _ZH_SCALES:
            total += max(1, digit) * _ZH_SCALES[letter]
            digit = 0
        else:
            digit = _ZH_DIGITS[letter]
    decimals = "".join(str(_ZH_DIGITS[letter]) for letter in part if letter in _ZH_DIGITS)
    return total + digit + (float(f"0.{decimals}") if decimals else 0.0)


def _plain(number: float) -> str:
    return f"{number:g}"
