"""Case -> the lungs at about 1.25 mm: block averages in patient order, with everything outside the lungs made air-like lung.

The detectors of small lung lesions (nodules, lines, bronchi) work here: fine enough for 4 mm, with a sixth of the voxels of a
thin-slice CT. Knows nothing of any finding.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Num

from preprocessing.detect.case import Case
from preprocessing.measure.regions import LUNG_PARTS, LUNGS
from preprocessing.morphology import Mask3D, bounding_box

FINE_MM = 1.25
"""Aimed edge of a voxel: three voxels across the smallest nodule that is reported (4 mm)."""
MARGIN_MM = 6.0
"""Tissue kept around the lungs."""
CEILING_HU = 200.0
"""Denser tissue counts as this: calcification and bone say no more than soft tissue about a shape."""
USUAL_LUNG_HU = -850.0
"""Aerated lung in inspiration; stands in where a lung holds no air at all."""
AERATED_HU = -500.0
"""Upper CT number of aerated lung, half way to soft tissue."""


@dataclass(frozen=True, eq=False)
class LungGrid:
    """The lungs' box in patient order.

    Attributes:
        hu: CT numbers averaged over blocks, capped at ``CEILING_HU``.
        lungs: lung mask on the same voxels.
        sides: the lung of each side ("right", "left", "unknown") that was found.
        spacing_mm: (z, y, x) edges of a block.
        start: (z, y, x) of the box's first voxel on the study's own voxels in patient order.
        block: study voxels per block.
    """

    hu: Float32[np.ndarray, "z y x"]
    lungs: Mask3D
    sides: dict[str, Mask3D]
    spacing_mm: tuple[float, float, float]
    start: tuple[int, int, int]
    block: tuple[int, int, int]

    @property
    def voxel_ml(self) -> float:
        """Volume of one block."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def lung_hu(self) -> float:
        """Median CT number of the aerated lung."""
        aerated = self.hu[self.lungs & (self.hu < AERATED_HU)]
        return float(np.median(aerated)) if aerated.size else USUAL_LUNG_HU

    def filled(self) -> Float32[np.ndarray, "z y x"]:
        """The CT numbers with aerated lung put in place of everything outside the lungs."""
        return np.where(self.lungs, self.hu, np.float32(self.lung_hu))

    def to_study(self, place: Num[np.ndarray, "... 3"]) -> Float64[np.ndarray, "... 3"]:
        """(z, y, x) of the study's voxels in patient order for places on this grid."""
        block = np.asarray(self.block, dtype=np.float64)
        return np.asarray(np.asarray(place) * block + (block - 1.0) / 2.0 + np.asarray(self.start))


def lung_grid(case: Case) -> LungGrid | None:
    """Return the lungs of a case at about 1.25 mm; None when the segmenter found no lung."""
    view = case.once(fine_lungs)
    spacing = case.fine_spacing_mm
    box = bounding_box(view, MARGIN_MM, spacing)
    if box is None:
        return None
    block = tuple(max(1, round(FINE_MM / step)) for step in spacing)
    hu = np.minimum(case.fine_hu[box], np.asarray(CEILING_HU, case.fine_hu.dtype)).astype(np.float32)
    for axis, size in enumerate(block):
        if size > 1:
            hu = _averaged(hu, axis, size)
    small = _blocks(view[box], block)
    edges = tuple(step * size for step, size in zip(spacing, block, strict=True))
    start = tuple(int(part.start) for part in box)
    lungs = np.ascontiguousarray(small)
    sides = {
        side: np.ascontiguousarray(_blocks(case.fine_mask(*parts)[box], block))
        for side, parts in LUNG_PARTS.items()
        if any(case.segmentation.has(part) for part in parts)
    }
    return LungGrid(np.ascontiguousarray(hu), lungs, sides, edges, start, block)  # type: ignore[arg-type]


def fine_lungs(case: Case) -> Mask3D:
    """Both lungs on the study's own voxels in patient order; keep it with ``case.once(fine_lungs)``."""
    return case.fine_mask(*LUNGS)


def _averaged(hu: Float32[np.ndarray, "z y x"], axis: int, size: int) -> Float32[np.ndarray, "..."]:
    """Means over runs of ``size`` voxels along one axis; a last run that is not full is left out."""
    whole = hu.shape[axis] // size
    return np.asarray(sum(_every(hu, axis, k, size, whole) for k in range(size)) / np.float32(size))


def _blocks(mask: Bool[np.ndarray, "a b c"], block: tuple[int, ...]) -> Mask3D:
    """The middles of all whole blocks."""
    for axis, size in enumerate(block):
        mask = _every(mask, axis, size // 2, size, mask.shape[axis] // size)
    return mask


def _every(array: np.ndarray, axis: int, first: int, step: int, count: int) -> np.ndarray:
    """Every ``step``-th plane from ``first`` on, ``count`` of them."""
    take = [slice(None)] * array.ndim
    take[axis] = slice(first, first + step * (count - 1) + 1, step)
    return array[tuple(take)]
