"""One lung on a window of a CT: where its surfaces, zones and lobes lie, and layers of disease painted onto its HU.

The same site serves a drawn body and a real CT; nothing here knows which it is.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32
from scipy import ndimage

from medomni.phantom.canvas import Canvas, Field
from medomni.types.volume import Mask

Box = tuple[slice, slice, slice]

BANDS = {"lower": (0.0, 0.42), "middle": (0.3, 0.68), "upper": (0.58, 1.0), "": (0.0, 1.0)}
"""Zones as shares of the height of a lung (0 = base, 1 = apex)."""
EDGE_HU = (-930.0, -130.0)
"""HU of voxels beside a lung mask that still hold lung: denser than bronchial air, thinner than fat."""
LUMEN_DEPTH_HU = 130.0
"""Bronchial lumen is this much darker than the lung around it; disease of the lung does not fill it."""


@dataclass(frozen=True, eq=False)
class Window(Canvas):
    """A box cut out of a canvas, in the millimetres of the whole."""

    whole: Canvas
    box: Box

    @cached_property
    def z(self) -> Float32[np.ndarray, "z 1 1"]:
        """Height of each slice."""
        return self.whole.z[self.box[0]]

    @cached_property
    def y(self) -> Float32[np.ndarray, "1 y 1"]:
        """Position of each row, to the back."""
        return self.whole.y[:, self.box[1]]

    @cached_property
    def x(self) -> Float32[np.ndarray, "1 1 x"]:
        """Position of each column, to the left."""
        return self.whole.x[:, :, self.box[2]]


def window(canvas: Canvas, mask: Mask, margin_mm: float) -> Window:
    """Return the window around a mask, widened by a margin; the whole canvas when the mask is empty."""
    slices = []
    for axis, spacing in enumerate(canvas.spacing_mm):
        found = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        margin = int(np.ceil(margin_mm / spacing))
        low, high = (found[0], found[-1]) if len(found) else (0, mask.shape[axis] - 1)
        slices.append(slice(max(0, int(low) - margin), min(mask.shape[axis], int(high) + margin + 1)))
    return cut(canvas, (slices[0], slices[1], slices[2]))


def cut(canvas: Canvas, box: Box) -> Window:
    """Return the window that a box of voxels is."""
    shape = (box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start)
    return Window(shape, canvas.spacing_mm, canvas.middle_z_mm, canvas, box)


@dataclass(frozen=True, eq=False)
class Site:
    """One lung that can fall ill.

    Attributes:
        hu: HU of the window, before the disease.
        lung: the lung with its vessels, as far as it still holds or may hold air.
        side: left or right.
        lobes: lobe masks by structure name; empty when they are not known.
        lumen: share of each voxel that bronchial lumen fills, or None when it must be drawn.
    """

    canvas: Canvas
    hu: Field
    lung: Mask
    side: str
    lobes: dict[str, Mask] = field(default_factory=dict)
    lumen: Field | None = None

    @cached_property
    def lung_hu(self) -> float:
        """Median HU of the healthy lung, a little below which air-filled bronchi lie."""
        inside = self.hu[self.lung][::7]
        inside = inside[inside < -600]
        return float(np.median(inside)) if len(inside) else -850.0

    @cached_property
    def room(self) -> Mask:
        """The lung and the voxels it shares with the wall: fluid and dense lung reach the wall without a dark line."""
        grown = ndimage.binary_dilation(self.lung, iterations=max(1, round(2.2 / min(self.canvas.spacing_mm[1:]))))
        return np.asarray(self.lung | (grown & (self.hu > EDGE_HU[0]) & (self.hu < EDGE_HU[1])))

    @cached_property
    def costal_mm(self) -> Field:
        """Rough depth of each lung voxel below the ribs: least way to the side, the back or the front (mm)."""
        step_y, step_x = self.canvas.spacing_mm[1:]
        index_x = np.arange(self.lung.shape[2], dtype=np.float32)[None, None, :]
        index_y = np.arange(self.lung.shape[1], dtype=np.float32)[None, :, None]
        first_x, last_x = _ends(self.lung, 2)
        first_y, last_y = _ends(self.lung, 1)
        lateral = last_x[:, :, None] - index_x if self.side == "left" else index_x - first_x[:, :, None]
        depth = np.minimum(lateral * step_x, (last_y[:, None, :] - index_y) * step_y)
        np.minimum(depth, (index_y - first_y[:, None, :]) * step_y + 4, out=depth)
        return np.asarray(np.maximum(depth, 0), dtype=np.float32)

    @cached_property
    def depth_mm(self) -> Field:
        """Distance of each lung voxel from the nearest voxel outside the lung (mm), 0 outside; exact to about 2.5 mm."""
        steps = [max(1, int(2.6 / spacing)) for spacing in self.canvas.spacing_mm]
        coarse = self.lung[:: steps[0], :: steps[1], :: steps[2]]
        sampling = [step * spacing for step, spacing in zip(steps, self.canvas.spacing_mm, strict=True)]
        depth = ndimage.distance_transform_edt(coarse, sampling=sampling).astype(np.float32)
        depth = np.maximum(depth - 0.5 * min(sampling), 0)
        for axis, step in enumerate(steps):
            depth = np.repeat(depth, step, axis=axis) if step > 1 else depth
        z, y, x = self.lung.shape
        return np.asarray(depth[:z, :y, :x] * self.lung, dtype=np.float32)

    @cached_property
    def base_mm(self) -> Field:
        """Height of each voxel above the lowest lung voxel of its column (mm)."""
        first, _ = _ends(self.lung, 0)
        index = np.arange(self.lung.shape[0], dtype=np.float32)[:, None, None]
        return np.asarray((index - first[None]) * np.float32(self.canvas.spacing_mm[0]), dtype=np.float32)

    @cached_property
    def extent_mm(self) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
        """Lowest and highest (z, y, x) of the lung."""
        pairs = []
        for axis, values in enumerate((self.canvas.z, self.canvas.y, self.canvas.x)):
            found = values.ravel()[np.flatnonzero(self.lung.any(axis=tuple(a for a in range(3) if a != axis)))]
            pairs.append((float(found[0]), float(found[-1])) if len(found) else (0.0, 1.0))
        return (pairs[0], pairs[1], pairs[2])

    @cached_property
    def hilum_mm(self) -> tuple[float, float, float]:
        """Where bronchi and vessels enter (x, y, z): the inner side of the lung, half deep, a little above its middle."""
        (z0, z1), (y0, y1), (x0, x1) = self.extent_mm
        inner = x0 + 0.08 * (x1 - x0) if self.side == "left" else x1 - 0.08 * (x1 - x0)
        return (inner, y0 + 0.55 * (y1 - y0), z0 + 0.52 * (z1 - z0))

    def region(self, zone: str, lobe: str) -> Mask:
        """The part of the lung in a zone and, where it is known, a lobe; the whole lung when nothing is left."""
        low, high = (self.extent_mm[0][0] + share * (self.extent_mm[0][1] - self.extent_mm[0][0]) for share in BANDS[zone])
        part = self.lung & (self.canvas.z >= low - 0.01) & (self.canvas.z <= high + 0.01)
        if lobe in self.lobes:
            both = part & self.lobes[lobe]
            part = both if both.sum() > 0.1 * self.lobes[lobe].sum() else self.lung & self.lobes[lobe]
        return np.asarray(part) if part.any() else self.lung

    def lobe_region(self, zone: str, lobe: str) -> Mask:
        """A whole lobe: the named one, else the one that holds most of the zone, else the zone cut by a fissure-like plane."""
        if lobe in self.lobes:
            return np.asarray(self.lung & self.lobes[lobe])
        if self.lobes:
            part = self.region(zone, "")
            best = max(self.lobes, key=lambda name: int((self.lobes[name] & part).sum()))
            return np.asarray(self.lung & self.lobes[best])
        (z0, z1), (y0, y1), _ = self.extent_mm
        up, back = (self.canvas.z - z0) / (z1 - z0), (self.canvas.y - y0) / (y1 - y0)
        is_low = back > 0.12 + 1.15 * (up - 0.06)
        return np.asarray(self.lung & (~is_low if zone == "upper" else is_low))

    def pick(self, chance: Field, count: int, rng: np.random.Generator) -> Float32[np.ndarray, "n 3"]:
        """Points (x, y, z in mm) drawn with the given weights; none when all weights are zero."""
        total = np.cumsum(chance.ravel(), dtype=np.float64)
        if not len(total) or total[-1] <= 0:
            return np.zeros((0, 3), dtype=np.float32)
        flat = np.searchsorted(total, rng.random(count) * total[-1], side="right")
        z, y, x = np.unravel_index(np.minimum(flat, len(total) - 1), chance.shape)
        places = [self.canvas.x.ravel()[x], self.canvas.y.ravel()[y], self.canvas.z.ravel()[z]]
        return np.asarray(np.stack(places, axis=1), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Layer:
    """Disease as it is painted: ``share`` (0 to 1) of each voxel takes ``target_hu``; denser voxels than ``spares_hu`` stay.

    ``mask`` holds the voxels that count as diseased, ``parts`` named parts of it, ``facts`` further true values.
    """

    share: Field
    target_hu: Field | float
    mask: Mask
    spares_hu: float
    variant: str = ""
    parts: dict[str, Mask] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)
    centre_mm: tuple[float, float, float] | None = None
    margin: str = ""


def strength(hu: Field, share: Field, spares_hu: float) -> Field:
    """Return the share of each voxel that really changes: vessels and what is denser keep their HU (soft over 60 HU)."""
    if not np.isfinite(spares_hu):
        return share
    return np.asarray(share * np.clip((spares_hu - hu) / np.float32(60), 0, 1), dtype=np.float32)


def paint(hu: Field, layer: Layer) -> None:
    """Mix a layer into noise-free HU in place."""
    hu += strength(hu, layer.share, layer.spares_hu) * (layer.target_hu - hu)


def largest(score: Field, inside: Mask, count: float) -> float:
    """The score that the ``count`` highest voxels of a mask reach; infinite when none is wanted."""
    values = score[inside]
    wanted = int(min(round(count), len(values)))
    if wanted < 1:
        return float("inf")
    return float(np.partition(values, len(values) - wanted)[len(values) - wanted])


def distance_mm(canvas: Canvas, place: Float32[np.ndarray, "3"], stretch: tuple[float, float, float] = (1, 1, 1)) -> Field:
    """Distance of each voxel from a point (x, y, z), each axis divided by its stretch."""
    square = [
        ((axis - np.float32(p)) / np.float32(s)) ** 2
        for axis, p, s in zip((canvas.x, canvas.y, canvas.z), place, stretch, strict=True)
    ]
    return np.asarray(np.sqrt(square[0] + square[1] + square[2]), dtype=np.float32)


def box_around(canvas: Canvas, low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"]) -> Box | None:
    """The voxels between two corners (x, y, z in mm), or None when the canvas holds none of them."""
    found = []
    for axis, a, b in zip((canvas.z, canvas.y, canvas.x), low[::-1], high[::-1], strict=True):
        first, last = np.searchsorted(axis.ravel(), (a, b))
        if first >= last:
            return None
        found.append(slice(int(first), int(last)))
    return (found[0], found[1], found[2])


def _ends(mask: Mask, axis: int) -> tuple[Float32[np.ndarray, "a b"], Float32[np.ndarray, "a b"]]:
    """Index of the first and the last voxel of a mask along an axis."""
    count = mask.shape[axis]
    first = np.argmax(mask, axis=axis).astype(np.float32)
    last = (count - 1 - np.argmax(np.flip(mask, axis), axis=axis)).astype(np.float32)
    return first, last
