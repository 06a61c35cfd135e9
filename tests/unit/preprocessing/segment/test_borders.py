"""Lesions outlined at 3 mm, on a finer grid: they end where the patient's own CT numbers change."""

import numpy as np
import pytest
from scipy import ndimage

from evaluation.metrics.overlap import dice as overlap
from medomni.types.volume import Grid, Volume
from preprocessing.resample import to_working
from preprocessing.segment.borders import keep_airless, sharpen, sharpen_heart
from preprocessing.segment.classes import LABELS
from preprocessing.segment.lobes import BODY, LESIONS
from preprocessing.segment.paint import on_study, paint
from tests import factories

FINE = factories.grid((48, 60, 60), (1.0, 1.0, 1.0), (-30.0, -30.0, -24.0))
OWN = {name: label for label, name in LESIONS.items()}
EFFUSION, OPACITY, NODULE = OWN["pleural_effusion"], OWN["lung_opacity"], OWN["nodule"]
LOBE = LABELS["lung_lower_lobe_right"]


def noisy(volume, deviation, seed=3):
    hu = volume.hu + np.random.default_rng(seed).normal(0, deviation, volume.hu.shape)
    return Volume(np.rint(hu).astype(np.int16), volume.grid)


def scene(inside, outside, deviation=8.0, grid=FINE):
    """A ball of 12.3 mm in other tissue, and what a network that draws it 1.5 mm too wide says of it at 3 mm."""
    ball = factories.ball(grid, (0, 0, 0), 12.3)
    volume = noisy(factories.volume(outside, grid, [(ball, inside)]), deviation)
    working = to_working(volume, (3.0, 3.0, 3.0))
    return volume, working, ball, factories.ball(working.grid, (0, 0, 0), 13.8)


@pytest.mark.parametrize(("inside", "outside", "around"), [(8, 60, BODY), (15, -100, BODY), (-550, -860, LOBE), (40, -850, LOBE)])
def test_lesion_ends_where_its_density_does(inside, outside, around):
    volume, working, ball, seen = scene(inside, outside)
    lesions = np.where(seen, OPACITY if around == LOBE else EFFUSION, 0).astype(np.uint8)
    anatomy = np.full(working.hu.shape, around, np.uint8)
    before = overlap(on_study(lesions, working.grid, volume.grid) > 0, ball)
    after = overlap(sharpen(anatomy, lesions, working, volume) > 0, ball)
    assert before < 0.93
    assert after > 0.96


def test_blurred_rim_of_dense_lung_is_no_opacity_though_ground_glass_elsewhere_is_as_dense():
    dense, glass = factories.ball(FINE, (-13, 0, 0), 9), factories.ball(FINE, (14, 0, 0), 9)
    clear = factories.volume(-860, FINE, [(dense, 40), (glass, -500)])
    blurred = Volume(np.rint(ndimage.gaussian_filter(clear.hu.astype(float), 1.5)).astype(np.int16), FINE)
    volume = noisy(blurred, 15.0)
    working = to_working(volume, (3.0, 3.0, 3.0))
    seen = factories.ball(working.grid, (-13, 0, 0), 11) | factories.ball(working.grid, (14, 0, 0), 11)
    full = sharpen(np.full(working.hu.shape, LOBE, np.uint8), np.where(seen, OPACITY, 0).astype(np.uint8), working, volume)
    left = np.indices(FINE.shape)[2] < 30
    assert overlap((full > 0) & left, dense) > 0.95
    assert overlap((full > 0) & ~left, glass) > 0.93


@pytest.mark.parametrize("name", ["heart", "aorta", "pulmonary_artery"])
def test_blood_with_contrast_ends_where_its_density_does(name):
    volume, working, ball, seen = scene(350, 40)
    anatomy = np.where(seen, LABELS[name], BODY).astype(np.uint8)
    full = paint(anatomy, working, volume)
    before = overlap(full == LABELS[name], ball)
    sharpen_heart(full, anatomy, working, volume)
    assert before < 0.93
    assert overlap(full == LABELS[name], ball) > 0.96
    assert set(np.unique(full)) == {LABELS[name], BODY}


