"""Coarse volume -> lumen of trachea and main bronchi, by following the dark round lumen from slice to slice."""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from preprocessing.coarse import CoarseVolume
from preprocessing.morphology import Mask3D

Plane = Bool[np.ndarray, "y x"]

LUMEN_HU = -930.0
"""Air in the lumen of trachea and main bronchi; aerated lung is denser except in emphysema."""
LUMEN_MM2 = (40.0, 700.0)
"""Area of a tracheal lumen: 15 to 27 mm across in adults, half of that in children, with a margin."""
BRANCHING_MM2 = 900.0
"""Largest lumen in one slice, at the carina; anything larger is lung that the lumen ran into."""
TRACHEA_MM = 20.0
"""Length over which the lumen must go on downwards before it is called a trachea."""
SOLID_HU = -500.0
"""Half way between air and soft tissue: what surrounds a trachea is denser."""


def find_airway(coarse: CoarseVolume, body: Mask3D, gas: Mask3D) -> Mask3D:
    """Trachea and main bronchi inside the body's gas; empty when no trachea is in view."""
    dark = gas & (coarse.hu < LUMEN_HU)
    airway = np.zeros_like(gas)
    seed = _trachea(coarse, body, dark)
    if seed is None:
        return airway
    start, lumen = seed
    pixel_mm2 = coarse.spacing_mm[1] * coarse.spacing_mm[2]
    for z, step in [(z, -1) for z in range(start, -1, -1)] + [(z, 1) for z in range(start + 1, len(gas))]:
        if z != start:
            lumen = _follow(dark[z], airway[z - step], pixel_mm2)
        if not lumen.any():
            if step > 0:
                break
            continue
        airway[z] = lumen
    rim = ndimage.binary_dilation(airway) & gas & (coarse.hu < -700.0)
    return np.asarray(rim | airway)


def _follow(dark: Plane, before: Plane, pixel_mm2: float) -> Plane:
    """The dark parts of this slice that touch the lumen of the slice before and are no larger than a carina."""
    parts, _ = ndimage.label(dark)
    touched = np.unique(parts[ndimage.binary_dilation(before) & (parts > 0)])
    areas = np.bincount(parts.ravel()) * pixel_mm2
    return np.isin(parts, touched[areas[touched] <= BRANCHING_MM2])


def _trachea(coarse: CoarseVolume, body: Mask3D, dark: Mask3D) -> tuple[int, Plane] | None:
    """The highest slice with a trachea, and its lumen there."""
    length = max(2, round(TRACHEA_MM / coarse.spacing_mm[0]))
    columns = np.flatnonzero(body.any(axis=(0, 1)))
    for z in range(len(dark) - 1, length - 1, -1):
        parts, count = ndimage.label(dark[z])
        for label in range(1, count + 1):
            lumen = parts == label
            if _is_trachea(coarse, z, lumen, columns) and _goes_on(dark[z - length + 1 : z], lumen):
                return z, lumen
    return None


def _is_trachea(coarse: CoarseVolume, z: int, lumen: Plane, body_columns: np.ndarray) -> bool:
    """Whether a dark part of a slice is round, central, of tracheal size and stands alone in soft tissue."""
    rows, columns = np.nonzero(lumen)
    height_mm, width_mm = (np.ptp(rows) + 1) * coarse.spacing_mm[1], (np.ptp(columns) + 1) * coarse.spacing_mm[2]
    area_mm2 = len(rows) * coarse.spacing_mm[1] * coarse.spacing_mm[2]
    is_round = area_mm2 > 0.5 * height_mm * width_mm and 0.4 < height_mm / width_mm < 2.5
    is_central = abs(columns.mean() - body_columns.mean()) < 0.12 * (np.ptp(body_columns) + 1)
    if not (LUMEN_MM2[0] <= area_mm2 <= LUMEN_MM2[1] and is_round and is_central):
        return False
    ring = ndimage.binary_dilation(lumen, iterations=4) & ~ndimage.binary_dilation(lumen)
    return bool(np.mean(coarse.hu[z][ring] > SOLID_HU) > 0.8)


def _goes_on(dark_below: Mask3D, lumen: Plane) -> bool:
    """Whether each of the slices below has dark air within the lumen's box."""
    rows, columns = np.nonzero(lumen)
    box = dark_below[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return bool(box.any(axis=(1, 2)).all())
