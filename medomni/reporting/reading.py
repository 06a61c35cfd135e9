"""What a sentence claims, read from its words: sides, organs, denials, numbers; in English and Chinese.

    text -> Reading

The review reads finished text with this, whoever wrote it, so it shares no code with the writers. Words: review.toml.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from pydantic import TypeAdapter

from medomni.anatomy import anatomy
from medomni.reporting.lexicon import lexicon
from medomni.reporting.phrases import LANGUAGES, bank
from medomni.reporting.vocabulary import read_table, vocabulary
from medomni.types.finding import Laterality

NUMBER = re.compile(r"(?<![0-9.])(?P<digits>-?[0-9][0-9,]*(?:\.[0-9]+)?)(?:\s?(?P<unit>%|mm\b|mL\b|L\b|HU\b))?")
KEPT = 8192
"""Readings of sentences that are kept: of a report that is edited, all sentences but one are those of before."""
STANDARDS = ("RECIST 1.1",)
"""Names of written rules that hold digits."""
CLAUSE = re.compile(r"[;；。！!?？]|\.(?![0-9])")


@dataclass(frozen=True)
class Cues:
    """The word lists of one language as patterns."""

    words: dict[str, re.Pattern[str]]
    organs: dict[str, re.Pattern[str]]
    labels: dict[str, re.Pattern[str]]
    nouns: dict[str, re.Pattern[str]]
    digit_names: re.Pattern[str]


@dataclass(frozen=True)
class Number:
    """A number in a text with the unit that follows it, "" when none does."""

    digits: str
    unit: str


@lru_cache(maxsize=KEPT)
def clauses(text: str, language: str) -> tuple[str, ...]:
    """The text in parts that are denied or asserted as a whole."""
    parts = [part for sentence in CLAUSE.split(text) for part in cues(language).words["clause_breaks"].split(sentence)]
    return tuple(part for part in parts if part and part.strip())


@lru_cache(maxsize=KEPT)
def claiming_clauses(text: str, language: str) -> tuple[str, ...]:
    """The clauses that claim something: not those that say what was left out, nor a list under such a heading."""
    head = re.split("[:：]", text, maxsplit=1)
    if len(head) > 1 and says("unassessed", head[0], language):
        return ()
    return tuple(clause for clause in clauses(text, language) if not says("unassessed", clause, language))


@lru_cache(maxsize=KEPT)
def says(kind: str, text: str, language: str) -> bool:
    """Whether the text holds a word of that kind (a key of review.toml)."""
    masked = cues(language).words["masked"].sub(" ", text.lower())
    return bool(cues(language).words[kind].search(masked))


def sides(text: str, language: str) -> set[Laterality]:
    """The sides that a text names."""
    kinds = {"left": Laterality.LEFT, "right": Laterality.RIGHT, "both": Laterality.BILATERAL}
    return {side for kind, side in kinds.items() if says(kind, text, language)}


@lru_cache(maxsize=KEPT)
def organs(text: str, language: str) -> tuple[str, ...]:
    """The organs that a text names."""
    return tuple(organ for organ, pattern in cues(language).organs.items() if pattern.search(text.lower()))


def labels(text: str, language: str) -> dict[str, int]:
    """The finding labels that a text names, and where; a name inside a longer one (冠状动脉壁钙化) is no mention of its own."""
    return dict(_labels(text, language))


@lru_cache(maxsize=KEPT)
def _labels(text: str, language: str) -> tuple[tuple[str, int], ...]:
    plain = text.lower()
    found = [(label, match.span()) for label, pattern in cues(language).labels.items() for match in pattern.finditer(plain)]
    spans = {span for _, span in found}
    whole = [(label, span) for label, span in found if not any(_is_inside(span, other) for other in spans)]
    return tuple({label: start for label, (start, _) in reversed(whole)}.items())


def _is_inside(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span != other and other[0] <= span[0] and span[1] <= other[1]


def noun(label: str, text: str, language: str) -> int | None:
    """Where a text that is known to speak of a label names it, also by its short name; None when it does not."""
    match = cues(language).labels[label].search(text.lower()) or cues(language).nouns[label].search(text.lower())
    return match.start() if match else None


def is_denied(clause: str, at: int, language: str) -> bool:
    """Whether a clause denies what it names at that offset."""
    before, after = clause.lower()[:at], clause.lower()[at:]
    words = cues(language).words
    masked = words["masked"].sub(" ", before)
    return bool(words["denied_before"].search(masked) or words["denied_after"].search(after))


@lru_cache(maxsize=KEPT)
def numbers(text: str, language: str) -> tuple[Number, ...]:
    """The numbers of a text, without digits that are part of a name (COVID-19, T12)."""
    plain = cues(language).digit_names.sub(" ", text)
    found = NUMBER.finditer(plain)
    return tuple(Number(match["digits"].replace(",", ""), match["unit"] or "") for match in found)


@cache
def cues(language: str) -> Cues:
    """The patterns of a language, built once."""
    table = read_table("review.toml")
    lists = TypeAdapter(dict[str, tuple[str, ...]])
    words, organ_words = lists.validate_python(table[language]), lists.validate_python(table[f"organs_{language}"])
    whole = ("left", "right", "both", "denied_before", "clause_breaks", "hedged")
    entries = {name: entry for name, entry in vocabulary().labels.items() if not entry.is_measurement_only}
    mentions = {name: entry.mentions_zh if language == "zh" else entry.mentions_en for name, entry in entries.items()}
    short = {name: [bank(language).say(f"noun.{name}")] for name in entries}
    return Cues(
        words={kind: _pattern(found, language, is_whole=kind in whole) for kind, found in words.items()},
        organs={organ: _pattern(found, language) for organ, found in organ_words.items()},
        labels={name: _pattern(found, language) for name, found in mentions.items()},
        nouns={name: _pattern(found, language) for name, found in short.items()},
        digit_names=_digit_names(),
    )


def _pattern(words: tuple[str, ...] | list[str], language: str, is_whole: bool = False) -> re.Pattern[str]:
    body = "|".join(re.escape(word.lower()) for word in sorted(words, key=lambda word: (-len(word), word)))
    if language == "zh":
        return re.compile(body)
    return re.compile(rf"\b(?:{body})\b" if is_whole else rf"\b(?:{body})")


@cache
def _digit_names() -> re.Pattern[str]:
    """Names that hold digits, in any language."""
    concepts = [concept.named(language) for concept in lexicon().concepts.values() for language in LANGUAGES]
    places = [place.zh for place in anatomy().structures.values()] + [place.en for place in anatomy().structures.values()]
    found = {name for name in (*concepts, *places) if re.search(r"[0-9]", name)}
    ordered = sorted((*found, *STANDARDS), key=lambda name: (-len(name), name))
    return re.compile("|".join(re.escape(name) for name in ordered), re.IGNORECASE)
