import pytest

from medomni.reporting import labeler
from medomni.reporting.vocabulary import read_table, vocabulary
from medomni.types.finding import Laterality, Presence

BOTH = {Laterality.LEFT, Laterality.RIGHT}


def read(text, language="en"):
    return {label: str(presence) for label, presence in labeler.presences(text, language).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Small left pleural effusion.", {"pleural_effusion": "present"}),
        ("No pleural effusion or pneumothorax.", {"pleural_effusion": "absent"}),
        ("Pleural effusion was not observed.", {"pleural_effusion": "absent"}),
        ("No consolidation. There is a nodule.", {"consolidation": "absent", "lung_nodule": "present"}),
        ("No effusion, but ground-glass opacities.", {"pleural_effusion": "absent", "lung_opacity": "present"}),
        ("Without consolidation there is emphysema.", {"consolidation": "absent", "emphysema": "present"}),
        ("No significant change in the consolidation.", {"consolidation": "present"}),
        ("Consolidation cannot be excluded.", {"consolidation": "uncertain"}),
        ("Possible hiatal hernia.", {"hiatal_hernia": "uncertain"}),
        ("Possible effusion. Left effusion is seen.", {"pleural_effusion": "present"}),
        ("The effusion has resolved.", {"pleural_effusion": "absent"}),
        ("Coronary arteries free of calcium.", {"coronary_artery_wall_calcification": "absent"}),
        ("Calcified plaques in the aortic arch.", {"arterial_wall_calcification": "present"}),
        ("Subcutaneous emphysema.", {}),
        ("A thyroid nodule.", {}),
        ("Mediastinal lymph nodes are small and non-pathological.", {}),
        ("Multiple enlarged mediastinal lymph nodes.", {"lymphadenopathy": "present"}),
        ("No pneumothorax, small right pleural effusion.", {"pleural_effusion": "present"}),
        ("Small effusion, no consolidation.", {"pleural_effusion": "present", "consolidation": "absent"}),
        (
            "No pleural effusion, consolidation, or nodules.",
            dict.fromkeys(("pleural_effusion", "consolidation", "lung_nodule"), "absent"),
        ),
        ("Nodule in the right upper lobe, not seen on the prior study.", {"lung_nodule": "present"}),
        ("Nodule is not calcified.", {"lung_nodule": "present"}),
        ("No improvement in consolidation.", {"consolidation": "present"}),
        ("No cavitation within the nodule.", {"lung_nodule": "present"}),
        ("No new nodule.", {"lung_nodule": "absent"}),
        ("The previously described nodule is no longer seen.", {"lung_nodule": "absent"}),
        ("Consolidation is unlikely.", {"consolidation": "absent"}),
        ("Pulmonary nodules - negative.", {"lung_nodule": "absent"}),
        ("Pleural effusion: none.", {"pleural_effusion": "absent"}),
    ],
)
def test_english_sentence_is_read(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("左侧少量胸腔积液。", {"pleural_effusion": "present"}),
        ("未见胸腔积液。", {"pleural_effusion": "absent"}),
        ("右肺下叶实变不能除外。", {"consolidation": "uncertain"}),
        ("冠状动脉壁钙化。", {"coronary_artery_wall_calcification": "present"}),
        ("甲状腺结节。", {}),
        ("未见肺结节，右侧胸腔少量积液。", {"lung_nodule": "absent", "pleural_effusion": "present"}),
        ("右肺上叶结节，未见明显强化。", {"lung_nodule": "present"}),
        ("右肺新发结节，既往未见。", {"lung_nodule": "present"}),
        ("胸腔积液不明显。", {"pleural_effusion": "absent"}),
        ("除外胸腔积液。", {"pleural_effusion": "absent"}),
    ],
)
def test_chinese_sentence_is_read(text, expected):
    assert read(text, "zh") == expected


def test_heading_is_no_part_of_the_sentence():
    assert read("Pleura: No effusion.") == {"pleural_effusion": "absent"}


def test_indication_and_technique_assert_nothing():
    text = "INDICATION: Suspected consolidation.\nRule out effusion.\nFINDINGS:\nEmphysema."
    assert read(text) == {"emphysema": "present"}


def test_side_and_size_are_read_in_the_clause():
    nodule, effusion = labeler.mentions("A nodule of 1.2 cm in the right upper lobe; bilateral pleural effusions.", "en")
    assert (nodule.sides, nodule.size_mm) == ({Laterality.RIGHT}, pytest.approx(12.0))
    assert (effusion.sides, effusion.size_mm) == (BOTH, None)


def test_table_holds_the_18_findings_of_the_vocabulary():
    named = {name for name, entry in vocabulary().labels.items() if entry.is_always_answered and not entry.is_measurement_only}
    assert set(read_table("labeler.toml")["labels"]) == named


def test_no_text_of_nothing_says_anything():
    assert labeler.mentions("", "en") == ()
    assert Presence.PRESENT not in labeler.presences("Unremarkable study.", "en").values()
