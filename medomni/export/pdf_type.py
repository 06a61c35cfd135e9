"""The type of the PDF pages: fonts, colours, and text as runs of letters that one font holds.

The fonts are the ones every PDF reader brings along and none is embedded: Helvetica for what it has, STSong-Light for the rest.
"""

from collections.abc import Iterator
from functools import cache
from html import escape
from itertools import groupby

from reportlab.lib.colors import HexColor
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

LATIN, BOLD, CHINESE = "Helvetica", "Helvetica-Bold", "STSong-Light"
INK, SOFT, LINE, WASH = HexColor("#1d2730"), HexColor("#5b6873"), HexColor("#dde3e8"), HexColor("#f5f7f9")
ACCENT, CAUTION, UNSAFE = HexColor("#1f5f8b"), HexColor("#8a5a00"), HexColor("#a3160f")
NOT_SHOWN = "\N{WHITE SQUARE}"
"""Stands for a letter that neither font can have: those beyond the first 65,536 of Unicode."""


@cache
def register() -> None:
    """Make the Chinese font known; the others are."""
    pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))


def markup(text: str, font: str = LATIN) -> str:
    """Return text as the inside of a Paragraph: escaped, each letter in a font that has it."""
    pieces = (
        escape(letters) if name == font else f'<font name="{name}">{escape(letters)}</font>' for name, letters in runs(text, font)
    )
    return "".join(pieces)


def runs(text: str, font: str) -> Iterator[tuple[str, str]]:
    """Yield (font, letters) of each stretch of text that one font can show."""
    letters = (letter if ord(letter) < 0x10000 else NOT_SHOWN for letter in text)
    for name, run in groupby(letters, key=lambda letter: font if _is_latin(letter) else CHINESE):
        yield name, "".join(run)


def width(text: str, font: str, size: float) -> float:
    """Return how wide text is, in points."""
    return float(sum(pdfmetrics.stringWidth(letters, name, size) for name, letters in runs(text, font)))


def draw(canvas: Canvas, x: float, y: float, text: str, font: str, size: float) -> None:
    """Draw one line of text from a point on its baseline to the right."""
    for name, letters in runs(text, font):
        canvas.setFont(name, size)
        canvas.drawString(x, y, letters)
        x += pdfmetrics.stringWidth(letters, name, size)


def _is_latin(letter: str) -> bool:
    """Whether Helvetica has the letter: what Windows' Latin alphabet holds (PDF 1.7, annex D)."""
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True
