import pytest

from medomni.export.text import COLUMNS, columns, to_text, wrapped
from medomni.types.report import ReportState, Section, Sentence
from medomni.types.section import SectionName
from tests import reports

LONG = "Opacity in the right lower zone and in the left upper zone. " * 8
LONG_ZH = "右肺下野见密度增高影，体积120 mL，占右肺7%（第45层）。" * 12


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_section_heading_and_sentence_is_in_the_text(language):
    text = " ".join(to_text(reports.report(language)).split())
    for section in reports.sections(language).values():
        assert section.heading in text
        assert all(sentence.text in text for sentence in section.sentences)


def test_impression_is_numbered_once():
    lines = to_text(reports.report()).splitlines()
    at = lines.index("Impression")
    assert lines[at + 2 : at + 5] == [
        "1. Opacity in the right lower zone.",
        "2. Right pleural effusion.",
        "3. Possible nodule in the left upper zone.",
    ]


def test_notices_come_before_the_first_section():
    text = to_text(reports.report())
    assert text.index("! Caution:") < text.index("Examination")


@pytest.mark.parametrize(("language", "line"), [("en", "not a medical device"), ("zh", "不是医疗器械")])
def test_the_text_says_it_is_an_unsigned_draft_and_no_device(language, line):
    assert to_text(reports.report(language)).count(line) == 2


def test_an_exported_final_report_is_not_called_an_unsigned_draft():
    assert "unsigned" not in to_text(reports.report(state=ReportState.FINAL))


@pytest.mark.parametrize("text", [LONG, LONG_ZH, "x" * 350, "宽" * 350])
def test_no_line_is_wider_than_the_page_and_nothing_is_lost(text):
    lines = wrapped(text, "1. ", "   ")
    assert max(map(columns, lines)) <= COLUMNS
    assert "".join("".join(line[3:] for line in lines).split()) == "".join(text.split())


def test_no_chinese_line_starts_with_closing_punctuation():
    lines = wrapped(LONG_ZH)
    assert len(lines) > 3
    assert not any(line[0] in "，。）%" for line in lines)
    assert not any(line[-1] == "（" for line in lines)


def test_a_chinese_letter_is_two_columns_wide():
    assert columns("CT肺") == 4


def test_hostile_text_leaves_no_control_or_direction_character():
    text = to_text(reports.hostile_report())
    assert not any(character in text for character in "\x00\x07\u202e")
    assert all(character.isprintable() or character == "\n" for character in text)


def test_a_size_at_the_head_of_a_line_keeps_all_its_digits():
    line = Sentence(text="2.5 cm nodule.", receipt=None)
    sections = {SectionName.IMPRESSION: Section(heading="Impression", sentences=(line,))}
    assert "1. 2.5 cm nodule." in to_text(reports.report(sections=sections))
