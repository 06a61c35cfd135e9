"""Labels on half the step: borders between voxels, the same places."""

import numpy as np

from evaluation.metrics.overlap import dice
from preprocessing.segment.finer import finer, finer_grid
from tests import factories

COARSE = factories.grid((12, 14, 16), (3.0, 3.0, 3.0), (-20.0, -18.0, -15.0))


def blocks(labels):
    return labels.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)


def test_small_voxels_lie_where_the_large_one_does():
    fine = finer_grid(COARSE)
    large, small = factories.world_mm(COARSE), factories.world_mm(fine)
    assert fine.shape == (24, 28, 32)
    np.testing.assert_allclose(fine.spacing_mm, (1.5, 1.5, 1.5))
    middles = small.reshape(12, 2, 14, 2, 16, 2, 3).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(middles, large, atol=1e-9)


def test_flat_borders_stay():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:, 2:, :], labels[4:, 2:, :] = 3, 7
    assert np.array_equal(finer(labels), blocks(labels))


def test_round_things_become_rounder_and_no_label_is_made_up():
    coarse, fine = (factories.ball(grid, (3.0, 2.0, 1.0), 11.0) for grid in (COARSE, finer_grid(COARSE)))
    labels = np.where(coarse, 5, 2).astype(np.uint8)
    made = finer(labels)
    assert set(np.unique(made)) == {2, 5}
    assert dice(made == 5, fine) > dice(blocks(labels) == 5, fine)


def test_it_is_the_largest_of_the_interpolated_masks():
    from scipy import ndimage

    labels = np.random.default_rng(0).integers(0, 4, (7, 6, 5)).astype(np.uint8)
    shares = [
        ndimage.zoom((labels == k).astype(float), 2, order=1, mode="grid-constant", grid_mode=True)[2:-2, 2:-2, 2:-2]
        for k in range(4)
    ]
    made = finer(labels)[2:-2, 2:-2, 2:-2]
    chosen = np.take_along_axis(np.array(shares), made[None].astype(int), axis=0)[0]
    np.testing.assert_allclose(chosen, np.max(shares, axis=0), atol=1e-6)
