import re
from html.parser import HTMLParser

import pytest

from medomni.errors import BadInput
from medomni.export.html import KeyImage, to_html
from tests import reports

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
