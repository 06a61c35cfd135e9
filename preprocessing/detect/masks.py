"""Case -> lesion masks of the detectors, on the study's own grid.

Keeps the coarse work in one place: everything after it reads full-size masks and regions only.
"""

import numpy as np
from jaxtyping import UInt8

from preprocessing.detect.case import Case
from preprocessing.detect.effusion import pleural_fluid
from preprocessing.detect.lung_lesions import lung_lesions
from preprocessing.detect.nodule import Nodule
from preprocessing.detect.places import is_fine_enough

LESIONS = {1: "lung_opacity", 2: "consolidation", 3: "pleural_effusion", 4: "nodule"}
"""Labels of the lesion map; a consolidation is part of its opacity and drawn over it."""
OPACITY, CONSOLIDATION, FLUID, NODULE = LESIONS


def find_lesions(case: Case) -> UInt8[np.ndarray, "z y x"]:
    """Run the detectors of lung and pleura; returns lesion labels on the study's grid."""
    coarse = case.coarse
    labels = np.zeros(case.structures.shape, np.uint8)
    is_fine = is_fine_enough(case.volume.grid)
    if is_fine:
        found = case.once(lung_lesions).opacities
        labels[found.opacity] = OPACITY
        labels[found.consolidation] = CONSOLIDATION
    labels[case.once(pleural_fluid)] = FLUID
    full = coarse.enlarge(labels)
    for nodule in case.once(lung_lesions).nodules if is_fine else ():
        _paint(full, nodule)
    return coarse.full.restore(full)


def _paint(full: UInt8[np.ndarray, "z y x"], nodule: Nodule) -> None:
    full[nodule.sized.box][nodule.sized.mask] = NODULE
