"""The vocabulary: 18 labels and their codes, nothing that its sources call open or warn against."""

import json
import os
from pathlib import Path

import pytest

from medomni.anatomy import anatomy
from medomni.reporting import reading
from medomni.reporting.vocabulary import Match, codes, organ_order, side, vocabulary
from medomni.types.codes import RADLEX, SNOMED_CT
from medomni.types.finding import Laterality
from preprocessing.detect.answer import VOLUME_NAMES
from preprocessing.detect.lung_measures import FIGURES
from preprocessing.detect.proofs import NAMES

CT_RATE = [
    "medical_material",
    "arterial_wall_calcification",
    "cardiomegaly",
    "pericardial_effusion",
    "coronary_artery_wall_calcification",
    "hiatal_hernia",
    "lymphadenopathy",
    "emphysema",
    "atelectasis",
    "lung_nodule",
    "lung_opacity",
    "pulmonary_fibrotic_sequela",
    "pleural_effusion",
    "mosaic_attenuation_pattern",
    "peribronchial_thickening",
    "consolidation",
    "bronchiectasis",
    "interlobular_septal_thickening",
]
OTHERS = ("hepatic_steatosis", "splenomegaly", "renal_stone", "low_bone_density")
MEASURED = (
    *("lung_volume", "lung_density", "low_attenuation_area", "high_attenuation_area", "organ_volume"),
    "trabecular_density",
)
DATA = Path(os.environ.get("MEDOMNI_DATA", Path(__file__).parents[5] / "shared" / "data"))


def test_the_table_holds_the_18_labels_a_few_others_and_the_measurements_and_nothing_else():
    clinical = {name for name, entry in vocabulary().labels.items() if not entry.is_measurement_only}

    assert {name for name in clinical if vocabulary().label(name).is_always_answered} == set(CT_RATE)
    assert clinical == {*CT_RATE, *OTHERS}
    assert set(vocabulary().labels) - clinical == set(MEASURED)


@pytest.mark.parametrize("label", ["cardiomegaly", "hiatal_hernia", "bronchiectasis"])
def test_a_label_without_a_known_code_has_none(label):
    assert codes(label) == ()


def test_codes_that_the_sources_warn_against_are_not_there():
    all_codes = {mapped.code.code for label in vocabulary().labels for mapped in codes(label)}

    assert not all_codes & {"287272002", "237897009", "RID4800", "40779009"}


def test_the_best_match_comes_first():
    assert [mapped.match for mapped in codes("lung_nodule")] == [Match.EXACT, Match.POST_COORDINATED]
    assert (codes("lung_nodule")[0].code.system, codes("lung_nodule")[0].code.code) == (RADLEX, "RID50149")


def test_a_post_coordinated_code_and_only_such_a_code_has_a_site():
    mapped = [code for label in vocabulary().labels for code in codes(label)]

    assert all((code.site is not None) == (code.match is Match.POST_COORDINATED) for code in mapped)
    nodule = codes("lung_nodule")[1]
    assert (nodule.code.system, nodule.site.code) == (SNOMED_CT, "39607008")


def test_codes_agree_with_the_published_map():
    path = DATA / "text" / "ctrate18_ontology_map.json"
    if not path.exists():
        pytest.skip("the ontology map is not on this machine (set MEDOMNI_DATA)")
    systems = {"SCT": SNOMED_CT, "DCM": "http://dicom.nema.org/resources/ontology/DCM"}
    for row in json.loads(path.read_text())["labels"]:
        entry = vocabulary().label(row["ctrate_label"].lower().replace(" ", "_"))
        published = {(RADLEX, row["radlex"])} if row["radlex"] else set()
        if row["dicom_or_sct"]:
            system, code = row["dicom_or_sct"].split()
            published.add((systems[system], code))
        ours = {(mapped.code.system, mapped.code.code) for mapped in entry.codes}
        assert ours == {pair for pair in published if pair[1] != "237897009"}
        assert entry.finding_model == (row["oifm_id"] or "")


def test_every_organ_of_a_label_is_in_the_anatomy():
    organs = {entry.organ for entry in vocabulary().labels.values()} - {""}

    assert organs <= set(anatomy().organs)


def test_every_label_has_a_distinct_place_in_the_impression():
    orders = [vocabulary().label(name).order for name in CT_RATE]

    assert len(set(orders)) == len(orders)


def test_every_name_exists_in_both_languages():
    for entry in (*vocabulary().labels.values(), *vocabulary().measurements.values()):
        assert entry.en.isascii()
        assert any("\u4e00" <= character <= "\u9fff" for character in entry.zh)


def test_the_ladder_falls_from_stated_to_possible():
    steps = vocabulary().hedges

    assert [step.name for step in steps] == ["stated", "probable", "possible"]
    assert [step.at_least for step in steps] == sorted((step.at_least for step in steps), reverse=True)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("right_lower_zone", Laterality.RIGHT),
        ("lung_left", Laterality.LEFT),
        ("lung_upper_lobe_left", Laterality.LEFT),
        ("opacity_volume_right", Laterality.RIGHT),
        ("lung_opacity", Laterality.NONE),
        ("laa950_total", Laterality.NONE),
    ],
)
def test_sides_are_read_from_tables_and_names(place, expected):
    assert side(place) is expected


def test_organs_are_ordered_as_in_the_anatomy_and_strangers_come_last():
    assert sorted(["liver", "zzz", "pleura", "lungs"], key=organ_order) == ["lungs", "pleura", "liver", "zzz"]


SIDES = ("right", "left", "total")
EMITTED = (
    *(f"{figure}_{side}" for _, figure, *_ in FIGURES for side in SIDES),
    *(f"{name}_{side}" for name in VOLUME_NAMES.values() for side in SIDES),
    *(f"opacity_percent_{side}" for side in SIDES),
    *(f"opacity_volume_{zone}" for zone in anatomy().zones),
    *("long_diameter", "short_diameter", "mean_diameter", "volume", "mean_hu"),
)
"""Every measurement a detector can put into a finding."""


@pytest.mark.parametrize("name", EMITTED)
def test_every_measurement_a_detector_can_emit_has_names_of_its_own(name):
    assert name in vocabulary().measurements


def test_every_label_and_lesion_a_detector_can_emit_has_names_of_its_own():
    known = vocabulary().labels.keys() | anatomy().structures.keys()

    assert {label for label, *_ in FIGURES} | set(VOLUME_NAMES) <= vocabulary().labels.keys()
    assert set(NAMES.values()) <= known


def test_an_unknown_name_is_shown_as_plain_words():
    assert vocabulary().name("some_new_structure", "en") == "some new structure"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("label", CT_RATE)
def test_a_label_is_recognized_by_its_own_name(label, language):
    assert label in reading.labels(vocabulary().name(label, language), language)
