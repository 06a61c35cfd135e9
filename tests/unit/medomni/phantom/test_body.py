"""The healthy body: organs of human size on their own side, exclusive truth, one person whatever the sampling."""

import functools

import numpy as np
import pytest
from scipy import ndimage

from medomni.anatomy import SEGMENTED
from medomni.phantom.body import LUNG_PARTS, draw_body, structure_labels
from medomni.phantom.canvas import Canvas
from medomni.phantom.contrast import Phase
from medomni.phantom.person import make_person

SEEDS = (0, 1, 2, 3)
CHEST = Canvas((50, 64, 84), (6.0, 5.0, 5.0), 150.0)
ABDOMEN = Canvas((52, 64, 84), (6.0, 5.0, 5.0), -60.0)
WHOLE = Canvas((100, 70, 88), (6.2, 5.0, 5.0), 35.0)
VOLUMES_ML = {
    "heart": (330, 950),
    "aorta": (90, 420),
    "pulmonary_artery": (25, 130),
    "esophagus": (15, 90),
    "vertebrae": (350, 1100),
    "ribs": (180, 650),
    "liver": (750, 2500),
    "spleen": (50, 400),
    "kidney_right": (75, 260),
    "kidney_left": (75, 260),
    "stomach": (70, 1200),
    "pancreas": (15, 140),
    "gallbladder": (0, 90),
    "airway": (12, 90),
}


@functools.cache
def body(seed, canvas=WHOLE):
    return draw_body(canvas, make_person(seed), np.random.default_rng([seed, 2]))


def volume_ml(drawn, *names):
    return sum(drawn.parts[name].sum() for name in names) * drawn.canvas.voxel_ml


