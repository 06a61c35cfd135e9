"""Volume + Segmentation -> lesion masks of the rule detectors, on the study's own grid.

Keeps the coarse work in one place: everything after it reads full-size masks and regions only.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.coarse import CoarseVolume, coarse_volume
from preprocessing.detect.effusion import find_fluid
from preprocessing.detect.nodule import find_nodules
from preprocessing.detect.opacity import find_opacities
from preprocessing.measure.regions import LUNG_PARTS
from preprocessing.morphology import Mask3D

LESIONS = {1: "lung_opacity", 2: "consolidation", 3: "pleural_effusion", 4: "nodule"}
"""Labels of the lesion map; a consolidation is part of its opacity and drawn over it."""
OPACITY, CONSOLIDATION, FLUID, NODULE = LESIONS
BONE_HU = 200.0
"""Stands in for a bone mask where the segmenter made none."""


@dataclass(frozen=True)
class LesionMap:
    """Lesion labels on the study's grid and the median CT number of the patient's own aerated lung."""

    labels: UInt8[np.ndarray, "z y x"]
    lung_median_hu: float


def find_lesions(volume: Volume, segmentation: Segmentation) -> LesionMap:
    """Run the rule detectors of lung and pleura."""
    coarse = coarse_volume(volume)
    small = coarse.reduce(segmentation.labels)
    right, left, unknown = (_structures(small, segmentation, *LUNG_PARTS[side]) for side in ("right", "left", "unknown"))
    lungs = right | left | unknown
    found = find_opacities(coarse, lungs)
    labels = np.zeros(small.shape, np.uint8)
    labels[found.opacity] = OPACITY
    labels[found.consolidation] = CONSOLIDATION
    if not unknown.any():
        labels[_fluid(coarse, small, segmentation, right, left)] = FLUID
    labels[find_nodules(coarse, lungs) & (labels == 0)] = NODULE
    return LesionMap(coarse.full.restore(coarse.enlarge(labels)), found.median_hu)


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
