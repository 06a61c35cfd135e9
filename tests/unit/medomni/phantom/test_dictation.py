"""Dictations: numbers and units are words, punctuation is spoken by some, nothing is added to the report."""

import re

import numpy as np
import pytest

from medomni.phantom.dictation import dictate, number_in_words
from medomni.phantom.report import Sections
from medomni.phantom.sentences import Voice

SECTIONS = Sections("", "", (("Lungs", "A 14 mm nodule. Fluid of 350 mL, 1.2 cm deep."),), ("12 mm nodule.",))


@pytest.mark.parametrize(
    ("number", "english", "chinese"),
    [
        ("0", "zero", "零"),
        ("7", "seven", "七"),
        ("14", "fourteen", "十四"),
        ("20", "twenty", "二十"),
        ("42", "forty two", "四十二"),
        ("305", "three hundred five", "三百零五"),
        ("1250", "one thousand two hundred fifty", "一千二百五十"),
        ("2.5", "two point five", "二点五"),
        ("0.57", "zero point five seven", "零点五七"),
    ],
)
def test_numbers_are_spoken(number, english, chinese):
    assert number_in_words(number, "en") == english
    assert number_in_words(number, "zh") == chinese


def spoken(seed, language="en"):
    return dictate(SECTIONS, {"region": "chest", "who": "60-year-old man"}, Voice(language, np.random.default_rng(seed)))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_digit_is_left_and_some_speak_punctuation(language):
    texts = [spoken(seed, language) for seed in range(20)]
    assert not any(re.search(r"\d", text) for text in texts)
    said = sum((" period" if language == "en" else "句号") in text for text in texts)
    assert 3 < said < 17


def test_units_are_words_and_single_before_a_noun():
    text = next(text for text in map(spoken, range(20)) if "period" not in text)
    assert "A fourteen millimeter nodule." in text
    assert "three hundred fifty milliliters, one point two centimeters deep" in text
    assert "Twelve millimeter nodule." in text
