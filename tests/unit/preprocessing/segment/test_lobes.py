"""A diseased lobe stays whole, and what lies in it is told apart."""

import numpy as np

from preprocessing.segment.classes import LABELS
from preprocessing.segment.lobes import BODY, BONE, LESIONS, part_lesions
from tests.unit.preprocessing.segment.label_maps import LEFT, RIGHT, box, density, label_map

OWN = {name: label for label, name in LESIONS.items()}
UPPER, LOWER = box((15, 25), (8, 30), (6, 24)), box((5, 15), (8, 30), (6, 24))


def test_opacity_and_nodule_join_the_nearest_lobe():
    opacity, nodule = box((20, 25), (8, 20), (6, 18)), box((7, 9), (12, 14), (12, 14))
    labels = label_map(lung_upper_lobe_right=UPPER, lung_lower_lobe_right=LOWER, lung_opacity=opacity, nodule=nodule)
    anatomy, lesions = part_lesions(labels, density(lungs=[RIGHT]))
    assert (anatomy[UPPER] == LABELS["lung_upper_lobe_right"]).all()
    assert (anatomy[LOWER] == LABELS["lung_lower_lobe_right"]).all()
    assert (lesions[opacity] == OWN["lung_opacity"]).all()
    assert (lesions[nodule] == OWN["nodule"]).all()
    assert np.count_nonzero(lesions) == 5 * 12 * 12 + 8


def test_fluid_is_no_lung_and_no_other_organ():
    fluid = box((5, 15), (30, 34), (6, 24))
    anatomy, lesions = part_lesions(label_map(lung_lower_lobe_right=RIGHT, pleural_effusion=fluid), density(lungs=[RIGHT]))
    assert (anatomy[fluid] == BODY).all()
    assert (lesions[fluid] == OWN["pleural_effusion"]).all()


def test_fluid_does_not_lie_where_there_is_air():
    airy = box((5, 8), (20, 30), (6, 24))
    labels = label_map(lung_lower_lobe_right=RIGHT, pleural_effusion=airy)
    anatomy, lesions = part_lesions(labels, density(lungs=[RIGHT]))
    assert not lesions.any()
    assert (anatomy[airy] == LABELS["lung_lower_lobe_right"]).all()


def test_gas_that_the_network_missed_joins_the_nearest_lobe_of_its_side():
    labels = label_map(lung_lower_lobe_right=LOWER, lung_lower_lobe_left=LEFT)
    anatomy, _ = part_lesions(labels, density(lungs=[RIGHT, LEFT]))
    assert (anatomy[RIGHT] == LABELS["lung_lower_lobe_right"]).all()


def test_gas_of_the_airway_stays_airway():
    trunk = box((5, 25), (15, 18), (12, 15))
    anatomy, _ = part_lesions(label_map(lung_lower_lobe_right=RIGHT, airway=trunk), density(lungs=[RIGHT]))
    assert (anatomy[trunk] == LABELS["airway"]).all()


def test_other_tissue_is_body_and_bone_where_it_is_dense():
    sternum = box((10, 20), (3, 6), (28, 32))
    labels = label_map(heart=box((5, 15), (10, 20), (25, 35)))
    anatomy, _ = part_lesions(labels, density(bone=[sternum, box((5, 8), (10, 13), (25, 28))]))
    assert (anatomy[sternum] == BONE).all()
    assert (anatomy[6, 11, 26], anatomy[22, 30, 30], anatomy[0, 0, 0]) == (LABELS["heart"], BODY, 0)


def test_without_any_lobe_nothing_is_made_up():
    anatomy, lesions = part_lesions(label_map(lung_opacity=LEFT), density(lungs=[RIGHT]))
    assert (anatomy[LEFT] == BODY).all()
    assert (anatomy[RIGHT] == BODY).all()
    assert (lesions[LEFT] == OWN["lung_opacity"]).all()
