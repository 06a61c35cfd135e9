"""What the omni model sees of a CT: the body's box at a working spacing, and the structures that pre-segmentation found in it.

Volume + Segmentation -> (preprocessing) -> Scan -> (vision) -> tokens. CT numbers are kept in one byte each: 8 HU apart in lung,
4 HU apart in soft tissue, coarser in bone and metal, all finer than the noise of any CT. Knows nothing about networks.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Float64, Num, UInt8

from medomni.anatomy import SEGMENTED, SEGMENTED_LESIONS
from medomni.types.finding import BoxMm
from medomni.types.volume import Grid

GRID_MM = (2.5, 1.5, 1.5)
"""(slice, row, column) edges of a voxel: fine within slices, where bronchi, septa and calcium are seen."""
CELL = (2, 4, 4)
"""Voxels of a cell, the place for which the model answers: 5 x 6 x 6 mm."""
CELL_MM = (GRID_MM[0] * CELL[0], GRID_MM[1] * CELL[1], GRID_MM[2] * CELL[2])
MARGIN_MM = 24.0
"""What is looked at round the organs: the wall of the trunk and what is implanted there, without the arms."""
LEAST_SLICES = 10
"""Fewer slices are filled up with air: the network looks at places of four cells, and at more than one."""
STRUCTURES = (*SEGMENTED, *SEGMENTED_LESIONS)
"""What ``Scan.structures`` names: the label of a structure is its place counted from 1; lesions lie over the anatomy."""
_HU_AT = (-1024.0, -200.0, 300.0, 1500.0, 3071.0)
_CODE_AT = (0.0, 103.0, 228.0, 252.0, 255.0)
_LOWEST, _HIGHEST = -1024, 3071
_CODE_OF = np.rint(np.interp(np.arange(_LOWEST, _HIGHEST + 1), _HU_AT, _CODE_AT)).astype(np.uint8)
HU_OF_CODE: Float32[np.ndarray, "256"] = np.interp(np.arange(256), _CODE_AT, _HU_AT).astype(np.float32)
"""The CT number that each code stands for."""


@dataclass(frozen=True, eq=False)
class Scan:
    """The box of the body on the working grid.

    Attributes:
        codes: CT numbers as codes (``HU_OF_CODE``), axes to the head, the back and the left; sides are multiples of ``CELL``.
        structures: labels of ``STRUCTURES``, one for each voxel of 1 x 2 x 2 (the middle of them).
        grid: where the voxels of ``codes`` lie in patient space.
    """

    codes: UInt8[np.ndarray, "z y x"]
    structures: UInt8[np.ndarray, "z h w"]
    grid: Grid

    def __post_init__(self) -> None:
        z, y, x = self.codes.shape
        if any(n % step for n, step in zip(self.codes.shape, CELL, strict=True)) or self.codes.shape != self.grid.shape:
            raise ValueError(f"a scan of shape {self.codes.shape} is not made of whole cells on its grid")
        if z < LEAST_SLICES:
            raise ValueError(f"a scan of {z} slices: at least {LEAST_SLICES} are needed")
        if self.structures.shape != (z, y // 2, x // 2):
            raise ValueError("structures must lie on blocks of 1 x 2 x 2 voxels")

    def focused(self) -> "Scan":
        """The part within ``MARGIN_MM`` of the structures, arms and air left out; the same scan where there are none."""
        box = focus(self.structures)
        z, y, x = box
        corner = self.grid.to_world_mm(np.array([0.0, y.start, x.start])) - self.grid.slice_origins_mm[0]
        shape = (self.grid.shape[0], y.stop - y.start, x.stop - x.start)
        grid = replace(self.grid, shape=shape, slice_origins_mm=self.grid.slice_origins_mm + corner)
        return Scan(self.codes[box], self.structures[z, y.start // 2 : y.stop // 2, x.start // 2 : x.stop // 2], grid)

    @property
    def cells(self) -> tuple[int, int, int]:
        """How many cells there are along each axis."""
        z, y, x = (n // step for n, step in zip(self.codes.shape, CELL, strict=True))
        return z, y, x

    def place_mm(self, box_mm: BoxMm) -> Float64[np.ndarray, "2 3"]:
        """The inverse of ``box_mm`` for axes that run along the patient's: (low, high) in millimetres along (z, y, x)."""
        start = self.grid.slice_origins_mm[0][::-1] - np.array(GRID_MM) / 2
        return np.asarray(np.array(box_mm)[:, ::-1] - start)


def box_mm(grid: Grid, low: Num[np.ndarray, "3"], high: Num[np.ndarray, "3"]) -> BoxMm:
    """The LPS box round corners given in millimetres along (z, y, x) from the outer edge of the first voxel of a scan's grid."""
    ends = np.stack([low, high]).astype(np.float64)
    corners = np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    world = grid.to_world_mm(corners / np.array(GRID_MM) - 0.5)
    below, above = world.min(axis=0), world.max(axis=0)
    return (float(below[0]), float(below[1]), float(below[2])), (float(above[0]), float(above[1]), float(above[2]))


def focus(structures: UInt8[np.ndarray, "z h w"]) -> tuple[slice, slice, slice]:
    """The voxels of a scan within ``MARGIN_MM`` of its organs in the plane, in whole cells; all slices.

    Ribs do not count: bones of the arms may be taken for them.
    """
    ends = [slice(0, structures.shape[0])]
    organs = (structures > 0) & (structures != STRUCTURES.index("ribs") + 1)
    for axis in (1, 2):
        count = 2 * structures.shape[axis]
        filled = np.flatnonzero(organs.any(axis=tuple(k for k in range(3) if k != axis)))
        if not len(filled):
            ends.append(slice(0, count))
            continue
        margin = MARGIN_MM / GRID_MM[axis]
        first = int(max(0, 2 * filled[0] - margin)) // CELL[axis] * CELL[axis]
        last = -(-int(min(count, 2 * filled[-1] + 2 + margin)) // CELL[axis]) * CELL[axis]
        ends.append(slice(first, last))
    return ends[0], ends[1], ends[2]


def to_codes(hu: Num[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Return the code of each CT number; air beyond -1024 HU and metal beyond 3071 HU count as these."""
    whole = np.rint(hu) if np.issubdtype(hu.dtype, np.floating) else hu
    index = np.clip(whole, _LOWEST, _HIGHEST).astype(np.int32) - _LOWEST
    return np.asarray(_CODE_OF[index])
