import numpy as np

from evaluation.metrics.overlap import dice


def test_dice_is_one_for_equal_masks_and_zero_for_none_in_common():
    mask = np.zeros((2, 3, 4), bool)
    mask[0, :2] = True
    assert dice(mask, mask) == 1.0
    assert dice(mask, ~mask) == 0.0


def test_dice_of_half_an_overlap():
    one, other = np.zeros((1, 1, 6), bool), np.zeros((1, 1, 6), bool)
    one[..., :4], other[..., 2:] = True, True
    assert dice(one, other) == 0.5


def test_dice_of_nothing_is_zero():
    assert dice(np.zeros((1, 1, 1), bool), np.zeros((1, 1, 1), bool)) == 0.0
