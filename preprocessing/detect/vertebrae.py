"""Mask of all vertebrae -> the single vertebral bodies: their place and the CT number of their trabecular bone.

The segmenter has one label for all vertebrae, so levels are not named: bodies are parted where the mask leaves out the disc.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from preprocessing.detect.case import Case
from preprocessing.morphology import Mask3D

LEAST_RADIUS_MM = 8.0
"""Radius of the largest circle in the smallest thoracic body, mid-height; arches and ribs hold less."""
DRIFT_MM = 12.0
"""How far the middle of a body lies from the line of the column at most; further off it is a rib head or an osteophyte."""
LINE_MM = 40.0
"""Length over which the line of the column is smoothed: more than a body, less than the curve of the spine."""
CORE_SHARE, FORWARD_SHARE = 0.5, 0.15
"""Radius of the measured region and its shift to the front, as shares of the radius: free of cortex and basivertebral vein."""
FILLED_SHARE = 0.6
"""A slice belongs to a body when bone fills this share of the region round the line; a disc leaves it empty."""
HEIGHT_MM = (10.0, 42.0)
"""Heights of single bodies; a longer one is two that the mask does not part."""
INNER_SHARE = 0.5
"""Middle share of the height that is measured, away from the end plates."""


@dataclass(frozen=True, eq=False)
class VertebralBody:
    """One body on the coarse grid: its measured region, the mean CT number there, and its first and last slice."""

    region: Mask3D
    mean_hu: float
    z_range: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Column:
    """The line of the column: for each coarse slice the middle (row, column) and the radius in millimetres."""

    mask: Mask3D
    spacing_mm: tuple[float, float, float]
    rows: Float64[np.ndarray, "z"]
    columns: Float64[np.ndarray, "z"]
    radius_mm: float

    def disc(self, z: int, share: float, forward_share: float = 0.0) -> Bool[np.ndarray, "y x"]:
        """Pixels of slice ``z`` within a share of the radius from the line."""
        _, row_mm, column_mm = self.spacing_mm
        row = self.rows[z] - forward_share * self.radius_mm / row_mm
        down = (np.arange(self.mask.shape[1]) - row)[:, None] * row_mm
        across = (np.arange(self.mask.shape[2]) - self.columns[z])[None, :] * column_mm
        return np.asarray(down**2 + across**2 <= (share * self.radius_mm) ** 2)


def vertebral_bodies(case: Case) -> tuple[VertebralBody, ...]:
    """The bodies that lie wholly in view, from the lowest upwards; empty when the vertebrae were not segmented."""
    column = _column(case.mask("vertebrae"), case.spacing_mm)
    if column is None:
        return ()
    return tuple(_body(case, column, low, high) for low, high in _runs(column))


def _column(mask: Mask3D, spacing_mm: tuple[float, float, float]) -> _Column | None:
    """The line through the middles of the largest circles of the slices, without outliers; None when there is no column."""
    found = [(z, *_largest_circle(plane, spacing_mm)) for z, plane in enumerate(mask) if plane.any()]
    circles = np.array([circle for circle in found if circle[3] >= LEAST_RADIUS_MM])
    if len(circles) < 3:
        return None
    z, radius = circles[:, 0], float(np.median(circles[:, 3]))
    window = max(3, int(LINE_MM / spacing_mm[0]) | 1)
    middles = [ndimage.median_filter(circles[:, axis], window, mode="nearest") for axis in (1, 2)]
    off_mm = np.hypot((circles[:, 1] - middles[0]) * spacing_mm[1], (circles[:, 2] - middles[1]) * spacing_mm[2])
    near = off_mm <= DRIFT_MM
    rows, columns = (np.interp(np.arange(len(mask)), z[near], circles[near, axis]) for axis in (1, 2))
    smooth = LINE_MM / 4 / spacing_mm[0]
    return _Column(mask, spacing_mm, ndimage.gaussian_filter1d(rows, smooth), ndimage.gaussian_filter1d(columns, smooth), radius)


def _largest_circle(plane: Bool[np.ndarray, "y x"], spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    """Middle (row, column) and radius in millimetres of the largest circle inside a slice of the mask."""
    depth = ndimage.distance_transform_edt(plane, spacing_mm[1:])
    rows, columns = np.nonzero(depth >= depth.max() - 0.5 * spacing_mm[1])
    return float(rows.mean()), float(columns.mean()), float(depth.max())


def _runs(column: _Column) -> Iterator[tuple[int, int]]:
    """First and last slice of each body that neither end of the volume cuts."""
    filled = np.array(
        [plane[column.disc(z, CORE_SHARE)].mean() >= FILLED_SHARE for z, plane in enumerate(column.mask)], dtype=np.int8
    )
    edges = np.flatnonzero(np.diff(filled, prepend=0, append=0))
    for low, high in zip(edges[::2], edges[1::2] - 1, strict=True):
        height_mm = (high - low + 1) * column.spacing_mm[0]
        if low > 0 and high < len(filled) - 1 and HEIGHT_MM[0] <= height_mm <= HEIGHT_MM[1]:
            yield int(low), int(high)


def _body(case: Case, column: _Column, low: int, high: int) -> VertebralBody:
    margin = int((1 - INNER_SHARE) / 2 * (high - low + 1))
    region = np.zeros_like(column.mask)
    for z in range(low + margin, high - margin + 1):
        region[z] = column.disc(z, CORE_SHARE, FORWARD_SHARE)
    return VertebralBody(region, float(case.coarse.hu[region].mean()), (low, high))
