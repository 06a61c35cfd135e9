"""Working labels -> lesions, heart and great vessels on the study's grid, whose borders each voxel's own CT number decides.

A working voxel at the rim of a lesion is part lesion, part muscle, fat or lung. Around the rim every voxel of the study weighs
two things: how much of each tissue the network sees around it, and how usual its CT number is inside that tissue in this very
patient. Where noise or equal density makes the numbers useless, they say nothing and the network decides alone. An opacity also
ends towards lung where a voxel is nearer to the patient's lung than to the opacity beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float32, Float64, Int64, Num, UInt8
from scipy import ndimage

from medomni.types.volume import Grid, Volume
from preprocessing.morphology import Mask3D, bounding_box
from preprocessing.resample import index_axes, planes_of_study
from preprocessing.segment.classes import LABELS
from preprocessing.segment.lobes import BODY, LESIONS
from preprocessing.segment.paint import FullMap, on_study
from preprocessing.segment.plausible import LOBES, LabelMap

BORDERED = ("pleural_effusion", "pericardial_effusion", "lung_opacity")
"""Lesions whose borders are decided here; nodules and nodes have rules of their own."""
HEART = ("heart", "aorta", "pulmonary_artery")
"""The same of the anatomy."""
TISSUES = (
    (*LOBES, LABELS["airway"]),
    (LABELS["vertebrae"], LABELS["ribs"]),
    tuple(LABELS[name] for name in HEART),
    tuple(LABELS[name] for name in ("liver", "spleen", "stomach", "kidney_right", "kidney_left")),
)
"""Anatomy that is one tissue as far as its density goes; 0 is all else, fat and muscle."""
FIRST = len(TISSUES) + 1
"""Number of the first tissue whose borders are decided, after the others and all else."""
OPACITY = FIRST + BORDERED.index("lung_opacity")
"""Number of the tissue that is an opacity of the lung, where lesions are looked at."""
RIM_VOXELS = 2
"""How far from its border on the working grid what is sharpened may end (6 mm)."""
NEAR_VOXELS = 5
"""How far around it the tissues are looked at that it may be taken for."""
BLUR_VOXELS = 0.8
"""Deviation of the blur that makes shares of labels."""
LEAST_SURE = 60
"""Voxels inside a tissue that are enough to know its density from; with fewer its rim is looked at too."""
ODD_SHARE = 0.02
"""Share of a tissue's voxels that may have any CT number."""
CORE_VOXELS = 3.0
"""Deviation of the blur that tells how dense an opacity is near a place: 9 mm."""
LEAST_CORE = 1e-3
"""Blurred share from which the core tells."""
FAINT_HU, DENSE_HU = -750.0, -500.0
"""An opacity as faint as this has no such middle, for its step to lung is within the noise; from the other on it has one."""
WATER_HU = 40.0
"""An opacity counts as no denser than airless lung: vessels with contrast may run through it."""
STEPS_HU = np.array(
    (-700, -500, -300, -150, -100, -70, -40, -20, -10, 0, 8, 16, 24, 32, 40, 48, 56, 64, 75, 90, 120, 160, 250, 350, 450, 600),
    np.float32,
)
"""Between these CT numbers are told apart: finely where fluid, airless lung and muscle lie, coarsely in contrast medium."""

_LABEL = {name: label for label, name in LESIONS.items()}
_LESION_OF = np.array([0] * FIRST + [_LABEL[name] for name in BORDERED], np.uint8)
"""Label in ``LESIONS`` of each tissue, 0 for what is healthy."""
_HEART_OF = np.array([0] * FIRST + [LABELS[name] for name in HEART], np.uint8)
"""Label of each tissue where heart and great vessels are looked at one by one, 0 for what is none of them."""
_BONES = TISSUES[1]
"""What keeps the border that was painted: spongy bone may be as dense as blood with contrast. Other bone may be contrast."""
_KEPT = tuple(label for name, label in _LABEL.items() if name not in BORDERED)


def sharpen(anatomy: LabelMap, lesions: LabelMap, working: Volume, study: Volume) -> FullMap:
    """Return the lesions on the study's grid.

    Args:
        anatomy: labels of ``lobes.ANATOMY`` on the working grid, lesions taken for what they lie in.
        lesions: labels of ``lobes.LESIONS`` on the same grid.
        working: the volume on that grid.
        study: the volume as it was scanned.
    """
    full = on_study(lesions, working.grid, study.grid)
    tissues = _tissues(anatomy, lesions, _LESION_OF[FIRST:])
    free, least = ~np.isin(lesions, _KEPT), _least_hu(anatomy, lesions, working.hu)
    for k, rows, columns, tissue in _decided(tissues, free, working.grid, study, least):
        full[k, rows, columns] = _LESION_OF[tissue]
    return full


