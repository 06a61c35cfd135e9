"""Lung nodules: solid, part-solid, ground-glass and calcified; smooth, lobulated or spiculated; free, on pleura or on a vessel.

Turns a ``Placed`` into a ``Layer`` on a ``Site``, with the diameters that a reader would measure: the mean of long and short axis
in the axial plane in which the nodule is largest, spicules left out (Bankier, Radiology 2017; Fleischner Society).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from medomni.phantom.canvas import Field
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.site import Layer, Site, box_around
from medomni.types.volume import Mask

SOLID_HU = (5.0, 50.0)
GROUND_GLASS_HU = (-680.0, -420.0)
CALCIFIED_HU = (250.0, 900.0)
"""HU of nodule tissue: unenhanced soft tissue; pure ground glass; calcified granuloma (above 200 HU, Swensen 2000)."""
GAP_MM = 2.0
"""Least lung between a free nodule and the pleura."""
_FINE_MM = 0.75
_VARIANTS = {"solid": 0.52, "part_solid": 0.18, "ground_glass": 0.2, "calcified": 0.1}


@dataclass(frozen=True, eq=False)
class Shape:
    """A nodule around the origin on a fine grid, three axes of the same points (mm)."""

    axis_mm: Float32[np.ndarray, "n"]
    depth_mm: Float32[np.ndarray, "n n n"]
    """How far each point lies inside the surface; negative outside."""

    @property
    def inside(self) -> Bool[np.ndarray, "n n n"]:
        """Points of the nodule."""
        return np.asarray(self.depth_mm > 0)

    def diameters_mm(self) -> tuple[float, float]:
        """Long axis, and the extent across it, in the axial plane of the largest area."""
        inside = self.inside
        plane = inside[int(np.argmax(inside.sum(axis=(1, 2))))]
        y, x = np.nonzero(plane & ~ndimage.binary_erosion(plane))
        if not len(x):
            return 0.0, 0.0
        angle = np.deg2rad(np.arange(0, 180, 3))
        along = np.outer(self.axis_mm[x], np.cos(angle)) + np.outer(self.axis_mm[y], np.sin(angle))
        extent = along.max(axis=0) - along.min(axis=0) + 0.8 * float(self.axis_mm[1] - self.axis_mm[0])
        best = int(np.argmax(extent))
        return float(extent[best]), float(extent[(best + 30) % 60])

    def volume_ml(self) -> float:
        """Volume of the nodule."""
        return float(self.inside.sum()) * float(self.axis_mm[1] - self.axis_mm[0]) ** 3 / 1000


def nodule(site: Site, placed: Placed, rng: np.random.Generator) -> Layer:
    """Return one nodule whose mean axial diameter is ``placed.size`` mm.

    Raises:
        ValueError: the nodule does not fit into its zone.
    """
    variant = placed.variant or str(rng.choice(list(_VARIANTS), p=list(_VARIANTS.values())))
    margin = placed.margin or _margin(variant, placed.size, rng)
    shape = make_shape(placed.size, margin, rng)
    contact = placed.contact or str(rng.choice(("free", "pleura", "vessel"), p=(0.6, 0.22, 0.18)))
    place = _place(site, placed, contact, rng)
    share, mask = _on_site(site, shape, place)
    core = np.zeros_like(mask)
    target: Field | float = float(rng.uniform(*CALCIFIED_HU) if variant == "calcified" else rng.uniform(*SOLID_HU))
    long_mm, short_mm = shape.diameters_mm()
    facts = {"long_diameter": long_mm, "short_diameter": short_mm, "mean_diameter": (long_mm + short_mm) / 2}
    if variant in ("part_solid", "ground_glass"):
        glass = float(np.clip((rng.uniform(*GROUND_GLASS_HU) - site.lung_hu) / (30 - site.lung_hu), 0.1, 0.6))
        level = np.float32(glass) * np.clip(1 + 0.25 * site.canvas.soft_noise(rng, 4), 0.5, 1.6)
        solid = np.zeros_like(share)
        if variant == "part_solid":
            inner = make_shape(float(rng.uniform(0.3, 0.65)) * placed.size, "lobulated", rng)
            shift = rng.normal(0, 0.07 * placed.size, 3).astype(np.float32)
            solid, core = _on_site(site, inner, place + shift)
            solid = np.minimum(solid, share)
            facts["solid_diameter"] = float(np.mean(inner.diameters_mm()))
        share = np.maximum(share * np.minimum(level, 0.9), solid)
    if margin == "spiculated":
        share = np.maximum(share, _spicules(site, place, placed.size, rng) * (0.9 if variant == "solid" else 0.45))
    share = np.asarray(share * (site.room | mask), dtype=np.float32)
    facts["volume"] = shape.volume_ml()
    spares = 1e4 if variant == "calcified" else 70.0
    centre = (float(place[0]), float(place[1]), float(place[2]))
    named = {"solid_part": core} if core.any() else {}
    return Layer(share, target, mask, spares, variant, named, facts, centre, margin)


def make_shape(mean_mm: float, margin: str, rng: np.random.Generator) -> Shape:
    """Return a shape whose mean axial diameter is ``mean_mm`` (to 0.2 mm): an ellipsoid with waves on its surface."""
    waves = {"smooth": 0.04, "lobulated": 0.13, "spiculated": 0.1}[margin]
    step = min(_FINE_MM, mean_mm / 9)
    count = 2 * int(np.ceil(0.72 * mean_mm / step)) + 1
    axis = ((np.arange(count) - count // 2) * step).astype(np.float32)
    axes = np.array([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.75, 1.1)])[rng.permutation(3)]
    directions = rng.normal(size=(7, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    z, y, x = axis[:, None, None] / axes[0], axis[None, :, None] / axes[1], axis[None, None, :] / axes[2]
    distance = np.sqrt(z**2 + y**2 + x**2) + np.float32(1e-6)
    bumps = np.zeros_like(distance)
    for k, (a, b, c) in enumerate(directions):
        bumps += np.cos((2.2 + 0.4 * k) * (a * z + b * y + c * x) / distance + k)
    surface = 1 + np.float32(waves / 1.6) * bumps
    radius = mean_mm / 2
    shape = Shape(axis, np.asarray(radius * surface - distance, dtype=np.float32))
    for _ in range(3):
        radius *= mean_mm / max(float(np.mean(shape.diameters_mm())), 0.3 * mean_mm)
        shape = Shape(axis, np.asarray(radius * surface - distance, dtype=np.float32))
    return shape


def _margin(variant: str, size_mm: float, rng: np.random.Generator) -> str:
    if variant == "calcified" or size_mm < 6:
        return str(rng.choice(("smooth", "lobulated"), p=(0.8, 0.2)))
    return str(rng.choice(("smooth", "lobulated", "spiculated"), p=(0.4, 0.33, 0.27)))


def _place(site: Site, placed: Placed, contact: str, rng: np.random.Generator) -> Float32[np.ndarray, "3"]:
    """A point where the nodule fits: deep enough in the lung, or half a radius below the pleura, or beside a vessel."""
    if placed.at_mm is not None:
        return np.asarray(placed.at_mm, dtype=np.float32)
    region = site.region(placed.zone, placed.lobe)
    radius = placed.size / 2
    if contact == "pleura":
        fits = region & (np.abs(site.depth_mm - max(0.55 * radius, 1.2)) < max(1.2, 0.6 * max(site.canvas.spacing_mm)))
        fits &= site.costal_mm < 1.2 * radius + 6
    else:
        fits = region & (site.depth_mm > radius + GAP_MM)
        if contact == "vessel":
            bright = ndimage.uniform_filter((site.hu > site.lung_hu + 350).astype(np.float32), 3)
            beside = fits & (bright > 0.08) & (bright < 0.6)
            fits = beside if beside.any() else fits
        else:
            dark = fits & (site.hu < site.lung_hu + 250)
            fits = dark if dark.any() else fits
    if not fits.any():
        raise ValueError(f"a nodule of {placed.size:g} mm does not fit into the {placed.side} {placed.zone} zone")
    jitter = (rng.random(3) - 0.5) * np.array(site.canvas.spacing_mm)[::-1]
    return np.asarray(site.pick(fits.astype(np.float32), 1, rng)[0] + jitter, dtype=np.float32)


def _on_site(site: Site, shape: Shape, place: Float32[np.ndarray, "3"]) -> tuple[Field, Mask]:
    """Share of each voxel that the shape fills around a place, and the voxels that it fills by half (at least one)."""
    canvas = site.canvas
    reach = float(shape.axis_mm[-1]) + max(canvas.spacing_mm)
    box = box_around(canvas, place - np.float32(reach), place + np.float32(reach))
    share = np.zeros(canvas.shape, dtype=np.float32)
    if box is None:
        return share, share > 0.5
    fine = [
        _samples(axis.ravel()[part] - np.float32(p), spacing, float(shape.axis_mm[1] - shape.axis_mm[0]))
        for axis, part, p, spacing in zip((canvas.z, canvas.y, canvas.x), box, place[::-1], canvas.spacing_mm, strict=True)
    ]
    step = float(shape.axis_mm[1] - shape.axis_mm[0])
    z, y, x = (np.asarray((points.ravel() - shape.axis_mm[0]) / step, dtype=np.float32) for points in fine)
    index = (z[:, None, None], y[None, :, None], x[None, None, :])
    filled = np.clip(_look_up(shape.depth_mm, index) / np.float32(step) + 0.5, 0, 1)
    (a, i), (b, j), (c, k) = (points.shape for points in fine)
    share[box] = filled.reshape(a, i, b, j, c, k).mean(axis=(1, 3, 5))
    mask = share > min(0.5, 0.9 * float(share.max()))
    return share, np.asarray(mask)


def _samples(middles: Float32[np.ndarray, "n"], spacing: float, step: float) -> Float32[np.ndarray, "n k"]:
    """Points inside each voxel of an axis, about a fine step apart."""
    count = int(np.clip(round(spacing / step), 1, 5))
    inside = (np.arange(count) + 0.5) / count - 0.5
    return np.asarray(middles[:, None] + inside[None] * spacing, dtype=np.float32)


def _look_up(depth: Float32[np.ndarray, "n n n"], index: tuple[Float32[np.ndarray, "..."], ...]) -> Float32[np.ndarray, "z y x"]:
    """Depth at the nearest points of the fine grid; far outside beyond it."""
    size = depth.shape[0]
    nearest = [np.rint(i).astype(np.intp) for i in index]
    inside = [(n >= 0) & (n < size) for n in nearest]
    valid = inside[0] & inside[1] & inside[2]
    clipped = [np.clip(n, 0, size - 1) for n in nearest]
    return np.asarray(np.where(valid, depth[clipped[0], clipped[1], clipped[2]], np.float32(-1e3)), dtype=np.float32)


def _spicules(site: Site, place: Float32[np.ndarray, "3"], mean_mm: float, rng: np.random.Generator) -> Field:
    """Share that thin strands take, which run from the surface of a nodule into the lung."""
    filled = np.zeros(site.canvas.shape, dtype=np.float32)
    for _ in range(int(rng.integers(9, 19))):
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        length = mean_mm * float(rng.uniform(0.7, 1.15))
        line = np.stack(
            [place + way * 0.35 * mean_mm, place + way * 0.65 * mean_mm + rng.normal(0, 0.6, 3), place + way * length]
        )
        site.canvas.add_tube(filled, line.astype(np.float64), np.array([1.2, 0.8, 0.4]) * min(1.0, 0.5 + mean_mm / 40))
    return filled
