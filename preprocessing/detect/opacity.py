"""Coarse volume + lungs -> masks of lung opacity and consolidation, by density, size and surroundings.

Opacity is lung denser than the patient's own aerated lung over more than a vessel's width. Hilar and other vessels are
as dense as a consolidation but have no ground-glass around or within, so a part counts only when much of it is ground
glass, or when it is too thick for a vessel, or dense, large and against the chest wall. Measured on real CT: ground-glass
share 0.65 to 1.0 in marked opacities, 0.19 to 0.42 in hilar vessels (docs/explanation/experiments.md).
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from preprocessing.coarse import CoarseVolume
from preprocessing.morphology import Mask3D, opening

LOWEST_HU = -700.0
"""Densest CT number of normal aerated lung in inspiration; ground glass begins here."""
ABOVE_OWN_LUNG_HU = 150.0
"""An opacity is at least this much denser than the median of the patient's own lung, which rises in expiration."""
VESSEL_MM = 4.0
"""Radius of the ball that an opacity holds and a vessel beyond the hilum does not (segmental arteries: 5 to 8 mm across)."""
THIN_MM = 3.0
"""Up to this slice spacing the opening removes the partial-volume layer at the diaphragm by itself."""
DENSE_HU = -250.0
"""Upper CT number of ground glass: vessels stay visible in it; above it is consolidation or soft tissue."""
GROUND_GLASS_SHARE = 0.5
"""Least share of ground glass in a part that is called an opacity (hilar vessels 0.42 at most, see above)."""
SMALLEST_ML = 0.5
"""Parts below this are partial-volume rims of vessels and fissures."""
THICK_MM, THICK_ML = 7.0, 5.0
"""A dense part that still holds this much after an opening by a ball of this radius is no vessel (hilar arteries: 0 mL)."""
SMALLEST_THICK_ML = 2.0
"""The same for slices further apart than ``THIN_MM``: up to 1.9 mL on phantoms of 5 mm slices without disease."""
WALL_ML, WALL_CONTACT = 10.0, 0.3
"""A dense part without ground glass counts when it is this large and so much of its surface lies on the lung's border."""


@dataclass(frozen=True, eq=False)
class Opacities:
    """Masks on the coarse grid; consolidation lies inside opacity."""

    opacity: Mask3D
    consolidation: Mask3D


def find_opacities(coarse: CoarseVolume, lungs: Mask3D) -> Opacities:
    """Return opacity and consolidation inside the lungs; both empty when the lungs are."""
    aerated = lungs & (coarse.hu < -500.0)
    if not aerated.any():
        return Opacities(np.zeros_like(lungs), np.zeros_like(lungs))
    median_hu = float(np.median(coarse.hu[aerated]))
    dense_lung = lungs & (coarse.hu > max(LOWEST_HU, median_hu + ABOVE_OWN_LUNG_HU)) & ~_partial_volume(coarse, lungs)
    parts, count = ndimage.label(opening(dense_lung, VESSEL_MM, coarse.spacing_mm))
    kept = [
        label for label, box in enumerate(ndimage.find_objects(parts), start=1) if _is_opacity(coarse, lungs, parts == label, box)
    ]
    opacity = np.isin(parts, kept) if count else np.zeros_like(lungs)
    return Opacities(opacity, opacity & (coarse.hu > DENSE_HU))


def _partial_volume(coarse: CoarseVolume, lungs: Mask3D) -> Mask3D:
    """Lung directly above or below other tissue in thick slices, where a voxel holds both."""
    if coarse.spacing_mm[0] <= THIN_MM:
        return np.zeros_like(lungs)
    tissue = ~lungs & (coarse.hu > DENSE_HU)
    return np.asarray(lungs & ndimage.binary_dilation(tissue, np.ones((3, 1, 1))))


def _is_opacity(coarse: CoarseVolume, lungs: Mask3D, part: Mask3D, box: tuple[slice, ...]) -> bool:
    """Whether one dense part of the lung is an opacity and not a vessel or the hilum."""
    values = coarse.hu[part]
    volume_ml = values.size * coarse.voxel_ml
    if volume_ml < (SMALLEST_ML if coarse.spacing_mm[0] <= THIN_MM else SMALLEST_THICK_ML):
        return False
    if np.mean(values < DENSE_HU) >= GROUND_GLASS_SHARE:
        return True
    around = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in box)
    thick = opening(part[around] & (coarse.hu[around] > DENSE_HU), THICK_MM, coarse.spacing_mm)
    if thick.sum() * coarse.voxel_ml >= THICK_ML:
        return True
    rim = ndimage.binary_dilation(part[around]) & ~part[around]
    lateral = rim & ~lungs[around]
    return bool(volume_ml >= WALL_ML and lateral.sum() >= WALL_CONTACT * rim.sum())
