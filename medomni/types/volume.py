"""Volumes: CT numbers on a grid in patient space.

Arrays are ``(z, y, x)`` = (slice, row, column), slices sorted along the slice normal. World coordinates are
DICOM patient coordinates, LPS millimetres (x to the patient's left, y to the back, z to the head). Each slice
keeps its own position, so gantry tilt and uneven slice distances stay exact.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16, Num

UNIFORM_TOLERANCE_MM = 0.05
"""Largest deviation of a slice from even spacing that still counts as even (0.1 x the usual 0.5 mm slice)."""

MISSING_SLICE_STEP = 1.6
"""A step of this many usual steps is a missing slice; a little less than two, for rounded positions."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Where each voxel lies in patient space.

    Attributes:
        shape: (slices, rows, columns).
        pixel_spacing_mm: distance between (rows, columns), as DICOM PixelSpacing.
        row_direction: unit vector along a row, that is, along rising column index (LPS).
        column_direction: unit vector along a column, that is, along rising row index (LPS).
        slice_origins_mm: centre of the first voxel of each slice (LPS), sorted along the normal.
        is_side_known: False when the source states no orientation; no text may then name a side.
    """

    shape: tuple[int, int, int]
    pixel_spacing_mm: tuple[float, float]
    row_direction: Float64[np.ndarray, "3"]
    column_direction: Float64[np.ndarray, "3"]
    slice_origins_mm: Float64[np.ndarray, "z 3"]
    is_side_known: bool = True

    def __post_init__(self) -> None:
        axes = np.stack([self.row_direction, self.column_direction])
        if not np.all(np.isfinite(axes)) or not np.allclose(axes @ axes.T, np.eye(2), atol=1e-3):
            raise ValueError("row and column directions must be orthogonal unit vectors")
        if self.slice_origins_mm.shape != (self.shape[0], 3) or not np.all(np.isfinite(self.slice_origins_mm)):
            raise ValueError("one finite origin for each slice is needed")
        if min(self.shape) < 1 or min(self.pixel_spacing_mm) <= 0:
            raise ValueError("shape and pixel spacing must be positive")
        if self.shape[0] > 1 and np.min(np.diff(self.slice_positions_mm)) <= 0:
            raise ValueError("slices must rise along the normal")

    @cached_property
    def normal(self) -> Float64[np.ndarray, "3"]:
        """Unit vector row x column; slice positions rise along it."""
        return np.asarray(np.cross(self.row_direction, self.column_direction))

    @cached_property
    def slice_positions_mm(self) -> Float64[np.ndarray, "z"]:
        """Position of each slice along the normal."""
        return np.asarray(self.slice_origins_mm @ self.normal)

    @cached_property
    def slice_spacing_mm(self) -> float:
        """Median distance between neighbouring slices along the normal (1.0 for a single slice)."""
        return float(np.median(np.diff(self.slice_positions_mm))) if self.shape[0] > 1 else 1.0

    @cached_property
    def is_uniform(self) -> bool:
        """Whether all slices lie at even steps on one straight line."""
        if self.shape[0] < 3:
            return True
        index = np.arange(self.shape[0])[:, None] / (self.shape[0] - 1)
        line = self.slice_origins_mm[0] + index * (self.slice_origins_mm[-1] - self.slice_origins_mm[0])
        return bool(np.max(np.abs(line - self.slice_origins_mm)) <= UNIFORM_TOLERANCE_MM)

    @cached_property
    def gaps(self) -> tuple[int, ...]:
        """Index of each slice after which one is missing: a lone step of more than 1.6 times the median."""
        steps = np.diff(self.slice_positions_mm)
        wide = np.flatnonzero(steps > MISSING_SLICE_STEP * self.slice_spacing_mm)
        return tuple(int(k) for k in wide) if len(wide) <= max(3, self.shape[0] // 20) else ()

    def crosses_gap(self, first_slice: int, last_slice: int) -> bool:
        """Whether a slice is missing between the first and the last slice of something measured."""
        return any(first_slice <= k < last_slice for k in self.gaps)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """(slice, row, column) spacing; the first is the median when slices are uneven."""
        return (self.slice_spacing_mm, *self.pixel_spacing_mm)

    @cached_property
    def slice_extents_mm(self) -> Float64[np.ndarray, "z"]:
        """Height along the normal that each slice stands for: half the way to both neighbours."""
        if self.shape[0] == 1:
            return np.ones(1)
        steps = np.diff(self.slice_positions_mm)
        return np.asarray((np.concatenate([steps[:1], steps]) + np.concatenate([steps, steps[-1:]])) / 2)

    @cached_property
    def voxel_volumes_ml(self) -> Float64[np.ndarray, "z"]:
        """Volume of one voxel of each slice in mL."""
        return np.asarray(self.slice_extents_mm * self.pixel_spacing_mm[0] * self.pixel_spacing_mm[1] / 1000.0)

    @cached_property
    def affine(self) -> Float64[np.ndarray, "4 4"]:
        """(x, y, z) voxel index to LPS millimetres; exact only when the grid is uniform."""
        matrix = np.eye(4)
        matrix[:3, 0] = self.row_direction * self.pixel_spacing_mm[1]
        matrix[:3, 1] = self.column_direction * self.pixel_spacing_mm[0]
        last = self.slice_origins_mm[-1]
        matrix[:3, 2] = (last - self.slice_origins_mm[0]) / (self.shape[0] - 1) if self.shape[0] > 1 else self.normal
        matrix[:3, 3] = self.slice_origins_mm[0]
        return matrix

    def to_world_mm(self, index: Num[np.ndarray, "... 3"]) -> Float64[np.ndarray, "... 3"]:
        """LPS millimetres of (z, y, x) indices, with the true position of each slice; z may be fractional."""
        index = np.asarray(index, dtype=np.float64)
        z = np.arange(self.shape[0], dtype=np.float64)
        origin = np.stack([np.interp(index[..., 0], z, self.slice_origins_mm[:, a]) for a in range(3)], axis=-1)
        down = index[..., 1, None] * self.pixel_spacing_mm[0] * self.column_direction
        along = index[..., 2, None] * self.pixel_spacing_mm[1] * self.row_direction
        return np.asarray(origin + down + along)


@dataclass(frozen=True, eq=False)
class Volume:
    """CT numbers in HU on a grid. Padding outside the scanned circle is already -1024 HU (air).

    ``hu`` is int16 when the rescale is integer, which is nearly always, and float32 otherwise (docs/adr/0002).
    """

    hu: Int16[np.ndarray, "z y x"] | Float32[np.ndarray, "z y x"]
    grid: Grid

    def __post_init__(self) -> None:
        if self.hu.shape != self.grid.shape:
            raise ValueError(f"array {self.hu.shape} does not fit grid {self.grid.shape}")
        if self.hu.dtype not in (np.int16, np.float32):
            raise ValueError(f"HU must be int16 or float32, got {self.hu.dtype}")


Mask = Bool[np.ndarray, "z y x"]
