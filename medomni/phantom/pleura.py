"""The pleural spaces: what the chest wall, the diaphragm and the mediastinum leave, and the fissures between the lobes."""

from dataclasses import dataclass

import numpy as np

from medomni.phantom.canvas import Field
from medomni.phantom.contours import spine_y
from medomni.phantom.heart import Heart
from medomni.phantom.scene import Scene
from medomni.phantom.sketch import Patch, joined, overlap
from medomni.phantom.vessels import Vessel

_GAP_MM = 2.2
"""Pleura and fat between the chest cavity contour and the lung."""


@dataclass(frozen=True, eq=False)
class Lungs:
    """Depths on coarse nodes: each pleural space, behind the oblique fissures, and above the horizontal fissure."""

    patch: Patch
    right: Field
    left: Field
    behind_right: Field
    behind_left: Field
    above: Field


def mediastinum(scene: Scene, patch: Patch, heart: Heart | None, tubes: list[Vessel]) -> Field:
    """Depth in everything between the lungs, with the fat that rounds it off."""
    z = patch.z
    depth = _column(patch)
    upper = 1 - np.sqrt((patch.x / 33) ** 2 + ((patch.y + 12) / np.interp(z, [170, 250, 300], [36, 30, 26])) ** 2)
    upper = np.minimum(26 * upper, np.minimum(0.6 * (z - 176), 400 - z)).astype(np.float32)
    depth = joined(depth, upper, 14)
    if heart is not None:
        sac = np.full(depth.shape, -60, dtype=np.float32)
        inner, outer = overlap(patch, heart.patch)
        sac[inner] = heart.sac[outer]
        depth = joined(depth, sac + 1.0, 12)
    for tube in tubes:
        part = scene.sketch.around(tube.path, 26)
        if part is None:
            continue
        inner, outer = overlap(patch, part)
        if inner[0].start >= inner[0].stop:
            continue
        small = Patch(patch.box, patch.x[inner], patch.y[inner], patch.z[inner])
        here = depth[inner]
        depth[inner] = joined(here, small.tube(tube.path, tube.radii) + 2.0, 9)
    # the ligaments: sheets of fat that keep the lungs apart in front of and behind the heart
    sheet = np.float32(max(2.6, 0.65 * scene.sketch.canvas.spacing_mm[2])) - np.abs(patch.x - _midline(scene, patch))
    return np.asarray(np.maximum(depth, sheet), dtype=np.float32)


def shape_lungs(scene: Scene, patch: Patch, solid: Field) -> Lungs:
    """Return the pleural spaces and fissures of a person."""
    rng = scene.rng("lungs")
    room = np.minimum(scene.cavity[patch.box] - _GAP_MM, -scene.under_dome[patch.box])
    room = np.minimum(np.minimum(room, _apices(patch)), -solid)
    side = patch.x - _midline(scene, patch)
    right, left = np.minimum(room, -side), np.minimum(room, side)
    wave = 3.2 * scene.ripple(60, patch) + 1.0 * scene.ripple(28, patch)
    behind = []
    for _ in range(2):
        high, low = rng.normal(214, 8), rng.normal(66, 9)
        slope = (high - low) / 150.0
        behind.append(((patch.y + 90) * slope + low + wave - patch.z) / np.float32(np.hypot(1, slope)))
    flat = patch.z - (rng.normal(160, 6) + rng.normal(0, 0.12) * (np.abs(patch.x) - 70) + 0.1 * (patch.y + 40) + wave)
    arrays = [np.asarray(v, dtype=np.float32) for v in (right, left, *behind, flat)]
    return Lungs(patch, *arrays)


def _column(patch: Patch) -> Field:
    """The spine with its ligaments and the nerves and vessels beside it."""
    back = spine_y(patch.z).astype(np.float32)
    wide = np.interp(patch.z, [20, 150, 300], [26, 22, 22]).astype(np.float32)
    body = 1 - np.sqrt((patch.x / wide) ** 2 + ((patch.y - back) / 19) ** 2)
    arch = np.minimum(24 - np.abs(patch.x), patch.y - back)
    return np.asarray(joined((19 * body).astype(np.float32), arch.astype(np.float32), 5), dtype=np.float32)


def _midline(scene: Scene, patch: Patch) -> Field:
    """Where the lungs would meet: near the middle behind the sternum, left of it in front of the heart."""
    front = np.clip((-patch.y - 40) / 25, 0, 1) * np.clip((185 - patch.z) / 50, 0, 1)
    return np.asarray(-2 + 10 * front + 2 * scene.ripple(60, patch), dtype=np.float32)


def _apices(patch: Patch) -> Field:
    """Depth in the two cones to which the lungs narrow at the top."""
    z = patch.z
    heights = [195, 235, 260, 275, 284, 288]
    half = np.interp(z, heights, [120.0, 60, 42, 28, 13, -8]).astype(np.float32)
    side = np.interp(z, heights, [62.0, 54, 49, 47, 46, 46]).astype(np.float32)
    middle = np.interp(z, heights, [0.0, 12, 20, 25, 28, 30]).astype(np.float32)
    away = np.sqrt((np.abs(patch.x) - side) ** 2 + ((patch.y - middle) / np.float32(1.12)) ** 2)
    return np.asarray(half - away, dtype=np.float32)
