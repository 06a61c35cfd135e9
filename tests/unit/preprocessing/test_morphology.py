"""Growing and shrinking by millimetres, checked against balls whose radius is known."""

import numpy as np
import pytest

from preprocessing.morphology import closing, grow, largest_part, opening, shrink
from tests import factories

SPACING = (2.0, 1.0, 1.5)


def _ball(radius_mm, shape=(31, 61, 41), centre=(15, 30, 20)):
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, SPACING, strict=True)) <= radius_mm**2


@pytest.mark.parametrize("by", [3.0, 6.0])
def test_grow_and_shrink_change_the_radius_by_millimetres(by):
    ball = _ball(12.0)
    bigger, smaller = grow(ball, by, SPACING), shrink(ball, by, SPACING)
    assert abs(bigger.sum() / _ball(12.0 + by).sum() - 1) < 0.15
    assert abs(smaller.sum() / _ball(12.0 - by).sum() - 1) < 0.25
    assert not (smaller & ~ball).any()
    assert not (ball & ~bigger).any()


def test_opening_removes_a_tube_and_keeps_a_ball():
    ball = _ball(9.0)
    tube = np.zeros_like(ball)
    tube[:, 3:6, 3:5] = True
    kept = opening(ball | tube, 4.0, SPACING)
    assert not (kept & tube).any()
    assert kept.sum() > 0.9 * ball.sum()


def test_closing_fills_a_narrow_pocket_also_at_the_cut_end():
    block = np.ones((10, 40, 40), bool)
    block[:, 18:22, 18:21] = False
    assert closing(block, 5.0, SPACING).all()


def test_closing_leaves_a_wide_pocket_open():
    block = np.ones((10, 60, 60), bool)
    block[:, 10:50, 10:50] = False
    assert not closing(block, 5.0, SPACING)[5, 30, 30]


def test_empty_masks_stay_empty():
    empty = np.zeros((4, 5, 6), bool)
    for change in (grow, shrink, opening, closing):
        assert not change(empty, 3.0, SPACING).any()
    assert not largest_part(empty).any()


def test_largest_part_is_the_one_with_most_voxels():
    on = factories.grid(shape=(20, 40, 40), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(0.0, 0.0, 0.0))
    small, large = factories.ball(on, (8, 8, 8), 4), factories.ball(on, (28, 28, 10), 7)
    np.testing.assert_array_equal(largest_part(small | large), large)
