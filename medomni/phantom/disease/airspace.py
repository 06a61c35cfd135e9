"""Air replaced by fluid and cells: ground glass, crazy paving, consolidation with air bronchograms.

Turns a ``Placed`` into a ``Layer`` on a ``Site``. The shapes follow what chest radiology describes: ragged subpleural and
posterior patches of several sizes (COVID-19: Bernheim, Radiology 2020), a net of thickened septa (crazy paving: Fleischner
glossary 2008), a lobe filled up to its fissure, a wedge with its base on the pleura, patches along the bronchi.
"""

import numpy as np

from medomni.phantom.canvas import Field
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.site import LUMEN_DEPTH_HU, Layer, Site, box_around, distance_mm, largest
from medomni.phantom.trees import grow
from medomni.types.volume import Mask

GROUND_GLASS_HU = {"mild": (-740.0, -640.0), "moderate": (-690.0, -520.0), "severe": (-600.0, -380.0)}
"""HU of ground glass; lung that reaches about -300 HU hides its vessels and is read as consolidation."""
AIRLESS_HU = (18.0, 48.0)
"""HU of unenhanced airless lung."""
DENSE_SHARE = 0.72
"""Share of airless tissue from which lung hides its vessels."""


def opacity(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Return ground glass over ``placed.size`` percent of the lung, in the form of its variant."""
    chances = {
        "peripheral": 30,
        "rounded": 16,
        "crazy_paving": 14,
        "central": 8,
        "nodular": 10,
        "mixed": 16,
        "subpleural_band": 6,
    }
    variant = placed.variant or str(rng.choice(list(chances), p=np.array(list(chances.values())) / 100))
    score, edge_mm = _opacity_score(site, placed, variant, rng)
    inner = _depth_inside(site, score, placed.size, site.room)
    rise = np.clip(inner / np.float32(edge_mm) + np.float32(0.5), 0, 1)
    level = _ground_glass_level(site, placed, rng)
    profile = _profile(inner, variant, rng)
    texture = 1 + 0.22 * site.canvas.soft_noise(rng, 7) + 0.2 * site.canvas.soft_noise(rng, 3.5)
    share = rise * level * profile * np.clip(texture, 0.35, 1.7)
    if variant in ("crazy_paving", "mixed") or rng.random() < 0.3:
        share += rise * _net(site, rng) * np.float32(rng.uniform(0.15, 0.4))
    share = np.clip(share, 0, 0.97) * site.room
    share *= _spare_lumen(site)
    mask = site.lung & (inner > 0)
    dense = mask & (share > DENSE_SHARE)
    return Layer(share, float(rng.uniform(*AIRLESS_HU)), mask, 60.0, variant, {"consolidation": dense})


def consolidation(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Return airless lung over ``placed.size`` percent of the lung, with air bronchograms."""
    variant = placed.variant or str(rng.choice(("lobar", "segmental", "patchy", "rounded"), p=(0.3, 0.3, 0.3, 0.1)))
    score, allowed = _consolidation_score(site, placed, variant, rng)
    inner = _depth_inside(site, score, placed.size, allowed)
    fringe_mm = float(rng.uniform(2.5, 5.0) if variant in ("lobar", "rounded") else rng.uniform(4, 10))
    share = np.clip(inner / np.float32(fringe_mm) + np.float32(0.62), 0, 1)
    aerated = float(rng.uniform(0.02, 0.12 if variant == "patchy" else 0.07))
    share *= np.clip(1 - aerated * (1 + site.canvas.soft_noise(rng, 10) + 0.6 * site.canvas.soft_noise(rng, 4)), 0.4, 1)
    share = share * allowed
    mask = site.lung & (inner > 0) & allowed
    if rng.random() < 0.85:
        share *= 1 - np.float32(0.93) * bronchogram(site, mask, rng)
    target = np.float32(rng.uniform(*AIRLESS_HU)) + np.float32(6) * site.canvas.soft_noise(rng, 9)
    return Layer(np.asarray(share, dtype=np.float32), target, mask, 75.0, variant)


def bronchogram(site: Site, mask: Mask, rng: np.random.Generator) -> Field:
    """Share of each voxel that air-filled bronchi take inside a mask: the site's own, else branches drawn from the hilum."""
    if site.lumen is not None:
        return np.asarray(site.lumen * mask, dtype=np.float32)
    filled = np.zeros(site.canvas.shape, dtype=np.float32)
    count = int(np.clip(mask.sum() * site.canvas.voxel_ml / 6, 3, 26))
    ends = site.pick(mask.astype(np.float32), count, rng).astype(np.float64)
    if not len(ends):
        return filled
    tree = grow(site.hilum_mm, ends, 0.62, rng)
    depth = np.zeros(len(tree.nodes))
    for node in range(len(tree.nodes) - 1, 0, -1):
        depth[tree.parents[node]] = max(depth[tree.parents[node]], depth[node] + 1)
    for node in range(1, len(tree.nodes)):
        if rng.random() < 0.04:
            continue
        radius = np.minimum(tree.radii[[tree.parents[node], node]], 2.6) * (1.0 if depth[node] > 0 else 0.75)
        site.canvas.add_tube(filled, tree.nodes[[tree.parents[node], node]], radius)
    return np.asarray(filled * mask, dtype=np.float32)


def _opacity_score(site: Site, placed: Placed, variant: str, rng: np.random.Generator) -> tuple[Field, float]:
    """Score in mm (higher is more diseased) and the width of the border in mm."""
    canvas, region = site.canvas, site.region(placed.zone, placed.lobe)
    ragged = 5.5 * canvas.soft_noise(rng, 24) + 3.2 * canvas.soft_noise(rng, 10) + 1.6 * canvas.soft_noise(rng, 5)
    ml = placed.size / 100 * float(site.lung.sum()) * canvas.voxel_ml
    foci = int(np.clip(round(float(rng.normal(1 + ml / 45, 1.0))), 1, 7))
    if variant == "central":
        shape = distance_mm(canvas, np.array(site.hilum_mm, dtype=np.float32), (1.0, 0.9, 1.5))
        return np.asarray(-shape + 1.6 * ragged, dtype=np.float32), float(rng.uniform(10, 20))
    back = np.clip((canvas.y - site.extent_mm[1][0]) / max(1.0, site.extent_mm[1][1] - site.extent_mm[1][0]), 0, 1)
    if variant == "subpleural_band":
        height = float(rng.uniform(4, 12))
        score = -np.abs(site.costal_mm - height) + 26 * (back - 1) + 0.6 * ragged - 40 * ~region
        return np.asarray(score, dtype=np.float32), float(rng.uniform(2, 4))
    if variant == "nodular":
        return _clusters(site, region, ragged, ml, rng), float(rng.uniform(2.5, 5))
    near = np.exp(-site.costal_mm / np.float32(9 if variant != "rounded" else 22))
    chance = region * near * (0.25 + back**2)
    score = np.full(canvas.shape, -1e3, dtype=np.float32)
    hug = 0.75 if variant == "peripheral" else 0.3 if variant in ("crazy_paving", "mixed") else 0.0
    for place in site.pick(np.asarray(chance, dtype=np.float32), foci, rng):
        stretch = (float(rng.uniform(0.75, 1.2)), float(rng.uniform(0.75, 1.2)), float(rng.uniform(0.9, 1.7)))
        np.maximum(score, float(rng.uniform(0, 14)) - distance_mm(canvas, place, stretch), out=score)
    score += ragged * np.float32(0.45 if variant == "rounded" else 1.0) - np.float32(hug) * np.minimum(site.costal_mm, 40)
    return score, float(rng.uniform(2, 5) if variant == "rounded" else rng.uniform(3, 11))


def _clusters(site: Site, region: Mask, ragged: Field, ml: float, rng: np.random.Generator) -> Field:
    """Many small foci in a few clusters: centrilobular nodules that run together (bronchopneumonia)."""
    score = np.full(site.canvas.shape, -1e3, dtype=np.float32)
    count = int(np.clip(ml / 0.7, 5, 60))
    middles = site.pick(region.astype(np.float32), int(rng.integers(1, 4)), rng)
    spread = 10 + 9 * ml ** (1 / 3)
    for k in range(count):
        place = middles[k % len(middles)] + rng.normal(0, spread / 2, 3).astype(np.float32)
        box = box_around(site.canvas, place - np.float32(22), place + np.float32(22))
        if box is None:
            continue
        square = [
            (axis - p) ** 2
            for axis, p in zip((site.canvas.x[:, :, box[2]], site.canvas.y[:, box[1]], site.canvas.z[box[0]]), place, strict=True)
        ]
        near = np.float32(rng.uniform(0, 4)) - np.sqrt(square[0] + square[1] + square[2])
        np.maximum(score[box], near, out=score[box])
    return np.asarray(score + 0.3 * ragged, dtype=np.float32)


def _consolidation_score(site: Site, placed: Placed, variant: str, rng: np.random.Generator) -> tuple[Field, Mask]:
    """Score in mm and the voxels that may fill; a lobar consolidation stops at its fissure."""
    canvas = site.canvas
    ragged = 4 * canvas.soft_noise(rng, 26) + 2.6 * canvas.soft_noise(rng, 10) + 1.3 * canvas.soft_noise(rng, 5)
    region = site.region(placed.zone, placed.lobe)
    near = np.exp(-site.costal_mm / 14)
    focus = site.pick(np.asarray(region * near, dtype=np.float32), 4, rng)
    if variant == "lobar":
        lobe = site.lobe_region(placed.zone, placed.lobe)
        allowed = lobe | (site.room & ~site.lung)
        shape = -0.6 * distance_mm(canvas, focus[0]) + 0.25 * (canvas.y - canvas.y.min())
        return np.asarray(shape + 0.8 * ragged, dtype=np.float32), np.asarray(allowed)
    if variant == "segmental":
        return _wedge(site, focus[0], rng) + ragged, site.room
    if variant == "rounded":
        return np.asarray(-distance_mm(canvas, focus[0]) + 0.5 * ragged, dtype=np.float32), site.room
    score = np.full(canvas.shape, -1e3, dtype=np.float32)
    for place in focus:
        np.maximum(score, float(rng.uniform(0, 12)) - distance_mm(canvas, place, (1, 1, 1.3)), out=score)
    return np.asarray(score + 1.4 * ragged, dtype=np.float32), site.room


def _wedge(site: Site, base: np.ndarray, rng: np.random.Generator) -> Field:
    """A cone that opens from the hilum towards the pleura."""
    apex = np.array(site.hilum_mm)
    axis = base - apex
    length = float(np.linalg.norm(axis)) or 1.0
    axis = axis / length
    offsets = [site.canvas.x - apex[0], site.canvas.y - apex[1], site.canvas.z - apex[2]]
    along = offsets[0] * axis[0] + offsets[1] * axis[1] + offsets[2] * axis[2]
    away = np.sqrt(np.maximum(offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2 - along**2, 0))
    cone = float(rng.uniform(0.3, 0.5)) * along - away
    return np.asarray(np.minimum(cone, 0.7 * (along - 0.35 * length)), dtype=np.float32)


def _depth_inside(site: Site, score: Field, percent: float, allowed: Mask) -> Field:
    """How far (mm) each voxel lies inside the border that encloses the wanted share of the lung; negative outside."""
    border = largest(score, site.lung & allowed, percent / 100 * float(site.lung.sum()))
    return np.asarray(score - np.float32(min(border, 1e6)), dtype=np.float32)


def _ground_glass_level(site: Site, placed: Placed, rng: np.random.Generator) -> np.float32:
    wanted = float(rng.uniform(*GROUND_GLASS_HU[placed.severity]))
    return np.float32(np.clip((wanted - site.lung_hu) / (30 - site.lung_hu), 0.08, 0.8))


def _profile(inner: Field, variant: str, rng: np.random.Generator) -> Field | np.float32:
    """How density changes from the border inwards: a denser core (mixed), a denser ring (rarely), else even."""
    scale = np.float32(rng.uniform(6, 14))
    if variant == "mixed":
        return np.asarray(1 + np.float32(rng.uniform(1, 3)) * np.clip(inner / scale - 0.3, 0, 1), dtype=np.float32)
    if variant == "rounded" and rng.random() < 0.2:
        return np.asarray(0.7 + 1.6 * np.exp(-(((inner - 2.5) / 2.5) ** 2)), dtype=np.float32)
    if variant == "nodular":
        return np.asarray(0.9 + np.float32(rng.uniform(0.3, 1.8)) * np.clip(inner / 4, 0, 1), dtype=np.float32)
    return np.asarray(0.85 + 0.4 * np.clip(inner / scale, 0, 1), dtype=np.float32)


def _net(site: Site, rng: np.random.Generator) -> Field:
    """Thin lines that enclose cells of lobular and smaller size: thickened septa within and between lobules."""
    first, second = site.canvas.soft_noise(rng, 9), site.canvas.soft_noise(rng, 4)
    lines = np.exp(-((first / 0.3) ** 2)) + 0.7 * np.exp(-((second / 0.3) ** 2))
    return np.asarray(np.minimum(lines, 1), dtype=np.float32)


def _spare_lumen(site: Site) -> Field:
    """1 in lung, falling to 0 in air-filled bronchi and bullae."""
    floor = np.float32(site.lung_hu - LUMEN_DEPTH_HU)
    return np.asarray(np.clip((site.hu - floor) / np.float32(70), 0, 1), dtype=np.float32)
