"""A report as PDF on A4: what a radiologist prints, files and hands on.

    Report -> bytes

Calm like the page of ``html``: heading, text and source side by side, page numbers and the state on every page. It names the
patient only where that is asked for, then on every page; the same report gives the same bytes. Every text is cleaned and escaped
before it becomes markup.
"""

from collections.abc import Iterator
from io import BytesIO

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate

from medomni.export.html_receipt import source
from medomni.export.pdf_flow import HEADING_SIZE, HEADING_WIDTH, NOTE_WIDTH, Margin, Title, line
from medomni.export.pdf_type import ACCENT, BOLD, CAUTION, INK, LATIN, LINE, SOFT, UNSAFE, draw, markup, register, width
from medomni.export.signed import signature_lines
from medomni.export.whose import Whose
from medomni.export.words import notice_lines, organ_groups, say, standing_line, state_word
from medomni.export.writers import hands, written
from medomni.reporting.cleaned import clean
from medomni.types.notice import NoticeLevel
from medomni.types.report import Report, Section, Sentence
from medomni.types.section import SectionName

SIDE, TOP, BOTTOM = 18 * mm, 17 * mm, 21 * mm
PERSON = HexColor("#4c9a72")
NOTE_COLOURS = {
    "measured": ACCENT,
    "model": HexColor("#8e6bbf"),
    "history": PERSON,
    "dictated": PERSON,
    "typed": PERSON,
    "edited": PERSON,
    "prior": PERSON,
    "missing": UNSAFE,
}
LEVEL_COLOURS = {NoticeLevel.UNSAFE: UNSAFE, NoticeLevel.WARNING: CAUTION, NoticeLevel.INFO: SOFT}
LOCALES = {"en": "en", "zh": "zh-Hans"}


def to_pdf(report: Report, whose: Whose = ()) -> bytes:
    """Return the report as a PDF document; ``whose`` names the patient.

    Raises:
        BadInput: a signature states no time zone.
    """
    register()
    file = BytesIO()
    document = BaseDocTemplate(
        file,
        pagesize=A4,
        invariant=1,
        title=_title(report),
        subject=standing_line(report),
        author="MedOmni",
        creator="MedOmni",
        lang=LOCALES[report.language],
    )
    frame = Frame(SIDE, BOTTOM, A4[0] - 2 * SIDE, A4[1] - TOP - BOTTOM, 0, 0, 0, 0)
    document.addPageTemplates([PageTemplate(frames=[frame])])
    document.build(list(_blocks(report, whose)), canvasmaker=_pages_of(report, whose))
    return file.getvalue()


def _title(report: Report) -> str:
    return f"{say('title', report.language)} - {state_word(report)}"


def _blocks(report: Report, whose: Whose) -> Iterator[Flowable]:
    language = report.language
    yield Title(say("title", language), state_word(report))
    if whose:
        yield line(markup("   ·   ".join(f"{name}: {fact}" for name, fact in whose)), _style(language, size=10, after=4))
    yield line(markup(standing_line(report)), _style(language, size=8.5, colour=SOFT))
    yield from _notices(report)
    for name, section in report.sections.items():
        if section.sentences:
            yield from _section(name, section, report)
    yield from _signatures(report)
    if hands(report):
        yield line(markup(say("marks", language)), _style(language, size=7.5, colour=SOFT, before=10))


def _notices(report: Report) -> Iterator[Flowable]:
    language, lines = report.language, notice_lines(report)
    for index, (level, text) in enumerate(lines):
        ground = (7 if index == 0 else 2, 7 if index == len(lines) - 1 else 2)
        margin = Margin(say(f"level_{level}", language), LEVEL_COLOURS[level], ground=ground)
        before, after = (16 if index == 0 else 4), (10 if index == len(lines) - 1 else 0)
        yield line(markup(text), _style(language, HEADING_WIDTH, size=8.8, before=before, after=after), margin)


