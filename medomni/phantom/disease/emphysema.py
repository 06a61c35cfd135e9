"""Lung destroyed to air: centrilobular, paraseptal and panlobular emphysema, and bullae.

Turns a ``Placed`` into a ``Layer`` on a ``Site``. Forms after the Fleischner Society (Lynch, Radiology 2015): centrilobular holes
of 3 to 10 mm without walls in the upper lung, paraseptal rows under the pleura with thin walls, panlobular loss in the lower lung
with thin vessels, bullae of 10 mm and more.
"""

import numpy as np

from medomni.phantom.canvas import Field
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.site import Layer, Site, distance_mm, largest
from medomni.types.volume import Mask

LUCENT_HU = (-990.0, -962.0)
"""HU of destroyed lung; below -950 HU by definition of the low-attenuation area."""
WALL_MM = 1.0


def emphysema(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Return lung of less than -950 HU over ``placed.size`` percent of the lung, most of it in the zone."""
    variant = placed.variant or str(rng.choice(("centrilobular", "paraseptal", "panlobular", "bulla"), p=(0.55, 0.2, 0.15, 0.1)))
    canvas, region = site.canvas, site.region(placed.zone, placed.lobe)
    step = float(np.cbrt(np.prod(canvas.spacing_mm)))
    walls: Field | np.float32 = np.float32(0)
    spares, edge_mm = -560.0, 1.2
    if variant == "centrilobular":
        hole_mm = float(rng.uniform(6, 11))
        score = canvas.soft_noise(rng, hole_mm) + 0.55 * canvas.soft_noise(rng, 32) + 0.9 * region
        score = score * np.float32(0.35 * hole_mm) - 6 * (site.costal_mm < 2)
    elif variant == "paraseptal":
        score = -site.costal_mm + 2 * canvas.soft_noise(rng, 12) + 16 * region + 3 * canvas.soft_noise(rng, 40)
        walls = np.exp(-((canvas.soft_noise(rng, 15) / np.float32(0.11)) ** 2)) * np.float32(0.5)
    elif variant == "panlobular":
        score = 12 * canvas.soft_noise(rng, 55) + 5 * canvas.soft_noise(rng, 14) + 22 * region
        spares, edge_mm = -350.0, 12.0
    else:
        score, spares = _bullae(site, region, rng), np.inf
        walls = np.float32(0)
    border = largest(np.asarray(score, dtype=np.float32), site.lung, placed.size / 100 * float(site.lung.sum()))
    inner = np.asarray(score - np.float32(border), dtype=np.float32)
    share = np.clip(inner / np.float32(max(edge_mm, step)) + 0.75, 0, 1)
    share = np.asarray(np.clip(share - walls * (inner > 0), 0, 1) * site.lung, dtype=np.float32)
    if variant == "panlobular":
        share *= np.float32(0.85)
    target: Field = np.float32(rng.uniform(*LUCENT_HU)) + np.float32(5) * canvas.soft_noise(rng, 8)
    mask = site.lung & (inner > 0)
    if variant == "bulla":
        rim = (inner > -WALL_MM - 0.5 * step) & (inner <= 0) & site.lung
        share = np.where(rim, np.float32(min(1.0, WALL_MM / step)), share).astype(np.float32)
        target = np.where(rim, np.float32(-60), target).astype(np.float32)
    return Layer(share, target, np.asarray(mask), spares, variant)


def _bullae(site: Site, region: Mask, rng: np.random.Generator) -> Field:
    """Depth inside one to three balls under the pleura, in mm up to a constant."""
    near = region * np.exp(-((site.costal_mm - 12) ** 2) / 80)
    score = np.full(site.canvas.shape, -1e3, dtype=np.float32)
    for place in site.pick(np.asarray(near, dtype=np.float32), int(rng.integers(1, 4)), rng):
        np.maximum(score, float(rng.uniform(0, 10)) - distance_mm(site.canvas, place, (1, 1, 1.2)), out=score)
    return score
