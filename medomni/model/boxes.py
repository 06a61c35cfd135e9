"""Boxes of findings: the cells in which a label is likely, joined to parts, and the box round each.

logits of a label at each cell, Extent -> Found...: box in mm of the scan, score, cells
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy import ndimage

from medomni.model.scan import CELL_MM
from medomni.types.codes import Value
from medomni.types.opinion import logistic

MOST_BOXES = 4
"""Boxes of a label that are told, likeliest first."""
STRONGEST = 8
"""The cells whose mean logit is the score of a box."""
FAINTEST = -3.0
"""Cells fainter than this lower no level."""
RIGHT = 0.3
"""Intersection over union from which a box counts as right."""
Corners = Float64[np.ndarray, "6"]
"""A box as low (z, y, x), high (z, y, x)."""


class Join(StrEnum):
    """What one box of a label is drawn round: each connected part, all cells of one side, or all of them."""

    PARTS = "parts"
    SIDES = "sides"
    WHOLE = "whole"


class Extent(Value):
    """Which cells of a label a box is drawn round: those from a level on.

    Attributes:
        at_least: the level.
        join: what shares a box.
        drop: the level is no higher than this far below the likeliest cell of what shares a box; None for one level alone.
            Connected parts are sought from ``at_least`` less this on, and end there.
    """

    at_least: float
    join: Join
    drop: float | None = None


class Chance(Value):
    """The logistic curve that says how likely a box lies over a lesion of its label.

    Attributes:
        offset: where both others are 0.
        score: weight of the box's score.
        label: weight of the label's logit, of the CT alone.
    """

    offset: float
    score: float
    label: float

    def of(self, score: float, logit: float) -> float:
        """The probability of a box."""
        return logistic(self.offset + self.score * score + self.label * logit)


@dataclass(frozen=True, eq=False)
class Found:
    """One box of a label.

    Attributes:
        score: mean logit of its strongest cells.
        low, high: corners (z, y, x) in mm from the outer edge of the scan's first voxel.
        cells: indices of the cells in it, likeliest first.
    """

    score: float
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    cells: Int64[np.ndarray, "n 3"]

    @property
    def corners(self) -> Corners:
        """Both corners."""
        return np.array([*self.low, *self.high])


def found(logits: Float32[np.ndarray, "z y x"], extent: Extent) -> tuple[Found, ...]:
    """The boxes of one label, likeliest first; none where no cell is likely enough."""
    boxes = [_box(logits, cells) for cells in _groups(logits, extent)]
    return tuple(sorted(boxes, key=lambda box: -box.score)[:MOST_BOXES])


def needed(logits: Float32[np.ndarray, "z y x"], extent: Extent) -> Float32[np.ndarray, "z y x"]:
    """The logits of one label, -infinity at cells that have no say in a box: ``found`` gives the same."""
    if extent.join is Join.PARTS:
        inside = logits >= _faintest(extent)
    else:
        inside = np.zeros(logits.shape, np.bool_)
        for cells in _groups(logits, extent):
            inside[tuple(cells.T)] = True
    return np.where(inside, logits, np.float32(-np.inf))


def _groups(logits: Float32[np.ndarray, "z y x"], extent: Extent) -> Iterator[Int64[np.ndarray, "n 3"]]:
    """The cells of each box."""
    if extent.join is not Join.PARTS:
        middle = logits.shape[2] // 2
        ends = ((0, middle), (middle, logits.shape[2])) if extent.join is Join.SIDES else ((0, logits.shape[2]),)
        for first, last in ends:
            part = logits[:, :, first:last]
            cells = np.argwhere(part >= _level(part, extent)) + np.array([0, 0, first])
            if len(cells):
                yield cells
        return
    for place, inside in _parts(logits >= _faintest(extent)):
        part = np.where(inside, logits[place], -np.inf)
        corner = [side.start for side in place]
        for nearer, cells in _parts(part >= _level(part, extent)):
            yield np.argwhere(cells) + corner + [side.start for side in nearer]


def _faintest(extent: Extent) -> float:
    """The logit from which connected parts are sought."""
    return extent.at_least - (extent.drop or 0.0)


def _parts(likely: Bool[np.ndarray, "z y x"]) -> Iterator[tuple[tuple[slice, ...], Bool[np.ndarray, "d h w"]]]:
    """Place and cells of each connected part."""
    parts, _ = ndimage.label(likely, np.ones((3, 3, 3)))
    for number, place in enumerate(ndimage.find_objects(parts), start=1):
        yield place, parts[place] == number


def _level(part: Float32[np.ndarray, "d h w"], extent: Extent) -> float:
    """The logit from which cells count where these share a box."""
    peak = float(part.max(initial=-np.inf))
    if extent.drop is None or peak < FAINTEST:
        return extent.at_least
    return min(extent.at_least, peak - extent.drop)


def _box(logits: Float32[np.ndarray, "z y x"], cells: Int64[np.ndarray, "n 3"]) -> Found:
    values = logits[tuple(cells.T)]
    order = np.argsort(-values, kind="stable")
    low, high = (cells.min(axis=0) * CELL_MM).tolist(), ((cells.max(axis=0) + 1) * CELL_MM).tolist()
    return Found(float(values[order[:STRONGEST]].mean()), tuple(low), tuple(high), cells[order])


def matches(boxes: Sequence[Corners], true: Sequence[Corners]) -> list[bool]:
    """Whether each box, likeliest first, lies over a true one that none before it lies over."""
    right, free = [], list(true)
    for box in boxes:
        shares = [overlap(box, other) for other in free]
        is_right = bool(shares) and max(shares) >= RIGHT
        if is_right:
            free.pop(int(np.argmax(shares)))
        right.append(is_right)
    return right


def overlap(one: Corners, other: Corners) -> float:
    """Intersection over union of two boxes."""
    sides = np.minimum(one[3:], other[3:]) - np.maximum(one[:3], other[:3])
    both = float(np.prod(np.clip(sides, 0.0, None)))
    return both / max(1e-9, float(np.prod(one[3:] - one[:3]) + np.prod(other[3:] - other[:3])) - both)
