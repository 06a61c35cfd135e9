"""Coarse volume -> right and left lung: which gas is lung, where the sides part, and what dense tissue belongs to them."""

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from preprocessing.coarse import WORKING_MM, CoarseVolume
from preprocessing.morphology import Mask3D, Spacing, bounding_box, closing, grow, opening, shrink

LUNG_HU = -320.0
"""Upper CT number of aerated lung: inflated lung (-850) and soft tissue (+40) meet at -400; a little above keeps ground glass."""
LUNG_MIN_ML = 60.0
"""Smallest gas space that is called a lung; smaller ones are bowel, stomach or pockets."""
DENSE_HU = 300.0
"""Denser than any consolidation, with or without contrast: bone, metal or contrast in chambers, never closed into lung."""
BESIDE_SPINE_MM = 45.0
"""Beyond this far from the midline, behind the middle of the lung, there is no aorta or spine (aorta up to 40 mm off it)."""
POCKET_MM, POCKET_MIN_ML = 4.0, 5.0
"""Ball that a consolidated pocket holds, and its least size; measured 0 mL on five chest CT without a wide consolidation."""
AERATED_HU, GAS_HU = -930.0, -985.0
"""Median of a gas space: lung without emphysema lies above the first, gas without tissue below the second."""
TISSUE_HU, TISSUE_SHARE = -700.0, 0.005
"""Lung holds vessels: at least this share of its inside is denser than this; bowel and stomach gas hold nothing."""
CROSSING_MM = 25.0
"""A part that reaches this far over the midline on both sides holds both lungs; one lung alone may bulge over it by less."""
CLOSING_MM = 9.0
"""Radius of the closing that takes vessels and consolidations up to about twice this width into the lung."""


def find_lungs(coarse: CoarseVolume, body: Mask3D, gas: Mask3D, airway: Mask3D) -> tuple[Mask3D, Mask3D]:
    """Right and left lung, each closed over its vessels and dense pockets; bronchial lumen left out."""
    lungs = aerated(coarse, gas, airway)
    if not lungs.any():
        return lungs, lungs
    right, left = _part(coarse, lungs, body)
    free = body & ~airway & (coarse.hu <= DENSE_HU)
    filled_right = _fill(coarse, right, free & ~left, body)
    filled_left = _fill(coarse, left, free & ~right, body)
    both = filled_right & filled_left
    return filled_right & ~both, filled_left & ~both


def _fill(coarse: CoarseVolume, lung: Mask3D, free: Mask3D, body: Mask3D) -> Mask3D:
    """One lung with its vessels, narrow dense pockets and wide consolidations."""
    closed = closing(lung, CLOSING_MM, coarse.spacing_mm) & free
    return np.asarray(closed | _pockets(coarse, closed, free, body))


def _pockets(coarse: CoarseVolume, lung: Mask3D, free: Mask3D, body: Mask3D) -> Mask3D:
    """Wide dense pockets that can only be lung: with lung above and below them, and enclosed by it or beside the ribs.

    Heart and liver have lung above but none below; hilum, aorta and spine lie near the midline.
    """
    if not lung.any():
        return lung
    above = np.maximum.accumulate(lung[::-1], axis=0)[::-1]
    between = above & np.maximum.accumulate(lung, axis=0) & free & ~lung
    enclosed = np.stack([ndimage.binary_fill_holes(plane) for plane in lung])
    rows = np.arange(lung.shape[1])
    planes = lung.sum(axis=2)
    centre = (planes * rows).sum(axis=1) / np.maximum(1, planes.sum(axis=1))
    from_middle = np.abs(np.arange(lung.shape[2]) - np.flatnonzero(body.any(axis=(0, 1))).mean()) * coarse.spacing_mm[2]
    behind = (rows[None, :, None] > centre[:, None, None]) & (from_middle > BESIDE_SPINE_MM)
    pockets = opening(between & (enclosed | behind), POCKET_MM, coarse.spacing_mm)
    parts, count = ndimage.label(pockets)
    sizes_ml = np.bincount(parts.ravel(), minlength=count + 1) * coarse.voxel_ml
    sizes_ml[0] = 0.0
    return np.asarray(sizes_ml[parts] >= POCKET_MIN_ML)


def aerated(coarse: CoarseVolume, gas: Mask3D, airway: Mask3D) -> Mask3D:
    """The gas spaces that are lung, without the airway and its wall."""
    wall = grow(airway, 1.01 * max(coarse.spacing_mm), coarse.spacing_mm)
    parts, count = ndimage.label(gas & ~wall)
    sizes_ml = np.bincount(parts.ravel(), minlength=count + 1) * coarse.voxel_ml
    big = [label for label in range(1, count + 1) if sizes_ml[label] >= LUNG_MIN_ML]
    return np.isin(parts, [label for label in big if _is_lung(coarse, parts == label)])


def _is_lung(coarse: CoarseVolume, part: Mask3D) -> bool:
    """Whether a gas space is lung: denser than air, or dark as in emphysema but with vessels inside."""
    inside = shrink(part, 2.5 * WORKING_MM, coarse.spacing_mm)
    values = coarse.hu[inside if inside.any() else part]
    median = float(np.median(values))
    return median > AERATED_HU or (median > GAS_HU and float(np.mean(values > TISSUE_HU)) >= TISSUE_SHARE)


def _part(coarse: CoarseVolume, lungs: Mask3D, body: Mask3D) -> tuple[Mask3D, Mask3D]:
    """Part the lungs at their thinnest bridge: erode until no core crosses the midline; voxels join their nearer core."""
    spacing_mm = coarse.spacing_mm
    middle, reach = float(np.flatnonzero(body.any(axis=(0, 1))).mean()), CROSSING_MM / spacing_mm[2]
    for radius_mm in (0.0, 2.0, 4.0, 6.0, 9.0, 12.0):
        parts, count = ndimage.label(shrink(lungs, radius_mm, spacing_mm) if radius_mm else lungs)
        sizes_ml = np.bincount(parts.ravel(), minlength=count + 1)[1:] * coarse.voxel_ml
        boxes = ndimage.find_objects(parts)
        crossing = any(
            size > 0.5 * LUNG_MIN_ML and box[2].start < middle - reach and box[2].stop > middle + reach
            for size, box in zip(sizes_ml, boxes, strict=True)
        )
        if count and not crossing:
            columns = np.array(ndimage.center_of_mass(parts > 0, parts, range(1, count + 1)))[:, 2]
            side = np.concatenate([[0], np.where(columns < middle, 1, 2)]).astype(np.uint8)[parts]
            return _nearest(lungs, side, spacing_mm)
    is_right = np.arange(lungs.shape[2]) < middle
    return lungs & is_right, lungs & ~is_right


def _nearest(lungs: Mask3D, side: UInt8[np.ndarray, "z y x"], spacing_mm: Spacing) -> tuple[Mask3D, Mask3D]:
    """Give each lung voxel to the side (1 right, 2 left) of its nearest voxel that has one."""
    box = bounding_box(lungs, max(spacing_mm), spacing_mm)
    if box is not None and np.any(lungs & (side == 0)):
        near = ndimage.distance_transform_edt(side[box] == 0, spacing_mm, return_distances=False, return_indices=True)
        side = side.copy()
        side[box] = side[box][tuple(near)]
    return lungs & (side == 1), lungs & (side == 2)
