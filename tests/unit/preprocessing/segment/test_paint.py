"""Labels made at 3 mm, on a finer grid: the border of the lung follows the voxels, the rest its blocks."""

import numpy as np

from evaluation.metrics.overlap import dice as overlap
from medomni.types.volume import Volume
from preprocessing.resample import labels_to_study, to_working
from preprocessing.segment.classes import LABELS
from preprocessing.segment.lobes import BODY
from preprocessing.segment.paint import claims, on_study, paint
from tests import factories

VERTEBRAE = LABELS["vertebrae"]
LOBE, LIVER, HEART = LABELS["lung_lower_lobe_right"], LABELS["liver"], LABELS["heart"]
FINE = factories.grid((30, 60, 60), (1.0, 1.0, 1.0), (-30.0, -30.0, -15.0))


def chest():
    """A ball of lung in soft tissue on a grid of 1 mm."""
    ball = factories.ball(FINE, (0, 0, 0), 12.3)
    return factories.volume(30, FINE, [(ball, -850)]), ball


def coarse_labels(working, label=BODY):
    return np.where(working.hu < -320, LOBE, label).astype(np.uint8)


def test_the_lung_ends_where_its_voxels_do():
    volume, ball = chest()
    working = to_working(volume, (3.0, 3.0, 3.0))
    blocky = labels_to_study(coarse_labels(working), working.grid, volume.grid) == LOBE
    painted = paint(coarse_labels(working), working, volume) == LOBE
    assert overlap(blocky, ball) < 0.95
    assert overlap(painted, ball) > 0.99


def test_dense_voxels_at_the_border_go_to_the_organ_that_lies_there():
    volume, ball = chest()
    working = to_working(volume, (3.0, 3.0, 3.0))
    painted = paint(coarse_labels(working, LIVER), working, volume)
    assert set(np.unique(painted)) == {LOBE, LIVER}
    assert np.mean(painted[~ball] == LIVER) > 0.995


def test_dense_lung_keeps_its_border():
    volume, ball = chest()
    volume.hu[ball] = 40
    working = to_working(volume, (3.0, 3.0, 3.0))
    labels = np.where(factories.ball(working.grid, (0, 0, 0), 12.3), LOBE, BODY).astype(np.uint8)
    blocky = labels_to_study(labels, working.grid, volume.grid) == LOBE
    painted = paint(labels, working, volume) == LOBE
    assert overlap(blocky, ball) < overlap(painted, ball)
    assert overlap(painted, ball) > 0.93


def test_vertebrae_end_where_bone_does():
    ball = factories.ball(FINE, (0, 0, 0), 12.3)
    volume = factories.volume(50, FINE, [(ball, 200)])
    working = to_working(volume, (3.0, 3.0, 3.0))
    labels = np.where(working.hu > 125, VERTEBRAE, BODY).astype(np.uint8)
    blocky = labels_to_study(labels, working.grid, volume.grid) == VERTEBRAE
    painted = paint(labels, working, volume)
    assert overlap(blocky, ball) < 0.95
    assert overlap(painted == VERTEBRAE, ball) > 0.99
    labels[working.hu < 125] = LABELS["aorta"]  # dense as it may be, what lies beside is claimed
    assert set(np.unique(paint(labels, working, volume))) == {VERTEBRAE, LABELS["aorta"]}


def test_gas_beyond_the_border_is_lung_unless_it_is_outside_or_in_something_hollow():
    labels = np.full((3, 3, 9), BODY, np.uint8)
    labels[:, :, :3], labels[:, :, 6:] = LOBE, 0
    labels[0, :, 3] = LABELS["airway"]
    if_gas, if_dense = claims(labels, labels == LOBE)
    assert (if_gas[1:, :, 3] == LOBE).all()
    assert (if_gas[0, :, 3] == LABELS["airway"]).all()
    assert np.array_equal(if_gas[:, :, 4:], labels[:, :, 4:])
    assert (if_dense[:, :, 2] == BODY).all()
    assert (if_dense[:, :, :2] == LOBE).all()


def test_tilted_and_uneven_grids_are_painted_too():
    for on in (factories.tilted_grid(), factories.uneven_grid(), factories.coronal_grid(), factories.prone_grid()):
        centre = factories.world_mm(on).reshape(-1, 3).mean(axis=0)
        ball = factories.ball(on, centre, 13.0)
        volume = factories.volume(30, on, [(ball, -850)])
        working = to_working(volume, (3.0, 3.0, 3.0))
        mask = paint(coarse_labels(working), working, volume) == LOBE
        assert overlap(mask, ball) > 0.95


def test_a_map_without_labels_stays_empty():
    volume = Volume(np.zeros(FINE.shape, np.int16), FINE)
    working = to_working(volume, (3.0, 3.0, 3.0))
    assert not on_study(np.zeros(working.hu.shape, np.uint8), working.grid, FINE).any()
    assert (on_study(np.full(working.hu.shape, HEART, np.uint8), working.grid, FINE) == HEART).all()
