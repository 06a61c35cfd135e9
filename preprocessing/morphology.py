"""Growing, shrinking and closing masks by millimetres, through Euclidean distances: cost does not grow with the radius."""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

Mask3D = Bool[np.ndarray, "z y x"]
Spacing = tuple[float, float, float]


def grow(mask: Mask3D, radius_mm: float, spacing_mm: Spacing) -> Mask3D:
    """Dilate by a radius."""
    box = bounding_box(mask, radius_mm, spacing_mm)
    grown = np.zeros_like(mask)
    if box is not None:
        grown[box] = ndimage.distance_transform_edt(~mask[box], spacing_mm) <= radius_mm
    return grown


def shrink(mask: Mask3D, radius_mm: float, spacing_mm: Spacing) -> Mask3D:
    """Erode by a radius; the edge of the volume does not erode."""
    box = bounding_box(mask, max(spacing_mm), spacing_mm)
    shrunk = np.zeros_like(mask)
    if box is not None:
        inside = mask[box]
        shrunk[box] = inside if inside.all() else ndimage.distance_transform_edt(inside, spacing_mm) > radius_mm
    return shrunk


def opening(mask: Mask3D, radius_mm: float, spacing_mm: Spacing) -> Mask3D:
    """Keep only what a ball of the radius fits into."""
    return np.asarray(grow(shrink(mask, radius_mm, spacing_mm), radius_mm, spacing_mm) & mask)


def closing(mask: Mask3D, radius_mm: float, spacing_mm: Spacing) -> Mask3D:
    """Fill what a ball of the radius does not fit into; the cut ends of the volume count as more of the same."""
    box = bounding_box(mask, radius_mm, spacing_mm)
    if box is None:
        return mask
    pad = [(int(radius_mm / s) + 2,) * 2 for s in spacing_mm]
    padded = np.pad(mask[box], pad, mode="edge")
    closed = shrink(grow(padded, radius_mm, spacing_mm), radius_mm, spacing_mm)
    result = mask.copy()
    result[box] |= closed[tuple(slice(before, -after) for before, after in pad)]
    return result


def largest_part(mask: Mask3D) -> Mask3D:
    """The largest connected part of a mask."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))


def bounding_box(mask: Mask3D, margin_mm: float, spacing_mm: Spacing) -> tuple[slice, ...] | None:
    """The part of the array that holds the mask with a margin; None for an empty mask."""
    found = []
    for axis, step in enumerate(spacing_mm):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not inside.size:
            return None
        margin = int(margin_mm / step) + 1
        found.append(slice(max(0, int(inside[0]) - margin), int(inside[-1]) + margin + 1))
    return tuple(found)
