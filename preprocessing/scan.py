"""Volume + Segmentation -> Scan: the box of the body, resampled and coded as the omni model takes it."""

import numpy as np
from jaxtyping import Float32, UInt8
from scipy import ndimage

from medomni.model.scan import CELL, GRID_MM, LEAST_SLICES, STRUCTURES, Scan, to_codes
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Grid, Volume
from preprocessing.resample import AIR_HU, to_working

BODY_HU = -300.0
"""Denser than this is body, clothes or table."""
THINNEST_CELLS = 3
"""What is thinner than this many cells of 5 to 6 mm, such as a table top or a tube, is not the body."""
MARGIN_CELLS = 1
WHOLE_LUNGS = {"lung_right": "lung_lower_lobe_right", "lung_left": "lung_lower_lobe_left", "lung": "lung_lower_lobe_right"}
"""What a lung whose lobes are not told apart is put down as: the first layer knows lungs, not lobes (``vision.GROUPS``)."""


def to_scan(volume: Volume, segmentation: Segmentation) -> Scan:
    """Return what the model sees of a study."""
    working = to_working(volume, GRID_MM)
    lacking = [(0, -n % step) for n, step in zip(working.hu.shape, CELL, strict=True)]
    lacking[0] = (0, max(lacking[0][1], LEAST_SLICES - working.hu.shape[0]))
    padded = np.pad(working.hu, lacking, constant_values=AIR_HU)
    box = body_box(padded)
    grid = _part(working.grid, box)
    return Scan(to_codes(padded[box]), structures_on(grid, segmentation), grid)


def body_box(hu: Float32[np.ndarray, "z y x"]) -> tuple[slice, slice, slice]:
    """The box of whole cells round the body; the whole image where there is none."""
    z, y, x = (n // step for n, step in zip(hu.shape, CELL, strict=True))
    means = hu.reshape(z, CELL[0], y, CELL[1], x, CELL[2]).mean(axis=(1, 3, 5))
    body = ndimage.binary_opening(means > BODY_HU, np.ones((1, THINNEST_CELLS, THINNEST_CELLS)))
    if not body.any():
        return slice(0, hu.shape[0]), slice(0, hu.shape[1]), slice(0, hu.shape[2])
    ends = []
    for axis, (count, step) in enumerate(zip((z, y, x), CELL, strict=True)):
        filled = np.flatnonzero(body.any(axis=tuple(k for k in range(3) if k != axis)))
        first, last = max(0, filled[0] - MARGIN_CELLS), min(count, filled[-1] + 1 + MARGIN_CELLS)
        ends.append(slice(int(first) * step, int(last) * step))
    return slice(0, hu.shape[0]), ends[1], ends[2]


def structures_on(grid: Grid, segmentation: Segmentation) -> UInt8[np.ndarray, "z h w"]:
    """The label of ``STRUCTURES`` at the middle of every block of 1 x 2 x 2 voxels of a scan's grid."""
    depth, height, width = grid.shape
    table = np.zeros(256, np.uint8)
    for label, name in segmentation.names.items():
        known = WHOLE_LUNGS.get(name, name)
        if known in STRUCTURES:
            table[label] = STRUCTURES.index(known) + 1
    here = table[_sampled(segmentation, grid)]
    if segmentation.lesions is not None:
        over = np.zeros(256, np.uint8)
        for label, name in segmentation.lesions.names.items():
            if name in STRUCTURES:
                over[label] = STRUCTURES.index(name) + 1
        lesion = over[_sampled(segmentation.lesions, grid)]
        here = np.where(lesion > 0, lesion, here)
    return np.asarray(here.reshape(depth, height // 2, width // 2))


def _sampled(labels: Segmentation, grid: Grid) -> UInt8[np.ndarray, "n"]:
    """The label at the middle of every block; 0 outside the study."""
    study = labels.grid
    z, y, x = np.meshgrid(
        np.arange(grid.shape[0]), np.arange(grid.shape[1] // 2) * 2 + 0.5, np.arange(grid.shape[2] // 2) * 2 + 0.5, indexing="ij"
    )
    places = np.stack([z, y, x], axis=-1).reshape(-1, 3)
    offset = grid.to_world_mm(places) - study.slice_origins_mm[0]
    rows = np.rint(offset @ study.column_direction / study.pixel_spacing_mm[0]).astype(np.int64)
    columns = np.rint(offset @ study.row_direction / study.pixel_spacing_mm[1]).astype(np.int64)
    height = offset @ study.normal
    positions = study.slice_positions_mm - study.slice_positions_mm[0]
    slices = np.clip(np.searchsorted(positions, height), 1, max(1, len(positions) - 1))
    if len(positions) > 1:
        slices -= (height - positions[slices - 1] < positions[slices] - height).astype(np.int64)
    else:
        slices = np.zeros_like(slices)
    inside = (rows >= 0) & (rows < study.shape[1]) & (columns >= 0) & (columns < study.shape[2])
    far = np.abs(height - positions[slices]) > study.slice_spacing_mm
    found = labels.labels[slices, np.clip(rows, 0, study.shape[1] - 1), np.clip(columns, 0, study.shape[2] - 1)]
    return np.asarray(np.where(inside & ~far, found, 0).astype(np.uint8))


def _part(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    """The grid of a box that begins at slice 0 and may reach beyond the last slice."""
    depth = box[0].stop
    step = grid.slice_origins_mm[1] - grid.slice_origins_mm[0] if grid.shape[0] > 1 else grid.normal * GRID_MM[0]
    corner = grid.to_world_mm(np.array([0.0, box[1].start, box[2].start]))
    origins = corner + np.arange(depth)[:, None] * step
    shape = (depth, box[1].stop - box[1].start, box[2].stop - box[2].start)
    return Grid(shape, grid.pixel_spacing_mm, grid.row_direction, grid.column_direction, origins, grid.is_side_known)
