"""Brings a volume to patient axes at a working spacing, and label maps made there back to the study's own grid.

The working grid is even and orthogonal; its axes are the study's own axes, permuted and flipped so that columns run
most nearly to the left, rows to the back and slices to the head. Gantry tilt and uneven slice steps are undone by using
the true position of every slice. Interpolation is linear; where voxels grow, the kernel widens with them, so fine
texture is averaged, not aliased.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from scipy import sparse

from medomni.types.volume import Grid, Volume

AIR_HU = -1024.0
"""Value of working voxels outside the scanned volume."""

SpacingMm = tuple[float, float, float]
"""(slice, row, column) spacing."""


def to_working(volume: Volume, spacing_mm: SpacingMm) -> Volume:
    """Return the volume as float32 on its working grid, where ``spacing_mm`` counts along (head, back, left)."""
    study = volume.grid
    order, signs = _nearest_axes(study)
    native = [0.0, 0.0, 0.0]
    for canonical, axis in enumerate(order):
        native[axis] = spacing_mm[canonical]
    box = _Box.around(study, (native[0], native[1], native[2]))
    hu = _sample(volume, box)
    flips = tuple(slice(None, None, sign) for sign in signs)
    return Volume(np.ascontiguousarray(hu.transpose(order)[flips]), _working_grid(box, order, signs))


def labels_to_study(labels: UInt8[np.ndarray, "z y x"], working: Grid, study: Grid) -> UInt8[np.ndarray, "d h w"]:
    """Return the label of the nearest working voxel for every voxel of the study; 0 outside the working grid.

    Raises:
        ValueError: the two grids are not parallel (``working`` was not made from ``study``).
    """
    back = np.empty(study.shape, dtype=np.uint8)
    for k, plane in enumerate(planes_of_study(labels, working, study)):
        back[k] = plane
    return back


def planes_of_study(labels: UInt8[np.ndarray, "z y x"], working: Grid, study: Grid) -> Iterator[UInt8[np.ndarray, "h w"]]:
    """Yield the planes of ``labels_to_study`` one by one: slices that fall into the same working voxels share one array.

    Raises:
        ValueError: the two grids are not parallel (``working`` was not made from ``study``).
    """
    to_index = index_axes(working)
    steps = to_index @ np.stack([study.column_direction, study.row_direction], axis=1) * study.pixel_spacing_mm
    row_axis, column_axis = _parallel_axes(steps, study)
    slice_axis = 3 - row_axis - column_axis
    starts = (study.slice_origins_mm - working.slice_origins_mm[0]) @ to_index.T
    nothing = np.zeros(study.shape[1:], dtype=np.uint8)
    last_depth, last_start, plane = -1, starts[0], nothing
    for start in starts:
        depth = int(_nearest(start[slice_axis : slice_axis + 1], working.shape[slice_axis])[0])
        in_plane = start[[row_axis, column_axis]]
        if depth != last_depth or np.max(np.abs(in_plane - last_start[[row_axis, column_axis]])) > 1e-4:
            coarse = np.take(labels, depth, axis=slice_axis)
            coarse = coarse.T if row_axis > column_axis else coarse
            rows = _nearest(in_plane[0] + np.arange(study.shape[1]) * steps[row_axis, 0], working.shape[row_axis])
            columns = _nearest(in_plane[1] + np.arange(study.shape[2]) * steps[column_axis, 1], working.shape[column_axis])
            plane = nothing if depth < 0 else coarse[:, columns][rows]
            if depth >= 0:
                plane[rows < 0], plane[:, columns < 0] = 0, 0
            last_depth, last_start = depth, start
        yield plane


@dataclass(frozen=True, eq=False)
class _Box:
    """The working grid in the study's own axis order: start of the first voxel centre, step and count along each axis.

    ``axes`` rows are the study's normal, column direction and row direction; ``start`` is measured along them.
    """

    axes: Float64[np.ndarray, "3 3"]
    start: Float64[np.ndarray, "3"]
    step: SpacingMm
    shape: tuple[int, int, int]
    is_side_known: bool

    @staticmethod
    def around(study: Grid, step: SpacingMm) -> "_Box":
        """The box that holds every voxel of the study, edges included."""
        axes = np.stack([study.normal, study.column_direction, study.row_direction])
        origins = study.slice_origins_mm @ axes.T
        size = np.array([0.0, *np.subtract(study.shape[1:], 1) * study.pixel_spacing_mm])
        half = np.array(study.spacing_mm) / 2
        low, high = origins.min(axis=0) - half, origins.max(axis=0) + size + half
        count = np.maximum(1, np.ceil((high - low) / step - 1e-6).astype(int))
        start = (low + high) / 2 - (count - 1) / 2 * step
        return _Box(axes, start, step, (int(count[0]), int(count[1]), int(count[2])), study.is_side_known)

    def places(self, axis: int) -> Float64[np.ndarray, "n"]:
        """Positions of the voxel centres along one axis."""
        return np.asarray(self.start[axis] + np.arange(self.shape[axis]) * self.step[axis])


def _sample(volume: Volume, box: _Box) -> Float32[np.ndarray, "z y x"]:
    """Resample slice by slice in the plane, then along the normal."""
    study = volume.grid
    origins = study.slice_origins_mm @ box.axes.T
    flat = np.empty((study.shape[0], box.shape[1] * box.shape[2]), dtype=np.float32)
    shift: tuple[float, float] | None = None
    for k in range(study.shape[0]):
        if shift is None or np.max(np.abs(np.subtract(shift, origins[k, 1:]))) > 1e-4:
            shift = (origins[k, 1], origins[k, 2])
            rows, columns = (shift[a] + np.arange(study.shape[a + 1]) * study.pixel_spacing_mm[a] for a in range(2))
            down, across = _weights(rows, box.places(1), box.step[1]), _weights(columns, box.places(2), box.step[2])
            inside = np.outer(np.diff(down.indptr) > 0, np.diff(across.indptr) > 0)
        plane = down @ volume.hu[k].astype(np.float32)
        flat[k] = np.where(inside, np.asarray(across @ plane.T).T, np.float32(AIR_HU)).ravel()
    through = _weights(study.slice_positions_mm, box.places(0), box.step[0])
    result = np.asarray(through @ flat, dtype=np.float32)
    result[np.diff(through.indptr) == 0] = AIR_HU
    return result.reshape(box.shape)


def _weights(source: Float64[np.ndarray, "s"], target: Float64[np.ndarray, "t"], step: float) -> sparse.csr_array:
    """Linear interpolation from rising source positions to target positions, widened to ``step`` where the target is coarser.

    A target further than half a voxel outside the source gets an empty row.
    """
    if len(source) == 1:
        return sparse.csr_array(np.where(np.abs(target - source[0]) <= step / 2 + 1e-6, np.float32(1), 0)[:, None])
    gaps = np.diff(source)
    widths = np.concatenate([gaps[:1], (gaps[1:] + gaps[:-1]) / 2, gaps[-1:]])
    place = np.clip(target, source[0], source[-1])
    lower = np.clip(np.searchsorted(source, place, side="right") - 1, 0, len(source) - 2)
    is_wide = step > gaps[lower]
    reach = np.where(is_wide, step, gaps[lower])
    first = np.where(is_wide, np.searchsorted(source, place - step, side="right"), lower)
    last = np.where(is_wide, np.searchsorted(source, place + step, side="left"), lower + 2)
    is_outside = (target < source[0] - gaps[0] / 2 - 1e-6) | (target > source[-1] + gaps[-1] / 2 + 1e-6)
    counts = np.where(is_outside, 0, last - first)
    pointer = np.concatenate([[0], np.cumsum(counts)])
    owner = np.repeat(np.arange(len(target)), counts)
    column = np.arange(pointer[-1]) - pointer[:-1][owner] + first[owner]
    value = (1 - np.abs(source[column] - place[owner]) / reach[owner]) * np.where(is_wide[owner], widths[column], 1)
    value /= np.bincount(owner, weights=value, minlength=len(target))[owner]
    # A widened kernel that meets uneven or unlike steps has its centre a little off; moving it back keeps linear fields exact.
    is_whole = is_wide & (place - step >= source[0]) & (place + step <= source[-1])
    offset = source[column] - place[owner]
    first_moment = np.bincount(owner, weights=value * offset, minlength=len(target)) * is_whole
    second_moment = np.bincount(owner, weights=value * offset**2, minlength=len(target))
    spread = np.where(is_whole, second_moment - first_moment**2, 1.0)
    second_moment = np.where(is_whole, second_moment, 1.0)
    value *= (second_moment[owner] - first_moment[owner] * offset) / spread[owner]
    return sparse.csr_array((value.astype(np.float32), column, pointer), shape=(len(target), len(source)))


def _nearest_axes(study: Grid) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Which study axis (slice 0, row 1, column 2) runs most nearly along (head, back, left), and in which direction."""
    axes = np.stack([study.normal, study.column_direction, study.row_direction])
    wanted = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
    along = axes @ wanted.T
    order = max(permutations(range(3)), key=lambda o: sum(abs(along[axis, k]) for k, axis in enumerate(o)))
    signs = [1 if along[axis, k] >= 0 else -1 for k, axis in enumerate(order)]
    return (order[0], order[1], order[2]), (signs[0], signs[1], signs[2])


