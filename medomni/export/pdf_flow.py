"""The two kinds of block on a PDF page: the title with its state, and a line of the report with a word on either side.

left: heading | middle: the text, which may run over pages | right: where it comes from
"""

from dataclasses import dataclass, replace
from typing import Any

from reportlab.lib.colors import Color
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph

from medomni.export.pdf_type import ACCENT, BOLD, INK, LATIN, LINE, SOFT, UNSAFE, WASH, draw, width

HEADING_WIDTH, NOTE_WIDTH = 27 * mm, 35 * mm
GAP = 5 * mm
"""Between text and note."""
HEADING_SIZE, NOTE_SIZE = 7.4, 7


@dataclass(frozen=True)
class Margin:
    """What stands beside a line: a heading, a note with the colour of its kind, and points of tinted ground above and below."""

    heading: str = ""
    heading_colour: Color = ACCENT
    note: str = ""
    note_colour: Color = LINE
    ground: tuple[float, float] | None = None
    is_ruled: bool = False


class Line(Paragraph):  # type: ignore[misc]  # reportlab has no types
    """A paragraph in the middle column with its margin; over a page break the margin stays with the first part."""

    margin = Margin()

    def split(self, width_points: float, height_points: float) -> list[Any]:
        """Return the parts that fit, each with its ground."""
        parts: list[Any] = super().split(width_points, height_points)
        if len(parts) == 2:
            ground = self.margin.ground
            parts[0].margin = replace(self.margin, ground=ground and (ground[0], 0))
            parts[1].margin = Margin(ground=ground and (0, ground[1]))
        return parts

    def draw(self) -> None:
        """Draw ground, heading and note, then the text over them."""
        canvas, margin, style = self.canv, self.margin, self.style
        canvas.saveState()
        if margin.ground:
            above, below = margin.ground
            canvas.setFillColor(WASH)
            canvas.rect(-8, -below, self.width + 16, self.height + above + below, stroke=0, fill=1)
        if margin.is_ruled:
            canvas.setStrokeColor(LINE)
            canvas.line(0, self.height + 8, self.width, self.height + 8)
        baseline = self.height - style.fontSize
        if margin.heading:
            canvas.setFillColor(margin.heading_colour)
            draw(canvas, 0, baseline, margin.heading, BOLD, HEADING_SIZE)
        if margin.note:
            x = self.width - NOTE_WIDTH + GAP
            canvas.setStrokeColor(margin.note_colour)
            canvas.setLineWidth(1.2)
            canvas.line(x, baseline - 2.5, x, baseline + 7)
            canvas.setFillColor(UNSAFE if margin.note_colour == UNSAFE else SOFT)
            draw(canvas, x + 2 * mm, baseline + 0.6, margin.note, LATIN, NOTE_SIZE)
        canvas.restoreState()
        super().draw()


class Title(Flowable):  # type: ignore[misc]  # reportlab has no types
    """The title of the document with its state beside it."""

    def __init__(self, title: str, state: str) -> None:
        super().__init__()
        self.title, self.state = title, state

    def wrap(self, width_points: float, height_points: float) -> tuple[float, float]:
        """Return the size: the whole width, one line."""
        return width_points, 24

    def draw(self) -> None:
        """Draw the title in large letters and the state in a rounded frame."""
        canvas = self.canv
        canvas.setFillColor(INK)
        draw(canvas, 0, 6, self.title, BOLD, 17)
        x, room = width(self.title, BOLD, 17) + 10, width(self.state, LATIN, 9) + 14
        canvas.setStrokeColor(LINE)
        canvas.roundRect(x, 4, room, 15, 7.5, stroke=1, fill=0)
        canvas.setFillColor(SOFT)
        draw(canvas, x + 7, 8.4, self.state, LATIN, 9)


def line(text: str, style: ParagraphStyle, margin: Margin = Margin(), number: str = "") -> Line:
    """Return a line of Paragraph markup in a style, numbered where it has a number."""
    made = Line(text, style, bulletText=number or None)
    made.margin = margin
    return made