def middle_mm(drawn, name):
    z, y, x = (values.mean() for values in np.nonzero(drawn.parts[name]))
    axes = (drawn.canvas.x, drawn.canvas.y, drawn.canvas.z)
    return tuple(float(np.interp(place, range(axis.size), axis.ravel())) for place, axis in zip((x, y, z), axes, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", sorted(VOLUMES_ML))
def test_each_organ_has_human_size(seed, name):
    low, high = VOLUMES_ML[name]
    assert low <= volume_ml(body(seed), name) <= high


@pytest.mark.parametrize("seed", SEEDS)
def test_lungs_have_the_size_of_a_breath_in_and_the_left_is_smaller(seed):
    left, right = volume_ml(body(seed), *LUNG_PARTS[:2]), volume_ml(body(seed), *LUNG_PARTS[2:])
    assert 2300 < left + right < 7500
    assert 0.65 < left / right < 1.0
    middle = volume_ml(body(seed), "lung_middle_lobe_right")
    assert 0.04 < middle / right < 0.3
    for lobe in LUNG_PARTS:
        assert volume_ml(body(seed), lobe) > 90


@pytest.mark.parametrize("seed", SEEDS)
def test_organs_lie_on_their_side_and_at_their_height(seed):
    place = {name: middle_mm(body(seed), name) for name in SEGMENTED if body(seed).parts[name].any()}
    for name in ("liver", "kidney_right", "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"):
        assert place[name][0] < -15
    for name in ("spleen", "kidney_left", "stomach", "heart", "lung_upper_lobe_left", "lung_lower_lobe_left"):
        assert place[name][0] > 5
    assert place["lung_upper_lobe_right"][2] > place["heart"][2] > place["liver"][2] > place["kidney_right"][2] - 5
    assert place["lung_lower_lobe_left"][1] > place["lung_upper_lobe_left"][1]
    assert place["vertebrae"][1] > place["heart"][1] + 30
    if "gallbladder" in place:
        assert place["gallbladder"][0] < 0


@pytest.mark.parametrize("canvas", [CHEST, ABDOMEN])
@pytest.mark.parametrize("seed", SEEDS[:2])
def test_every_structure_lies_in_the_body_and_none_shares_a_voxel(seed, canvas):
    drawn = body(seed, canvas)
    for mask in drawn.parts.values():
        assert mask.shape == canvas.shape
        assert not np.any(mask & ~drawn.parts["body"])
    assert np.sum([drawn.parts[name] for name in SEGMENTED], axis=0).max() == 1
    labels = structure_labels(drawn)
    assert labels.dtype == np.uint8
    for label, name in enumerate(SEGMENTED, start=1):
        assert np.array_equal(labels == label, drawn.parts[name])


@pytest.mark.parametrize("seed", SEEDS)
def test_right_and_left_lung_never_touch_and_each_is_whole(seed):
    parts = body(seed, CHEST).parts
    left = np.logical_or.reduce([parts[name] for name in LUNG_PARTS[:2]])
    right = np.logical_or.reduce([parts[name] for name in LUNG_PARTS[2:]])
    assert not np.any(ndimage.binary_dilation(right) & left)
    for lung in (left, right):
        pieces, _ = ndimage.label(lung)
        assert np.bincount(pieces.ravel())[1:].max() > 0.98 * lung.sum()


@pytest.mark.parametrize("name", ["liver", "heart", "kidney_left", "aorta", "spleen"])
def test_an_organ_is_one_piece(name):
    pieces, _ = ndimage.label(body(1).parts[name], np.ones((3, 3, 3)))
    assert np.bincount(pieces.ravel())[1:].max() > 0.95 * body(1).parts[name].sum()


def test_same_seed_same_bytes():
    again = draw_body(CHEST, make_person(1), np.random.default_rng([1, 2]))
    first = body(1, CHEST)
    assert again.hu.tobytes() == first.hu.tobytes()
    assert structure_labels(again).tobytes() == structure_labels(first).tobytes()


def test_another_seed_is_another_person():
    assert body(0, CHEST).hu.tobytes() != body(1, CHEST).hu.tobytes()


def test_another_sampling_shows_the_same_person():
    fine = draw_body(Canvas((100, 85, 105), (6.2, 4.0, 4.0), 35.0), make_person(2), np.random.default_rng([2, 2]))
    for name in ("liver", "heart", "kidney_right", "lung_upper_lobe_left", "vertebrae"):
        assert volume_ml(fine, name) == pytest.approx(volume_ml(body(2), name), rel=0.06)
        assert np.allclose(middle_mm(fine, name), middle_mm(body(2), name), atol=2.0)


def test_both_regions_show_what_lies_in_them():
    chest, abdomen = body(1, CHEST).parts, body(1, ABDOMEN).parts
    assert all(chest[name].any() for name in (*LUNG_PARTS, "airway", "heart", "pulmonary_artery", "esophagus", "ribs"))
    assert all(abdomen[name].any() for name in ("liver", "spleen", "kidney_right", "kidney_left", "pancreas", "colon"))
    assert not abdomen["pulmonary_artery"].any()


def test_paths_and_trees_lie_where_their_organs_are():
    drawn = body(1, CHEST)
    for name in ("trachea", "aorta", "esophagus"):
        points = drawn.paths[name][0]
        inside = [p for p in points if abs(p[2] - 150) < 120]
        part = drawn.parts["airway" if name == "trachea" else name]
        index = [
            tuple(int(np.argmin(np.abs(axis.ravel() - v))) for axis, v in zip((CHEST.z, CHEST.y, CHEST.x), p[::-1], strict=True))
            for p in inside
        ]
        grown = ndimage.binary_dilation(part)
        assert np.mean([grown[k] for k in index]) > 0.85
    for side in ("right", "left"):
        for kind in ("artery", "vein"):
            tree = drawn.trees[f"{kind}_{side}"]
            assert len(tree.nodes) == len(tree.parents) == len(tree.radii) > 500
            assert np.all(tree.parents[1:] < np.arange(1, len(tree.nodes)))
            assert np.all(tree.nodes[:, 0] < 25) if side == "right" else np.all(tree.nodes[:, 0] > -25)
            assert tree.radii[0] == tree.radii.max()
    assert {"coronary_left_anterior_descending", "coronary_circumflex", "coronary_right", "spine"} <= set(drawn.paths)


@pytest.mark.parametrize(
    ("phase", "low", "high"), [(Phase.NONE, 28, 60), (Phase.ARTERIAL, 150, 450), (Phase.PORTAL_VENOUS, 80, 210)]
)
def test_contrast_fills_the_aorta(phase, low, high):
    import dataclasses

    person = dataclasses.replace(make_person(1), phase=phase)
    drawn = draw_body(CHEST, person, np.random.default_rng([1, 2]))
    assert low < np.median(drawn.hu[drawn.parts["aorta"]]) < high


def test_tissue_has_the_hu_of_its_kind():
    drawn = body(1)
    assert -920 < np.median(drawn.hu[drawn.parts["lung_upper_lobe_left"]]) < -780
    assert -130 < np.median(drawn.hu[drawn.parts["subcutaneous_fat"]]) < -80
    assert 20 < np.median(drawn.hu[drawn.parts["muscle"]]) < 80
    assert 30 < np.median(drawn.hu[drawn.parts["vertebrae"]]) < 400
    assert np.median(drawn.hu[~drawn.parts["body"]]) < -950