def _working_grid(box: _Box, order: tuple[int, int, int], signs: tuple[int, int, int]) -> Grid:
    start = box.start.copy()
    for axis, sign in zip(order, signs, strict=True):
        if sign < 0:
            start[axis] += (box.shape[axis] - 1) * box.step[axis]
    head, back, left = (box.axes[axis] * sign for axis, sign in zip(order, signs, strict=True))
    shape = (box.shape[order[0]], box.shape[order[1]], box.shape[order[2]])
    step = [box.step[axis] for axis in order]
    origins = start @ box.axes + np.arange(shape[0])[:, None] * step[0] * head
    return Grid(shape, (step[1], step[2]), left, back, origins, box.is_side_known)


def _parallel_axes(steps: Float64[np.ndarray, "3 2"], study: Grid) -> tuple[int, int]:
    """The working axes along which the study's row index and column index move.

    ``steps`` are working index steps per row and per column of the study.
    """
    row_axis, column_axis = (int(np.argmax(np.abs(steps[:, k]))) for k in range(2))
    drift = np.abs(steps) * study.shape[1:]
    drift[[row_axis, column_axis], [0, 1]] = 0
    if row_axis == column_axis or drift.max() > 0.05:
        raise ValueError("the working grid is not parallel to the study's grid")
    return row_axis, column_axis


def index_axes(grid: Grid) -> Float64[np.ndarray, "3 3"]:
    """Rows that turn a world offset into (slice, row, column) index steps of an even, orthogonal grid."""
    directions = np.stack([grid.normal, grid.column_direction, grid.row_direction])
    return np.asarray(directions / np.array(grid.spacing_mm)[:, None])


def _nearest(place: Float64[np.ndarray, "n"], count: int) -> Int64[np.ndarray, "n"]:
    """Nearest index, or -1 more than half a voxel outside."""
    index = np.floor(place + 0.5 + 1e-9).astype(np.int64)
    return np.where((index < 0) | (index >= count), np.int64(-1), index)