def sharpen_heart(full: FullMap, anatomy: LabelMap, working: Volume, study: Volume) -> None:
    """Let heart, aorta and pulmonary artery end where the patient's own CT numbers change, in place; spine and ribs stay.

    Args:
        full: labels of ``lobes.ANATOMY`` on the study's grid.
        anatomy: what it was painted from.
        working: the volume on the grid of ``anatomy``.
        study: the volume as it was scanned.
    """
    tissues = _tissues(anatomy, anatomy, _HEART_OF[FIRST:])
    for k, rows, columns, tissue in _decided(tissues, np.ones(anatomy.shape, bool), working.grid, study):
        painted, decided = full[k, rows, columns], _HEART_OF[tissue]
        other = np.where(np.isin(painted, _HEART_OF[FIRST:]), np.uint8(BODY), painted)
        full[k, rows, columns] = np.where((decided > 0) & ~np.isin(painted, _BONES), decided, other)


def keep_airless(full: FullMap, lesions: FullMap, anatomy: LabelMap, working: Grid, study: Grid) -> None:
    """Give opacities beyond the painted lung to the nearest lobe, in place: airless lung is lung.

    Args:
        full: labels of ``lobes.ANATOMY`` on the study's grid.
        lesions: labels of ``lobes.LESIONS`` on the same grid.
        anatomy: what ``full`` was painted from.
        working: the grid of ``anatomy``.
        study: the grid of the others.
    """
    opacity = _LABEL["lung_opacity"]
    box = bounding_box(np.isin(anatomy, LOBES), float(RIM_VOXELS + 1), (1.0, 1.0, 1.0))
    if box is None or not (lesions == opacity).any():
        return
    lobes = np.zeros_like(anatomy)
    is_lobe = np.isin(anatomy[box], LOBES)
    nearest = ndimage.distance_transform_edt(~is_lobe, return_distances=False, return_indices=True)
    lobes[box] = anatomy[box][tuple(nearest)]
    for k, plane in enumerate(planes_of_study(lobes, working, study)):
        ill = lesions[k] == opacity
        if ill.any():
            np.copyto(full[k], plane, where=ill & (plane > 0))


def _least_hu(anatomy: LabelMap, lesions: LabelMap, hu: Float32[np.ndarray, "z y x"]) -> Float32[np.ndarray, "z y x"] | None:
    """The CT number in the middle between the patient's lung and the opacity that is near each working voxel; None if none is."""
    opacity = lesions == _LABEL["lung_opacity"]
    box = bounding_box(opacity, float(NEAR_VOXELS), (1.0, 1.0, 1.0))
    healthy = np.isin(anatomy, LOBES) & (lesions == 0)
    if box is None or not healthy.any():
        return None
    lung = np.float32(np.median(hu[healthy]))
    dense, here = np.full(opacity[box].shape, lung, np.float32), np.minimum(hu[box], WATER_HU)
    for inside in (opacity[box], ndimage.binary_erosion(opacity[box])):  # a thin one has no core: its rim must tell
        share = ndimage.gaussian_filter(inside.astype(np.float32), CORE_VOXELS)
        mean = ndimage.gaussian_filter(np.where(inside, here, 0.0).astype(np.float32), CORE_VOXELS) / np.maximum(share, 1e-6)
        dense = np.where(share > LEAST_CORE, mean, dense)
    weight = np.clip((dense - FAINT_HU) / (DENSE_HU - FAINT_HU), 0.0, 1.0) / 2
    least = np.full(hu.shape, lung, np.float32)
    least[box] = lung + weight * (dense - lung)
    return least


def _decided(
    tissues: LabelMap, free: Mask3D, working: Grid, study: Volume, least: Float32[np.ndarray, "z y x"] | None = None
) -> Iterator[tuple[int, Int64[np.ndarray, "n"], Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]]:
    """Slice, rows, columns, tissue of the study's voxels at the rim of tissues from ``FIRST`` on; no opacity below ``least``."""
    sought = tissues >= FIRST
    box = bounding_box(sought, float(NEAR_VOXELS), (1.0, 1.0, 1.0))
    if box is None:
        return
    rim = np.zeros(sought.shape, np.uint8)
    near = ndimage.binary_dilation(sought[box], iterations=RIM_VOXELS)
    rim[box] = near & _is_mixed(tissues[box]) & free[box]
    judge = _Judge.of(tissues, box, working, study, None if least is None else least[box])
    last, rows, columns = None, np.zeros(0, np.int64), np.zeros(0, np.int64)
    for k, plane in enumerate(planes_of_study(rim, working, study.grid)):
        if plane is not last:  # neighbouring slices share their planes
            last, (rows, columns) = plane, np.nonzero(plane)
        if rows.size:
            yield k, rows, columns, judge.tissues(study, k, rows, columns)


def _tissues(anatomy: LabelMap, sought: LabelMap, labels: UInt8[np.ndarray, "k"]) -> LabelMap:
    """Number of the tissue of each working voxel; what is sought comes last, in the order of its labels."""
    of_anatomy, of_sought = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    for number, members in enumerate(TISSUES, start=1):
        of_anatomy[list(members)] = number
    of_sought[labels] = np.arange(FIRST, FIRST + len(labels))
    numbers = of_sought[sought]
    return np.asarray(np.where(numbers > 0, numbers, of_anatomy[anatomy]))


