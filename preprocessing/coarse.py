"""Volume -> the same CT numbers averaged over whole blocks of voxels to about 2 mm, and labels back at full size.

Averaging whole blocks is its own anti-aliasing filter, and a coarse voxel holds exactly its block, so masks go back
without resampling. Rules run here: 1/30 of the voxels and 1/5 of the noise of a thin-slice CT.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped

from medomni.types.volume import Volume
from preprocessing.orient import Canonical, canonical

WORKING_MM = 2.0
"""Aimed edge of a coarse voxel: below the wall of a main bronchus (2 mm) nothing here needs to be parted."""


@dataclass(frozen=True, eq=False)
class CoarseVolume:
    """CT numbers in patient order (feet to head, front to back, right to left) on blocks of the study's voxels."""

    hu: Float32[np.ndarray, "z y x"]
    spacing_mm: tuple[float, float, float]
    block: tuple[int, int, int]
    full: Canonical

    @property
    def voxel_ml(self) -> float:
        """Volume of one coarse voxel."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def enlarge(self, coarse: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "Z Y X"]:
        """Repeat each coarse voxel over its block: an array in patient order at full size."""
        for axis, size in enumerate(self.block):
            coarse = np.repeat(coarse, size, axis=axis) if size > 1 else coarse
        return coarse[tuple(slice(0, n) for n in self.full.hu.shape)]

    def reduce(self, labels: Shaped[np.ndarray, "a b c"]) -> Shaped[np.ndarray, "z y x"]:
        """The label at the middle of each block, of an array on the study's own grid."""
        view = self.full.view(labels)
        middles = [
            np.minimum(np.arange(n) * size + size // 2, view.shape[axis] - 1)
            for axis, (n, size) in enumerate(zip(self.hu.shape, self.block, strict=True))
        ]
        return view[np.ix_(*middles)]


def coarse_volume(volume: Volume) -> CoarseVolume:
    """Average the volume over blocks of about 2 mm; the last block of an axis may be smaller."""
    full = canonical(volume)
    block = tuple(max(1, round(WORKING_MM / s)) for s in full.spacing_mm)
    hu = full.hu
    for axis, size in enumerate(block):
        if size > 1:
            starts = np.arange(0, hu.shape[axis], size)
            counts = np.diff(np.append(starts, hu.shape[axis])).astype(np.float32)
            total = np.add.reduceat(hu, starts, axis=axis, dtype=np.float32)
            hu = total / counts.reshape([-1 if a == axis else 1 for a in range(3)])
    spacing = tuple(s * b for s, b in zip(full.spacing_mm, block, strict=True))
    return CoarseVolume(np.ascontiguousarray(hu, dtype=np.float32), spacing, block, full)  # type: ignore[arg-type]
