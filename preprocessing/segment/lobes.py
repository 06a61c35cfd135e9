"""One label map of anatomy and lesions -> two: anatomy in which a diseased lobe stays whole, and the lesions in it.

What the network calls opacity or nodule is lung: it joins the nearest lobe. So does gas that the density rules are sure of
and the network missed. Labels are those of ``classes.py``, with ``BODY`` and ``BONE`` after them.
"""

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from medomni.anatomy import SEGMENTED, SEGMENTED_LESIONS
from preprocessing.morphology import Mask3D, bounding_box
from preprocessing.segment.classes import LABELS
from preprocessing.segment.density import Density
from preprocessing.segment.plausible import LOBES, LabelMap, odd_lobe_parts

BODY, BONE = len(SEGMENTED) + 1, len(SEGMENTED) + 2
"""Labels that the density rules add to the anatomy: other tissue of the body, and bone besides vertebrae and ribs."""
ANATOMY = {**dict(enumerate(SEGMENTED, start=1)), BODY: "body", BONE: "bone"}
LESIONS = dict(enumerate(("lung_opacity", "nodule", "pleural_effusion", "pericardial_effusion", "lymph_node"), start=1))
HOLLOW = tuple(LABELS[name] for name in ("airway", "esophagus", "stomach"))
"""Structures that may hold gas of their own."""


def part_lesions(labels: LabelMap, density: Density) -> tuple[LabelMap, LabelMap]:
    """Return anatomy and lesions, each as one map on the same grid."""
    lesions = _lesions(labels, density)
    anatomy = fill_lobes(labels, density)
    anatomy[anatomy > len(SEGMENTED)] = 0
    free = (anatomy == 0) & density.body
    anatomy[free] = BODY
    anatomy[free & density.bone] = BONE
    return anatomy, lesions


def fill_lobes(labels: LabelMap, density: Density) -> LabelMap:
    """Give lesions of the lung, odd parts of lobes and missed gas to the nearest lobe; without any lobe nothing changes."""
    is_lobe = np.isin(labels, LOBES)
    odd = odd_lobe_parts(labels) if is_lobe.any() else is_lobe
    wanted = np.isin(labels, (LABELS["lung_opacity"], LABELS["nodule"])) | odd | _missed(labels, density, is_lobe)
    sure = is_lobe & ~odd
    filled = labels.copy()
    box = bounding_box(sure | wanted, 1.0, (1.0, 1.0, 1.0)) if sure.any() and wanted.any() else None
    if box is not None:
        near = ndimage.distance_transform_edt(~sure[box], return_distances=False, return_indices=True)
        np.copyto(filled[box], labels[box][tuple(near)], where=wanted[box])
    return filled


def _missed(labels: LabelMap, density: Density, is_lobe: Mask3D) -> Mask3D:
    """Aerated lung by its CT numbers that the network calls something else, unless that something holds gas too."""
    return np.asarray(density.lungs & ~is_lobe & ~np.isin(labels, HOLLOW))


def _lesions(labels: LabelMap, density: Density) -> LabelMap:
    """The lesions under their own labels; fluid does not lie where there is air, nor pericardial fluid where there is fat."""
    table = np.zeros(256, np.uint8)
    own = {name: label for label, name in LESIONS.items()}
    for name in SEGMENTED_LESIONS:
        table[LABELS[name]] = own[name]
    lesions: UInt8[np.ndarray, "z y x"] = table[labels]
    fluid = [own["pleural_effusion"], own["pericardial_effusion"]]
    lesions[density.lungs & np.isin(lesions, fluid)] = 0
    lesions[density.thin & (lesions == own["pericardial_effusion"])] = 0
    return lesions
