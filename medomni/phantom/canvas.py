"""A canvas in patient space: voxel coordinates in millimetres, and tubes, balls and soft noise drawn on it.

Knows nothing about anatomy.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from medomni.types.volume import Grid, Mask

Box = tuple[slice, slice, slice]
"""Index ranges along z, y, x."""
Field = Float32[np.ndarray, "z y x"]
Radii = Float64[np.ndarray, "n"]
"""Radii at the points of a path in millimetres."""
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

    def coarse(self, step_mm: float) -> "Canvas":
        """A canvas of the same corners whose nodes lie about ``step_mm`` apart (at most)."""
        extents = [(n - 1) * s for n, s in zip(self.shape, self.spacing_mm, strict=True)]
        count = [max(2, int(np.ceil(extent / step_mm)) + 1) for extent in extents]
        spacing = [max(extent / (n - 1), 1e-3) for extent, n in zip(extents, count, strict=True)]
        return Canvas((count[0], count[1], count[2]), (spacing[0], spacing[1], spacing[2]), self.middle_z_mm)

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

    def add_depth(
        self,
        depth: Field,
        path: Path3,
        radii: Float64[np.ndarray, "n"],
        flat: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        """Raise ``depth`` in place to the depth in a tube; ``flat`` above 1 makes it thinner along x, y or z."""
        weight = np.asarray(flat, dtype=np.float64)
        for start, end, r0, r1 in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
            reach = max(r0, r1) / weight + max(self.spacing_mm)
            box = self._box(np.minimum(start, end) - reach, np.maximum(start, end) + reach)
            if box is None:
                continue
            along = (end - start) * weight
            length2 = float(along @ along) or 1e-6
            x = (self.x[:, :, box[2]] - start[0]).astype(np.float32) * np.float32(weight[0])
            y = (self.y[:, box[1]] - start[1]).astype(np.float32) * np.float32(weight[1])
            z = (self.z[box[0]] - start[2]).astype(np.float32) * np.float32(weight[2])
            u, k = along.astype(np.float32), (along / length2).astype(np.float32)
            t = np.clip(x * k[0] + y * k[1] + z * k[2], 0, 1)
            distance = np.sqrt((x - t * u[0]) ** 2 + (y - t * u[1]) ** 2 + (z - t * u[2]) ** 2)
            here = depth[box]
            np.maximum(here, np.float32(r0) + t * np.float32(r1 - r0) - distance, out=here)

    def add_threads(self, filled: Field, start: Path3, stop: Path3, first: Radii, last: Radii) -> None:
        """Draw many thin straight tubes into ``filled`` in place, keeping the larger share of each voxel."""
        voxel = float(np.prod(self.spacing_mm)) ** (1 / 3)
        pieces = np.maximum(1, np.ceil(np.linalg.norm(stop - start, axis=1) / (0.55 * min(self.spacing_mm)))).astype(int)
        which = np.repeat(np.arange(len(start)), pieces)
        share = ((np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + 0.5) / pieces[which])[:, None]
        points = start[which] + share * (stop - start)[which]
        radii = (first[which] + share[:, 0] * (last - first)[which]).astype(np.float32)
        axes = (self.z.ravel(), self.y.ravel(), self.x.ravel())
        place = np.stack([(points[:, 2 - a] - float(axes[a][0])) / self.spacing_mm[a] for a in range(3)])
        index = np.rint(place).astype(np.int32)
        rest = (place - index).astype(np.float32)
        fade = np.minimum(1, (radii / np.float32(0.55 * voxel)) ** 2)
        reach = [int(np.ceil((float(radii.max()) + 0.5 * voxel) / s - 0.5)) for s in self.spacing_mm]
        flat = filled.ravel()
        for offset in np.ndindex(*(2 * r + 1 for r in reach)):
            step = [k - r for k, r in zip(offset, reach, strict=True)]
            away = sum(((d - r) * np.float32(s)) ** 2 for d, r, s in zip(step, rest, self.spacing_mm, strict=True))
            filled_share = np.clip((radii - np.sqrt(away)) / np.float32(voxel) + np.float32(0.5), 0, 1) * fade
            seen = filled_share > 0.02
            for a in range(3):
                seen &= (index[a] + step[a] >= 0) & (index[a] + step[a] < self.shape[a])
            z, y, x = (index[a][seen] + step[a] for a in range(3))
            np.maximum.at(flat, (z * self.shape[1] + y) * self.shape[2] + x, filled_share[seen])

    def soft_noise(self, rng: np.random.Generator, scale_mm: float, box: Box | None = None) -> Field:
        """Smooth random field of mean 0 and about unit deviation with structures of the given size, in a box or everywhere."""
        coarse = [max(2, round(n * s / scale_mm) + 2) for n, s in zip(self.shape, self.spacing_mm, strict=True)]
        seed = rng.standard_normal(coarse, dtype=np.float32)
        places = [np.linspace(0, nodes - 1.001, count) for nodes, count in zip(coarse, self.shape, strict=True)]
        if box is not None:
            places = [place[part] for place, part in zip(places, box, strict=True)]
            low = [int(place[0]) for place in places]
            seed = seed[tuple(slice(a, int(place[-1]) + 2) for a, place in zip(low, places, strict=True))]
            places = [place - a for place, a in zip(places, low, strict=True)]
        return np.asarray(interpolated(seed, places) * np.float32(1.6))

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


def interpolated(field: Float32[np.ndarray, "c b a"], places: list[Float64[np.ndarray, "_"]]) -> Field:
    """Linear interpolation of a field at places along z, y and x (in nodes); z comes last, plane by plane."""
    for axis in (2, 1):
        weights = np.zeros((len(places[axis]), field.shape[axis]), dtype=np.float32)
        low = np.clip(places[axis].astype(int), 0, field.shape[axis] - 2)
        share = (places[axis] - low).astype(np.float32)
        rows = np.arange(len(low))
        weights[rows, low], weights[rows, low + 1] = 1 - share, share
        field = field @ weights.T if axis == 2 else np.matmul(weights, field)
    found = np.empty((len(places[0]), *field.shape[1:]), dtype=np.float32)
    rest = np.empty(field.shape[1:], dtype=np.float32)
    for index, place in enumerate(places[0]):
        low_plane = min(int(place), len(field) - 2)
        share_here = np.float32(place - low_plane)
        np.multiply(field[low_plane + 1], share_here, out=found[index])
        np.multiply(field[low_plane], 1 - share_here, out=rest)
        found[index] += rest
    return found
