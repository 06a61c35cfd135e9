"""A report as one HTML page for a radiologist: calm, printable, readable by a screen reader, and closed to the outside.

The page holds no script and nothing from elsewhere; a content security policy in it says so to the browser. It names the patient
only in a copy that is asked to.
Each sentence has its receipt in the margin. Every text is cleaned and escaped here.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

from medomni.errors import BadInput
from medomni.export.html_receipt import receipt_note
from medomni.export.html_tables import findings_table, measurements_table, provenance_table
from medomni.export.signed import signature_lines
from medomni.export.whose import Whose
from medomni.export.words import notice_lines, organ_groups, say, standing_line, state_word
from medomni.export.writers import hands, written
from medomni.reporting.cleaned import clean
from medomni.types.report import Report, Section, Sentence
from medomni.types.section import SectionName

PNG = b"\x89PNG\r\n\x1a\n"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
LOCALES = {"en": "en", "zh": "zh-Hans"}


@dataclass(frozen=True)
class KeyImage:
    """One image worth looking at: PNG bytes without identifiers, and a caption in the language of the report."""

    png: bytes
    caption: str

    def __post_init__(self) -> None:
        if not self.png.startswith(PNG):
            raise BadInput("a key image is not a PNG", found=f"{len(self.png)} bytes", remedy="give PNG bytes")


def to_html(report: Report, key_images: tuple[KeyImage, ...] = (), whose: Whose = ()) -> str:
    """Return the whole page; ``whose`` names the patient."""
    language = report.language
    title = escape(f"{say('title', language)} - {state_word(report)}")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="{LOCALES[language]}">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="robots" content="noindex">',
            f"<title>{title}</title>",
            f"<style>\n{_style()}</style>",
            "</head>",
            "<body>",
            *_header(report, whose),
            "<main>",
            *_sections(report),
            *_signatures(report),
            *_marks(report),
            *_gallery(report, key_images),
            findings_table(report),
            measurements_table(report),
            "</main>",
            "<footer>",
            provenance_table(report),
            f'<p class="standing">{escape(standing_line(report))}</p>',
            "</footer>",
            "</body>",
            "</html>\n",
        ]
    )


@cache
def _style() -> str:
    return files("medomni.data").joinpath("report.css").read_text(encoding="utf-8")


def _header(report: Report, whose: Whose) -> Iterator[str]:
    language = report.language
    yield "<header>"
    yield f'<h1>{escape(say("title", language))} <span class="state">{escape(state_word(report))}</span></h1>'
    if whose:
        yield '<dl class="whose">' + "".join(f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in whose) + "</dl>"
    yield f'<p class="standing">{escape(standing_line(report))}</p>'
    lines = notice_lines(report)
    if lines:
        yield f'<section class="notices" aria-labelledby="notices"><h2 id="notices">{escape(say("notices", language))}</h2><ul>'
        for level, line in lines:
            word = escape(say(f"level_{level}", language))
            yield f'<li class="{level}"><strong>{word}</strong> <span>{escape(line)}</span></li>'
        yield "</ul></section>"
    yield "</header>"


def _sections(report: Report) -> Iterator[str]:
    """Yield the sections in reading order: first the short ones, then findings and impression."""
    for section_name, section in report.sections.items():
        if not section.sentences:
            continue
        heading = escape(clean(section.heading))
        yield f'<section class="{section_name}" aria-labelledby="{section_name}"><h2 id="{section_name}">{heading}</h2>'
        yield from _body(section_name, section, report)
        yield "</section>"


def _body(section_name: SectionName, section: Section, report: Report) -> Iterator[str]:
    if section_name is SectionName.IMPRESSION:
        yield "<ol>"
        yield from (_line("li", sentence, report) for sentence in section.sentences)
        yield "</ol>"
        return
    for number, (organ, sentences) in enumerate(organ_groups(section, report.language)):
        if organ:
            yield f"<h3>{escape(organ)}</h3>"
        elif number:
            yield '<hr class="apart">'
        yield from (_line("div", sentence, report) for sentence in sentences)


def _line(tag: str, sentence: Sentence, report: Report) -> str:
    return f'<{tag} class="line"><p>{_marked(sentence)}</p>{receipt_note(sentence, report)}</{tag}>'


def _marked(sentence: Sentence) -> str:
    """Return the text of a sentence with what a person wrote into it marked."""
    return "".join(f'<span class="{hand}">{escape(text)}</span>' if hand else escape(text) for text, hand in written(sentence))


def _signatures(report: Report) -> Iterator[str]:
    lines = signature_lines(report)
    if lines:
        heading = escape(say("signatures", report.language))
        yield f'<section class="signatures" aria-labelledby="signatures"><h2 id="signatures">{heading}</h2>'
        yield from (f'<p class="line"><span>{escape(line)}</span> <span class="when">{when}</span></p>' for line, when in lines)
        yield "</section>"


def _marks(report: Report) -> Iterator[str]:
    if hands(report):
        yield f'<p class="marks">{escape(say("mark_kinds", report.language))}</p>'


def _gallery(report: Report, key_images: tuple[KeyImage, ...]) -> Iterator[str]:
    if not key_images:
        return
    yield f'<section class="images" aria-labelledby="images"><h2 id="images">{escape(say("key_images", report.language))}</h2>'
    yield '<div class="gallery">'
    for image in key_images:
        data, caption = base64.b64encode(image.png).decode(), escape(clean(image.caption))
        yield f'<figure><img src="data:image/png;base64,{data}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    yield "</div></section>"
