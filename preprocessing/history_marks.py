"""Where the words of the lexicon stand in a history: text -> Folded text -> Mark, Mark...

Folding lowers letters, turns full-width digits and letters into plain ones and drops invisible characters, but keeps for
every character its offset in the original, so that a mark's span always fits the text the person wrote. All patterns run
in linear time: plain alternatives, and gaps of bounded length.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from medomni.reporting.lexicon import Cues, lexicon

WORD_START, WORD_END = r"(?<![a-z0-9])", r"(?![a-z0-9])"
GAP = r"[ \-\n]{1,2}"
WILD = r"[^.;\n。；]{0,40}?"


@dataclass(frozen=True)
class Folded:
    """A text made plain, letter case kept in ``cased``; ``offsets[i]`` is where character i stood in the original."""

    plain: str
    cased: str
    offsets: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that the folded characters start to end came from."""
        return self.offsets[start], self.offsets[end - 1] + 1


@dataclass(frozen=True)
class Mark:
    """A term or cue at ``start`` to ``end`` of the folded text; ``kinds`` says what it can mean."""

    start: int
    end: int
    kinds: frozenset[str]
    text: str


def fold(text: str) -> Folded:
    """The plain form of a text with the way back to its offsets."""
    kept: list[tuple[str, int]] = []
    for offset, character in enumerate(text):
        category = unicodedata.category(character)
        if category in ("Cf", "Mn", "Cs"):
            continue
        if category in ("Cc", "Zl", "Zp"):
            kept.append(("\n" if character in "\n\r\u0085\u2028\u2029" else " ", offset))
        elif category == "Zs":
            kept.append((" ", offset))
        elif "\uff10" <= character <= "\uff5a" and character.isalnum():
            kept.append((chr(ord(character) - 0xFEE0), offset))
        else:
            kept.append((character, offset))
    cased = "".join(character for character, _ in kept)
    plain = "".join(low if len(low := character.lower()) == 1 else character for character in cased)
    return Folded(plain, cased, tuple(offset for _, offset in kept))


def concept_marks(folded: Folded) -> list[Mark]:
    """Every term of the lexicon in the text, in order; where terms overlap the longest wins. ``text`` is the concept."""
    found = []
    terms, exact = _concept_terms()
    latin, characters, capitals = _concept_patterns()
    for pattern, source, table in (
        (latin, folded.plain, terms),
        (characters, folded.plain, terms),
        (capitals, folded.cased, exact),
    ):
        for match in pattern.finditer(source):
            concept = _concept_of(match.group(), table)
            found.append(Mark(match.start(), match.end(), frozenset(["concept"]), concept))
    return _longest(found)


def cue_marks(folded: Folded) -> list[Mark]:
    """Every cue in the text, in order; where cues overlap the longest wins."""
    found = []
    for language, (pattern, table) in _cue_patterns().items():
        for match in pattern.finditer(folded.plain):
            key = _squeezed(match.group()) if language == "en" else match.group()
            found.append(Mark(match.start(), match.end(), table[key], key))
    return _longest(found)


def instruction_marks(folded: Folded) -> list[Mark]:
    """Wordings that address the program."""
    kinds = frozenset(["instruction"])
    return [Mark(m.start(), m.end(), kinds, "") for m in _instruction_pattern().finditer(folded.plain)]


def english(terms: Iterable[str]) -> str:
    """A pattern of English terms, longest first; a space also matches a hyphen or line break, a final * any ending."""
    ordered = sorted(terms, key=lambda term: (-len(term), term))
    return "|".join(re.escape(t.rstrip("*")).replace(r"\ ", GAP) + (r"[a-z]{0,12}" if t[-1] == "*" else "") for t in ordered)


def chinese(terms: Iterable[str]) -> str:
    """A pattern of Chinese terms, longest first."""
    return "|".join(re.escape(term) for term in sorted(terms, key=lambda term: (-len(term), term)))


def _longest(marks: list[Mark]) -> list[Mark]:
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda m: (m.start, -(m.end - m.start))):
        if not kept or mark.start >= kept[-1].end:
            kept.append(mark)
        elif mark.end - mark.start > kept[-1].end - kept[-1].start:
            kept[-1] = mark
    return kept


def _squeezed(text: str) -> str:
    return re.sub(r"[ \-\n]{1,2}", " ", text)


def _concept_of(text: str, table: Mapping[str, str]) -> str:
    for key in (text, _squeezed(text)):
        if key in table:
            return table[key]
    return next(concept for term, concept in table.items() if term[-1] == "*" and _squeezed(text).startswith(term[:-1]))


@cache
def _concept_terms() -> tuple[dict[str, str], dict[str, str]]:
    anywhere: dict[str, str] = {}
    exact: dict[str, str] = {}
    for name, concept in lexicon().concepts.items():
        for term in concept.terms_en:
            (exact if term.isupper() else anywhere)[_squeezed(term)] = name
        for term in concept.terms_zh:
            anywhere[term] = name
    return anywhere, exact


@cache
def _concept_patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    concepts = lexicon().concepts.values()
    low = [term for concept in concepts for term in concept.terms_en if not term.isupper()]
    exact = [term for concept in concepts for term in concept.terms_en if term.isupper()]
    characters = [term for concept in concepts for term in concept.terms_zh]
    return (
        re.compile(f"{WORD_START}(?:{english(low)}){WORD_END}"),
        re.compile(chinese(characters)),
        re.compile(f"(?<![A-Za-z0-9])(?:{english(exact)})(?![A-Za-z0-9])"),
    )


@cache
def _cue_patterns() -> dict[str, tuple[re.Pattern[str], dict[str, frozenset[str]]]]:
    patterns = {}
    for language, cues in lexicon().cues.items():
        table: dict[str, set[str]] = {}
        for kind in Cues.model_fields:
            for term in getattr(cues, kind):
                table.setdefault(_squeezed(term) if language == "en" else term, set()).add(kind)
        body = english(table) if language == "en" else chinese(table)
        pattern = re.compile(f"{WORD_START}(?:{body}){WORD_END}" if language == "en" else body)
        patterns[language] = (pattern, {term: frozenset(kinds) for term, kinds in table.items()})
    return patterns


@cache
def _instruction_pattern() -> re.Pattern[str]:
    known = lexicon().instructions
    latin = "|".join(english([t]).replace(r"\.\.\.", WILD) for t in known.en)
    characters = "|".join(re.escape(t).replace(r"\.\.\.", WILD) for t in known.zh)
    marks = "|".join(re.escape(marker) for marker in known.markers)
    roles = "|".join(re.escape(role) for role in known.roles)
    return re.compile(rf"{WORD_START}(?:{latin}){WORD_END}|{characters}|{marks}|(?:^|[.!?;\n。！？；])[ \t]{{0,8}}(?:{roles})")
