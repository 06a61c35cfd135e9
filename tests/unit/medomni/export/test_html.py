import re
from html.parser import HTMLParser

import pytest

from medomni.errors import BadInput
from medomni.export.html import KeyImage, to_html
from medomni.export.html_receipt import source
from medomni.types.report import Origin, ReportState, Section, Sentence, Span
from medomni.types.section import SectionName
from tests import reports
from tests.unit.medomni.export import signed_reports as made

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})


class Page(HTMLParser):
    """Reads a page: elements with attributes, text, and whether every element is closed."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.open, self.texts, self.balanced = [], [], [], True
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.balanced &= bool(self.open) and self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return "\n".join(self.texts)

    def tags(self):
        return {tag for tag, _ in self.elements}


@pytest.fixture(params=["en", "zh"])
def language(request):
    return request.param


def test_page_shows_every_sentence(language):
    page = Page(to_html(reports.report(language)))
    for section in reports.sections(language).values():
        assert section.heading in page.text
        for sentence in section.sentences:
            assert sentence.text in page.text


def test_page_states_its_language():
    assert ("html", {"lang": "zh-Hans"}) in Page(to_html(reports.report("zh"))).elements
    assert ("html", {"lang": "en"}) in Page(to_html(reports.report("en"))).elements


@pytest.mark.parametrize(
    "report", [reports.report(), reports.report("zh"), reports.hostile_report(), reports.hostile_report("zh")]
)
def test_page_is_closed_to_the_outside(report):
    page = Page(to_html(report, (KeyImage(PNG, reports.HOSTILE),)))
    assert page.balanced
    assert not page.open
    assert not page.tags() & {"script", "iframe", "object", "embed", "link", "form", "base", "svg", "audio", "video"}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name in ("style", "href", "action", "srcset") for name in attributes)
        if "src" in attributes:
            assert tag == "img"
            assert attributes["src"].startswith("data:image/png;base64,")
    style = re.search(r"<style>(.*?)</style>", to_html(report), re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style
    policy = [a["content"] for tag, a in page.elements if tag == "meta" and "content" in a and "http-equiv" in a]
    assert policy[0].startswith("default-src 'none'")


def test_hostile_text_is_shown_as_text():
    source = to_html(reports.hostile_report())
    assert "<script" not in source
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in source
    assert not any(character in source for character in "\x00\x07\u202e")


def test_every_sentence_has_a_receipt_note():
    report = reports.report()
    sentences = [sentence for section in report.sections.values() for sentence in section.sentences]
    assert to_html(report).count('class="receipt ') == len(sentences)


def test_measured_receipt_shows_slice_box_and_numbers():
    text = Page(to_html(reports.report())).text
    assert "measured · slice 45" in text
    assert "x −90 … −30, y −20 … 60, z −250 … −190 mm" in text
    assert "x −60, y 21, z −210 mm" in text
    assert "120 mL" in text
    assert "0.93" in text


def test_model_receipt_shows_probability_and_threshold():
    note = to_html(reports.report()).split('class="receipt model"')[1].split("</details>")[0]
    assert "0.50" in note
    assert "0.40" in note


def test_history_receipt_counts_characters_from_one():
    note = to_html(reports.report()).split('class="receipt history"')[1].split("</details>")[0]
    assert "5 … 18" in note


def test_a_sentence_without_a_receipt_is_marked():
    source = to_html(reports.report())
    assert source.count('class="receipt missing"') == 1
    assert "no source" in source


def test_notices_stand_above_the_sections_most_serious_first():
    source = to_html(reports.report())
    assert source.index("Caution") < source.index("Note</strong>") < source.index('id="examination"')


def test_not_evaluated_is_never_shown_as_absent():
    rows = re.findall(r'<tr class="not_evaluated">.*?</tr>', to_html(reports.report()))
    assert len(rows) == len(reports.NOT_EVALUATED)
    assert all("not evaluated" in row and "not detected" not in row for row in rows)


def test_lower_bound_is_told():
    assert "at least 85 mL" in to_html(reports.report())


def test_footer_holds_the_digests():
    text = Page(to_html(reports.report())).text
    assert "cd" * 32 in text
    assert "ef" * 32 in text
    assert "ab" * 32 in text


def test_a_key_image_is_embedded_with_its_caption_as_alternative_text():
    page = Page(to_html(reports.report(), (KeyImage(PNG, "Slice 45"),)))
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(images) == 1
    assert images[0]["alt"] == "Slice 45"


def test_a_key_image_that_is_no_png_is_refused():
    with pytest.raises(BadInput, match="not a PNG"):
        KeyImage(b"<svg onload=alert(1)>", "x")


def test_same_report_gives_the_same_page():
    assert to_html(reports.report()) == to_html(reports.report())


def test_a_page_that_nobody_touched_has_neither_signatures_nor_marks():
    source = to_html(reports.report()).split("</style>")[1]
    assert not any(word in source for word in ("Signatures", "Underlined", 'class="typed"', 'class="dictated"', "rejected"))


def test_words_of_a_person_are_marked_and_explained():
    source = to_html(made.final())
    assert '(120 mL<span class="typed">, solid</span>)' in source
    assert '<p><span class="dictated">Control in 6 weeks.</span></p>' in source
    assert "Underlined words were written by a person" in source


def test_a_sentence_that_a_person_wrote_has_the_person_as_its_source():
    line = to_html(made.final()).split("Control in 6 weeks.")[1].split("</li>")[0]
    assert 'class="receipt dictated"' in line
    assert "no source" not in line


def test_a_sentence_that_a_person_changed_says_so_and_what_proved_it_before():
    edited = made.final().sections[SectionName.FINDINGS].sentences[0]
    kind, summary, rows = source(edited, made.final())
    assert kind == "edited"
    assert summary.startswith("edited (before: measured")
    assert rows[0] == ("", "A person wrote this; it was not checked against the images.")
    whole = edited.model_copy(update={"spans": (Span(start=0, end=len(edited.text), origin=Origin.TYPED),)})
    assert source(whole, made.final())[1].startswith("typed (before: measured")
    assert source(edited.model_copy(update={"spans": ()}), made.final())[0] == "measured"


def test_a_rejected_finding_is_shown_as_such_after_what_was_seen():
    rows = re.findall(r'<tr class="(\w+)"><th scope="row">(.*?)</th><td class="state">(.*?)</td>', to_html(made.final()))
    assert ("rejected", "Lung nodule", "rejected on review") in rows
    kinds = [kind for kind, _, _ in rows]
    assert kinds.index("rejected") == kinds.index("absent") - 1


def test_signatures_stand_below_the_addendum():
    page = Page(to_html(made.later(ReportState.APPENDED)))
    assert page.balanced
    text = page.text
    assert text.index("Impression") < text.index(made.ADDENDUM) < text.index("Signed as final by Dr. Ana Rossi, radiologist")
    assert text.index("2024-01-02 10:30 UTC") < text.index("Signed as appended by Dr. Ken Sato, radiologist")
    assert "2024-01-03 09:05 UTC" in text


def test_page_of_a_signed_report_is_closed_to_the_outside():
    page = Page(to_html(made.later(ReportState.APPENDED)))
    assert not page.tags() & {"script", "iframe", "object", "embed", "link", "form", "base", "svg"}
    assert not any(name.startswith("on") or name in ("style", "href", "src") for _, a in page.elements for name in a)


def test_hostile_words_of_a_person_are_shown_as_text():
    spans = (Span(start=0, end=len(reports.HOSTILE), origin=Origin.TYPED),)
    line = Sentence(text=reports.HOSTILE, receipt=None, spans=spans)
    sections = {SectionName.FINDINGS: Section(heading="Findings", sentences=(line,))}
    source = to_html(reports.report(sections=sections))
    assert "<script" not in source
    assert '<span class="typed">a&quot;&gt;&lt;script&gt;' in source
