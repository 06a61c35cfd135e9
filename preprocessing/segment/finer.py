"""Labels of the working grid -> labels of a grid twice as fine, with borders that run between voxels instead of around them.

Each small voxel asks the eight voxels around it, weighted as in linear interpolation, and takes the label with the most votes:
as if each label's mask had been interpolated by itself, at the cost of the borders only.
"""

from itertools import product

import numpy as np
from jaxtyping import Float32, UInt8

from medomni.types.volume import Grid

LabelMap = UInt8[np.ndarray, "z y x"]

_STEPS = np.array(tuple(product((0, 1), repeat=3)))
"""The voxel itself first, then its neighbours towards one of its corners."""
_VOTES = np.prod(np.where(_STEPS == 0, 0.75, 0.25), axis=1).astype(np.float32)
"""Linear weights at a quarter of a voxel from the middle."""
ENOUGH = 0.5
"""Share of the votes that no other label can beat."""


def finer(labels: LabelMap) -> UInt8[np.ndarray, "2*z 2*y 2*x"]:
    """Return the labels on half the step, two for one along each axis."""
    fine = labels.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    padded = np.pad(labels, 1, mode="edge")
    flat, strides = padded.ravel(), np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    borders = np.argwhere(_is_border(padded))
    own = (borders + 1) @ strides
    for corner in product((0, 1), repeat=3):
        towards = (_STEPS * (2 * np.array(corner) - 1)) @ strides
        around = flat[own[:, None] + towards]
        share = (around == around[:, :1]) @ _VOTES
        open_ = np.flatnonzero(share < ENOUGH)
        fine[tuple((2 * borders[open_] + corner).T)] = _winner(around[open_], share[open_])
    return fine


def finer_grid(grid: Grid) -> Grid:
    """The grid of ``finer`` labels: half the step along each axis, the same outer edges."""
    (down, across), step = grid.pixel_spacing_mm, grid.slice_spacing_mm
    shift = (grid.row_direction * across + grid.column_direction * down) / 4
    first = grid.slice_origins_mm - shift
    origins = np.stack([first - grid.normal * step / 4, first + grid.normal * step / 4], axis=1).reshape(-1, 3)
    shape = (2 * grid.shape[0], 2 * grid.shape[1], 2 * grid.shape[2])
    return Grid(shape, (down / 2, across / 2), grid.row_direction, grid.column_direction, origins, grid.is_side_known)


def _is_border(padded: LabelMap) -> np.ndarray:
    """Voxels (without the padding) that have another label beside them in the box of their 26 neighbours."""
    differs = np.zeros(padded.shape, bool)
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        step = padded[low] != padded[high]
        differs[low] |= step
        differs[high] |= step
    return differs[1:-1, 1:-1, 1:-1]


def _winner(around: UInt8[np.ndarray, "n 8"], own: Float32[np.ndarray, "n"]) -> UInt8[np.ndarray, "n"]:
    """The label with the most votes at each place; ``own`` are the votes of the voxel's own label, which wins a draw."""
    best, winner = own, around[:, 0].copy()
    for k in range(1, 8):
        share = (around == around[:, k : k + 1]) @ _VOTES
        is_more = share > best
        winner[is_more] = around[is_more, k]
        best = np.maximum(best, share)
    return winner
