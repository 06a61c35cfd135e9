import re
from io import BytesIO

import pypdf
import pytest

from medomni.export import exporters
from medomni.export.pdf import to_pdf
from medomni.reporting.cleaned import clean
from medomni.types.report import ReportState, Section, Sentence
from medomni.types.section import SectionName
from tests import reports
from tests.unit.medomni.export import signed_reports as made


def read(report):
    return pypdf.PdfReader(BytesIO(to_pdf(report)))


def squeezed(text):
    """Text without the white space that a line break may add or take."""
    return re.sub(r"\s+", "", text)


def told(report):
    """All words of all pages; what stands in the margin comes before its line, the foot at the end of a page."""
    return "".join(squeezed(page.extract_text()) for page in read(report).pages)


def of_sentences(*texts, name=SectionName.FINDINGS, language="en"):
    lines = tuple(Sentence(text=text, receipt=None) for text in texts)
    return reports.report(language, sections={name: Section(heading="Findings", sentences=lines)}, notices=())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_heading_and_sentence_is_on_the_pages(language):
    text = told(reports.report(language))
    for section in reports.sections(language).values():
        assert squeezed(section.heading).upper() in text
        for sentence in section.sentences:
            assert squeezed(sentence.text) in text


def test_state_standing_notices_and_sources_are_on_the_pages():
    text = told(reports.report())
    for words in ("Draft", "AI draft, unsigned.", "Caution", "A slice is missing", "measured · slice 45", "no source", "Lungs"):
        assert squeezed(words) in text
    assert re.search(r"1\.Opacityintherightlowerzone\..*2\.Rightpleuraleffusion\..*3\.Possible", text)


def test_every_page_says_what_it_is_of_how_many():
    report = of_sentences(
        *(f"Sentence number {number} of a long report, with enough words to fill a line." for number in range(60))
    )
    pages = [page.extract_text() for page in read(report).pages]
    assert len(pages) > 1
    for number, page in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in page
        assert "CT report - Draft" in page
        assert report.provenance.study_key in page
    for number in range(60):
        assert sum(f"number {number} of" in page for page in pages) == 1


@pytest.mark.parametrize("name", [SectionName.FINDINGS, SectionName.IMPRESSION])
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Opacity with <b>&<script> in the zone. " * 100),
        ("en", "x" * 4000),
        ("en", "肺" * 4000),
        ("zh", "右肺下野见密度增高影 120 mL，" * 250),
        ("zh", "x" * 4000),
    ],
)
def test_a_sentence_longer_than_a_page_runs_on_and_loses_nothing(name, language, text):
    report = of_sentences(text, text, name=name, language=language)
    pages = read(report).pages
    assert len(pages) > 1
    letters = squeezed("".join(page.extract_text() for page in pages))
    for letter in set(squeezed(text)):
        assert letters.count(letter) >= 2 * text.count(letter)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hostile_text_is_shown_as_text(language):
    report = reports.hostile_report(language).model_copy(
        update={"state": ReportState.FINAL, "signatures": (made.by(name=reports.HOSTILE, role=reports.HOSTILE),)}
    )
    text = told(report)
    assert text.count(squeezed(clean(reports.HOSTILE)).replace("\ufffd", "")[:30]) >= len(SectionName)
    assert "山田" in text
    assert not any(character in text for character in "\x00\x07\u202e")


@pytest.mark.parametrize(
    "text", ["<b>bold</b> & <font color='red'>", "<para><img src='file:///etc/passwd'/>", "<u>&lt;&#60;", "]]>"]
)
def test_markup_in_a_sentence_is_no_markup(text):
    assert squeezed(text) in told(of_sentences(text))


def test_letters_that_no_font_has_leave_a_mark_and_direction_marks_nothing():
    text = told(of_sentences("a\u202eb\u200f c \N{GRINNING FACE} d"))
    assert "abc" in text
    assert "\N{GRINNING FACE}" not in text
    assert "\N{WHITE SQUARE}" in text


@pytest.mark.parametrize("report", [reports.report(), made.later(ReportState.APPENDED), made.final("zh")])
def test_the_same_report_gives_the_same_bytes(report):
    assert to_pdf(report) == to_pdf(report)


def test_the_document_names_itself_and_no_moment_of_writing():
    facts = read(made.final()).metadata
    assert facts.title == "CT report - Final"
    assert facts["/CreationDate"].startswith("D:20000101")


def test_a_signed_report_holds_addendum_and_signatures():
    text = told(made.later(ReportState.APPENDED))
    assert text.index(squeezed(made.ADDENDUM)) < text.index("SignedasfinalbyDr.AnaRossi,radiologist")
    assert "2024-01-0210:30UTC" in text
    assert "SignedasappendedbyDr.KenSato,radiologist" in text
    assert "unsigned" not in text
    assert "Underlinedwords" in text


def test_a_draft_holds_no_signatures():
    text = told(reports.report())
    assert "SIGNATURES" not in text
    assert "Underlined" not in text


def test_pages_hold_no_identifier_of_the_study():
    study = reports.study()
    content = exporters.export("pdf", reports.report(), study)
    reader = pypdf.PdfReader(BytesIO(content))
    text = "".join(page.extract_text() for page in reader.pages) + str(reader.metadata)
    who = study.identity
    for secret in (who.patient_id, who.patient_name, who.accession_number, who.study_instance_uid, who.birth_date):
        assert secret not in text


def test_nothing_in_the_document_runs_or_leads_elsewhere():
    content = to_pdf(reports.hostile_report())
    assert not re.search(rb"/(JavaScript|JS|OpenAction|Launch|URI|EmbeddedFile)\b", content)
