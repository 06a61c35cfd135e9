"""What anatomy does not allow is removed; what it allows stays."""

import numpy as np
import pytest

from preprocessing.segment.classes import LABELS
from preprocessing.segment.plausible import odd_lobe_parts, plausible
from tests.unit.preprocessing.segment.label_maps import LEFT, RIGHT, box, density, label_map


def count(labels, name):
    return int((labels == LABELS[name]).sum())


def test_labels_outside_the_body_go():
    labels = label_map(liver=box((0, 10), (0, 10), (0, 10)))
    assert count(plausible(labels, density()), "liver") == 9**3


def test_an_organ_is_one_piece():
    labels = label_map(heart=[box((5, 15), (10, 20), (25, 35)), box((20, 23), (10, 13), (25, 28))])
    found = plausible(labels, density())
    assert count(found, "heart") == 1000
    assert found[10, 15, 30] == LABELS["heart"]


def test_fat_is_no_part_of_an_organ_and_an_organ_of_fat_is_none():
    spleen, kidney = box((2, 12), (10, 20), (40, 50)), box((2, 10), (22, 30), (40, 48))
    rim, most = box((2, 12), (10, 12), (40, 50)), box((2, 7), (22, 30), (40, 48))
    found = plausible(label_map(spleen=spleen, kidney_left=kidney), density(fat=[rim, most]))
    assert count(found, "spleen") == 800
    assert count(found, "kidney_left") == 0


def test_a_vessel_may_come_back_but_not_in_specks():
    labels = label_map(
        aorta=[box((2, 12), (20, 25), (30, 35)), box((20, 28), (20, 25), (30, 35)), box((15, 16), (5, 6), (30, 31))]
    )
    assert count(plausible(labels, density()), "aorta") == 10 * 25 + 8 * 25


def test_the_spleen_is_the_piece_on_the_left_even_when_a_larger_one_is_not():
    labels = label_map(spleen=[box((2, 12), (10, 20), (5, 20)), box((2, 8), (10, 18), (45, 55))])
    found = plausible(labels, density())
    assert found[5, 12, 50] == LABELS["spleen"]
    assert count(found, "spleen") == 6 * 8 * 10


def test_situs_inversus_keeps_its_only_spleen_and_liver():
    labels = label_map(spleen=box((2, 12), (10, 20), (5, 15)), liver=box((2, 12), (10, 20), (35, 55)))
    found = plausible(labels, density())
    assert (count(found, "spleen"), count(found, "liver")) == (1000, 2000)


def test_kidneys_take_the_side_they_lie_on():
    right, left = box((2, 10), (20, 28), (10, 18)), box((2, 10), (20, 28), (42, 50))
    found = plausible(label_map(kidney_left=right, kidney_right=left), density())
    assert found[5, 24, 14] == LABELS["kidney_right"]
    assert found[5, 24, 46] == LABELS["kidney_left"]


def test_a_patch_of_the_other_side_in_a_kidney_joins_it():
    found = plausible(
        label_map(kidney_right=box((2, 10), (20, 28), (10, 18)), kidney_left=box((2, 4), (20, 28), (10, 18))), density()
    )
    assert (count(found, "kidney_right"), count(found, "kidney_left")) == (8**3, 0)


@pytest.mark.parametrize(
    ("name", "voxels"),
    [("nodule", 1), ("kidney_left", 15), ("lymph_node", 6), ("ribs", 8), ("vertebrae", 27), ("lung_opacity", 4)],
)
def test_specks_go(name, voxels):
    labels = label_map(lung_lower_lobe_right=RIGHT)
    labels[10, 10, 10 : 10 + voxels] = LABELS[name]
    assert count(plausible(labels, density(lungs=[RIGHT])), name) == 0


def test_a_nodule_of_six_millimetres_stays():
    labels = label_map(lung_lower_lobe_right=RIGHT, nodule=box((10, 12), (10, 12), (10, 11)))
    assert count(plausible(labels, density(lungs=[RIGHT])), "nodule") == 4


def test_bowel_gas_called_lung_goes():
    gas = box((2, 4), (5, 35), (30, 50))
    labels = label_map(lung_upper_lobe_left=LEFT, lung_lower_lobe_left=gas)
    found = plausible(labels, density(lungs=[LEFT], other_gas=[gas]))
    assert count(found, "lung_lower_lobe_left") == 0
    assert count(found, "lung_upper_lobe_left") == 20 * 22 * 18


def test_a_lung_without_any_air_stays_lung():
    labels = label_map(lung_lower_lobe_right=RIGHT, lung_lower_lobe_left=LEFT, lung_opacity=box((5, 15), (8, 30), (36, 54)))
    assert np.array_equal(plausible(labels, density(lungs=[RIGHT])), labels)


def test_pleural_fluid_lies_beside_lung():
    beside, far = box((5, 15), (31, 35), (36, 54)), box((5, 15), (31, 35), (6, 14))
    found = plausible(label_map(lung_lower_lobe_left=LEFT, pleural_effusion=[beside, far]), density(lungs=[LEFT]))
    assert count(found, "pleural_effusion") == 10 * 4 * 18


def test_pericardial_fluid_touches_the_heart():
    heart, around, far = box((5, 15), (10, 20), (25, 35)), box((5, 15), (10, 20), (35, 37)), box((18, 28), (10, 20), (25, 30))
    found = plausible(label_map(heart=heart, pericardial_effusion=[around, far]), density())
    assert count(found, "pericardial_effusion") == 10 * 10 * 2


def test_lobe_parts_on_the_wrong_side_are_odd_and_whole_lobes_are_not():
    astray = box((10, 14), (10, 14), (40, 44))
    labels = label_map(lung_upper_lobe_right=RIGHT, lung_upper_lobe_left=LEFT)
    assert not odd_lobe_parts(labels).any()
    labels[astray] = LABELS["lung_upper_lobe_right"]
    expected = np.zeros(labels.shape, bool)
    expected[astray] = True
    assert np.array_equal(odd_lobe_parts(labels), expected)


def test_the_map_given_is_left_as_it_was():
    labels = label_map(heart=[box((0, 15), (10, 20), (25, 35)), box((20, 21), (10, 11), (25, 26))])
    before = labels.copy()
    plausible(labels, density())
    assert np.array_equal(labels, before)


def test_an_opacity_lies_in_the_lung_not_beside_it():
    inside, beside = box((10, 14), (10, 14), (8, 12)), box((10, 14), (32, 36), (8, 12))
    labels = label_map(lung_lower_lobe_right=RIGHT, lung_opacity=[inside, beside])
    labels[9, 32:36, 8:12] = LABELS["lung_lower_lobe_right"]
    found = plausible(labels, density(lungs=[RIGHT]))
    assert count(found, "lung_opacity") == 4**3
    assert found[12, 12, 10] == LABELS["lung_opacity"]
