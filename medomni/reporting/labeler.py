"""Reads anybody's report: which of the 18 findings it asserts or denies, on which side, how certain and how large.

    text -> Mention, Mention... -> label -> presence

Rules over clauses: a term, what denies it before or after, what makes it mean something else. Words: ``labeler.toml``. Nothing
that writes text reads that table, so a score of written text by this reader is not circular. English and Chinese.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from pydantic import TypeAdapter

from medomni.reporting.vocabulary import read_table
from medomni.types.finding import Laterality, Presence

VERSION = "1"
"""Printed with each score that this reader takes part in."""
_SENTENCE = re.compile(r"(?<![0-9])\.(?=\s|$)|\.(?=\s+[A-Z])|[;；。！!?？\n]")
_HEADING = re.compile(r"^\s*(?:[0-9]+[.)、]\s*)?([A-Za-z\u4e00-\u9fff][A-Za-z ,/&\u4e00-\u9fff]{0,45}?)\s*[:：]\s*")
_NOTHING = re.compile(r"(?:none|negative|absent|nil|not (?:seen|present)|无|未见|阴性)\b", re.IGNORECASE)
_COMMA = re.compile("[,，]\\s*")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:\s?[x×*]\s?([0-9]+(?:\.[0-9]+)?))*\s?-?(mm|cm|毫米|厘米)")
_UNIT_MM = {"mm": 1.0, "毫米": 1.0, "cm": 10.0, "厘米": 10.0}
SIZED = ("lung_nodule", "lymphadenopathy", "hiatal_hernia", "pericardial_effusion", "pleural_effusion", "consolidation")
"""Labels to which a length in their clause belongs."""

SAME = {"consolidation": ("lung_opacity",)}
"""Labels that a mention of another brings with it: a consolidation is an opacity."""


@dataclass(frozen=True)
class Mention:
    """One place where a text speaks of a finding.

    Attributes:
        is_denied: whether the text says that it is not there.
        is_hedged: whether it is said with doubt.
        sides: LEFT, RIGHT or both; empty where the clause names no side.
        size_mm: the largest length in the clause, None without one.
        clause: the words around it.
        start, end: where the clause stands in the text.
    """

    label: str
    is_denied: bool
    is_hedged: bool
    sides: frozenset[Laterality]
    size_mm: float | None
    clause: str
    start: int
    end: int


def presences(text: str, language: str) -> dict[str, Presence]:
    """Return the labels that a report speaks of: present, uncertain (only with doubt) or absent (denied, never asserted)."""
    found: dict[str, Presence] = {}
    for mention in mentions(text, language):
        said = Presence.ABSENT if mention.is_denied else Presence.UNCERTAIN if mention.is_hedged else Presence.PRESENT
        found[mention.label] = max(found.get(mention.label, said), said, key=_STRENGTH.index)
    return found


_STRENGTH = (Presence.ABSENT, Presence.UNCERTAIN, Presence.PRESENT)


def labels() -> frozenset[str]:
    """The labels that this reader knows; of others a text cannot be asked."""
    return frozenset(_words("en").labels)


@lru_cache(maxsize=4096)
def mentions(text: str, language: str) -> tuple[Mention, ...]:
    """Return every mention of one of the 18 findings, in the order of the text."""
    found, at, folded = list[Mention](), 0, text.lower()
    for clause in _clauses(text, language):
        at = max(at, folded.find(clause, at))
        found += _in_clause(clause, language, at)
        at += len(clause)
    return tuple(found)


def _clauses(text: str, language: str) -> Iterator[str]:
    """Parts that are asserted or denied by themselves, without headings and without sections that describe no image."""
    words = _words(language)
    is_left_out = False
    for line in text.split("\n"):
        heading = _HEADING.match(line)
        if heading and not (_NOTHING.match(line[heading.end() :]) and _names_a_finding(heading[1], words)):
            is_left_out = bool(words.headings_left_out.fullmatch(heading[1].strip().lower()))
            line = line[heading.end() :]  # noqa: PLW2901
        elif not line.strip():
            continue
        if is_left_out:
            continue
        for sentence in _SENTENCE.split(line):
            for part in words.breaks.split(sentence.lower()):
                yield from (piece for piece in _statements(part, words) if piece.strip())


def _names_a_finding(text: str, words: "_Words") -> bool:
    """Whether a heading is a finding itself, as in "Pleural effusion: none"."""
    return any(terms.pattern.search(text.lower()) for terms in words.labels.values())


def _statements(clause: str, words: "_Words") -> Iterator[str]:
    """A clause cut at each comma after which something new is stated: a degree or side before a finding, or a denial."""
    start = 0
    for comma in _COMMA.finditer(clause):
        rest = clause[comma.end() :]
        if words.anew.match(rest) and any(terms.pattern.search(rest.split(",")[0]) for terms in words.labels.values()):
            yield clause[start : comma.start()]
            start = comma.end()
    yield clause[start:]


def _in_clause(clause: str, language: str, at: int) -> Iterator[Mention]:
    words = _words(language)
    plain = words.not_a_denial.sub(lambda match: " " * len(match[0]), clause)
    if words.hypothetical.search(plain):
        return
    is_hedged = bool(words.hedged.search(clause))
    seen: dict[str, bool] = {}
    for label, terms in words.labels.items():
        if terms.unless is not None and terms.unless.search(clause):
            continue
        places = list(terms.pattern.finditer(clause))
        if places:
            seen[label] = all(_is_denied(plain, match.start(), match.end(), words) for match in places)
    start, said = at + len(clause) - len(clause.lstrip()), clause.strip()
    for label, is_denied in seen.items():
        size = _size_mm(clause) if label in SIZED else None
        yield Mention(label, is_denied, is_hedged, _sides(clause, words), size, said, start, start + len(said))


def _is_denied(clause: str, start: int, end: int, words: "_Words") -> bool:
    """Whether a word before the term denies it and nothing new begins in between, or a word in it or after it does."""
    before = clause[:start]
    denials = list(words.denied_before.finditer(before))
    if denials and not words.new_statement.search(before[denials[-1].end() :]):
        return True
    return bool(words.denied_after.search(clause[end:])) or bool(words.denied_before.search(clause[start:end]))


def _sides(clause: str, words: "_Words") -> frozenset[Laterality]:
    sides = set()
    if words.both.search(clause):
        sides |= {Laterality.LEFT, Laterality.RIGHT}
    if words.left.search(clause):
        sides.add(Laterality.LEFT)
    if words.right.search(clause):
        sides.add(Laterality.RIGHT)
    return frozenset(sides)


def _size_mm(clause: str) -> float | None:
    sizes = []
    for match in _SIZE.finditer(clause):
        lengths = [float(number) for number in re.findall(r"[0-9]+(?:\.[0-9]+)?", match[0])]
        sizes.append(max(lengths) * _UNIT_MM[match[3]])
    return max(sizes, default=None)


@dataclass(frozen=True)
class _Terms:
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None


@dataclass(frozen=True)
class _Words:
    headings_left_out: re.Pattern[str]
    denied_before: re.Pattern[str]
    denied_after: re.Pattern[str]
    hypothetical: re.Pattern[str]
    not_a_denial: re.Pattern[str]
    hedged: re.Pattern[str]
    new_statement: re.Pattern[str]
    breaks: re.Pattern[str]
    anew: re.Pattern[str]
    left: re.Pattern[str]
    right: re.Pattern[str]
    both: re.Pattern[str]
    labels: Mapping[str, _Terms]


@cache
def _words(language: str) -> _Words:
    table = read_table("labeler.toml")
    lists = TypeAdapter(dict[str, tuple[str, ...]]).validate_python(table[language])
    labels = TypeAdapter(dict[str, dict[str, tuple[str, ...]]]).validate_python(table["labels"])
    built = {name: _pattern(found, language) for name, found in lists.items() if name != "headings_left_out"}
    terms = {
        label: _Terms(
            _pattern(rows[language], language, is_whole=False),
            _pattern(rows[f"{language}_unless"], language, is_whole=False) if rows[f"{language}_unless"] else None,
        )
        for label, rows in labels.items()
    }
    headings = re.compile("|".join(f"(?:{heading})" for heading in lists["headings_left_out"]))
    return _Words(headings_left_out=headings, labels=terms, **built)


def _pattern(expressions: tuple[str, ...], language: str, *, is_whole: bool = True) -> re.Pattern[str]:
    body = "|".join(f"(?:{expression})" for expression in expressions)
    if language == "zh":
        return re.compile(body)
    return re.compile(rf"\b(?:{body})\b" if is_whole else rf"\b(?:{body})")