def test_aorta_and_heart_are_parted_where_contrast_differs():
    left = np.indices(FINE.shape)[2] < 29
    volume = noisy(factories.volume(420, FINE, [(~left, 250)]), 8.0)
    working = to_working(volume, (3.0, 3.0, 3.0))
    anatomy = np.full(working.hu.shape, LABELS["heart"], np.uint8)
    anatomy[:, :, : working.hu.shape[2] // 2 + 1] = LABELS["aorta"]
    full = paint(anatomy, working, volume)
    before = (full == LABELS["aorta"])[~left].mean()
    sharpen_heart(full, anatomy, working, volume)
    assert (full == LABELS["aorta"])[left].mean() > 0.98
    assert (full == LABELS["aorta"])[~left].mean() < 0.6 * before


def test_equal_density_leaves_the_border_to_the_network():
    volume, working, _, seen = scene(40, 40, deviation=0.0)
    lesions = np.where(seen, EFFUSION, 0).astype(np.uint8)
    drawn = on_study(lesions, working.grid, volume.grid) > 0
    found = sharpen(np.full(working.hu.shape, BODY, np.uint8), lesions, working, volume) > 0
    assert overlap(found, drawn) > 0.92  # what is round is smoothed a little


def test_fluid_beside_airless_lung_is_parted_by_density():
    left = np.indices(FINE.shape)[2] < 29
    volume = noisy(factories.volume(5, FINE, [(~left, 55)]), 8.0)
    working = to_working(volume, (3.0, 3.0, 3.0))
    middle = working.hu.shape[2] // 2
    lesions = np.full(working.hu.shape, OPACITY, np.uint8)
    lesions[:, :, : middle + 1] = EFFUSION
    anatomy = np.where(lesions == OPACITY, LOBE, BODY).astype(np.uint8)
    before = on_study(lesions, working.grid, volume.grid)
    after = sharpen(anatomy, lesions, working, volume)
    assert (before == EFFUSION)[left].mean() > 0.99 and (before == EFFUSION)[~left].mean() > 0.03
    assert (after == EFFUSION)[left].mean() > 0.98
    assert (after == EFFUSION)[~left].mean() < 0.6 * (before == EFFUSION)[~left].mean()


def test_lesions_with_rules_of_their_own_stay_as_they_were_drawn():
    volume, working, _, seen = scene(8, 60)
    lesions = np.where(seen, EFFUSION, 0).astype(np.uint8)
    lesions[:, :, : lesions.shape[2] // 2][seen[:, :, : lesions.shape[2] // 2]] = NODULE
    before = on_study(lesions, working.grid, volume.grid) == NODULE
    after = sharpen(np.full(working.hu.shape, BODY, np.uint8), lesions, working, volume) == NODULE
    assert overlap(before, after) > 0.95


def test_healthy_study_has_no_lesion():
    volume, working, _, _ = scene(40, 40)
    nothing = np.zeros(working.hu.shape, np.uint8)
    assert not sharpen(np.full(nothing.shape, BODY, np.uint8), nothing, working, volume).any()


def test_study_seen_from_the_side_gets_the_same_borders():
    volume, working, ball, seen = scene(8, 60, grid=_sagittal())
    lesions = np.where(seen, EFFUSION, 0).astype(np.uint8)
    assert overlap(sharpen(np.full(working.hu.shape, BODY, np.uint8), lesions, working, volume) > 0, ball) > 0.96


def test_airless_lung_beyond_the_painted_lung_joins_its_lobe():
    _, working, ball, _ = scene(40, -850)
    anatomy = np.where(np.indices(working.hu.shape)[2] < 10, LOBE, BODY).astype(np.uint8)
    full = np.full(FINE.shape, BODY, np.uint8)
    keep_airless(full, np.where(ball, OPACITY, 0).astype(np.uint8), anatomy, working.grid, FINE)
    near = ball & (np.indices(FINE.shape)[2] < 34)
    assert near.any() and (full[near] == LOBE).all()
    assert (full[~ball] == BODY).all()


def test_without_a_lobe_no_lung_is_made_of_an_opacity():
    _, working, ball, _ = scene(40, -850)
    full = np.full(FINE.shape, BODY, np.uint8)
    keep_airless(full, np.where(ball, OPACITY, 0).astype(np.uint8), np.full(working.hu.shape, BODY, np.uint8), working.grid, FINE)
    assert (full == BODY).all()


def _sagittal():
    """Slices from the left to the right, rows from the head down."""
    origins = np.stack([29.0 - np.arange(60), np.full(60, -30.0), np.full(60, 24.0)], axis=1)
    return Grid((60, 48, 60), (1.0, 1.0), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0]), origins)


def test_spongy_bone_as_dense_as_blood_stays_bone():
    volume, working, _, seen = scene(200, 200, deviation=15.0)
    anatomy = np.where(seen, LABELS["aorta"], LABELS["vertebrae"]).astype(np.uint8)
    full = paint(anatomy, working, volume)
    bone = full == LABELS["vertebrae"]
    sharpen_heart(full, anatomy, working, volume)
    assert (full[bone] == LABELS["vertebrae"]).all()


def test_without_heart_and_vessels_nothing_changes():
    volume, working, _, _ = scene(40, -850)
    anatomy = np.full(working.hu.shape, LOBE, np.uint8)
    full = paint(anatomy, working, volume)
    before = full.copy()
    sharpen_heart(full, anatomy, working, volume)
    assert (full == before).all()
