"""What a person wants changed in a report, cut into single commands.

    text -> Command, Command...

Patterns over the written words (``medomni/data/commands.toml``), in English and Chinese. Knows nothing of any report: which
finding or sentence is meant is decided later, and what fits no pattern is a plain description.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from pydantic import TypeAdapter

from medomni.reporting.vocabulary import read_table, rows

_QUOTED = re.compile('["“「][^"”」]*["”」]')
_SENTENCE_END = re.compile(r"(?<![0-9])\.(?:\s+|$)|(?<=[0-9])\.(?:\s+|$)|[;!?\n。；！？]+\s*")
_HIDDEN = "\x00"


class Does(StrEnum):
    """What a command does to a report."""

    RESIZE = "resize"
    RESIZE_UNITLESS = "resize_unitless"
    ACCEPT = "accept"
    REJECT = "reject"
    CUT = "cut"
    WRITE = "write"
    REPLACE = "replace"
    ADD = "add"
    FORBIDDEN = "forbidden"
    DESCRIBE = "describe"


@dataclass(frozen=True)
class Command:
    """One command: what it does, the words that say so, and its parts, each "" where it has none.

    ``parts`` has the groups of the pattern: target, size, section, text, number, old, new, where, everywhere.
    """

    does: Does
    said: str
    language: str
    parts: Mapping[str, str]

    def part(self, name: str) -> str:
        """The words of one part."""
        return self.parts.get(name, "")


@dataclass(frozen=True)
class Grammar:
    """The patterns of one language."""

    words: Mapping[str, re.Pattern[str]]
    forms: tuple[tuple[Does, re.Pattern[str]], ...]
    names: Mapping[str, re.Pattern[str]]
    answers: Mapping[str, str]


def commands(text: str) -> tuple[Command, ...]:
    """Return the commands of a text as it would be written, in its order."""
    language = language_of(text)
    words = grammar(language).words
    joined = words["unfinished"].sub(lambda found: found[1] + (": " if found["to"] else " "), text)
    found = list[Command]()
    for sentence in _parts(joined, _SENTENCE_END):
        sentence = words["led"].sub(r"\1 ", sentence)  # noqa: PLW2901
        for part in _parts(sentence, words["next_command"]):
            found += _read(part, language)
    return tuple(found)


def language_of(text: str) -> str:
    """The language a text is in: "zh" where a quarter of it is Chinese, else "en"."""
    return "zh" if sum("\u4e00" <= letter <= "\u9fff" for letter in text) * 4 > len(text) else "en"


def fitting(part: str, language: str) -> Command:
    """The command that a whole part is; a description where no form fits."""
    for does, pattern in grammar(language).forms:
        found = pattern.fullmatch(part)
        if found:
            parts = {name: value.strip(" ,:：，") for name, value in found.groupdict().items() if value}
            return Command(does, part, language, parts)
    return Command(Does.DESCRIBE, part, language, {"text": part})


def _read(part: str, language: str) -> Iterator[Command]:
    """The command of a part; a part that is no sentence to be written may hold statements of their own besides."""
    words = grammar(language).words
    plain = _without_courtesy(part, language)
    if not plain:
        return
    if words["forbidden"].match(plain.lower()):
        yield Command(Does.FORBIDDEN, plain, language, {})
        return
    whole = fitting(plain, language)
    if whole.does in (Does.WRITE, Does.REPLACE, Does.CUT):
        yield whole
        return
    pieces = _parts(plain, words["next_statement"])
    for piece in pieces:
        bare = _without_courtesy(piece, language)
        if bare:
            yield fitting(bare, language)


def _without_courtesy(part: str, language: str) -> str:
    words, now, before = grammar(language).words, part, ""
    while now != before:
        before, now = now, words["thanks_behind"].sub("", words["courtesy"].sub("", now.strip(" \t,，.、"), count=1))
    return now


def _parts(text: str, at: re.Pattern[str]) -> list[str]:
    """The text cut wherever the pattern fits outside quotation marks."""
    masked = _QUOTED.sub(lambda found: _HIDDEN * len(found[0]), text)
    parts, start = list[str](), 0
    for found in at.finditer(masked):
        parts.append(text[start : found.start()])
        start = found.end()
    return [part for part in (*parts, text[start:]) if part.strip()]


@cache
def grammar(language: str) -> Grammar:
    """The patterns of a language, read once."""
    table = rows(read_table("commands.toml"), language)
    plain = {name: value for name, value in table.items() if isinstance(value, str)}

    def built(pattern: str) -> str:
        for _ in range(3):
            for name, value in plain.items():
                pattern = pattern.replace("{" + name + "}", value)
        return pattern

    boundary = r"\b" if language == "en" else ""
    verbs, polite = built("{verbs}"), built("(?:{courtesy})*")
    words = {name: _pattern(built(value), boundary) for name, value in plain.items()}
    words["courtesy"] = re.compile(built("^(?:{courtesy})"), re.IGNORECASE)
    words["thanks_behind"] = re.compile(built("[ ,，]*(?:{thanks})$"), re.IGNORECASE)
    words["next_command"] = re.compile(
        rf"(?:{built('{joint}')})(?={polite}(?:(?:{verbs}){boundary}|{built('{forbidden}')}))", re.IGNORECASE
    )
    words["next_statement"] = re.compile(rf"(?:{built('{joint}')})(?={built('{statement}')})", re.IGNORECASE)
    to_section = (
        built(r"(?P<to> (?:to|in|into) (?:the )?(?:findings?|impressions?|addendum))?") if language == "en" else "(?P<to>$^)?"
    )
    words["led"] = re.compile(r"^((?:in|from|to) the [\w ]{1,40}), (?=[a-z])", re.IGNORECASE)
    words["unfinished"] = re.compile(rf"(?:(?<=^)|(?<=[.,;] ))((?:{verbs}){to_section})[.,] (?=\w)", re.IGNORECASE)
    forms = TypeAdapter(list[dict[str, str]]).validate_python(table["forms"])
    names = TypeAdapter(dict[str, tuple[str, ...]]).validate_python(table["names"])
    return Grammar(
        words=words,
        forms=tuple((Does(form["does"]), re.compile(built(form["pattern"]), re.IGNORECASE)) for form in forms),
        names={label: _pattern("|".join(terms), boundary) for label, terms in names.items()},
        answers=TypeAdapter(dict[str, str]).validate_python(table["answers"]),
    )


def _pattern(body: str, boundary: str) -> re.Pattern[str]:
    return re.compile(f"{boundary}(?:{body}){boundary}", re.IGNORECASE)
