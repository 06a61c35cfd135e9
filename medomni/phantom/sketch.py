"""The coarse drawing board: smooth shapes are drawn as depths on few nodes and enlarged to the canvas.

A depth is positive inside a shape, in millimetres. A shape smoother than the coarse step (4 mm) loses nothing: the error of
linear interpolation is step^2 / (8 radius), 0.2 mm at a radius of 10 mm. Knows nothing about anatomy.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64

from medomni.phantom.canvas import Box, Canvas, Field, Path3, interpolated
from medomni.phantom.lattice import Lattice
from medomni.phantom.pose import Pose

Nodes = Float32[np.ndarray, "k j i"]
"""A field on coarse nodes."""
STEP_MM = 4.0
_FAR_MM = 60.0
Point = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Patch:
    """A box of nodes with their person coordinates; shapes on it are depths of the same shape."""

    box: Box
    x: Field
    y: Field
    z: Field

    def ellipsoid(self, centre: Point, radii: Point, turn_deg: Point = (0.0, 0.0, 0.0)) -> Field:
        """Depth in an ellipsoid turned about x, then y, then z."""
        dx, dy, dz = self.x - np.float32(centre[0]), self.y - np.float32(centre[1]), self.z - np.float32(centre[2])
        if any(turn_deg):
            dx, dy, dz = _turned(dx, dy, dz, turn_deg)
        qx, qy, qz = (np.float32(1 / r) for r in radii)
        rho = np.sqrt((dx * qx) ** 2 + (dy * qy) ** 2 + (dz * qz) ** 2)
        slope = np.sqrt((dx * qx * qx) ** 2 + (dy * qy * qy) ** 2 + (dz * qz * qz) ** 2)
        return np.asarray(np.minimum(rho * (1 - rho) / np.maximum(slope, np.float32(1e-5)), min(radii)), dtype=np.float32)

    def tube(self, path: Path3, radii: Float64[np.ndarray, "n"], flat: Point = (1.0, 1.0, 1.0)) -> Field:
        """Depth in a tube of changing radius along a path; ``flat`` above 1 makes it thinner along that axis."""
        depth = np.full(self.x.shape, -_FAR_MM, dtype=np.float32)
        weight = np.asarray(flat, dtype=np.float64)
        for start, end, r0, r1 in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
            a, b = start * weight, end * weight
            along = b - a
            length2 = max(float(along @ along), 1e-6)
            dx, dy, dz = (
                axis * np.float32(w) - np.float32(c) for axis, w, c in zip((self.x, self.y, self.z), weight, a, strict=True)
            )
            k = (along / length2).astype(np.float32)
            t = np.clip(dx * k[0] + dy * k[1] + dz * k[2], 0, 1)
            u = along.astype(np.float32)
            distance = np.sqrt((dx - t * u[0]) ** 2 + (dy - t * u[1]) ** 2 + (dz - t * u[2]) ** 2)
            np.maximum(depth, np.float32(r0) + t * np.float32(r1 - r0) - distance, out=depth)
        return depth


@dataclass(frozen=True, eq=False)
class Sketch:
    """A canvas, its coarse nodes and the person coordinates of the nodes."""

    canvas: Canvas
    coarse: Canvas
    pose: Pose
    whole: Patch

    @cached_property
    def reach(self) -> tuple[tuple[Float32[np.ndarray, "n"], Float32[np.ndarray, "n"]], ...]:
        """Least and most person coordinate (z, y, x) on each plane of nodes across that axis."""
        found = []
        for axis, coordinate in enumerate((self.whole.z, self.whole.y, self.whole.x)):
            others = tuple(k for k in range(3) if k != axis)
            found.append((coordinate.min(axis=others), coordinate.max(axis=others)))
        return tuple(found)

    def patch(self, low: Point, high: Point) -> Patch | None:
        """The nodes that may lie between two corners (x, y, z) in person space; None when the canvas shows none."""
        box = []
        for (least, most), a, b in zip(self.reach, low[::-1], high[::-1], strict=True):
            found = np.flatnonzero((most >= a) & (least <= b))
            if len(found) < 2:
                return None
            box.append(slice(int(found[0]), int(found[-1]) + 1))
        return self.part((box[0], box[1], box[2]))

    def around(self, path: Path3, reach_mm: float) -> Patch | None:
        """The nodes within ``reach_mm`` of the box around a path."""
        low, high = path.min(axis=0) - reach_mm, path.max(axis=0) + reach_mm
        return self.patch((low[0], low[1], low[2]), (high[0], high[1], high[2]))

    def part(self, box: Box) -> Patch:
        """The nodes in a box of coarse indices."""
        return Patch(box, self.whole.x[box], self.whole.y[box], self.whole.z[box])

    def noise(self, lattice: Lattice, patch: Patch) -> Field:
        """A lattice on the nodes of a patch."""
        axes = (self.coarse.z.ravel(), self.coarse.y.ravel(), self.coarse.x.ravel())
        return lattice.on(*(axis[part] for axis, part in zip(axes, patch.box, strict=True)))

    def fine(self, patch: Patch) -> Patch:
        """The voxels of the canvas in the box of a patch, with their person coordinates; its box counts voxels."""
        box, x = self.enlarge(patch.x, patch.box)
        return Patch(box, x, self.enlarge(patch.y, patch.box)[1], self.enlarge(patch.z, patch.box)[1])

    def enlarge(self, field: Float32[np.ndarray, "k j i"], box: Box) -> tuple[Box, Field]:
        """Linear interpolation of a field on coarse nodes to the voxels of the canvas in the same box."""
        places, found = [], []
        for axis, part in enumerate(box):
            count, nodes = self.canvas.shape[axis], self.coarse.shape[axis]
            ratio = (nodes - 1) / max(count - 1, 1)
            first, last = int(np.ceil(part.start / ratio - 1e-6)), int(np.floor((part.stop - 1) / ratio + 1e-6))
            last = min(last, count - 1)
            found.append(slice(first, last + 1))
            places.append(np.clip(np.arange(first, last + 1) * ratio - part.start, 0, field.shape[axis] - 1))
        return (found[0], found[1], found[2]), interpolated(field, places)


def make_sketch(canvas: Canvas, pose: Pose) -> Sketch:
    """Return the drawing board of a canvas for a person in a pose."""
    coarse = canvas.coarse(STEP_MM)
    x, y, z = pose.to_person(coarse)
    return Sketch(
        canvas, coarse, pose, Patch((slice(0, coarse.shape[0]), slice(0, coarse.shape[1]), slice(0, coarse.shape[2])), x, y, z)
    )


def joined(first: Field, second: Field, blend_mm: float) -> Field:
    """Smooth union of two depths, with a fillet of about ``blend_mm`` (polynomial smooth maximum, Quilez 2013)."""
    h = np.maximum(np.float32(blend_mm) - np.abs(first - second), 0) / np.float32(blend_mm)
    return np.asarray(np.maximum(first, second) + h * h * np.float32(blend_mm / 4), dtype=np.float32)


def common(first: Field, second: Field, blend_mm: float) -> Field:
    """Smooth intersection of two depths."""
    h = np.maximum(np.float32(blend_mm) - np.abs(first - second), 0) / np.float32(blend_mm)
    return np.asarray(np.minimum(first, second) - h * h * np.float32(blend_mm / 4), dtype=np.float32)


def overlap(outer: Patch, inner: Patch) -> tuple[tuple[slice, slice, slice], tuple[slice, slice, slice]]:
    """Indices of the common box, in the first patch and in the second."""
    first, second = [], []
    for a, b in zip(outer.box, inner.box, strict=True):
        start, stop = max(a.start, b.start), max(min(a.stop, b.stop), a.start, b.start)
        first.append(slice(start - a.start, stop - a.start))
        second.append(slice(start - b.start, stop - b.start))
    return (first[0], first[1], first[2]), (second[0], second[1], second[2])


def _turned(dx: Field, dy: Field, dz: Field, turn_deg: Point) -> tuple[Field, Field, Field]:
    a, b, c = (np.deg2rad(v) for v in turn_deg)
    (ca, sa), (cb, sb), (cc, sc) = ((np.float32(np.cos(v)), np.float32(np.sin(v))) for v in (a, b, c))
    dx, dy = cc * dx + sc * dy, cc * dy - sc * dx
    dx, dz = cb * dx - sb * dz, cb * dz + sb * dx
    dy, dz = ca * dy + sa * dz, ca * dz - sa * dy
    return dx, dy, dz
