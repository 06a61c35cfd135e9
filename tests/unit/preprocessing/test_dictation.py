"""Dictated words: how they are written, what they say of the labels, and where."""

import time

import pytest

from medomni.types.dictation import Dictation
from medomni.types.finding import Laterality, Presence
from preprocessing.dictation import CHARACTERS_USED, listen
from preprocessing.spoken import written
from tests import factories

STUDY = factories.study()


def remarks(text):
    return listen(text, STUDY).remarks


@pytest.mark.parametrize(
    ("spoken", "text"),
    [
        ("a nodule of eight millimeters period", "a nodule of 8 mm."),
        ("twelve by nine point five millimetres", "12 x 9.5 mm"),
        ("two and a half centimeter mass", "2.5 cm mass"),
        ("one hundred and twenty five mm", "125 mm"),
        ("8 by 6 mm", "8 x 6 mm"),
        ("no effusion comma no nodule new paragraph impression colon normal", "no effusion, no nodule\nimpression: normal"),
        ("the sigmoid colon and the follow-up period", "the sigmoid colon and the follow-up period"),
        ("one of two nodules", "one of two nodules"),
        ("右肺上叶八毫米结节句号", "右肺上叶8毫米结节。"),
        ("二十五点五毫米", "25.5毫米"),
    ],
)
def test_spoken_lengths_and_marks_are_written(spoken, text):
    assert written(spoken).text == text


def test_span_of_written_text_is_that_of_the_spoken_words():
    spoken = "No effusion period A nodule of eight millimeters period"
    now = written(spoken)
    start = now.text.index("8 mm")
    assert spoken[slice(*now.span(start, start + 4))] == "eight millimeters"
    assert now.span(0, len(now.text)) == (0, len(spoken))


def test_remarks_hold_what_was_said_and_where():
    text = "Solid nodule of eight millimeters in the right upper lobe period Possible left pleural effusion period No emphysema"
    nodule, effusion, emphysema = remarks(text)
    assert (nodule.label, nodule.presence, nodule.laterality) == ("lung_nodule", Presence.PRESENT, Laterality.RIGHT)
    assert (nodule.size_mm, nodule.anatomy) == (8.0, ("lung_upper_lobe_right",))
    assert text[nodule.start : nodule.end] == "Solid nodule of eight millimeters in the right upper lobe"
    assert (effusion.label, effusion.presence, effusion.laterality) == ("pleural_effusion", Presence.UNCERTAIN, Laterality.LEFT)
    assert (emphysema.label, emphysema.presence) == ("emphysema", Presence.ABSENT)


def test_chinese_is_read_too():
    nodule, effusion = remarks("右肺上叶见八毫米实性结节。双侧胸腔未见积液。")
    assert (nodule.label, nodule.size_mm, nodule.laterality) == ("lung_nodule", 8.0, Laterality.RIGHT)
    assert effusion.presence is Presence.ABSENT


def test_heard_text_without_full_stops_states_each_finding():
    found = {one.label: one.presence for one in remarks("no pericardial effusion, coronary artery calcification is present")}
    assert found["coronary_artery_wall_calcification"] is Presence.PRESENT
    assert found["pericardial_effusion"] is Presence.ABSENT


def test_no_word_of_a_dictation_is_kept():
    kept = listen("Mr Smithson has a nodule of 8 mm", STUDY).model_dump_json()
    assert "Smithson" not in kept
    assert "lung_nodule" in kept


def test_silence_says_nothing():
    assert listen(" \n", STUDY) == Dictation()


def test_endless_dictation_is_cut():
    assert remarks("blah " * (CHARACTERS_USED // 5 + 1) + "nodule") == ()


@pytest.mark.parametrize("piece", ["one ", " ", "comma ", "new ", "\u0130 nodule. ", "8 mm x ", "no, a ", "百"])
def test_hostile_text_is_read_within_a_bounded_time(piece):
    """Work grows with the text, not with its square; letters that grow in lower case shift no span beyond the end."""
    text = piece * (CHARACTERS_USED // len(piece))
    start = time.process_time()
    found = remarks(text)
    assert time.process_time() - start < 5.0
    assert all(one.end <= len(text) for one in found)
