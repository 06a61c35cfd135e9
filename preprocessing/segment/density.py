"""Working volume -> body, aerated lung and bone by CT numbers, in a fraction of a second: what a network is held against.

The same rules as ``hu_rules.py`` without the costly part (consolidations, the parting of the lungs): on a grid of 3 mm a
shrinking by one voxel does what distances do on a finer one.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medomni.types.volume import Volume
from preprocessing.coarse import CoarseVolume
from preprocessing.morphology import Mask3D, largest_part
from preprocessing.orient import canonical
from preprocessing.segment.airway import find_airway
from preprocessing.segment.hu_rules import BODY_HU, BONE_HU, EVEN_HU, with_inside
from preprocessing.segment.lungs import LUNG_HU, aerated

THIN_HU = -30.0
"""Between fat (-100 HU) and water (0), nearer to water: a voxel that is half fat is no fluid."""


@dataclass(frozen=True, eq=False)
class Density:
    """What the CT numbers alone show.

    ``body`` with all inside it, ``gas`` in it, ``lungs`` as far as they hold air, ``bone``, and ``thin``: less dense than water,
    as fat and gas are.
    """

    body: Mask3D
    gas: Mask3D
    lungs: Mask3D
    bone: Mask3D
    thin: Mask3D
    voxel_ml: float


def by_density(working: Volume) -> Density:
    """Read a working volume (axes to head, back and left, about 3 mm) by its CT numbers."""
    coarse = CoarseVolume(working.hu, working.grid.spacing_mm, (1, 1, 1), canonical(working))
    body = _body(coarse)
    gas = body & (coarse.hu < LUNG_HU)
    lungs = aerated(coarse, gas, find_airway(coarse, body, gas)) if gas.any() else gas
    return Density(body, gas, lungs, _bone(coarse, body), coarse.hu < THIN_HU, coarse.voxel_ml)


def _body(coarse: CoarseVolume) -> Mask3D:
    """The largest solid part that a shrinking by one voxel leaves in one piece: the table and clothes fall off."""
    solid = coarse.hu > BODY_HU
    core = largest_part(ndimage.binary_erosion(solid, border_value=1))
    if not core.any():
        return core
    return with_inside(coarse, ndimage.binary_dilation(core, iterations=2) & solid)


def _bone(coarse: CoarseVolume, body: Mask3D) -> Mask3D:
    """Dense and uneven tissue, as ``hu_rules.find_bone`` finds it; single voxels stay, they cost nothing to have."""
    dense = body & (coarse.hu > BONE_HU)
    mean = ndimage.uniform_filter(coarse.hu, 3)
    spread = ndimage.uniform_filter(coarse.hu**2, 3) - mean**2
    even = ndimage.binary_erosion(dense & (spread < EVEN_HU**2))
    return np.asarray(dense & ~ndimage.binary_dilation(even, iterations=3)) if even.any() else dense
