"""A place in the lung -> what the nodule network sees of it: 24 mm at 1 mm and 48 mm at 2 mm around, 24 voxels a side each.

The near patch shows border and texture, the far one tells a nodule from a vessel, the pleura or the hilum. Axes are the patient's
(z to the head, y to the back, x to the left).
"""

import numpy as np
from jaxtyping import Float32, Float64, Shaped

from preprocessing.coarse import CoarseVolume

EDGE = 24
"""Voxels on each side of a patch."""
NEAR_MM, FAR_MM = 1.0, 2.0
"""Voxel edges of both patches."""
LOW_HU, HIGH_HU = -1000.0, 200.0
"""Window of the network: air to soft tissue; it becomes -1 to 1."""

Patches = Float32[np.ndarray, "n 2 z y x"]


def patches_at(coarse: CoarseVolume, places: Float64[np.ndarray, "n 3"]) -> Patches:
    """Return the two patches around each place; ``places`` are (z, y, x) on the study's voxels in patient order."""
    made = np.empty((len(places), 2, EDGE, EDGE, EDGE), np.float32)
    block = np.asarray(coarse.block, dtype=np.float64)
    for k, place in enumerate(places):
        made[k, 0] = _patch(coarse.full.hu, coarse.full.spacing_mm, place, NEAR_MM)
        made[k, 1] = _patch(coarse.hu, coarse.spacing_mm, (place - (block - 1.0) / 2.0) / block, FAR_MM)
    np.clip(made, LOW_HU, HIGH_HU, out=made)
    made -= np.float32((LOW_HU + HIGH_HU) / 2)
    made /= np.float32((HIGH_HU - LOW_HU) / 2)
    return made


def _patch(
    hu: Shaped[np.ndarray, "z y x"], spacing_mm: tuple[float, float, float], place: Float64[np.ndarray, "3"], edge_mm: float
) -> Float32[np.ndarray, "a b c"]:
    """One cube of voxels of ``edge_mm`` around a place, by linear interpolation that averages where voxels grow.

    Written as stacks of small products: larger ones are shared among threads, which cost thirty times what they save here.
    """
    boxes, weights = zip(*(_along(n, s, p, edge_mm) for n, s, p in zip(hu.shape, spacing_mm, place, strict=True)), strict=True)
    part = hu[boxes].astype(np.float32)
    part = weights[1] @ (part @ weights[2].T)  # (z, b, c)
    part = weights[0] @ part.transpose(1, 0, 2)  # (b, a, c)
    return np.asarray(part.transpose(1, 0, 2))


def _along(count: int, step_mm: float, place: float, edge_mm: float) -> tuple[slice, Float32[np.ndarray, "a n"]]:
    """The voxels of one axis that a patch needs and their weight for each of its voxels; the border voxel goes on outside."""
    wanted = np.clip(place + (np.arange(EDGE) - (EDGE - 1) / 2) * edge_mm / step_mm, 0, count - 1)
    reach = max(1.0, edge_mm / step_mm)
    first, last = max(0, int(wanted[0] - reach)), min(count, int(wanted[-1] + reach) + 2)
    weight = np.maximum(0.0, 1.0 - np.abs(wanted[:, None] - np.arange(first, last)) / reach)
    return slice(first, last), (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
