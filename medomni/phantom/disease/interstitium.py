"""Disease of the framework of the lung: thickened septa, mosaic attenuation, fibrotic bands, reticulation and honeycombing.

Turns a ``Placed`` into a ``Layer`` on a ``Site``. Secondary lobules are polygons of 10 to 25 mm whose septa thicken (Fleischner
glossary 2008); honeycomb cysts are 3 to 10 mm with walls of 1 to 3 mm, under the pleura, in rows.
"""

import numpy as np
from jaxtyping import Float32, Int64
from scipy.spatial import cKDTree

from medomni.phantom.canvas import Field
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.site import Layer, Site, largest
from medomni.types.volume import Mask

LOBULE_MM = 14.0
MOSAIC_DROP_HU = (45.0, 85.0)
"""Dark lobules hold less blood or trap air: this much below the lung beside them."""


def septal_thickening(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Return lines between lobules, nearest the pleura, in a region of ``placed.size`` percent of the lung."""
    canvas = site.canvas
    thick_mm = {"mild": 1.0, "moderate": 1.4, "severe": 1.9}[placed.severity] * float(rng.uniform(0.85, 1.2))
    zone = site.region(placed.zone, placed.lobe)
    score = -site.costal_mm + 5 * canvas.soft_noise(rng, 40) + 25 * zone
    border = largest(np.asarray(score, dtype=np.float32), site.lung, placed.size / 100 * float(site.lung.sum()))
    region = site.lung & (score >= border)
    gap, _ = cells(site, region, LOBULE_MM * float(rng.uniform(0.85, 1.15)), rng)
    fade = np.clip((score - border) / 8, 0, 1) * np.clip(0.75 + 0.5 * canvas.soft_noise(rng, 22), 0, 1)
    share = np.asarray(_line(gap, thick_mm, canvas.spacing_mm) * fade * region, dtype=np.float32)
    haze = np.float32({"mild": 0.0, "moderate": 0.05, "severe": 0.1}[placed.severity])
    share = np.maximum(share * np.float32(0.85), haze * fade * region).astype(np.float32)
    facts = {"septal_thickness": thick_mm}
    return Layer(share, float(rng.uniform(-20, 30)), np.asarray(region), 40.0, "", {"septa": region & (share > 0.3)}, facts)


def mosaic(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Return dark lobules with sharp borders and thin vessels over ``placed.size`` percent of the lung."""
    canvas = site.canvas
    _, owner = cells(site, site.lung, 1.6 * LOBULE_MM, rng)
    cloud = canvas.soft_noise(rng, 45) + 0.7 * site.region(placed.zone, placed.lobe)
    flat = owner[site.lung]
    count = np.maximum(np.bincount(flat), 1)
    mean = np.bincount(flat, weights=cloud[site.lung]) / count + 0.25 * rng.standard_normal(len(count))
    order = np.argsort(-mean)
    filled = np.cumsum(np.bincount(flat)[order])
    dark = np.zeros(len(count), dtype=bool)
    dark[order[: 1 + int(np.searchsorted(filled, placed.size / 100 * site.lung.sum()))]] = True
    mask = np.zeros_like(site.lung)
    mask[site.lung] = dark[flat]
    drop = float(rng.uniform(*MOSAIC_DROP_HU)) * {"mild": 0.85, "moderate": 1.0, "severe": 1.25}[placed.severity]
    # new = 0.7 hu + 0.3 lung - drop: vessels shrink and the whole lobule darkens
    share = np.asarray(0.3 * mask, dtype=np.float32)
    return Layer(share, site.lung_hu - drop / 0.3, mask, np.inf, "", {}, {"drop_hu": drop})


def fibrosis(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Return scars over ``placed.size`` percent of the lung: bands, then reticulation, then honeycombing."""
    default = {"mild": "bands", "moderate": "reticulation" if rng.random() < 0.5 else "bands", "severe": "honeycombing"}
    variant = placed.variant or default[placed.severity]
    if variant == "bands":
        return _bands(site, placed, rng)
    canvas = site.canvas
    score = -site.costal_mm - 0.12 * site.base_mm + 3 * canvas.soft_noise(rng, 25) + 1.5 * canvas.soft_noise(rng, 8)
    score += 25 * site.region(placed.zone, placed.lobe)
    border = largest(np.asarray(score, dtype=np.float32), site.lung, placed.size / 100 * float(site.lung.sum()))
    region = site.lung & (score >= border)
    is_honeycomb = variant == "honeycombing"
    gap, owner = cells(site, region, float(rng.uniform(5, 8)) if is_honeycomb else 5.0, rng)
    thick_mm = 1.8 if is_honeycomb else 1.3
    lines = _line(gap, thick_mm, canvas.spacing_mm)
    fade = np.clip((score - border) / 3 + 0.3, 0, 1) * region
    haze = np.float32(rng.uniform(0.12, 0.3))
    share = np.asarray(np.maximum(lines * 0.85, haze) * fade, dtype=np.float32)
    target: Field | float = float(rng.uniform(0, 40))
    if is_honeycomb:
        cyst = region & (lines < 0.4) & (rng.random(int(owner.max()) + 2)[owner] < 0.75) & (site.costal_mm < 22)
        share = np.where(cyst, np.float32(0.95), share).astype(np.float32)
        target = np.where(cyst, np.float32(-960), np.float32(target)).astype(np.float32)
    return Layer(share, target, np.asarray(region), 45.0, variant)


def cells(site: Site, region: Mask, size_mm: float, rng: np.random.Generator) -> tuple[Field, Int64[np.ndarray, "z y x"]]:
    """Split a region into polygons about ``size_mm`` wide.

    Returns:
        Distance of each voxel of the region from the nearest wall (mm, large outside) and the number of its polygon.
    """
    canvas = site.canvas
    gap = np.full(canvas.shape, 1e3, dtype=np.float32)
    owner = np.zeros(canvas.shape, dtype=np.int64)
    z, y, x = np.nonzero(region)
    if not len(z):
        return gap, owner
    points = np.stack([canvas.x.ravel()[x], canvas.y.ravel()[y], canvas.z.ravel()[z]], axis=1).astype(np.float32)
    seeds = _seeds(points, size_mm, rng)
    near, which = cKDTree(seeds).query(points, k=2)
    between = np.linalg.norm(seeds[which[:, 1]] - seeds[which[:, 0]], axis=1)
    gap[region] = (near[:, 1] ** 2 - near[:, 0] ** 2) / np.maximum(2 * between, 1e-3)
    owner[region] = which[:, 0]
    return gap, owner


def _seeds(points: Float32[np.ndarray, "n 3"], size_mm: float, rng: np.random.Generator) -> Float32[np.ndarray, "s 3"]:
    """One point in each cube of a grid, moved by chance."""
    low, high = points.min(axis=0) - size_mm, points.max(axis=0) + size_mm
    axes = [np.arange(a, b, size_mm) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(grid + rng.uniform(-0.42, 0.42, grid.shape) * size_mm, dtype=np.float32)


def _line(gap: Field, thick_mm: float, spacing_mm: tuple[float, float, float]) -> Field:
    """Share that a wall fills; walls thinner than a voxel fade."""
    step = float(np.cbrt(np.prod(spacing_mm)))
    return np.asarray(np.clip((thick_mm / 2 - gap) / step + 0.5, 0, 1) * min(1.0, 1.2 * thick_mm / step), dtype=np.float32)


def _bands(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Irregular strands from the pleura inwards, a few millimetres thick, wider where they meet the pleura."""
    canvas, region = site.canvas, site.region(placed.zone, placed.lobe)
    wanted_ml = placed.size / 100 * float(site.lung.sum()) * canvas.voxel_ml
    filled = np.zeros(canvas.shape, dtype=np.float32)
    near = np.asarray(region * np.exp(-site.costal_mm / 3), dtype=np.float32)
    hilum = np.array(site.hilum_mm)
    done_ml = 0.0
    for base in site.pick(near, 60, rng):
        inwards = hilum - base
        inwards /= max(1.0, float(np.linalg.norm(inwards)))
        for _ in range(int(rng.integers(1, 4))):
            length = float(rng.uniform(12, 45))
            way = inwards + rng.normal(0, 0.35, 3)
            bend = rng.normal(0, 2.5, 3)
            line = np.stack([base - 3 * inwards, base + 0.5 * length * way + bend, base + length * way])
            radii = np.array([rng.uniform(1.5, 3.0), rng.uniform(0.8, 1.6), 0.5])
            # a flat strand: the same line twice, a little apart
            for shift in (0.0, float(rng.uniform(1.5, 3))):
                canvas.add_tube(filled, line + np.array([0.0, 0.0, shift]), radii)
            done_ml += 2.2 * length * float(np.mean(radii)) ** 2 * np.pi / 1000
        if done_ml > wanted_ml:
            break
    share = np.asarray(np.minimum(filled, 0.95) * site.room, dtype=np.float32)
    return Layer(share, float(rng.uniform(0, 50)), np.asarray(site.lung & (share > 0.4)), 70.0, "bands")
