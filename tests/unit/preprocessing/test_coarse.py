"""Averaging whole blocks and going back."""

import numpy as np

from preprocessing.coarse import coarse_volume
from tests import factories


def test_blocks_are_averaged_and_masks_come_back_on_the_study_grid():
    on = factories.grid(shape=(7, 31, 30), spacing_mm=(1.0, 0.7, 0.7))
    noise = np.random.default_rng(0).integers(-1000, 1000, on.shape).astype(np.int16)
    volume = factories.volume(on=on)
    volume.hu[:] = noise
    coarse = coarse_volume(volume)
    assert coarse.block == (2, 3, 3)
    np.testing.assert_allclose(coarse.hu[0, 0, 0], noise[:2, :3, :3].mean(), rtol=1e-5)
    np.testing.assert_allclose(coarse.hu[-1, -1, -1], noise[6:, 30:, 27:].mean(), rtol=1e-5)
    assert coarse.spacing_mm == (2.0, 0.7 * 3, 0.7 * 3)
    marked = np.zeros(coarse.hu.shape, np.uint8)
    marked[1, 2, 3] = 5
    full = coarse.full.restore(coarse.enlarge(marked))
    assert full.shape == on.shape
    assert np.argwhere(full == 5).min(axis=0).tolist() == [2, 6, 9]
    assert (full == 5).sum() == 18
    np.testing.assert_array_equal(coarse.reduce(full), marked)
