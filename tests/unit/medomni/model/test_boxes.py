import numpy as np
import pytest

from medomni.model.boxes import MOST_BOXES, Extent, Join, found, matches, needed, overlap


def cells(*parts, shape=(8, 10, 12)):
    logits = np.full(shape, -5.0, np.float32)
    for (z, y, x), value in parts:
        logits[z, y, x] = value
    return logits


LEFT, RIGHT = (slice(1, 3), slice(2, 4), slice(8, 11)), (slice(4, 5), slice(5, 6), slice(1, 3))


def test_box_lies_round_the_likely_cells_in_mm():
    (box,) = found(cells((LEFT, 2.0)), Extent(at_least=0.0, join=Join.PARTS))
    assert (box.low, box.high) == ((5.0, 12.0, 48.0), (15.0, 24.0, 66.0))
    assert box.score == pytest.approx(2.0)
    assert len(box.cells) == 12


@pytest.mark.parametrize(("join", "count"), [(Join.PARTS, 2), (Join.SIDES, 2), (Join.WHOLE, 1)])
def test_parts_are_joined_as_the_extent_says(join, count):
    boxes = found(cells((LEFT, 2.0), (RIGHT, 3.0)), Extent(at_least=0.0, join=join))
    assert len(boxes) == count
    assert boxes[0].score >= boxes[-1].score


def test_parts_of_one_side_share_a_box():
    other = (slice(6, 7), slice(0, 1), slice(9, 10))
    assert len(found(cells((LEFT, 2.0), (other, 3.0)), Extent(at_least=0.0, join=Join.SIDES))) == 1


@pytest.mark.parametrize("join", list(Join))
def test_a_faint_lesion_gets_a_box_of_its_own_level(join):
    faint = cells((LEFT, -2.0))
    assert found(faint, Extent(at_least=0.0, join=join)) == ()
    (box,) = found(faint, Extent(at_least=0.0, join=join, drop=2.5))
    assert (box.low, box.high) == ((5.0, 12.0, 48.0), (15.0, 24.0, 66.0))
    assert found(cells((LEFT, -4.0)), Extent(at_least=0.0, join=join, drop=2.5)) == ()


def test_a_faint_lesion_on_one_side_leaves_the_other_side_as_it_is():
    logits = cells((LEFT, -2.0), (RIGHT, 3.0))
    extent = Extent(at_least=0.0, join=Join.SIDES, drop=1.0)
    assert [box.score for box in found(logits, extent)] == [pytest.approx(3.0), pytest.approx(-2.0)]


def test_nothing_likely_gives_no_box_and_much_gives_few():
    extent = Extent(at_least=0.0, join=Join.PARTS)
    assert found(cells(), extent) == ()
    many = [((slice(0, 1), slice(0, 1), slice(x, x + 1)), 1.0) for x in range(0, 12, 2)]
    assert len(found(cells(*many), extent)) == MOST_BOXES


def test_a_lesion_is_found_once():
    box, far = np.array([0, 0, 0, 10, 10, 10.0]), np.array([50, 50, 50, 60, 60, 60.0])
    assert matches([box, box + 1, far], [box]) == [True, False, False]
    assert overlap(box, box) == pytest.approx(1.0)
    assert overlap(box, far) == 0.0


@pytest.mark.parametrize("join", list(Join))
@pytest.mark.parametrize(("at_least", "drop"), [(0.0, None), (1.0, 2.5), (-3.5, 0.5), (9.0, None), (9.0, 5.0)])
def test_cells_that_are_needed_give_the_same_boxes(join, at_least, drop):
    logits = np.random.default_rng(1).normal(-2.0, 1.5, (8, 10, 12)).astype(np.float32)
    extent = Extent(at_least=at_least, join=join, drop=drop)
    bare = needed(logits, extent)
    kept = np.isfinite(bare)
    assert np.array_equal(bare[kept], logits[kept])
    assert not kept.all()
    one, other = found(logits, extent), found(bare, extent)
    assert [(box.score, box.low, box.high, box.cells.tolist()) for box in one] == [
        (box.score, box.low, box.high, box.cells.tolist()) for box in other
    ]
