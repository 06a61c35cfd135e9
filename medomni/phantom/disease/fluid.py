"""Fluid round the lung: free and loculated pleural effusion, and the lung that it presses airless.

Turns a ``Placed`` into ``Layer`` values on a ``Site``. The patient lies on the back: free fluid gathers at the back and the base,
its surface is a meniscus that climbs along the wall.
"""

import numpy as np
from scipy import ndimage

from medomni.phantom.canvas import Field
from medomni.phantom.disease.airspace import AIRLESS_HU, bronchogram
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.site import Layer, Site, distance_mm, largest
from medomni.types.volume import Mask

FLUID_HU = (0.0, 20.0)
"""HU of simple pleural fluid (transudates about 5, exudates about 17; Abramowitz, AJR 2009)."""
LARGEST_SHARE = 0.75
"""Most of a pleural space that fluid may take; what is left holds the pressed lung."""
_CLIMB_MM = 26.0


def effusion(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Return pleural fluid of ``placed.size`` mL, at most ``LARGEST_SHARE`` of the pleural space."""
    canvas = site.canvas
    variant = placed.variant or str(rng.choice(("free", "loculated"), p=(0.88, 0.12)))
    if variant == "free":
        climb = np.float32(_CLIMB_MM * rng.uniform(0.6, 1.5)) * np.exp(-site.costal_mm / np.float32(rng.uniform(5, 10)))
        score = canvas.y - np.float32(rng.uniform(0.12, 0.4)) * canvas.z + climb + 1.5 * canvas.soft_noise(rng, 40)
    else:
        near = site.region(placed.zone, placed.lobe) * np.exp(-site.costal_mm / 6)
        place = site.pick(np.asarray(near, dtype=np.float32), 1, rng)[0]
        score = -0.45 * distance_mm(canvas, place, (1, 1, 1.4)) - site.costal_mm + 1.5 * canvas.soft_noise(rng, 30)
    count = min(placed.size / canvas.voxel_ml, LARGEST_SHARE * float(site.lung.sum()))
    border = largest(np.asarray(score, dtype=np.float32), site.room, count)
    share = np.clip((score - border) / np.float32(min(canvas.spacing_mm)) + 0.5, 0, 1) * site.room
    share = np.asarray(share, dtype=np.float32)
    target = np.float32(rng.uniform(*FLUID_HU)) + np.float32(1.5) * canvas.soft_noise(rng, 30)
    return Layer(share, target, np.asarray(share > 0.5), np.inf, variant)


def pressed_lung(site: Site, fluid: Mask, rng: np.random.Generator) -> Layer:
    """Return the airless lung beside fluid: a rim whose width grows with the volume, densest at the fluid and painted under it.

    ``site.lung`` must no longer hold the fluid.
    """
    canvas = site.canvas
    ml = float(fluid.sum()) * canvas.voxel_ml
    width_mm = float(rng.uniform(0.7, 1.4)) * (3 + 1.2 * ml ** (1 / 3))
    away = np.asarray(ndimage.distance_transform_edt(~fluid, sampling=canvas.spacing_mm), dtype=np.float32)
    low = np.clip(1.25 - site.base_mm / max(60.0, 0.6 * (site.extent_mm[0][1] - site.extent_mm[0][0])), 0.25, 1.25)
    inner = width_mm * low - away + 1.8 * canvas.soft_noise(rng, 18) + 0.9 * canvas.soft_noise(rng, 7)
    share = np.asarray(np.clip(inner / np.float32(0.35 * width_mm + 1) + 0.4, 0, 1) * (site.room | fluid), dtype=np.float32)
    mask = site.lung & (share > 0.45)
    share *= 1 - np.float32(0.8) * bronchogram(site, mask, rng)
    target = np.float32(rng.uniform(*AIRLESS_HU) + 12) + np.float32(5) * canvas.soft_noise(rng, 12)
    return Layer(share, target, mask, 80.0, "compressive")


def push(hu: Field, fluid: Mask, lung: Mask, masks: dict[str, Mask]) -> None:
    """Move the lung in front of fluid forwards, in place: each column shrinks into the room that is left and grows denser.

    ``lung`` is the lung before the fluid came; ``masks`` (lobes) move along. Voxels under the fluid keep their HU.
    """
    height = lung.shape[1]
    index = np.arange(height, dtype=np.float32)[None, :, None]
    first = np.argmax(lung, axis=1).astype(np.float32)[:, None, :]
    last = (height - 1 - np.argmax(lung[:, ::-1], axis=1)).astype(np.float32)[:, None, :]
    thickness = np.minimum(fluid.sum(axis=1, keepdims=True, dtype=np.float32), 0.6 * (last - first))
    thickness = ndimage.gaussian_filter(thickness, (1.5, 0, 1.5), truncate=2.5)
    ratio = np.clip((last - first) / np.maximum(last - first - thickness, 1), 1, 2.2)
    source = np.clip(first + (index - first) * ratio, 0, height - 1.001)
    moved = lung & (thickness > 0.3)
    below = source.astype(np.intp)
    part = source - below
    shifted = np.take_along_axis(hu, below, 1) * (1 - part) + np.take_along_axis(hu, below + 1, 1) * part
    shifted = np.where(shifted < -500, (shifted + 1000) * ratio - 1000, shifted)
    np.copyto(hu, shifted.astype(np.float32), where=moved & ~fluid)
    nearest = np.rint(source).astype(np.intp)
    for mask in masks.values():
        np.copyto(mask, np.take_along_axis(mask, nearest, 1), where=moved)
