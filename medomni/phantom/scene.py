"""A body while it is being drawn: HU, the owner of each voxel, and the depths that many organs lean on.

    scene.paint("liver", patch, depth, hu)

Later strokes cover earlier ones, so truth is exclusive by the order of painting.
"""

import zlib
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Num, UInt8

from medomni.phantom.canvas import Box, Field, Path3
from medomni.phantom.contrast import TissueHu
from medomni.phantom.person import Person
from medomni.phantom.sketch import Nodes, Patch, Point, Sketch
from medomni.types.volume import Mask

Radii = Float64[np.ndarray, "n"]
_THIN_MM = 4.5
"""Tubes thinner than this are drawn on the voxels, thicker ones on the coarse nodes."""


@dataclass(eq=False)
class Scene:
    """A drawing in progress.

    ``cavity`` is the depth inside the pleural and peritoneal cavity and ``outline`` the depth under the outer muscle contour,
    ``under_dome`` the depth below the diaphragm, each on the coarse nodes; ``ripples`` are smooth unit noises on the coarse
    nodes by their scale in mm; ``taken`` is the depth in the rooms that organs have reserved.
    """

    sketch: Sketch
    person: Person
    tissue: TissueHu
    entropy: int
    hu: Field
    owner: UInt8[np.ndarray, "z y x"]
    cavity: Nodes
    outline: Nodes
    under_dome: Nodes
    ripples: dict[int, Nodes]
    taken: Nodes
    names: list[str] = field(default_factory=lambda: [""])
    boxes: dict[str, Box] = field(default_factory=dict)
    paths: dict[str, tuple[Path3, Radii]] = field(default_factory=dict)

    @property
    def evened(self) -> float:
        """Factor for organs whose size follows the size of the body only in part (two thirds of it are taken back)."""
        return float(np.prod(self.person.size) ** (-2 / 9))

    def rng(self, name: str) -> np.random.Generator:
        """The random stream of one organ; it doesn't depend on what else is drawn or how finely."""
        return np.random.default_rng([self.entropy, zlib.crc32(name.encode())])

    def patch(self, low: Point, high: Point) -> Patch | None:
        """The coarse nodes between two corners in person space."""
        return self.sketch.patch(low, high)

    def ripple(self, scale_mm: int, patch: Patch) -> Field:
        """Smooth noise of mean 0 and unit deviation on the nodes of a patch."""
        return self.ripples[scale_mm][patch.box]

    def paint(self, name: str, patch: Patch | None, depth: Field | None, value: float | Field, edge_mm: float = 0.0) -> None:
        """Fill a shape given by its depth on coarse nodes; ``edge_mm`` softens its border; ``value`` may be a coarse field."""
        if patch is None or depth is None:
            return
        trimmed = _trim(depth, patch.box)
        if trimmed is None:
            return
        part, box = trimmed
        fine_box, fine = self.sketch.enlarge(depth[part], box)
        if not isinstance(value, float | int):
            value = self.sketch.enlarge(value[part], box)[1]
        self.fill(name, fine_box, fine, value, edge_mm)

    def fill(self, name: str, box: Box, depth: Field, value: float | Field, edge_mm: float = 0.0, within: str = "") -> None:
        """Fill a shape given by its depth on voxels, only ``within`` a structure when one is named."""
        width = float(np.prod(self.sketch.canvas.spacing_mm)) ** (1 / 3) + edge_mm
        share = depth * np.float32(1 / width)
        share += np.float32(0.5)
        np.maximum(share, 0, out=share)
        np.minimum(share, 1, out=share)
        if within:
            share *= self.owner[box] == self.names.index(within)
        here = self.hu[box]
        change = np.asarray(value, dtype=np.float32) - here
        change *= share
        here += change
        if name:
            self.claim(name, box, depth > 0)

    def claim(self, name: str, box: Box, mask: Mask) -> None:
        """Make the voxels of a mask belong to a structure."""
        if name not in self.names:
            self.names.append(name)
        np.copyto(self.owner[box], np.uint8(self.names.index(name)), where=mask)
        known = self.boxes.get(name)
        self.boxes[name] = box if known is None else _around(known, box)

    def reserve(self, patch: Patch, depth: Field) -> None:
        """Keep a room for what has been drawn; later organs ask for ``free``."""
        here = self.taken[patch.box]
        np.maximum(here, depth, out=here)

    def free(self, patch: Patch, gap_mm: float) -> Field:
        """Depth in the room that nothing has reserved, with a gap around what is."""
        return np.asarray(-self.taken[patch.box] - np.float32(gap_mm))

    def tube(self, name: str, path: Path3, radii: Radii, value: float, flat: Point = (1.0, 1.0, 1.0), within: str = "") -> None:
        """Fill a tube along a path in person space, only ``within`` a structure when one is named."""
        if within and within not in self.names:
            return
        patch = self.sketch.around(path, float(radii.max()) / min(flat) + 6)
        if patch is None:
            return
        if float(radii.min()) < _THIN_MM:
            fine = self.sketch.fine(patch)
            self.fill(name, fine.box, fine.tube(path, radii, flat), value, within=within)
        else:
            self.paint(name, patch, patch.tube(path, radii, flat), value)

    def keep_path(self, name: str, path: Path3, radii: Radii) -> None:
        """Remember a centre line (in world space)."""
        self.paths[name] = (self.sketch.pose.to_world(path), np.asarray(radii, dtype=np.float64))

    def mask(self, name: str) -> Mask:
        """The voxels that belong to a structure."""
        found = np.zeros(self.owner.shape, dtype=bool)
        if name in self.boxes:
            box = self.boxes[name]
            found[box] = self.owner[box] == self.names.index(name)
        return found


def jittered(path: Num[np.ndarray, "n 3"], rng: np.random.Generator, deviation_mm: float) -> Path3:
    """A path whose points have moved a little, together more than apart."""
    together = rng.normal(0, deviation_mm, 3)
    return np.asarray(path + together + rng.normal(0, 0.5 * deviation_mm, path.shape))


def curved(points: list[Point] | Num[np.ndarray, "k 3"], pieces: int = 3) -> Path3:
    """A smooth curve through points: Catmull-Rom, ``pieces`` straight pieces for each span."""
    knots = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = (np.arange(pieces) / pieces)[:, None]
    spans = []
    for a, b, c, d in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        spans.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate([*spans, knots[-1:]])


def spread(radii: list[float] | Float64[np.ndarray, "k"], path: Path3) -> Radii:
    """Radii at the knots of a curve, interpolated to all its points."""
    return np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, len(radii)), radii)


def _trim(depth: Field, box: Box, margin_mm: float = 6.0) -> tuple[Box, Box] | None:
    """The part of a field where the shape can be seen, as indices of the field and of the coarse nodes."""
    near = depth > -margin_mm
    part = []
    for axis in range(3):
        found = np.flatnonzero(near.any(axis=tuple(k for k in range(3) if k != axis)))
        if len(found) < 1:
            return None
        first, last = max(int(found[0]) - 1, 0), min(int(found[-1]) + 2, depth.shape[axis])
        if last - first < 2:
            return None
        part.append(slice(first, last))
    whole = [slice(b.start + p.start, b.start + p.stop) for b, p in zip(box, part, strict=True)]
    return (part[0], part[1], part[2]), (whole[0], whole[1], whole[2])


def _around(a: Box, b: Box) -> Box:
    joined = [slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True)]
    return joined[0], joined[1], joined[2]
