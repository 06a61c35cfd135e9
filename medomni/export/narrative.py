"""A report as the narrative of a FHIR resource: well-formed XHTML of plain headings, paragraphs and lists."""

from collections.abc import Iterator
from html import escape

from medomni.export.signed import signature_lines
from medomni.export.words import notice_lines, organ_groups, say, standing_line
from medomni.reporting.cleaned import clean
from medomni.types.report import Report, Section
from medomni.types.section import SectionName


def to_narrative(report: Report) -> str:
    """Return the XHTML ``div`` of a report: notices, every section and who signed: nobody downstream misses a limit."""
    return "".join(_parts(report))


def _parts(report: Report) -> Iterator[str]:
    language = report.language
    yield f'<div xmlns="http://www.w3.org/1999/xhtml" lang="{language}" xml:lang="{language}">'
    yield f"<p><b>{escape(standing_line(report))}</b></p>"
    notices = notice_lines(report)
    if notices:
        items = "".join(f"<li>{escape(say(f'level_{level}', language))}: {escape(line)}</li>" for level, line in notices)
        yield f"<h3>{escape(say('notices', language))}</h3><ul>{items}</ul>"
    for section_name, section in report.sections.items():
        if section.sentences:
            yield f"<h3>{escape(clean(section.heading))}</h3>"
            yield from _body(section_name, section, language)
    lines = signature_lines(report)
    if lines:
        yield f"<h3>{escape(say('signatures', language))}</h3>"
        yield from (f"<p>{escape(line)}, {when}</p>" for line, when in lines)
    yield "</div>"


def _body(section_name: SectionName, section: Section, language: str) -> Iterator[str]:
    if section_name is SectionName.IMPRESSION:
        items = "".join(f"<li>{escape(clean(sentence.text))}</li>" for sentence in section.sentences)
        yield f"<ol>{items}</ol>"
        return
    between = " " if language == "en" else ""
    for organ, sentences in organ_groups(section, language):
        head = f"<b>{escape(organ)}</b> " if organ else ""
        yield f"<p>{head}{escape(between.join(clean(sentence.text) for sentence in sentences))}</p>"
