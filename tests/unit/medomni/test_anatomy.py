"""The anatomy table: complete, unambiguous, in two languages, and forgiving about spelling."""

import pytest

from medomni.anatomy import SIDES, anatomy, slug

ORGANS = (
    *("lungs", "airways", "pleura", "heart", "mediastinum", "great_vessels", "bones", "soft_tissues", "liver"),
    *("gallbladder", "spleen", "pancreas", "kidneys", "adrenals", "stomach_and_bowel", "upper_abdomen", "thyroid", "devices"),
)
OURS = (
    *("body", "lung_left", "lung_right", "airway", "bone", "lung_opacity", "consolidation", "low_attenuation"),
    *("pleural_effusion", "pericardial_effusion", "nodule", "lymph_node"),
)


def test_every_agreed_organ_and_structure_is_there():
    assert set(anatomy().organs) == set(ORGANS)
    assert set(OURS) <= set(anatomy().structures)
    assert len(anatomy().zones) == 6


def test_all_117_totalsegmentator_names_are_there():
    names = set(anatomy().structures)
    spine = {f"vertebrae_{part}{i}" for part, count in (("C", 7), ("T", 12), ("L", 5)) for i in range(1, count + 1)}
    ribs = {f"rib_{side}_{i}" for side in SIDES for i in range(1, 13)}
    paired = ("kidney", "adrenal_gland", "kidney_cyst", "subclavian_artery", "common_carotid_artery", "brachiocephalic_vein")
    paired += ("iliac_artery", "iliac_vena", "humerus", "scapula", "clavicula", "femur", "hip", "autochthon", "iliopsoas")
    paired += ("gluteus_maximus", "gluteus_medius", "gluteus_minimus", "lung_upper_lobe", "lung_lower_lobe")
    single = {"lung_middle_lobe_right", "spleen", "gallbladder", "liver", "stomach", "pancreas", "esophagus", "trachea", "brain"}
    single |= {"thyroid_gland", "small_bowel", "duodenum", "colon", "urinary_bladder", "prostate", "sacrum", "vertebrae_S1"}
    single |= {"heart", "aorta", "pulmonary_vein", "brachiocephalic_trunk", "atrial_appendage_left", "superior_vena_cava"}
    single |= {"inferior_vena_cava", "portal_vein_and_splenic_vein", "spinal_cord", "skull", "sternum", "costal_cartilages"}
    total = spine | ribs | single | {f"{name}_{side}" for name in paired for side in SIDES}
    assert len(total) == 117
    assert total <= names


def test_every_entry_has_names_in_both_languages_a_known_organ_and_its_own_side():
    for structure in anatomy().structures.values():
        assert structure.en.isascii()
        assert any("\u4e00" <= character <= "\u9fff" for character in structure.zh)
        assert structure.organ in {*anatomy().organs, ""}
        assert structure.side in {*SIDES, ""}
        assert [side for side in SIDES if side in structure.name.split("_")] == ([structure.side] if structure.side else [])
        if structure.side:
            assert {"left": "左", "right": "右"}[structure.side] in structure.zh


def test_names_are_unique_in_each_language_and_orders_too():
    structures = anatomy().structures.values()
    assert len({structure.zh for structure in structures}) == len(structures)
    assert len({structure.en for structure in structures}) == len(structures)
    assert [organ.order for organ in anatomy().organs.values()] == list(range(1, len(ORGANS) + 1))


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("spleen", "spleen"),
        ("left lung", "lung_left"),
        ("Lung_L", "lung_left"),
        ("RT LUNG", "lung_right"),
        ("Right Upper Lobe", "lung_upper_lobe_right"),
        ("Left rib 1", "rib_left_1"),
        ("vertebrae_L5", "vertebrae_L5"),
        ("Adrenal-R", "adrenal_gland_right"),
        ("IVC", "inferior_vena_cava"),
        ("Oesophagus", "esophagus"),
        ("liver tumor", None),
        ("left right lung", None),
        ("", None),
        ("肝", None),
    ],
)
def test_common_spellings_are_understood_and_others_are_not_guessed(spelling, name):
    assert anatomy().name_of(spelling) == name


def test_every_name_and_every_english_word_finds_itself():
    for name, structure in anatomy().structures.items():
        assert anatomy().name_of(name) == name
        assert anatomy().words(name, "zh") == structure.zh


def test_slug_is_safe_for_any_text():
    assert slug("../../etc/passwd") == "etc_passwd"
    assert slug("a" * 500) == "a" * 64
    assert slug("\u202e<b>") == "b"
    assert slug("\u809d") == ""


def test_every_spelling_leads_to_a_structure():
    names = set(anatomy().structures)
    for meant in anatomy().spellings.values():
        assert names & {meant, f"{meant}_left", f"{meant}_right"}
