"""Volume + Segmentation -> lesion masks of the rule detectors, on the study's own grid.

Keeps the coarse work in one place: everything after it reads full-size masks and regions only.
"""

import numpy as np
from jaxtyping import UInt8

from medomni.types.segmentation import Segmentation
from medomni.types.volume import Grid, Volume
from preprocessing.coarse import CoarseVolume, coarse_volume
from preprocessing.detect.effusion import find_fluid
from preprocessing.detect.nodule import EDGE_HU, find_nodules
from preprocessing.detect.opacity import find_opacities
from preprocessing.measure.regions import LUNG_PARTS
from preprocessing.morphology import Mask3D, grow

LESIONS = {1: "lung_opacity", 2: "consolidation", 3: "pleural_effusion", 4: "nodule"}
"""Labels of the lesion map; a consolidation is part of its opacity and drawn over it."""
OPACITY, CONSOLIDATION, FLUID, NODULE = LESIONS
NODULE_RIM_MM = 6.0
"""Blurred border of a nodule, kept out of the opacities: two coarse voxels and a spicule."""
COARSEST_SLICE_MM, COARSEST_PIXEL_MM = 5.5, 2.5
"""Sampling up to which opacities are judged: beyond it partial volume at the diaphragm looked like ground glass."""
BONE_HU = 200.0
"""Stands in for a bone mask where the segmenter made none."""


def is_fine_enough(grid: Grid) -> bool:
    """Whether the sampling tells an opacity from the partial volume at diaphragm, vessels and fluid."""
    slice_mm, row_mm, column_mm = grid.spacing_mm
    return slice_mm <= COARSEST_SLICE_MM and max(row_mm, column_mm) <= COARSEST_PIXEL_MM


def find_lesions(volume: Volume, segmentation: Segmentation) -> UInt8[np.ndarray, "z y x"]:
    """Run the rule detectors of lung and pleura; returns lesion labels on the study's grid."""
    coarse = coarse_volume(volume)
    small = coarse.reduce(segmentation.labels)
    right, left, unknown = (_structures(small, segmentation, *LUNG_PARTS[side]) for side in ("right", "left", "unknown"))
    labels = np.zeros(small.shape, np.uint8)
    if is_fine_enough(volume.grid):
        lungs = right | left | unknown
        nodules = find_nodules(coarse, lungs)
        found = find_opacities(coarse, lungs & ~grow(nodules, NODULE_RIM_MM, coarse.spacing_mm))
        labels[found.opacity] = OPACITY
        labels[found.consolidation] = CONSOLIDATION
        labels[nodules] = NODULE
    if not unknown.any():
        labels[_fluid(coarse, small, segmentation, right, left)] = FLUID
    full = coarse.full.restore(coarse.enlarge(labels))
    full[(full == NODULE) & (volume.hu <= EDGE_HU)] = 0
    return full


def _fluid(
    coarse: CoarseVolume, small: UInt8[np.ndarray, "z y x"], segmentation: Segmentation, right: Mask3D, left: Mask3D
) -> Mask3D:
    body = small > 0
    bone = _structures(small, segmentation, "bone") if segmentation.has("bone") else coarse.hu > BONE_HU
    sides = find_fluid(coarse, right, left, body, bone), find_fluid(coarse, left, right, body, bone)
    return np.asarray(np.logical_or(*sides))


def _structures(small: UInt8[np.ndarray, "z y x"], segmentation: Segmentation, *names: str) -> Mask3D:
    wanted = [label for label, name in segmentation.names.items() if name in names]
    return np.isin(small, wanted)
