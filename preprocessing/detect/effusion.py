"""Coarse volume + lungs -> candidate pleural fluid: water-dense tissue behind and below the lungs, inside the ribs.

A rule of density and place, so it can only ever raise a candidate: the mean of simple fluid (0 to 20 HU) lies below muscle,
liver and spleen (45 to 65 HU) and above fat (-100 HU). A bloody or infected effusion is denser and is missed.
"""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage
from scipy.spatial import ConvexHull

from preprocessing.coarse import CoarseVolume
from preprocessing.detect.case import Case
from preprocessing.detect.places import places
from preprocessing.measure.regions import LUNG_PARTS
from preprocessing.morphology import Mask3D, grow, opening

FLUID_HU = (-15.0, 30.0)
"""Smoothed CT number of simple fluid, with a margin for noise and beam hardening."""
SMOOTH_MM = 3.0
"""Standard deviation of the smoothing: noise of 15 HU falls below 3 HU."""
THICK_MM = 4.0
"""Half of the least thickness of a fluid layer that is told from partial volume at the chest wall."""
REACH_MM = 6.0
"""Fluid lies against the lung or its recess: at most this far from it."""

CAGE_WALL_MM = 6.0
"""Half a rib and the intercostal muscle beside it: taken off the inside of the rib cage."""
BELOW_LUNG_MM = 15.0
"""How far below the lowest aerated slice the posterior recess is searched."""
REAR_MM = 12.0
"""Free fluid sinks to the back: it comes this close to the rear wall of the rib cage (stomach and spleen do not)."""
SPINE_MM = 35.0
"""Half of the strip beside the midline that is left out: oesophagus, aorta, crura and paraspinal muscle lie there."""
SEGMENTED_HU = (-15.0, 70.0)
"""Smoothed mean CT number of a part of a segmenter's fluid: a blood clot reads up to 70 HU."""
SEEN_SHARE = 0.1
"""Least share of such a part that the omni model's near network takes for fluid as well."""
LEAST_PART_ML = 2.0
"""Smaller parts of a segmenter's fluid are its rim at the chest wall."""
BONE_HU = 200.0
"""Stands in for a bone mask where the segmenter made none."""


def pleural_fluid(case: Case) -> Mask3D:
    """Return the pleural fluid of both sides on the coarse grid; empty where the sides of the lungs are not known."""
    if is_segmented(case):
        return case.once(segmented_fluid)[0]
    right, left, unknown = (case.mask(*LUNG_PARTS[side]) for side in ("right", "left", "unknown"))
    if unknown.any():
        return np.zeros_like(right)
    body = case.structures > 0
    bone = case.mask("bone") if case.segmentation.has("bone") else case.coarse.hu > BONE_HU
    sides = find_fluid(case.coarse, right, left, body, bone), find_fluid(case.coarse, left, right, body, bone)
    return np.asarray(np.logical_or(*sides))


def is_segmented(case: Case) -> bool:
    """Whether the segmenter itself looks for pleural fluid."""
    return case.knows_lesion("pleural_effusion")


def segmented_fluid(case: Case) -> tuple[Mask3D, Mask3D]:
    """A segmenter's fluid, what is large enough and as dense as fluid, blood or pus: what both networks see, and the rest."""
    fluid = case.lesion_mask("pleural_effusion")
    parts, count = ndimage.label(fluid)
    index = np.arange(1, count + 1)
    mean_hu = ndimage.mean(case.smooth_hu, parts, index)
    size_ml = ndimage.sum_labels(fluid, parts, index) * case.coarse.voxel_ml
    look = case.once(places)
    seen = look.is_blind | (ndimage.mean(look.shown("pleural_effusion", case), parts, index) >= SEEN_SHARE)
    keep = (size_ml >= LEAST_PART_ML) & (mean_hu > SEGMENTED_HU[0]) & (mean_hu < SEGMENTED_HU[1])
    return np.isin(parts, index[keep & seen]), np.isin(parts, index[keep & ~seen])


def find_fluid(coarse: CoarseVolume, lung: Mask3D, other_lung: Mask3D, body: Mask3D, bone: Mask3D) -> Mask3D:
    """Return the candidate fluid on the side of one lung, an empty mask when there is none."""
    space = _dependent_space(coarse, lung, other_lung, bone)
    inside = space & body & ~lung & ~other_lung & ~bone
    soft = np.clip(coarse.hu, -200.0, 200.0)
    smooth = ndimage.gaussian_filter(soft, [SMOOTH_MM / s for s in coarse.spacing_mm])
    fluid = opening(inside & (smooth > FLUID_HU[0]) & (smooth < FLUID_HU[1]), THICK_MM, coarse.spacing_mm)
    parts, _ = ndimage.label(fluid & _sunk(fluid, space, coarse.spacing_mm[1])[:, None, :])
    touching = np.unique(parts[grow(lung, REACH_MM, coarse.spacing_mm) & (parts > 0)])
    return opening(np.isin(parts, touching[touching > 0]), THICK_MM, coarse.spacing_mm)


def _sunk(fluid: Mask3D, space: Mask3D, row_mm: float) -> Bool[np.ndarray, "z x"]:
    """Columns whose fluid comes close to the rear wall of the space."""
    rear = space.shape[1] - 1 - np.argmax(space[:, ::-1], axis=1)
    fluid_rear = fluid.shape[1] - 1 - np.argmax(fluid[:, ::-1], axis=1)
    return np.asarray(fluid.any(axis=1) & ((rear - fluid_rear) * row_mm <= REAR_MM))


def _dependent_space(coarse: CoarseVolume, lung: Mask3D, other_lung: Mask3D, bone: Mask3D) -> Mask3D:
    """The space inside the rib cage on the lung's side, behind the middle of the lung, down to the posterior recess."""
    space = np.zeros_like(lung)
    slices = np.flatnonzero(lung.any(axis=(1, 2)))
    if not slices.size:
        return space
    rows = np.flatnonzero(lung.any(axis=(0, 2)))
    columns = np.flatnonzero(lung.any(axis=(0, 1)))
    others = np.flatnonzero(other_lung.any(axis=(0, 1)))
    middle = (columns.mean() + others.mean()) / 2 if others.size else bone.shape[2] / 2
    from_spine_mm = (np.arange(bone.shape[2]) - middle) * coarse.spacing_mm[2]
    is_side = from_spine_mm * np.sign(columns.mean() - middle) > SPINE_MM
    lowest = max(0, int(slices[0] - BELOW_LUNG_MM / coarse.spacing_mm[0]))
    for z in range(lowest, int(slices[-1]) + 1):
        space[z] = _inside_hull(bone[z], CAGE_WALL_MM, coarse.spacing_mm[1:]) & is_side[None, :]
    space[:, : int(rows.mean())] = False
    return space


def _inside_hull(bone: Bool[np.ndarray, "y x"], margin_mm: float, spacing_mm: tuple[float, ...]) -> Bool[np.ndarray, "y x"]:
    """Pixels at least ``margin_mm`` inside the convex hull of the bones of one slice."""
    points = np.argwhere(bone) * np.asarray(spacing_mm)
    if len(points) < 10:
        return np.zeros_like(bone)
    hull = ConvexHull(points)
    rows, columns = (np.arange(n) * s for n, s in zip(bone.shape, spacing_mm, strict=True))
    inside = np.ones(bone.shape, bool)
    for across_rows, across_columns, offset in hull.equations:
        inside &= (across_rows * rows)[:, None] + (across_columns * columns)[None, :] + offset <= -margin_mm
    return inside
