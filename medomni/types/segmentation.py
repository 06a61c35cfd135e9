"""Segmentations: one label for each voxel, on the study's own grid."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

from medomni.types.notice import Notice
from medomni.types.volume import Grid, Mask


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Labels on the study's grid; 0 is background.

    ``names`` maps label to structure name (TotalSegmentator's where one exists, see ``medomni/data/anatomy.toml``).
    A structure in ``names`` without voxels was looked for and not found; a structure not in ``names`` was never looked for.
    ``segmenter`` is the name and version of what made it; ``digest`` the sha256 of its weights or rules. ``lesions`` is the
    map of the lesions that the same segmenter saw, on the same grid; None when it looks for none.
    """

    labels: UInt8[np.ndarray, "z y x"]
    grid: Grid
    names: Mapping[int, str]
    segmenter: str
    digest: str
    notices: tuple[Notice, ...] = field(default=())
    lesions: "Segmentation | None" = None

    def __post_init__(self) -> None:
        if self.labels.shape != self.grid.shape or self.labels.dtype != np.uint8:
            raise ValueError("labels must be uint8 on the study's grid")
        if self.lesions is not None and self.lesions.labels.shape != self.labels.shape:
            raise ValueError("lesions must lie on the grid of the structures")

    def mask(self, *structures: str) -> Mask:
        """Voxels of any of the named structures (all False when none was found)."""
        wanted = [label for label, name in self.names.items() if name in structures]
        if len(wanted) == 1:
            return np.asarray(self.labels == wanted[0])
        return np.isin(self.labels, wanted)

    def has(self, structure: str) -> bool:
        """Whether this segmenter looked for the structure at all."""
        return structure in self.names.values()
