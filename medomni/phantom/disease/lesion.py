"""What is true of a disease that was drawn: its mask, place and measurements."""

from dataclasses import dataclass

import numpy as np

from medomni.phantom.canvas import Canvas
from medomni.types.finding import BoxMm
from medomni.types.volume import Mask

STRUCTURES = {
    "lung_opacity": "lung_opacity",
    "consolidation": "lung_opacity",
    "atelectasis": "lung_opacity",
    "pleural_effusion": "pleural_effusion",
    "pericardial_effusion": "pericardial_effusion",
    "lung_nodule": "nodule",
    "lymphadenopathy": "lymph_node",
}
"""The lesion of the segmenter that a kind is seen as: airless lung is one class, whatever took the air."""


@dataclass(frozen=True, eq=False)
class Lesion:
    """One drawn disease.

    Attributes:
        mask: its voxels on the canvas it was drawn on.
        side: left, right or "" (the kind has no side).
        lobe: the structure that holds most of it, "" when the lobes are not known.
        measurements: true values: ``volume`` (mL) of every kind, and those of the kind (mm, HU, ratios).
        parts: further masks, such as the solid core of a part-solid nodule.
    """

    kind: str
    variant: str
    mask: Mask
    side: str
    lobe: str
    centre_mm: tuple[float, float, float]
    box_mm: BoxMm
    measurements: dict[str, float]
    parts: dict[str, Mask]
    margin: str = ""

    @property
    def structure(self) -> str:
        """The lesion class of the segmenter, "" when the kind belongs to none."""
        return STRUCTURES.get(self.kind, "")


def box_of(canvas: Canvas, mask: Mask) -> BoxMm:
    """Corners of the voxels of a mask, outer edges, in millimetres; a point at the origin when it is empty."""
    if not mask.any():
        return ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    low, high = [], []
    for axis, (values, spacing) in enumerate(zip((canvas.z, canvas.y, canvas.x), canvas.spacing_mm, strict=True)):
        others = tuple(a for a in range(3) if a != axis)
        found = values.ravel()[np.flatnonzero(mask.any(axis=others))]
        low.append(float(found[0]) - spacing / 2)
        high.append(float(found[-1]) + spacing / 2)
    return ((low[2], low[1], low[0]), (high[2], high[1], high[0]))


def centre_of(canvas: Canvas, mask: Mask) -> tuple[float, float, float]:
    """Mean position (x, y, z in mm) of the voxels of a mask; the origin when it is empty."""
    if not mask.any():
        return (0.0, 0.0, 0.0)
    z, y, x = (float(value) for value in np.argwhere(mask).mean(axis=0))
    places = [np.interp(i, np.arange(len(a.ravel())), a.ravel()) for i, a in ((x, canvas.x), (y, canvas.y), (z, canvas.z))]
    return (float(places[0]), float(places[1]), float(places[2]))


def lobe_of(lobes: dict[str, Mask], mask: Mask) -> str:
    """Name of the lobe that holds most of a mask, "" when none holds any."""
    shares = {name: int((lobe & mask).sum()) for name, lobe in lobes.items()}
    best = max(shares, key=lambda name: shares[name], default="")
    return best if best and shares[best] else ""
