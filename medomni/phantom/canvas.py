"""A canvas in patient space: voxel coordinates in millimetres, and tubes, balls and soft noise drawn on it.

Knows nothing about anatomy.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from medomni.types.volume import Grid, Mask

Field = Float32[np.ndarray, "z y x"]
Path3 = Float64[np.ndarray, "n 3"]
"""Points (x, y, z) in millimetres."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A head-first supine axial grid centred on the body: x to the left, y to the back, z to the head."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    middle_z_mm: float

    @cached_property
    def z(self) -> Float32[np.ndarray, "z 1 1"]:
        """Height of each slice."""
        return self._axis(0)[:, None, None] + np.float32(self.middle_z_mm)

    @cached_property
    def y(self) -> Float32[np.ndarray, "1 y 1"]:
        """Position of each row, to the back."""
        return self._axis(1)[None, :, None]

    @cached_property
    def x(self) -> Float32[np.ndarray, "1 1 x"]:
        """Position of each column, to the left."""
        return self._axis(2)[None, None, :]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in mL."""
        return float(np.prod(self.spacing_mm)) / 1000

    @property
    def grid(self) -> Grid:
        """The canvas as a grid."""
        origins = np.zeros((self.shape[0], 3))
        origins[:] = (self.x.flat[0], self.y.flat[0], 0)
        origins[:, 2] = (np.arange(self.shape[0]) - (self.shape[0] - 1) / 2) * self.spacing_mm[0] + self.middle_z_mm
        row, column = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
        return Grid(self.shape, (self.spacing_mm[1], self.spacing_mm[2]), row, column, origins)

    def ellipsoid(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Mask:
        """Voxels inside an ellipsoid with axes along x, y, z."""
        square = [((axis - c) / r) ** 2 for axis, c, r in zip((self.x, self.y, self.z), centre, radii, strict=True)]
        return np.asarray(square[0] + square[1] + square[2] <= 1)

    def tube(self, path: Path3, radii: Float64[np.ndarray, "n"]) -> Field:
        """Share of each voxel (0 to 1) that a tube of changing radius fills; tubes thinner than a voxel fade."""
        filled = np.zeros(self.shape, dtype=np.float32)
        self.add_tube(filled, path, radii)
        return filled

    def add_tube(self, filled: Field, path: Path3, radii: Float64[np.ndarray, "n"]) -> None:
        """Draw a tube into ``filled`` in place, keeping the larger share of each voxel."""
        for start, end, r0, r1 in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
            self._add_cone(filled, start, end, (float(r0), float(r1)))

    def soft_noise(self, rng: np.random.Generator, scale_mm: float) -> Field:
        """Smooth random field of mean 0 and about unit deviation with structures of the given size."""
        coarse = [max(2, round(n * s / scale_mm) + 2) for n, s in zip(self.shape, self.spacing_mm, strict=True)]
        seed = rng.standard_normal(coarse, dtype=np.float32)
        for axis, count in enumerate(self.shape):
            seed = _stretch(seed, axis, count)
        return np.asarray(seed * np.float32(1.6))

    def _add_cone(
        self, filled: Field, start: Float64[np.ndarray, "3"], end: Float64[np.ndarray, "3"], radii: tuple[float, float]
    ) -> None:
        voxel = float(np.prod(self.spacing_mm)) ** (1 / 3)
        reach = max(radii) + voxel
        box = self._box(np.minimum(start, end) - reach, np.maximum(start, end) + reach)
        if box is None:
            return
        along = end - start
        length2 = float(along @ along) or 1e-6
        x, y, z = self.x[:, :, box[2]] - start[0], self.y[:, box[1]] - start[1], self.z[box[0]] - start[2]
        t = np.clip((x * along[0] + y * along[1] + z * along[2]) / length2, 0, 1)
        distance = np.sqrt((x - t * along[0]) ** 2 + (y - t * along[1]) ** 2 + (z - t * along[2]) ** 2)
        radius = radii[0] + t * (radii[1] - radii[0])
        share = np.clip((radius - distance) / voxel + 0.5, 0, 1) * np.minimum(1, (radius / (0.55 * voxel)) ** 2)
        np.maximum(filled[box], share, out=filled[box])

    def _box(self, low: Float64[np.ndarray, "3"], high: Float64[np.ndarray, "3"]) -> tuple[slice, slice, slice] | None:
        found = []
        for axis, a, b in zip((self.z, self.y, self.x), low[::-1], high[::-1], strict=True):
            first, last = np.searchsorted(axis.ravel(), (a, b))
            if first >= last:
                return None
            found.append(slice(int(first), int(last)))
        return (found[0], found[1], found[2])

    def _axis(self, axis: int) -> Float32[np.ndarray, "n"]:
        count = self.shape[axis]
        return ((np.arange(count) - (count - 1) / 2) * self.spacing_mm[axis]).astype(np.float32)


def smooth(mask: Bool[np.ndarray, "z y x"], canvas: Canvas, sigma_mm: float) -> Mask:
    """Return the mask with corners rounded at the given size."""
    sigma = [sigma_mm / spacing for spacing in canvas.spacing_mm]
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), sigma, truncate=2.5) > 0.5)


def _stretch(field: Float32[np.ndarray, "..."], axis: int, count: int) -> Float32[np.ndarray, "..."]:
    """Linear interpolation of one axis to ``count`` samples."""
    place = np.linspace(0, field.shape[axis] - 1.001, count)
    low = place.astype(int)
    share = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(field.ndim)])
    below = np.take(field, low, axis)
    below += share * (np.take(field, low + 1, axis) - below)
    return below
