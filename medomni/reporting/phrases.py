"""Every word of a draft: phrase banks by language, lists joined as the language joins them, and the words of notices.

No other Python file holds a word of a report. Both banks have the same keys with the same slots, so the same call gives
the same facts in either language.
"""

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from medomni.reporting.lexicon import lexicon
from medomni.reporting.vocabulary import read_table, rows, vocabulary
from medomni.types.notice import Notice
from medomni.types.style import Style

LANGUAGES: Final = ("en", "zh")
FIELD_CHARACTERS: Final = 120
"""Longest notice field that is shown; a field can hold a file name, which a stranger chose."""


@dataclass(frozen=True)
class PhraseBank:
    """The phrases of one language by dotted key, for example ``line.in_places``."""

    language: str
    words: dict[str, str]

    def say(self, key: str, **slots: str) -> str:
        """The phrase with its slots filled; raises KeyError when the key or a slot is missing."""
        return self.words[key].format_map(slots)

    def sentence(self, key: str, **slots: str) -> str:
        """The phrase as a sentence: its first letter is a capital where the language has capitals."""
        text = self.say(key, **slots)
        return text[:1].upper() + text[1:]

    def name(self, key: str) -> str:
        """The name of an organ, structure, zone, label or measurement."""
        return vocabulary().name(key, self.language)

    def listed(self, items: Sequence[str], last: str = "and") -> str:
        """The items as a list: "a, b and c"; ``last`` is "and", "or", "items" (commas only) or "groups"."""
        if len(items) < 2:
            return "".join(items)
        separator = self.words[f"list.{last}"]
        if last in ("items", "groups"):
            return separator.join(items)
        return self.words["list.between"].join(items[:-1]) + separator + items[-1]


def notice_text(notice: Notice, language: str) -> str:
    """The sentence of a notice; a code without words gives a plain sentence that names the code.

    A field whose name and value make a key of the bank (region chest, side left, reason not_segmented), or that is called
    label, organ, structure, finding, place or concept, is shown under its name in the language.
    """
    words = bank(language)
    return _notice(notice.code, {key: _field(key, value, words) for key, value in notice.fields.items()}, words)


def notice_texts(notices: Iterable[Notice], language: str) -> tuple[tuple[Notice, str], ...]:
    """The sentence of every notice, beside the notice; those that differ in nothing but their label are told as one."""
    words = bank(language)
    alike: dict[tuple[object, ...], list[Notice]] = {}
    for notice in notices:
        others = tuple(sorted((key, value) for key, value in notice.fields.items() if key != "label"))
        alike.setdefault((notice.code, notice.level, others), []).append(notice)
    told = []
    for first, *more in alike.values():
        fields = {key: _field(key, value, words) for key, value in first.fields.items()}
        labels = dict.fromkeys(one.fields["label"] for one in (first, *more) if "label" in one.fields)
        if labels:
            fields["label"] = words.listed([_field("label", label, words) for label in labels])
        text = _notice(first.code, fields, words)
        told.append((first, text[:1].upper() + text[1:]))
    return tuple(told)


def _notice(code: str, fields: dict[str, str], words: PhraseBank) -> str:
    template = notice_words().get(code, {}).get(words.language)
    if template is None:
        return words.say("notice.unknown", code=code)
    missing = {slot: words.say("notice.missing_field") for slot in slots_of(template) - fields.keys()}
    return template.format_map(fields | missing)


def styled(language: str, style: Style | None) -> PhraseBank:
    """The phrase bank of a language in a house style; one of another language changes nothing."""
    usual = bank(language)
    if style is None or style.language != language:
        return usual
    headings = {f"headings.{name.value}": heading for name, heading in style.headings.items()}
    return PhraseBank(language, usual.words | headings | style.phrases)


@cache
def bank(language: str) -> PhraseBank:
    """The phrase bank of a language, "en" or "zh", read once."""
    if language not in LANGUAGES:
        raise ValueError(f"no phrases for language {language!r}")
    table = read_table(f"phrases_{language}.toml")
    words = {f"{section}.{key}": str(text) for section in table for key, text in rows(table, section).items()}
    return PhraseBank(language, words)


@cache
def notice_words() -> dict[str, dict[str, str]]:
    """The sentences of every notice code by language, from ``medomni/data/notices.toml``."""
    table = read_table("notices.toml")
    return {
        code: {language: str(text) for language, text in rows(table, code).items() if isinstance(text, str)} for code in table
    }


def slots_of(template: str) -> set[str]:
    """The slot names of a phrase."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def _field(key: str, value: str, words: PhraseBank) -> str:
    section = "headings" if key == "section" else key
    if f"{section}.{value}" in words.words:
        return words.words[f"{section}.{value}"]
    if key == "concept" and value in lexicon().concepts:
        return lexicon().concepts[value].named(words.language)
    if key in ("label", "organ", "structure", "finding", "place") and value.isidentifier():
        return words.name(value)
    return _clean(value)


def _clean(value: str) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in value)
    return printable if len(printable) <= FIELD_CHARACTERS else printable[: FIELD_CHARACTERS - 1] + "…"
