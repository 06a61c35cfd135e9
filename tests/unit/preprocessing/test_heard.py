"""What a recogniser wrote is put right only where it is sure to be a clinical word, and each change is marked."""

import pytest

from medomni.reporting.labeler import mentions
from preprocessing.dictation import read
from preprocessing.heard import Heard, Word, corrected, is_clinical, lexicon, likeness
from preprocessing.spoken import written

STRANGE = {
    "emphisema",
    "bronchectasis",
    "tasis",
    "ortic",
    "piatal",
    "granulomia",
    "oposities",
    "mediast",
    "nucional",
    "atelectases",
}


def words(text, probability=0.9):
    """A text as the recogniser gives it; every word is common but those of ``STRANGE``."""
    return [
        Word(f" {part}", probability, part.strip(".,").lower() not in STRANGE and not is_clinical(part.strip(".,").lower()))
        for part in text.split()
    ]


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        ("A solid module in the right upper lobe.", "A solid nodule in the right upper lobe."),
        ("No plural effusion.", "No pleural effusion."),
        ("Plural effusions, small.", "Pleural effusions, small."),
        ("in the right lower load", "in the right lower lobe"),
        ("Severe emphisema is seen.", "Severe emphysema is seen."),
        ("cylindrical bronchi, tasis in the base", "cylindrical bronchiectasis in the base"),
        ("calcification of the ortic arch", "calcification of the aortic arch"),
        ("Small piatal hernia.", "Small hiatal hernia."),
        ("a calcified granulomia", "a calcified granuloma"),
        ("Mediast anal lymphadenopathy", "Mediastinal lymphadenopathy"),
    ],
)
def test_clinical_words_are_put_right_and_marked(heard, text):
    result = corrected(words(heard))
    assert result.text == text
    assert result.doubtful
    changed = [text[slice(*span)] for span in result.doubtful]
    assert all(word not in heard for word in changed)


@pytest.mark.parametrize(
    "text",
    [
        "A pericardial effusion and a pleural effusion.",
        "The infusion of the day.",
        "Plural forms are used.",
        "Left lower lobe nodule, no right effusion, 8 mm.",
        "She was called by the nurse.",
        "The hepatic and the hilar lesion are stable.",
        "Peripheral and perihilar opacities, bronchial and bronchus.",
        "Patent arteries, arterial phase.",
    ],
)
def test_right_words_stay_and_are_not_marked(text):
    assert corrected(words(text)) == Heard(text)


def test_no_clinical_word_becomes_another():
    for word in sorted(lexicon().words | lexicon().kept):
        for frame in ("a {} effusion", "solid {} in", "upper {}", "{}"):
            heard = frame.format(word)
            assert corrected(words(heard)).text == heard


def test_numbers_sides_and_denials_are_neither_changed_nor_put_in():
    kept = lexicon().kept
    for text in (
        "no node",
        "know effusion",
        "ate millimeters",
        "for nodules",
        "write upper lobe",
        "lift lower lobe",
        "sex mm nodule",
    ):
        before, after = (
            [word for word in part.lower().replace(".", "").split() if word in kept]
            for part in (text, corrected(words(text)).text)
        )
        assert before == after, text
    assert corrected(words("8 mm and 3.5 cm")).text == "8 mm and 3.5 cm"
    assert not set(lexicon().instead.values()) & kept


def test_unsure_words_are_marked_where_they_stand():
    heard = corrected([Word(" No", 0.9, True), Word(" effusion", 0.2, True), Word(" seen.", 0.9, True)])
    assert (heard.text, heard.doubtful) == ("No effusion seen.", ((3, 11),))
    assert heard.marked == "No [?effusion?] seen."


def test_marks_are_no_hindrance_when_the_text_is_given_back():
    heard = Heard("No pleural effusion of eight millimeters.", ((3, 10), (23, 28)))
    assert written(heard.marked).text == written(heard.text).text
    assert read(heard.marked).remarks[0].label == "pleural_effusion"


def test_two_words_that_are_equally_like_leave_the_heard_one():
    assert corrected([Word(" hilam", 0.9, False)]).text == "hilum"
    assert corrected([Word(" hilan", 0.9, False)]).text == "hilan", "hilum and hilar are equally like"


def test_likeness_is_of_sound():
    assert likeness("emfisema", "emphysema") == 1.0
    assert likeness("plural", "pleural") > likeness("plural", "pericardial")
    assert likeness("effusion", "effusion") == 1.0


def test_corrected_text_is_read_for_what_was_said():
    label = mentions(corrected(words("plural effusion on the left")).text, "en")[0].label
    assert label == "pleural_effusion"


def test_nothing_heard_is_nothing():
    assert corrected([]) == Heard("")
