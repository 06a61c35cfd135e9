"""Cuts a scan into slabs of slices, each with the neighbours that the first layers see, so that memory stays bounded."""

from dataclasses import dataclass

THICKEST = 64
"""Slices of a slab; even, so that slabs begin with whole cells."""
OVERLAP = 4
"""Slices beside a slab that its first layers see."""


@dataclass(frozen=True)
class Slab:
    """One slab: the slices that are given to the first layers, and the cells that are kept of what comes out."""

    seen: slice
    kept: slice


def slabs(depth: int) -> tuple[Slab, ...]:
    """The slabs of a scan of so many slices."""
    if depth <= THICKEST:
        return (Slab(slice(0, depth), slice(0, (depth + 1) // 2)),)
    found = []
    for start in range(0, depth, THICKEST):
        stop = min(start + THICKEST, depth)
        low, high = max(0, start - OVERLAP), min(depth, stop + OVERLAP)
        found.append(Slab(slice(low, high), slice((start - low) // 2, (stop - low + 1) // 2)))
    return tuple(found)
