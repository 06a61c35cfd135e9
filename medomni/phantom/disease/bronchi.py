"""Bronchi that are too wide or whose wall is too thick, drawn beside the arteries of a body.

A bronchus wider than the artery beside it (broncho-arterial ratio above 1 to 1.5, the signet ring) or seen near the pleura is
ectatic; its form is cylindrical, varicose or cystic (Fleischner glossary 2008).
"""

import numpy as np
from jaxtyping import Float64, Int64

from medomni.phantom.body import Body
from medomni.phantom.canvas import Canvas, Field, Path3
from medomni.phantom.disease.host import box_of_site, site_of
from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.placed import SEVERITIES, Placed
from medomni.phantom.disease.record import record
from medomni.phantom.disease.site import Layer, Site
from medomni.phantom.trees import Tree

WALL_HU = (-60.0, 40.0)
"""HU of bronchial wall; thin walls average with air and lung."""
LUMEN_HU = -985.0
BESIDE = np.array([0.0, 1.0, 0.0])
"""Bronchi run behind the artery that they go with."""
_ARTERY_MM = (0.85, 3.2)
"""Radius of segmental to subsegmental arteries, beside which disease of the airways is seen."""
_BRANCHES = {"mild": 9, "moderate": 22, "severe": 48}


def bronchiectasis(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Draw bronchi whose lumen is ``placed.size`` times as wide as their artery; severe disease takes more branches."""
    site = site_of(body, placed.side)
    variant = placed.variant or str(rng.choice(("cylindrical", "varicose", "cystic"), p=(0.6, 0.25, 0.15)))
    tree = body.trees[f"artery_{placed.side}"]
    lumen, wall = (np.zeros(site.canvas.shape, dtype=np.float32) for _ in range(2))
    thick_mm = 0.9 + 0.35 * SEVERITIES.index(placed.severity)
    branches = _branches(site, tree, placed, _BRANCHES[placed.severity], rng)
    for node in branches:
        artery = tree.radii[[tree.parents[node], node]]
        artery = np.minimum(artery, 1.25 * artery[1])
        radii = np.maximum(placed.size * artery, 1.1)
        path = tree.nodes[[tree.parents[node], node]] + BESIDE * (artery + radii + 0.4)[:, None]
        if variant != "cylindrical":
            path, radii = _waves(path, radii, variant, rng)
        site.canvas.add_tube(wall, path, radii + thick_mm)
        site.canvas.add_tube(lumen, path, radii)
    facts = {"broncho_arterial_ratio": placed.size, "branches": float(len(branches))}
    return _draw(body, site, placed, (lumen, wall), variant, facts, rng)


def peribronchial_thickening(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Draw walls of ``placed.size`` mm round the bronchi of a zone."""
    site = site_of(body, placed.side)
    tree = body.trees[f"artery_{placed.side}"]
    lumen, wall = (np.zeros(site.canvas.shape, dtype=np.float32) for _ in range(2))
    for node in _branches(site, tree, placed, 3 * _BRANCHES[placed.severity], rng):
        artery = tree.radii[[tree.parents[node], node]]
        artery = np.minimum(artery, 1.25 * artery[1])
        radii = np.maximum(0.85 * artery, 0.9)
        path = tree.nodes[[tree.parents[node], node]] + BESIDE * (2.1 * artery)[:, None]
        site.canvas.add_tube(wall, path, radii + placed.size)
        site.canvas.add_tube(lumen, path, radii)
    return _draw(body, site, placed, (lumen, wall), "", {"wall_thickness": placed.size}, rng)


def _draw(
    body: Body,
    site: Site,
    placed: Placed,
    fields: tuple[Field, Field],
    variant: str,
    facts: dict[str, float],
    rng: np.random.Generator,
) -> Lesion:
    """Paint walls, then lumina, into the body in place; the arteries beside them stay."""
    lumen, wall = fields
    hu = body.hu[box_of_site(site)]
    ring = np.maximum(wall - lumen, 0) * site.lung
    artery = site.hu > site.lung_hu + 550
    hu += ring * ~artery * (np.float32(rng.uniform(*WALL_HU)) - hu)
    hu += lumen * site.lung * (LUMEN_HU - hu)
    mask = site.lung & (wall > 0.5)
    return record(placed.kind, Layer(wall, 0.0, mask, np.inf, variant, {"lumen": mask & (lumen > 0.5)}, facts), site)


def _branches(site: Site, tree: Tree, placed: Placed, count: int, rng: np.random.Generator) -> Int64[np.ndarray, "n"]:
    """Nodes of neighbouring branches in the zone whose artery has the size that disease is seen at."""
    inside = _holds(site.canvas, site.region(placed.zone, placed.lobe), tree.nodes)
    fits = inside & (tree.parents >= 0) & (tree.radii > _ARTERY_MM[0]) & (tree.radii < _ARTERY_MM[1])
    found = np.flatnonzero(fits)
    if not len(found):
        found = np.flatnonzero(inside & (tree.parents >= 0))
    if not len(found):
        return found
    middle = tree.nodes[rng.choice(found)]
    nearest = np.argsort(np.linalg.norm(tree.nodes[found] - middle, axis=1))
    return np.sort(found[nearest[:count]])


def _holds(canvas: Canvas, region: np.ndarray, points: Float64[np.ndarray, "n 3"]) -> np.ndarray:
    index = [
        np.clip(np.rint((points[:, a] - float(axis.flat[0])) / spacing).astype(int), 0, axis.size - 1)
        for a, axis, spacing in zip((2, 1, 0), (canvas.z, canvas.y, canvas.x), canvas.spacing_mm, strict=True)
    ]
    return np.asarray(region[index[0], index[1], index[2]])


def _waves(
    path: Path3, radii: Float64[np.ndarray, "n"], variant: str, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "k 3"], Float64[np.ndarray, "k"]]:
    """The same bronchus with beads along it, or widened to cysts."""
    share = np.linspace(0, 1, 5)
    bent = path[0] + share[:, None] * (path[1] - path[0])
    swell = 0.3 if variant == "varicose" else 0.9
    beads = 1 + swell * np.array([0.0, 1.0, -0.3, 1.0, 0.0]) * float(rng.uniform(0.6, 1.2))
    return bent, np.asarray(np.interp(share, [0, 1], radii) * np.maximum(beads, 0.7))
