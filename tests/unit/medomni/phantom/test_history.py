"""Histories: the same facts in both languages, fitting the disease, never naming the finding."""

import re

import pytest

from medomni.phantom import Placed
from medomni.phantom.cohort import draw_findings
from medomni.phantom.history import history
from medomni.phantom.person import make_person


@pytest.mark.parametrize("seed", range(40))
def test_both_languages_tell_the_same_numbers_and_the_age(seed):
    person, placed = make_person(seed), draw_findings(seed)
    english, chinese = (history(person, placed, language) for language in ("en", "zh"))
    assert sorted(re.findall(r"\d+", english)) == sorted(re.findall(r"\d+", chinese))
    assert str(person.age_years) in english
    assert "{" not in english + chinese
    assert not re.search(r"[A-Za-z]", chinese)


def test_a_pneumonia_coughs_and_a_stone_hurts():
    person = make_person(1)
    assert "ough" in history(person, (Placed("consolidation"),), "en")
    assert "Flank pain" in history(person, (Placed("renal_stone"),), "en")


def test_the_history_does_not_name_the_finding():
    for seed in range(60):
        text = history(make_person(seed), draw_findings(seed), "en").lower()
        assert not any(word in text for word in ("consolidation", "effusion", "emphysema", "atelectasis", "opacity"))
