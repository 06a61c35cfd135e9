import re
from pathlib import Path

import pytest

from medomni.export import words
from medomni.reporting.cleaned import clean
from medomni.reporting.phrases import slots_of
from medomni.reporting.vocabulary import read_table
from medomni.types.finding import Evidence, Finding, Laterality, Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.report import ReceiptKind, ReportState
from tests import reports

PACKAGES = ("medomni", "preprocessing", "evaluation", "adapters", "app")


def test_both_languages_have_the_same_words_with_the_same_slots():
    table = read_table("export.toml")
    assert set(table) == {"en", "zh"}
    assert {k: slots_of(v) for k, v in table["en"].items()} == {k: slots_of(v) for k, v in table["zh"].items()}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_state_kind_level_presence_and_side_has_a_word(language):
    keys = [
        *(f"state_{state}" for state in ReportState),
        *(f"receipt_{kind}" for kind in ReceiptKind),
        *(f"level_{level}" for level in NoticeLevel),
        *(f"presence_{presence}" for presence in Presence),
        *(f"side_{side}" for side in Laterality if side is not Laterality.NONE),
    ]
    assert all(words.say(key, language) for key in keys)


def test_every_word_that_code_anywhere_asks_for_exists():
    root = Path(words.__file__).parents[2]
    code = [file.read_text() for folder in PACKAGES for file in (root / folder).rglob("*.py")]
    asked = {key for text in code if "export.words import" in text for key in re.findall(r"\bsay\(\s*\"([a-z_]+)\"", text)}
    assert "image_overview" in asked
    assert asked <= set(read_table("export.toml")["en"])


def test_every_code_of_the_export_names_its_source():
    rows = [row for group in read_table("fhir_codes.toml").values() for row in group.values()]
    assert len(rows) > 8
    assert all(set(row) == {"system", "code", "display", "source"} and all(row.values()) for row in rows)


def test_cleaning_keeps_what_can_be_read_and_nothing_else():
    assert clean("a\x00b\u202ec\n\n d\ufeff  山田é") == "abc d 山田é"


def test_equal_notices_are_told_once_and_the_unsafe_one_first():
    notices = (
        Notice(code="a", level=NoticeLevel.INFO),
        Notice(code="a", level=NoticeLevel.INFO),
        Notice(code="b", level=NoticeLevel.UNSAFE),
    )
    levels = [level for level, _ in words.notice_lines(reports.report(notices=notices))]
    assert levels == [NoticeLevel.UNSAFE, NoticeLevel.INFO]


def test_place_does_not_repeat_the_finding_and_names_the_side():
    proof = (Evidence(structure="pleural_effusion", slice_index=4),)
    seen = Finding(id="f", label="pleural_effusion", presence=Presence.PRESENT, laterality=Laterality.LEFT, evidence=proof)
    assert words.places(seen, "en") == "left"
    assert words.slices(seen) == (5,)
