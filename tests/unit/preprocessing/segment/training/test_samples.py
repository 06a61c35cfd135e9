from pathlib import Path

import numpy as np
import pytest

from preprocessing.segment.classes import CHANNELS, LABELS
from preprocessing.segment.training import tissues as t
from preprocessing.segment.training.samples import Case, _brighten, _dissect, draw_patch, load_case, save_case, to_input

SHAPE = (16, 32, 32)


def small_case(kind: str) -> Case:
    tissues = np.zeros((24, 40, 40), np.uint8)
    tissues[:, 6:34, 4:36] = t.FAT
    tissues[4:20, 10:24, 6:18] = LABELS["liver"]
    tissues[4:20, 12:20, 26:34] = LABELS["spleen"]
    hu = None if kind == "atlas" else np.select([tissues == 0, tissues == t.FAT], [-1000, -100], 60).astype(np.int16)
    return Case(kind, tissues, hu)


@pytest.mark.parametrize("kind", ["atlas", "phantom", "real"])
def test_patch_of_a_seed_is_always_the_same_and_of_another_seed_is_not(kind: str) -> None:
    case = small_case(kind)
    first, again, other = (draw_patch(case, SHAPE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.target, again.target)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("kind", ["atlas", "phantom", "real"])
def test_patch_is_finite_in_the_window_and_its_target_is_a_class(kind: str) -> None:
    patch = draw_patch(small_case(kind), SHAPE, np.random.default_rng(3))
    assert patch.image.shape == patch.target.shape == SHAPE
    assert patch.image.min() >= -5.0 and patch.image.max() <= 3.0
    assert set(np.unique(patch.target)) <= {*range(CHANNELS), t.LUNG_RIGHT, t.LUNG_LEFT, t.IGNORE}


def test_liver_never_changes_sides_with_the_spleen() -> None:
    for seed in range(8):
        target = draw_patch(small_case("phantom"), SHAPE, np.random.default_rng(seed)).target
        liver, spleen = (np.argwhere(target == LABELS[name]) for name in ("liver", "spleen"))
        if len(liver) and len(spleen):
            assert liver[:, 2].mean() < spleen[:, 2].mean()


def test_painted_organs_are_denser_than_fat() -> None:
    patch = draw_patch(small_case("atlas"), SHAPE, np.random.default_rng(5))
    inside = patch.target == LABELS["liver"]
    around = (patch.target == 0) & (patch.image > -0.9)
    assert inside.any() and np.median(patch.image[inside]) > np.median(patch.image[around]) + 0.2


def test_other_tissues_are_background() -> None:
    answer = t.targets(np.array([[[t.FAT, t.BONE, LABELS["heart"], t.LUNG_LEFT, t.IGNORE, 0]]], np.uint8))
    assert answer.ravel().tolist() == [0, 0, LABELS["heart"], t.LUNG_LEFT, t.IGNORE, 0]


def test_map_comes_back_from_its_file(tmp_path: Path) -> None:
    for kind in ("atlas", "real"):
        case = small_case(kind)
        save_case(case, tmp_path / f"{kind}-x.npz")
        back = load_case(tmp_path / f"{kind}-x.npz")
        assert back.kind == kind
        np.testing.assert_array_equal(back.tissues, case.tissues)
        assert (back.hu is None) == (case.hu is None)


def test_input_is_clipped_to_the_window() -> None:
    assert to_input(np.array([[[-3000.0, 0.0, 2000.0]]], np.float32)).ravel().tolist() == [-5.0, 0.0, 3.0]


def test_dissected_aorta_has_a_side_of_less_contrast_and_is_still_aorta() -> None:
    tissues = np.full((40, 24, 24), t.FAT, np.uint8)
    tissues[:, 6:18, 6:18] = LABELS["aorta"]
    hu = np.where(tissues == t.FAT, -100, 400).astype(np.float32)
    before = tissues.copy()
    _dissect(hu, tissues, np.random.default_rng(4))
    aorta = before == LABELS["aorta"]
    np.testing.assert_array_equal(tissues, before)
    assert (hu[~aorta] == -100).all()
    assert 0.15 < (hu[aorta] < 395).mean() < 0.9
    assert (hu[aorta] == 400).mean() > 0.1


def test_more_contrast_keeps_chambers_brighter_than_muscle_and_leaves_other_tissue_alone() -> None:
    tissues = np.full((4, 4, 6), LABELS["heart"], np.uint8)
    tissues[:, :, 4:] = LABELS["liver"]
    hu = np.full(tissues.shape, 100, np.float32)
    hu[:, :, :2] = 220
    before = hu.copy()
    _brighten(hu, tissues, np.random.default_rng(1))
    chamber, muscle = (hu - before)[0, 0, 0], (hu - before)[0, 0, 2]
    assert chamber > 2 * muscle > 0
    np.testing.assert_array_equal(hu[:, :, 4:], before[:, :, 4:])
