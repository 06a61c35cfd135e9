"""Lung without air because it lost its volume: plates, dependent bands and collapsed lobes.

Turns a ``Placed`` into a ``Layer`` on a ``Site`` (Fleischner glossary 2008: linear atelectasis; Woodring, J Thorac Imaging 1996).
"""

import numpy as np

from medomni.phantom.canvas import Field
from medomni.phantom.disease.airspace import bronchogram
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.site import Layer, Site, distance_mm, largest

COLLAPSED_HU = (32.0, 62.0)
"""HU of collapsed unenhanced lung: dense, for its vessels crowd."""
PLATE_MM = (2.0, 5.0)
"""Thickness of linear atelectasis (a few millimetres to a centimetre)."""


def atelectasis(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Return collapsed lung of ``placed.size`` percent of the lung's volume; large amounts are whole lobes."""
    variant = placed.variant or _variant(placed.size, rng)
    if variant == "dependent" and placed.lobe:  # what gravity places keeps to no lobe
        variant = "plate"
    if variant == "plate":
        return _plates(site, placed, rng)
    canvas = site.canvas
    count = placed.size / 100 * float(site.lung.sum())
    if variant == "dependent":
        inside = site.lung
        score = np.asarray(-site.costal_mm * 1.2 + 0.5 * canvas.y + 1.2 * canvas.soft_noise(rng, 20), dtype=np.float32)
        if placed.zone == "lower":
            score -= np.float32(12) * np.clip(site.base_mm / np.float32(90) - np.float32(0.6), 0, 1)
        edge_mm, level = float(rng.uniform(3, 7)), np.float32(rng.uniform(0.55, 0.98))
    else:
        inside = site.lobe_region(placed.zone, placed.lobe)
        count = min(count, 0.6 * float(inside.sum()))
        score = _towards_hilum(site) + np.float32(2) * canvas.soft_noise(rng, 30)
        edge_mm, level = 2.0, np.float32(1)
    border = largest(score, inside, count)
    inner = np.asarray(score - np.float32(border), dtype=np.float32)
    allowed = inside | (site.room & ~site.lung)
    share = np.asarray(level * np.clip(inner / np.float32(edge_mm) + 0.55, 0, 1) * allowed, dtype=np.float32)
    mask = inside & (inner > 0)
    if variant == "lobar":
        share *= 1 - np.float32(0.75) * bronchogram(site, mask, rng)
    target = np.float32(rng.uniform(*COLLAPSED_HU)) + np.float32(4) * canvas.soft_noise(rng, 12)
    return Layer(share, target, np.asarray(mask), 90.0, variant)


def _variant(percent: float, rng: np.random.Generator) -> str:
    if percent < 2:
        return str(rng.choice(("plate", "dependent"), p=(0.6, 0.4)))
    if percent < 7:
        return str(rng.choice(("plate", "dependent", "lobar"), p=(0.2, 0.5, 0.3)))
    return "lobar"


def _plates(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Thin, nearly flat discs that reach the pleura; their radius follows from the wanted volume."""
    canvas, region = site.canvas, site.region(placed.zone, placed.lobe)
    wanted_ml = placed.size / 100 * float(site.lung.sum()) * canvas.voxel_ml
    thick_mm = float(rng.uniform(*PLATE_MM)) * (1.0 if wanted_ml < 30 else 1.3)
    number = int(np.clip(round(wanted_ml / (thick_mm * 2.5)), 1, 7))
    step = float(np.cbrt(np.prod(canvas.spacing_mm)))
    near = region * np.exp(-((site.costal_mm - 18) ** 2) / 200)
    score = np.full(canvas.shape, -1e3, dtype=np.float32)
    flat = np.full(canvas.shape, 1e3, dtype=np.float32)
    for place in site.pick(np.asarray(near, dtype=np.float32), number, rng):
        normal = np.array([rng.normal(0, 0.35), rng.normal(0, 0.35), 1.0])
        normal /= np.linalg.norm(normal)
        offset = [canvas.x - place[0], canvas.y - place[1], canvas.z - place[2]]
        height = np.abs(sum(o * np.float32(n) for o, n in zip(offset, normal, strict=True)) + 1.2 * canvas.soft_noise(rng, 30))
        away = np.sqrt(offset[0] ** 2 + offset[1] ** 2)
        np.maximum(score, np.where(height < thick_mm / 2 + step, -away, -1e3), out=score)
        np.minimum(flat, height, out=flat)
    inside = site.lung & (flat < max(thick_mm / 2, 0.5 * step))
    border = largest(score, inside, placed.size / 100 * float(site.lung.sum()))
    share = np.clip((thick_mm / 2 - flat) / np.float32(step) + 0.5, 0, 1) * np.clip((score - border) / 4 + 0.5, 0, 1)
    share = np.asarray(share * site.room * np.float32(rng.uniform(0.8, 1)), dtype=np.float32)
    return Layer(share, float(rng.uniform(10, 50)), np.asarray(inside & (score >= border)), 80.0, "plate")


def _towards_hilum(site: Site) -> Field:
    """Score of a lobe that shrinks towards the hilum and the mediastinum."""
    shape = distance_mm(site.canvas, np.array(site.hilum_mm, dtype=np.float32), (0.8, 1.0, 2.4))
    return np.asarray(-shape - 0.3 * np.abs(site.canvas.x), dtype=np.float32)
