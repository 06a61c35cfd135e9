"""Working labels -> labels on the study's grid, with the borders of lung and spine decided by each voxel's own CT number.

A working voxel of 3 mm holds up to a hundred of the study's. Where lung meets other tissue both have a claim: two maps say
what a voxel is if it holds gas and what it is if it does not. At the border of the vertebrae dense voxels are bone and soft
ones are not. Everywhere else the labels are as the working grid has them, with borders smoothed by ``finer``.
"""

import numpy as np
from jaxtyping import Bool, Num, UInt8
from scipy import ndimage

from medomni.types.volume import Grid, Volume
from preprocessing.resample import planes_of_study
from preprocessing.segment.classes import LABELS
from preprocessing.segment.finer import finer, finer_grid
from preprocessing.segment.lobes import BODY, BONE, HOLLOW
from preprocessing.segment.lungs import LUNG_HU
from preprocessing.segment.plausible import LOBES, LabelMap

FullMap = UInt8[np.ndarray, "slice row column"]

WALLS = tuple(LABELS[name] for name in ("heart", "aorta", "pulmonary_artery", "liver", "spleen"))
"""What lies against the lung itself; towards all else stands the chest wall, which is body."""


VERTEBRAE = LABELS["vertebrae"]
BONE_FROM_HU, BONE_DOWN_TO_HU = 170, 100
"""A voxel beside a vertebra is bone from the first on (cortex); one of its rim is no bone below the second (muscle, disc)."""


def paint(labels: LabelMap, working: Volume, study: Volume) -> FullMap:
    """Return anatomy labels of the working grid on the study's grid."""
    fine = finer_grid(working.grid)
    maps = [finer(claim) for claim in claims(labels, working.hu < LUNG_HU)]
    planes = zip(
        *(planes_of_study(one, fine, study.grid) for one in maps),
        planes_of_study(_rim(labels), working.grid, study.grid),
        strict=True,
    )
    full = np.empty(study.grid.shape, np.uint8)
    last, last_rim = None, None
    for k, (gas_plane, dense_plane, rim_plane) in enumerate(planes):
        np.copyto(full[k], dense_plane)
        if dense_plane is not last:  # neighbouring slices share their planes
            box, last = _box(gas_plane != dense_plane), dense_plane
        np.copyto(full[k][box], gas_plane[box], where=study.hu[k][box] < LUNG_HU)
        if rim_plane is not last_rim:
            rim_box, last_rim = _box(rim_plane > 0), rim_plane
        _part_bone(full[k][rim_box], study.hu[k][rim_box], rim_plane[rim_box] > 0)
    return full


def _rim(labels: LabelMap) -> LabelMap:
    """1 where vertebrae meet tissue that nothing else claims, one working voxel to either side."""
    spine = labels == VERTEBRAE
    beside = ndimage.binary_dilation(spine) & np.isin(labels, (BODY, BONE))
    return np.asarray(beside | (spine & ndimage.binary_dilation(beside))).astype(np.uint8)


def _part_bone(labels: UInt8[np.ndarray, "y x"], hu: Num[np.ndarray, "y x"], rim: Bool[np.ndarray, "y x"]) -> None:
    """Give dense voxels of the rim to the vertebra and soft ones to the body, in place."""
    spine = labels == VERTEBRAE
    labels[rim & ~spine & ((labels == BODY) | (labels == BONE)) & (hu >= BONE_FROM_HU)] = VERTEBRAE
    labels[rim & spine & (hu < BONE_DOWN_TO_HU)] = BODY


def claims(labels: LabelMap, is_gas: Bool[np.ndarray, "z y x"]) -> tuple[LabelMap, LabelMap]:
    """What the voxels of each working voxel are if they hold gas, and if they do not."""
    is_lobe = np.isin(labels, LOBES)
    aerated = np.where(is_lobe & is_gas, labels, np.uint8(0))
    beside = ndimage.maximum_filter(aerated, 3)
    if_gas = np.where(~is_lobe & ~np.isin(labels, HOLLOW) & (labels > 0) & (beside > 0), beside, labels)
    wall = ndimage.maximum_filter(np.where(np.isin(labels, WALLS), labels, np.uint8(0)), 3)
    outside = ndimage.maximum_filter((~is_lobe & ~np.isin(labels, HOLLOW)).astype(np.uint8), 3) > 0
    if_dense = np.where((aerated > 0) & outside, np.where(wall > 0, wall, np.uint8(BODY)), labels)
    return if_gas, if_dense


def on_study(labels: LabelMap, working: Grid, study: Grid) -> FullMap:
    """Labels of the working grid on the study's grid, block by block; slices without a label cost neither time nor memory."""
    full = np.zeros(study.shape, np.uint8)
    for k, plane in enumerate(planes_of_study(finer(labels), finer_grid(working), study)):
        if plane.any():
            full[k] = plane
    return full


def _box(mask: Bool[np.ndarray, "y x"]) -> tuple[slice, slice]:
    """The rows and columns that hold a mask; an empty part where there is none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