def _section(name: SectionName, section: Section, report: Report) -> Iterator[Flowable]:
    """Yield the lines of a section; its heading stands beside the first, or above it where it is too wide."""
    language = report.language
    heading = clean(section.heading).upper()
    is_beside = width(heading, BOLD, HEADING_SIZE) < HEADING_WIDTH
    is_impression = name is SectionName.IMPRESSION
    if not is_beside:
        style = _style(language, size=8, colour=ACCENT, before=12, font=BOLD)
        style.keepWithNext = 1
        yield line(markup(heading, BOLD), style)
    pending = heading if is_beside else ""
    before = 20.0 if is_impression else 9.0
    groups = [("", section.sentences)] if is_impression else list(organ_groups(section, language))
    for organ, sentences in groups:
        if organ:
            style = _style(language, HEADING_WIDTH, NOTE_WIDTH, before=before, font=BOLD)
            style.keepWithNext = 1
            yield line(markup(organ, BOLD), style, Margin(pending))
            pending, before = "", 1.0
        for number, sentence in enumerate(sentences, start=1):
            ends = number == 1, number == len(sentences)
            kind, note, _ = source(sentence, report)
            margin = Margin(pending, note=clean(note), note_colour=NOTE_COLOURS.get(kind, LINE))
            if is_impression:
                yield _concluded(sentence, number, ends, margin, language)
            else:
                yield line(_marked(sentence), _style(language, HEADING_WIDTH, NOTE_WIDTH, before=before), margin)
            pending, before = "", 1.5
        before = 6.0


def _concluded(sentence: Sentence, number: int, ends: tuple[bool, bool], margin: Margin, language: str) -> Flowable:
    """Return a numbered line of the impression on tinted ground, which begins above the first and ends below the last."""
    is_first, is_last = ends
    ground = (9.0 if is_first else 2.0, 9.0 if is_last else 2.0)
    tinted = Margin(margin.heading, note=margin.note, note_colour=margin.note_colour, ground=ground)
    style = _style(language, HEADING_WIDTH, NOTE_WIDTH, size=10.5, before=20 if is_first else 4, after=14 if is_last else 0)
    style.bulletIndent, style.leftIndent = style.leftIndent, style.leftIndent + 6 * mm
    style.bulletFontName, style.bulletFontSize = LATIN, style.fontSize
    return line(_marked(sentence), style, tinted, f"{number}.")


def _signatures(report: Report) -> Iterator[Flowable]:
    heading = say("signatures", report.language).upper()
    for index, (text, when) in enumerate(signature_lines(report)):
        margin = Margin("" if index else heading, is_ruled=index == 0)
        style = _style(report.language, HEADING_WIDTH, before=3 if index else 24)
        yield line(f'{markup(text)}<br/><font size="8" color="{SOFT.hexval().replace("0x", "#")}">{when}</font>', style, margin)


def _marked(sentence: Sentence) -> str:
    """Return the markup of a sentence with what a person wrote into it underlined."""
    return "".join(f"<u>{markup(text)}</u>" if hand else markup(text) for text, hand in written(sentence))


def _style(
    language: str,
    left: float = 0,
    right: float = 0,
    *,
    size: float = 9.5,
    colour: Color = INK,
    before: float = 0,
    after: float = 0,
    font: str = LATIN,
) -> ParagraphStyle:
    return ParagraphStyle(
        "line",
        fontName=font,
        fontSize=size,
        leading=size * 1.42,
        textColor=colour,
        leftIndent=left,
        rightIndent=right,
        spaceBefore=before,
        spaceAfter=after,
        wordWrap="CJK" if language == "zh" else None,
        underlineColor=SOFT,
        underlineWidth=0.5,
        underlineOffset=-1.6,
    )


def _pages_of(report: Report, whose: Whose) -> type[Canvas]:
    """Return a canvas that writes each page's foot when the number of pages is known."""
    named = "".join(f"{fact}  ·  " for _, fact in whose[:3])
    left = f"{named}{_title(report)}  ·  {say('provenance_key', report.language)} {clean(report.provenance.study_key)}"

    class Pages(Canvas):  # type: ignore[misc]  # reportlab has no types
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            self.pages: list[dict[str, object]] = []

        def showPage(self) -> None:
            self.pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self.pages, start=1):
                self.__dict__.update(page)
                right = say("page_number", report.language, number=str(number), count=str(len(self.pages)))
                _foot(self, left, right)
                super().showPage()
            super().save()

    return Pages


def _foot(canvas: Canvas, left: str, right: str) -> None:
    end, room = A4[0] - SIDE, width(right, LATIN, 7.5)
    while width(left, LATIN, 7.5) > end - SIDE - room - 12:
        left = left[:-2] + "…"
    canvas.setStrokeColor(LINE)
    canvas.setLineWidth(0.6)
    canvas.line(SIDE, 15 * mm, end, 15 * mm)
    canvas.setFillColor(SOFT)
    draw(canvas, SIDE, 11 * mm, left, LATIN, 7.5)
    draw(canvas, end - room, 11 * mm, right, LATIN, 7.5)
