"""CT numbers + region -> spots of calcium with their score and volume, as Agatston 1990 counts them.

In each slice of 3 mm the area of every spot of at least 1 mm2 above 130 HU counts 1 to 4 times by its densest voxel (from
130, 200, 300 and 400 HU on). Works on the study's own voxels inside a box round the region; thin slices are averaged, which
tames their noise.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from medomni.types.finding import Evidence
from preprocessing.detect.case import Case
from preprocessing.detect.place import Outline, block_outline, evidence_at
from preprocessing.morphology import Mask3D, bounding_box

WEIGHTS_HU = (130.0, 200.0, 300.0, 400.0)
"""Each of these that the densest voxel of a spot reaches adds 1 to its weight; the first is the least CT number of calcium."""
SLAB_MM = 3.0
"""Slice thickness of the score."""
SMALLEST_MM2, SMALLEST_MM3 = 1.0, 6.0
"""A spot holds this much in a slice and in all; less is noise."""
AROUND_MM = 15.0
"""How far round the region dense tissue is followed: bone that reaches into it also lies outside it."""
INSIDE_SHARE = 0.6
"""Least share of a spot that lies in the region; of ribs and vertebrae beside it most lies outside."""


@dataclass(frozen=True, eq=False)
class Slabs:
    """A box of the study in patient order, averaged along z: CT numbers, spacing and where the box lies."""

    hu: Float32[np.ndarray, "z y x"]
    spacing_mm: tuple[float, float, float]
    box: tuple[slice, ...]
    thickness: int


@dataclass(frozen=True, eq=False)
class Calcium:
    """Spots of calcium with their score and their volume above the floor; ``doubted`` is the score of those left out."""

    spots: Mask3D
    slabs: Slabs
    score: float
    volume_mm3: float
    doubted: float = 0.0


def slabs_around(case: Case, region: Mask3D) -> Slabs | None:
    """The study's voxels round a coarse region in slabs of about 3 mm; None for an empty region."""
    around = bounding_box(region, AROUND_MM, case.spacing_mm)
    if around is None:
        return None
    thickness = max(1, round(SLAB_MM / case.fine_spacing_mm[0]))
    box = tuple(
        slice(s.start * size, min(n, s.stop * size))
        for s, size, n in zip(around, case.coarse.block, case.fine_hu.shape, strict=True)
    )
    return Slabs(_slabs(case.fine_hu[box], thickness), _spacing(case, thickness), box, thickness)


def in_slabs(case: Case, mask: Mask3D, slabs: Slabs) -> Bool[np.ndarray, "d h w"]:
    """A coarse mask on the voxels of some slabs: each slab takes its middle voxel."""
    fine = case.coarse.enlarge(mask)[slabs.box]
    middles = np.minimum(np.arange(slabs.hu.shape[0]) * slabs.thickness + slabs.thickness // 2, fine.shape[0] - 1)
    return np.asarray(fine[middles])


def score_calcium(case: Case, region: Mask3D, slabs: Slabs, floor_hu: float) -> Calcium:
    """The spots above the floor that lie in a region of the coarse grid."""
    voxel_mm3, voxel_mm2 = float(np.prod(slabs.spacing_mm)), float(np.prod(slabs.spacing_mm[1:]))
    parts, count = ndimage.label(slabs.hu >= floor_hu, np.ones((3, 3, 3)))
    inside = np.bincount(parts[in_slabs(case, region, slabs)], minlength=count + 1)
    size = np.bincount(parts.ravel(), minlength=count + 1)
    is_spot = (inside >= INSIDE_SHARE * size) & (size * voxel_mm3 >= SMALLEST_MM3)
    is_spot[0] = False
    spots = is_spot[parts]
    score = sum(_slice_score(plane, hu, voxel_mm2) for plane, hu in zip(spots, slabs.hu, strict=True) if plane.any())
    return Calcium(
        spots=spots,
        slabs=slabs,
        score=score * slabs.spacing_mm[0] / SLAB_MM,
        volume_mm3=float(spots.sum()) * voxel_mm3,
    )


def calcium_evidence(case: Case, found: Calcium, structure: str) -> Evidence:
    """The slice that holds most calcium, the middle of it there, and the box round all spots."""
    voxels = np.argwhere(found.spots).astype(np.float64)
    fine = voxels * (found.slabs.thickness, 1, 1) + [s.start for s in found.slabs.box]
    fine[:, 0] = np.minimum(fine[:, 0] + found.slabs.thickness // 2, case.fine_hu.shape[0] - 1)
    return evidence_at(case, fine, structure)


def calcium_outline(case: Case, found: Calcium) -> tuple[Outline, ...]:
    """The outline of all spots; none without any."""
    z, y, x = (part.start for part in found.slabs.box)
    return block_outline(case, found.spots, (found.slabs.thickness, 1, 1), (z, y, x))


def _slice_score(spots: Bool[np.ndarray, "y x"], hu: Float32[np.ndarray, "y x"], voxel_mm2: float) -> float:
    """Area times weight, summed over the spots of one slice."""
    parts, count = ndimage.label(spots, np.ones((3, 3)))
    index = np.arange(1, count + 1)
    area = ndimage.sum_labels(np.ones_like(hu), parts, index) * voxel_mm2
    weight = np.searchsorted(WEIGHTS_HU, ndimage.maximum(hu, parts, index), side="right")
    return float(np.sum(area * weight * (area >= SMALLEST_MM2)))


def _slabs(hu: np.ndarray, thickness: int) -> Float32[np.ndarray, "z y x"]:
    """Means of neighbouring slices; the last slab may hold fewer."""
    starts = np.arange(0, hu.shape[0], thickness)
    counts = np.diff(np.append(starts, hu.shape[0])).astype(np.float32)
    return np.asarray(np.add.reduceat(hu, starts, axis=0, dtype=np.float32) / counts[:, None, None], dtype=np.float32)


def _spacing(case: Case, thickness: int) -> tuple[float, float, float]:
    z, y, x = case.fine_spacing_mm
    return z * thickness, y, x
