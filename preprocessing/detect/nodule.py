"""Coarse volume + lungs -> solid nodules and masses that lie free in aerated lung, from about 12 mm on.

Vessels are thinner or run into the hilum; a solid ball with air all round it is neither. Smaller nodules, part-solid ones and
those on the pleura or a vessel need a trained detector, so finding none here never means that there is none.
"""

import numpy as np
from scipy import ndimage

from preprocessing.coarse import CoarseVolume
from preprocessing.morphology import Mask3D, grow, opening

SOLID_HU = -250.0
"""Lower CT number of solid tissue averaged over a coarse voxel; ground glass lies below."""
EDGE_HU = -400.0
"""Half way between solid tissue and lung: the border of a nodule at half maximum."""
CORE_MM = 5.0
"""Radius of the ball that the nodule must hold: arteries beyond the hilum are thinner."""
STUB_MM = 4.0
"""Radius of the ball that cuts off the stubs of vessels which run into the nodule."""
LARGEST_MM = 30.0
"""A nodule is 30 mm at most (Fleischner glossary 2008); what is larger is left to the opacities."""
AERATED_HU = -650.0
"""Air in the shell: normal lung with its vessels averaged in; the ground glass round a pneumonia is denser."""
SMALLEST_ML = 1.0
"""Least volume of that core: a ball of 12 mm."""
AIR_SHARE, WALL_SHARE = 0.65, 0.02
"""Least share of air and largest share of chest wall or mediastinum in the shell 2 to 6 mm around the core.

Measured on six real CT: 0.81 and 0.00 round a mass, 0.63 at most or 0.08 and more round hilar vessels of that size.
"""


def find_nodules(coarse: CoarseVolume, lungs: Mask3D) -> Mask3D:
    """Return the coarse mask of free solid nodules, an empty mask when there is none."""
    parts, _ = ndimage.label(opening(lungs & (coarse.hu > SOLID_HU), CORE_MM, coarse.spacing_mm))
    nodules = np.zeros_like(lungs)
    for label, box in enumerate(ndimage.find_objects(parts), start=1):
        around = tuple(slice(max(0, s.start - 4), s.stop + 4) for s in box)
        core = parts[around] == label
        extent_mm = max((s.stop - s.start) * mm for s, mm in zip(box, coarse.spacing_mm, strict=True))
        if extent_mm > LARGEST_MM:
            continue
        if core.sum() * coarse.voxel_ml >= SMALLEST_ML and _is_free(coarse.hu[around], lungs[around], core):
            whole = grow(core, 2.0 * max(coarse.spacing_mm), coarse.spacing_mm) & (coarse.hu[around] > EDGE_HU)
            nodules[around] |= opening(whole & lungs[around], STUB_MM, coarse.spacing_mm)
    return nodules


def _is_free(hu: np.ndarray, lungs: Mask3D, core: Mask3D) -> bool:
    """Whether air, not wall or hilum, surrounds the core on all sides."""
    shell = ndimage.binary_dilation(core, iterations=3) & ~ndimage.binary_dilation(core)
    size = max(1, int(shell.sum()))
    has_air = (shell & lungs & (hu < AERATED_HU)).sum() >= AIR_SHARE * size
    return bool(has_air and (shell & ~lungs).sum() <= WALL_SHARE * size)
