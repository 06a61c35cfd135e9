"""A report as plain text for people: headings, lines of at most 100 columns, a numbered impression, notices first.

A column is the width of a Latin letter; Chinese, Japanese and Korean characters take two and may be broken anywhere,
except that no line starts with closing punctuation or ends with an opening bracket.
"""

import re
import unicodedata
from collections.abc import Iterator

from medomni.export.signed import signature_lines
from medomni.export.whose import Whose
from medomni.export.words import notice_lines, organ_groups, say, standing_line, state_word
from medomni.reporting.cleaned import clean
from medomni.types.report import Report, Section
from medomni.types.section import SectionName

COLUMNS = 100
WIDE = frozenset("WF")
CLOSING = frozenset("、。,.;:?!%)]}〉》」』】〕〗”’…，．：；？！％）］｝")
OPENING = frozenset("([{〈《「『【〔〖“‘（［｛")
TOKEN = re.compile(r"\s+|[^\s]")


def to_text(report: Report, whose: Whose = ()) -> str:
    """Return the report as text that ends with a newline; ``whose`` names the patient."""
    language = report.language
    named = [f"{name}: {fact}" for name, fact in whose]
    lines = [f"{say('title', language)} - {state_word(report)}", *named, standing_line(report), ""]
    lines = [line for long in lines for line in wrapped(long)]
    notices = notice_lines(report)
    if notices:
        lines.append(_heading(say("notices", language)))
        for level, sentence in notices:
            lines += wrapped(f"{say(f'level_{level}', language)}: {sentence}", "! ", "  ")
        lines.append("")
    for section_name, section in report.sections.items():
        if section.sentences:
            lines += [_heading(clean(section.heading)), *_body(section_name, section, language), ""]
    signatures = signature_lines(report)
    if signatures:
        lines.append(_heading(say("signatures", language)))
        for line, when in signatures:
            lines += wrapped(f"{line}, {when}", "", "  ")
        lines.append("")
    lines += wrapped(standing_line(report))
    return "\n".join(lines) + "\n"


def wrapped(text: str, first: str = "", later: str = "") -> list[str]:
    """Return text as lines of at most 100 columns, the first and the later ones indented as given."""
    lines, line, width = [], "", 0
    room = COLUMNS - max(columns(first), columns(later))
    for piece in _pieces(clean(text)):
        if line and width + columns(piece.rstrip()) > room:
            lines.append(line.rstrip())
            line, width = "", 0
        line += piece if line else piece.lstrip()
        width = columns(line)
    lines.append(line.rstrip())
    return [(later if index else first) + content for index, content in enumerate(lines)]


def columns(text: str) -> int:
    """Return how many columns a text takes on a terminal with fixed-width letters."""
    return sum(_width(character) for character in text)


def _heading(text: str) -> str:
    return f"{text}\n{'-' * columns(text)}"


def _body(section_name: SectionName, section: Section, language: str) -> Iterator[str]:
    if section_name is SectionName.IMPRESSION:
        for number, sentence in enumerate(section.sentences, start=1):
            head = f"{number}. "
            yield from wrapped(clean(sentence.text), head, " " * len(head))
        return
    between = " " if language == "en" else ""
    for organ, sentences in organ_groups(section, language):
        text = between.join(clean(sentence.text) for sentence in sentences)
        colon = ": " if language == "en" else "："
        yield from wrapped(f"{organ}{colon}{text}" if organ else text, "", "  " if organ else "")


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in WIDE else 1


def _pieces(text: str) -> Iterator[str]:
    """Yield the unbreakable pieces of a text, each with the white space that follows it."""
    piece = ""
    for token in TOKEN.findall(text):
        if piece and _may_break(piece, token):
            yield from _fitting(piece)
            piece = ""
        piece += token
    if piece:
        yield from _fitting(piece)


def _may_break(piece: str, token: str) -> bool:
    last = piece[-1]
    if token.isspace():
        return False
    if last.isspace():
        return True
    is_wide = _width(token) == 2 or _width(last) == 2
    return is_wide and token not in CLOSING and last not in OPENING


def _fitting(piece: str) -> Iterator[str]:
    """Yield a piece, cut where it alone is wider than a line."""
    while columns(piece) > COLUMNS - 4:
        yield piece[: (COLUMNS - 4) // 2]
        piece = piece[(COLUMNS - 4) // 2 :]
    yield piece