def _is_mixed(tissues: LabelMap) -> Mask3D:
    """Voxels with another tissue within ``RIM_VOXELS``."""
    size = 2 * RIM_VOXELS + 1
    return np.asarray(ndimage.maximum_filter(tissues, size) != ndimage.minimum_filter(tissues, size))


@dataclass(frozen=True, eq=False)
class _Judge:
    """What speaks for each tissue: its share around a place in a box of the working grid, and its CT numbers."""

    shares: Float32[np.ndarray, "z y x tissue"]
    usual: Float32[np.ndarray, "step tissue"]
    least: Float32[np.ndarray, "z y x"] | None
    first: Int64[np.ndarray, "3"]
    working: Grid

    @staticmethod
    def of(
        tissues: LabelMap, box: tuple[slice, ...], working: Grid, study: Volume, least: Float32[np.ndarray, "d h w"] | None
    ) -> "_Judge":
        """Look at the tissues in a box."""
        here, count = tissues[box], int(tissues.max()) + 1
        near = ndimage.binary_dilation(here >= FIRST, iterations=NEAR_VOXELS)
        shares = np.zeros((*here.shape, count), np.float32)
        usual = np.zeros((len(STEPS_HU) + 1, count), np.float32)
        first = np.array([part.start for part in box])
        for number in np.unique(here[near]):
            mask = here == number
            shares[..., number] = ndimage.gaussian_filter(mask.astype(np.float32), BLUR_VOXELS)
            inside = ndimage.binary_erosion(mask) & near
            places = np.argwhere(inside if inside.sum() >= LEAST_SURE else mask & near) + first
            counts = np.bincount(np.digitize(_hu_at(places, working, study), STEPS_HU), minlength=len(usual))
            usual[:, number] = counts / max(1, counts.sum()) + ODD_SHARE / len(usual)
        return _Judge(shares, usual, least, first, working)

    def tissues(
        self, study: Volume, k: int, rows: Int64[np.ndarray, "n"], columns: Int64[np.ndarray, "n"]
    ) -> Int64[np.ndarray, "n"]:
        """The likeliest tissue of some voxels of slice ``k``."""
        grid, to_index = study.grid, index_axes(self.working)
        start = to_index @ (grid.slice_origins_mm[k] - self.working.slice_origins_mm[0]) - self.first
        steps = to_index @ np.stack([grid.column_direction, grid.row_direction], axis=1) * grid.pixel_spacing_mm
        place = start + rows[:, None] * steps[:, 0] + columns[:, None] * steps[:, 1]
        hu = study.hu[k, rows, columns]
        likely = _interpolate(self.shares, place) * self.usual[np.digitize(hu, STEPS_HU)]
        if self.least is not None:
            likely[hu < _interpolate(self.least[..., None], place)[:, 0], OPACITY] = 0.0
        return np.asarray(likely.argmax(axis=1))


def _hu_at(places: Int64[np.ndarray, "n 3"], working: Grid, study: Volume) -> Num[np.ndarray, "n"]:
    """CT numbers of the study's voxels in the middle of working voxels."""
    grid = study.grid
    offset = working.to_world_mm(places) - grid.slice_origins_mm[0]
    k = np.clip(np.searchsorted(grid.slice_positions_mm, offset @ grid.normal + grid.slice_positions_mm[0]), 0, grid.shape[0] - 1)
    in_plane = offset + grid.slice_origins_mm[0] - grid.slice_origins_mm[k]
    row = np.rint(in_plane @ grid.column_direction / grid.pixel_spacing_mm[0]).astype(np.int64)
    column = np.rint(in_plane @ grid.row_direction / grid.pixel_spacing_mm[1]).astype(np.int64)
    return np.asarray(study.hu[k, np.clip(row, 0, grid.shape[1] - 1), np.clip(column, 0, grid.shape[2] - 1)])


def _interpolate(
    shares: Float32[np.ndarray, "z y x tissue"], place: Float64[np.ndarray, "n 3"]
) -> Float32[np.ndarray, "n tissue"]:
    """Shares between the voxels, by linear interpolation."""
    last = np.array(shares.shape[:3]) - 1
    low = np.clip(np.floor(place).astype(np.int64), 0, np.maximum(last - 1, 0))
    part = np.clip(place - low, 0.0, 1.0).astype(np.float32)
    flat = shares.reshape(-1, shares.shape[-1])
    strides = np.array([shares.shape[1] * shares.shape[2], shares.shape[2], 1])
    total = np.zeros((len(place), shares.shape[-1]), np.float32)
    for corner in product((0, 1), repeat=3):
        weight = np.prod(np.where(np.array(corner) == 1, part, 1 - part), axis=1)
        total += weight[:, None] * flat[np.minimum(low + corner, last) @ strides]
    return total
