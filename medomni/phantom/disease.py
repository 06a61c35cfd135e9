"""Diseases that can be placed into a phantom lung, and where each one lies.

Turns a list of ``Placed`` into masks with exact volumes; the HU of each disease is painted in ``lung.py``.
"""

from dataclasses import dataclass

import numpy as np

from medomni.phantom.canvas import Canvas, Field
from medomni.types.volume import Mask

KINDS = ("lung_opacity", "consolidation", "pleural_effusion", "emphysema", "lung_nodule")
SEVERITIES = ("mild", "moderate", "severe")
AMOUNTS = {
    "lung_opacity": (6.0, 15.0, 32.0),
    "consolidation": (4.0, 9.0, 18.0),
    "pleural_effusion": (120.0, 350.0, 800.0),
    "emphysema": (5.0, 14.0, 28.0),
    "lung_nodule": (7.0, 14.0, 26.0),
}
"""Size by severity: % of the lung, except mL for pleural_effusion and diameter in mm for lung_nodule."""
_BAND = {"lower": (0.0, 0.42), "middle": (0.3, 0.68), "upper": (0.58, 1.0), "": (0.0, 1.0)}


@dataclass(frozen=True)
class Placed:
    """One disease to place. ``zone`` is upper, middle, lower or "" (anywhere); ``amount`` overrides the severity's size."""

    kind: str
    side: str = "right"
    zone: str = "lower"
    severity: str = "moderate"
    amount: float | None = None

    def __post_init__(self) -> None:
        known = self.kind in KINDS and self.side in ("left", "right") and self.zone in _BAND
        if not known or self.severity not in SEVERITIES or self.size <= 0:
            raise ValueError(f"cannot place {self}")

    @property
    def size(self) -> float:
        """How much of it: % of the lung, mL or mm, as in ``AMOUNTS``."""
        if self.amount is not None:
            return self.amount
        return AMOUNTS[self.kind][SEVERITIES.index(self.severity)]


def effusion(canvas: Canvas, room: Mask, volume_ml: float) -> Mask:
    """Free fluid of the given volume in a pleural space of a patient lying on the back (at most 60 % of the space)."""
    depth = canvas.y - 0.22 * canvas.z + 0.0009 * canvas.x**2
    return _largest(np.broadcast_to(depth, canvas.shape), room, min(volume_ml / canvas.voxel_ml, 0.6 * room.sum()))


def patch(canvas: Canvas, lung: Mask, placed: Placed, rng: np.random.Generator) -> Mask:
    """Ragged patches covering ``placed.size`` percent of the lung: one focus for consolidation, three for opacity.

    The foci lie in the zone; large patches grow beyond it.
    """
    region = zone_of(canvas, lung, placed.zone)
    foci = 1 if placed.kind == "consolidation" else 3
    reach = np.full(canvas.shape, -1e3, dtype=np.float32)
    for z, y, x in np.argwhere(region)[rng.integers(0, max(1, int(region.sum())), foci)]:
        middle = (canvas.x.flat[x], canvas.y.flat[y], canvas.z.flat[z])
        distance = (canvas.x - middle[0]) ** 2 + (canvas.y - middle[1]) ** 2 + (canvas.z - middle[2]) ** 2
        np.maximum(reach, -np.sqrt(distance) / 16, out=reach)
    reach += 0.55 * canvas.soft_noise(rng, 22) + 0.3 * canvas.soft_noise(rng, 9)
    return _largest(reach, lung, placed.size / 100 * lung.sum())


def lucencies(canvas: Canvas, lung: Mask, placed: Placed, rng: np.random.Generator) -> Mask:
    """Many small lucent areas covering ``placed.size`` percent of the lung, most of them in the zone."""
    chance = canvas.soft_noise(rng, 10) + np.float32(0.6) * canvas.soft_noise(rng, 30)
    chance += np.float32(0.9) * zone_of(canvas, lung, placed.zone)
    return _largest(chance, lung, placed.size / 100 * lung.sum())


def nodule_centre(canvas: Canvas, free: Mask, placed: Placed, rng: np.random.Generator) -> tuple[float, float, float] | None:
    """A place (x, y, z in mm) where a ball of the wanted diameter fits with 3 mm to spare, or None."""
    inside = np.argwhere(zone_of(canvas, free, placed.zone))
    for z, y, x in inside[rng.integers(0, max(1, len(inside)), 400)] if len(inside) else ():
        middle = (float(canvas.x.flat[x]), float(canvas.y.flat[y]), float(canvas.z.flat[z]))
        ball = canvas_ball(canvas, middle, placed.size / 2 + 3)
        if not np.any(ball & ~free):
            return middle
    return None


def canvas_ball(canvas: Canvas, middle: tuple[float, float, float], radius: float) -> Mask:
    """Voxels inside a ball."""
    return canvas.ellipsoid(middle, (radius, radius, radius))


def zone_of(canvas: Canvas, lung: Mask, zone: str) -> Mask:
    """The part of a lung between two shares of its height (0 = base, 1 = apex)."""
    slices = np.flatnonzero(lung.any(axis=(1, 2)))
    if not len(slices):
        return lung
    low, high = (slices[0] + share * (slices[-1] + 1 - slices[0]) for share in _BAND[zone])
    index = np.arange(canvas.shape[0])[:, None, None]
    return np.asarray(lung & (index >= low) & (index < high))


def _largest(score: Field, inside: Mask, count: float) -> Mask:
    """The ``count`` voxels of a mask with the largest score."""
    values = score[inside]
    wanted = int(min(count, len(values)))
    chosen = np.zeros(inside.shape, dtype=bool)
    if wanted:
        chosen[inside] = values >= np.partition(values, len(values) - wanted)[len(values) - wanted]
    return chosen
