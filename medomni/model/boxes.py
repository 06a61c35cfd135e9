"""Boxes of findings: the cells in which a label is likely, joined to parts, and the box round each.

logits of a label at each cell, Extent -> Found...: box in mm of the scan, score, cells
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy import ndimage

from medomni.model.scan import CELL_MM
from medomni.types.codes import Value

MOST_BOXES = 4
"""Boxes of a label that are told, likeliest first."""
STRONGEST = 8
"""The cells whose mean logit is the score of a box."""
RIGHT = 0.3
"""Intersection over union from which a box counts as right."""
Corners = Float64[np.ndarray, "6"]
"""A box as low (z, y, x), high (z, y, x)."""


class Join(StrEnum):
    """What one box of a label is drawn round: each connected part, all parts of one side, or all of them."""

    PARTS = "parts"
    SIDES = "sides"
    WHOLE = "whole"


class Extent(Value):
    """Which cells of a label a box is drawn round: those of this logit and more, joined so."""

    at_least: float
    join: Join


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
    parts, count = ndimage.label(logits >= extent.at_least, np.ones((3, 3, 3)))
    groups: dict[int, list[int]] = {}
    places = ndimage.find_objects(parts)
    for part in range(1, count + 1):
        groups.setdefault(_group(part, places[part - 1], logits.shape[2], extent.join), []).append(part)
    boxes = [_box(logits, np.argwhere(np.isin(parts, joined))) for joined in groups.values()]
    return tuple(sorted(boxes, key=lambda box: -box.score)[:MOST_BOXES])


def _group(part: int, place: tuple[slice, ...], columns: int, join: Join) -> int:
    """Parts of one number share a box."""
    if join is Join.PARTS:
        return part
    return int(place[2].start + place[2].stop >= columns) if join is Join.SIDES else 0


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
