"""Coarse mask -> where it lies in the study: the slice where it is largest, a position there and a box, as evidence; its outline.

Coarse voxels stand for whole blocks of the study's voxels in patient order, so their middles are known exactly.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Num
from scipy import ndimage

from medomni.types.finding import BoxMm, Evidence
from preprocessing.detect.case import Case
from preprocessing.measure.regions import box_mm as box_of
from preprocessing.morphology import Mask3D


@dataclass(frozen=True, eq=False)
class Outline:
    """A mask on the study's own voxels in patient order, cut to its box."""

    box: tuple[slice, ...]
    mask: Mask3D


def evidence(case: Case, mask: Mask3D, structure: str, source: str = "rule") -> Evidence:
    """The evidence of a coarse mask: slice and centre where it is largest, and the box around all of it.

    An empty mask gives evidence without a place.
    """
    voxels = np.argwhere(mask)
    if not len(voxels):
        return Evidence(structure=structure, source=source)
    study = study_index(case, voxels)
    slices = np.rint(study[:, 0]).astype(int)
    index = int(np.bincount(slices).argmax())
    centre = world_mm(case, voxels[slices == index].mean(axis=0)).round(1)
    return Evidence(
        structure=structure,
        slice_index=index,
        position_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        box_mm=box_mm(case, mask),
        source=source,
    )


def evidence_at(case: Case, fine: Num[np.ndarray, "n 3"], structure: str, source: str = "rule") -> Evidence:
    """The evidence of voxels of the study in patient order, given by their (z, y, x): the same for a finer mask."""
    if not len(fine):
        return Evidence(structure=structure, source=source)
    study = fine_to_study(case, fine)
    slices = np.rint(study[:, 0]).astype(int)
    index = int(np.bincount(slices).argmax())
    middle = case.volume.grid.to_world_mm(study[slices == index].mean(axis=0)).round(1)
    low, high = study.min(axis=0).astype(int), study.max(axis=0).astype(int)
    return Evidence(
        structure=structure,
        slice_index=index,
        position_mm=(float(middle[0]), float(middle[1]), float(middle[2])),
        box_mm=box_of(tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True)), case.volume.grid),
        source=source,
    )


def outline(case: Case, mask: Mask3D) -> tuple[Outline, ...]:
    """The outline of a coarse mask; none of an empty one."""
    return block_outline(case, mask, case.coarse.block, (0, 0, 0))


def block_outline(case: Case, mask: Mask3D, block: tuple[int, int, int], start: tuple[int, int, int]) -> tuple[Outline, ...]:
    """The outline of a mask whose voxels are blocks of the study's voxels, the first at ``start``; none of an empty one."""
    found = ndimage.find_objects(mask.view(np.uint8))
    if not found:
        return ()
    inner = mask[found[0]]
    for axis, size in enumerate(block):
        inner = np.repeat(inner, size, axis=axis) if size > 1 else inner
    low = [first + part.start * size for first, part, size in zip(start, found[0], block, strict=True)]
    box = tuple(slice(a, min(a + n, most)) for a, n, most in zip(low, inner.shape, case.fine_hu.shape, strict=True))
    return (Outline(box, inner[tuple(slice(0, part.stop - part.start) for part in box)]),)


def slice_index(case: Case, coarse_z: int, mask: Mask3D) -> int:
    """The study's slice at the middle of what a coarse mask holds at one height."""
    rows, columns = np.nonzero(mask[coarse_z])
    return int(np.rint(study_index(case, np.array([coarse_z, rows.mean(), columns.mean()]))[0]))


def world_mm(case: Case, index: Num[np.ndarray, "... 3"]) -> Float64[np.ndarray, "... 3"]:
    """LPS millimetres of coarse (z, y, x) indices."""
    return case.volume.grid.to_world_mm(study_index(case, index))


def study_index(case: Case, index: Num[np.ndarray, "... 3"]) -> Float64[np.ndarray, "... 3"]:
    """Fractional (slice, row, column) of the study at the middle of coarse voxels."""
    coarse, full = case.coarse, case.coarse.full
    block = np.array(coarse.block, dtype=np.float64)
    fine = np.asarray(index, dtype=np.float64) * block + (block - 1) / 2
    return fine_to_study(case, np.minimum(fine, np.array(full.hu.shape) - 1))


def fine_to_study(case: Case, fine: Num[np.ndarray, "... 3"]) -> Float64[np.ndarray, "... 3"]:
    """(slice, row, column) of the study at (z, y, x) indices of its voxels in patient order."""
    full = case.coarse.full
    fine = np.asarray(fine, dtype=np.float64)
    study = np.empty_like(fine)
    for axis, (source, is_flipped) in enumerate(zip(full.order, full.flips, strict=True)):
        along = fine[..., axis]
        study[..., source] = full.hu.shape[axis] - 1 - along if is_flipped else along
    return study


def box_mm(case: Case, mask: Mask3D) -> BoxMm | None:
    """The box (LPS millimetres) around the voxel middles of a coarse mask; None when it is empty."""
    voxels = np.argwhere(mask)
    if not len(voxels):
        return None
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    corners = np.array([[z, y, x] for z in (low[0], high[0]) for y in (low[1], high[1]) for x in (low[2], high[2])])
    world = world_mm(case, corners)
    least, most = world.min(axis=0).round(2), world.max(axis=0).round(2)
    return (float(least[0]), float(least[1]), float(least[2])), (float(most[0]), float(most[1]), float(most[2]))
