"""What a training map is made of: the network's classes, other tissues, and the CT numbers of each.

A map of tissues holds the labels of ``classes.py`` and the numbers below for everything else in the body.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from preprocessing.segment.classes import LABELS

LUNG_RIGHT, LUNG_LEFT, IGNORE = 28, 29, 255
"""Lung of an unknown lobe, and voxels that nobody judged: as training targets only."""
FAT, SKIN_FAT, MUSCLE, SOFT, BOWEL, BONE, DISC, VEIN, ARTERY, FLUID, GAS = range(32, 43)


@dataclass(frozen=True)
class Density:
    """CT numbers of a tissue: the range of its mean, what contrast adds at most, and its own unevenness (deviation in HU)."""

    low: float
    high: float
    contrast: float = 0.0
    texture: float = 6.0


_OF_CLASS = {
    "lung_upper_lobe_left": Density(-900, -760, 0, 30),
    "lung_lower_lobe_left": Density(-900, -760, 0, 30),
    "lung_upper_lobe_right": Density(-900, -760, 0, 30),
    "lung_middle_lobe_right": Density(-900, -760, 0, 30),
    "lung_lower_lobe_right": Density(-900, -760, 0, 30),
    "airway": Density(-1000, -940, 0, 4),
    "heart": Density(32, 50, 260, 12),
    "aorta": Density(35, 50, 420, 4),
    "pulmonary_artery": Density(35, 50, 460, 4),
    "esophagus": Density(25, 50, 30, 18),
    "vertebrae": Density(110, 260, 20, 60),
    "ribs": Density(180, 450, 10, 90),
    "liver": Density(30, 68, 70, 6),
    "spleen": Density(40, 56, 90, 6),
    "kidney_right": Density(25, 40, 170, 18),
    "kidney_left": Density(25, 40, 170, 18),
    "stomach": Density(5, 60, 40, 25),
    "pancreas": Density(25, 48, 70, 14),
    "gallbladder": Density(0, 22, 5, 3),
    "pleural_effusion": Density(-5, 28, 5, 4),
    "pericardial_effusion": Density(-5, 28, 5, 4),
    "lung_opacity": Density(-650, 45, 40, 40),
    "nodule": Density(-100, 60, 30, 10),
    "lymph_node": Density(25, 48, 40, 6),
}
DENSITIES: dict[int, Density] = {
    **{LABELS[name]: density for name, density in _OF_CLASS.items()},
    LUNG_RIGHT: Density(-900, -760, 0, 30),
    LUNG_LEFT: Density(-900, -760, 0, 30),
    FAT: Density(-115, -85, 0, 9),
    SKIN_FAT: Density(-115, -88, 0, 8),
    MUSCLE: Density(38, 66, 15, 9),
    SOFT: Density(15, 55, 40, 12),
    BOWEL: Density(5, 70, 60, 28),
    BONE: Density(180, 480, 10, 80),
    DISC: Density(60, 115, 10, 8),
    VEIN: Density(35, 50, 150, 4),
    ARTERY: Density(35, 50, 420, 4),
    FLUID: Density(-5, 20, 3, 3),
    GAS: Density(-1000, -900, 0, 12),
}
"""Unenhanced ranges after Kalender, Computed Tomography (3rd ed.); contrast from arterial to portal-venous phase."""


def targets(tissues: UInt8[np.ndarray, "z y x"]) -> UInt8[np.ndarray, "z y x"]:
    """What the network shall answer: classes and lungs stay, other tissues are background, ``IGNORE`` stays."""
    table = np.zeros(256, np.uint8)
    table[: LUNG_LEFT + 1] = np.arange(LUNG_LEFT + 1)
    table[IGNORE] = IGNORE
    return np.asarray(table[tissues])
