"""Clinical codes in a text are read as their terms; numbers of other things are left alone."""

import pytest

from medomni.reporting.coded import clinical_codes, spelled_out
from medomni.reporting.lexicon import lexicon
from medomni.reporting.vocabulary import vocabulary


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("J43.9", "Known emphysema."),
        ("j43.9", "Known emphysema."),
        ("Smoker, J43.9.", "Smoker, emphysema."),
        ("Known (J43.9), no J90.", "Known (emphysema), no pleural effusion."),
        ("J98.11; I25.10", "Known atelectasis; coronary artery disease."),
        ("J44.1 and J18.9", "COPD and pneumonia"),
        ("已知J43.9，J90。", "已知肺气肿，胸腔积液。"),
        ("RID4799, RID34539", "Known emphysema, pleural effusion."),
        ("SNOMED CT 60046008", "Known pleural effusion."),
        ("SCTID: 373945007", "Known pericardial effusion."),
    ],
)
def test_code_is_read_as_its_term_in_the_language_of_the_text(text, read):
    assert spelled_out(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "lot J43.9",
        "Lot: J90-12",
        "batch no. J90",
        "No. J90",
        "批号J90",
        "J90床",
        "2024-J90-01",
        "12/J90/2024",
        "AJ43.9",
        "J43.9.1",
        "J43.95X",
        "J439",
        "RID47990",
        "60046008",
        "tel. 60046008",
        "T12 fracture, L1 intact",
        "Z99.9",
        "",
    ],
)
def test_number_of_something_else_is_left_alone(text):
    assert spelled_out(text) == text


def test_every_code_stands_for_a_term_that_is_known_and_for_one_alone():
    table = clinical_codes().icd10
    assert all(name in vocabulary().labels or name in lexicon().concepts for name in table)
    codes = [code for coded in table.values() for code in coded.codes]
    assert len(codes) == len(set(codes))
    for name, coded in table.items():
        entry = vocabulary().labels.get(name) or lexicon().concepts[name]
        assert [spelled_out(f"Has {code}") for code in coded.codes] == [f"Has {entry.en}"] * len(coded.codes)
