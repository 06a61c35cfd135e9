"""The hollow organs: stomach, duodenum, colon and small bowel, with gas, fluid, food and stool."""

import numpy as np

from medomni.phantom.canvas import Field, Path3
from medomni.phantom.contrast import AIR
from medomni.phantom.scene import Radii, Scene, curved, jittered, spread
from medomni.phantom.sketch import Patch, overlap

_COLON: tuple[tuple[str, list[tuple[float, float, float]], float], ...] = (
    ("right", [(-88, 0, -215), (-96, 14, -170), (-102, 24, -120), (-100, 28, -75), (-88, 10, -52)], 23.0),
    ("transverse", [(-84, -14, -52), (-62, -58, -66), (-20, -76, -84), (28, -76, -78), (68, -58, -48), (96, -12, -6)], 19.0),
    ("left", [(98, 0, 4), (108, 30, -14), (110, 38, -70), (106, 34, -130), (92, 18, -190)], 15.0),
    ("sigmoid", [(92, 18, -190), (66, -10, -222), (24, -16, -238), (2, 20, -262), (0, 44, -290)], 16.0),
)
_MEAL_HU = (12.0, 30.0, 55.0, 180.0)
"""Water, mixed food, dense food, oral contrast."""


def draw_stomach(scene: Scene) -> None:
    """Paint stomach and duodenum."""
    rng = scene.rng("stomach")
    fill = float(np.clip(rng.lognormal(np.log(0.82), 0.35), 0.36, 1.35))
    sag = float(rng.normal(0, 16)) - 14 * (fill - 0.8)
    points = np.array(
        [(44, 22, 78), (58, 12, 66), (62, -14, 40), (54, -40, 6), (32, -54, -20), (2, -52, -24), (-20, -40, -10), (-34, -28, -2)]
    )
    points = points.astype(float) + np.array([0, 0, 1.0]) * sag * np.array([[0.0], [0.1], [0.4], [0.8], [1], [0.9], [0.4], [0.1]])
    points[:2, 2] += 0.7 * (scene.person.left_dome_z - 90)
    path = curved(jittered(points, rng, 3.0))
    radii = spread(np.array([30.0, 36, 35, 31, 26, 20, 13, 8]) * fill, path)
    radii = np.maximum(radii, np.interp(np.linspace(0, 1, len(path)), [0, 0.5, 1], [13, 11, 7]))
    cardia = curved(np.array([(22.0, 2, 64), (34, 4, 64), tuple(path[3])]))
    gas = float(rng.uniform(0.12, 0.7)) if rng.random() < 0.85 else 0.0
    meal = float(rng.choice(_MEAL_HU, p=(0.4, 0.3, 0.2, 0.1)))
    lumps = float(rng.uniform(2, 26)) if meal > 20 else 2.0
    wall_mm = float(rng.uniform(2.5, 4.5)) / max(fill, 0.6) ** 0.5
    patch = scene.sketch.around(path, 60)
    if patch is not None:
        depth = np.maximum(patch.tube(path, radii), patch.tube(cardia, np.full(len(cardia), 8.5))) + 1.5 * scene.ripple(28, patch)
        depth = np.minimum(np.minimum(depth, _room(scene, patch)), scene.free(patch, 1.2))
        _paint_hollow(scene, "stomach", patch, depth, (wall_mm, meal, lumps), gas)
        scene.reserve(patch, depth + 1.5)
    _draw_duodenum(scene, path[-1], rng)


def draw_colon(scene: Scene) -> None:
    """Paint the colon with haustra, gas and stool."""
    for name, points, radius in _COLON:
        rng = scene.rng(f"colon {name}")
        knots = jittered(np.array(points, dtype=float), rng, 5.0)
        if name == "transverse":
            knots[1:-1] += np.array([0, -0.3, -1.0]) * float(rng.normal(10, 18))
        knots[:, 1] -= np.where(knots[:, 1] < -30, 0.7 * scene.person.belly_mm, 0)
        path = curved(knots, 9)
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        size = float(np.clip(rng.lognormal(np.log(0.95), 0.25), 0.5, 1.5))
        haustra = 1 + 0.16 * np.sin(along / 26 * 2 * np.pi + rng.uniform(0, 6))
        radii = radius * size * haustra * (1 + 0.2 * np.sin(along / 90 * 2 * np.pi + rng.uniform(0, 6)))
        gas = float(rng.uniform(0.0, 0.9))
        meal = (float(rng.uniform(10, 50)), float(rng.uniform(15, 75)))
        patch = scene.sketch.around(path, 36)
        if patch is None:
            continue
        depth = np.minimum(np.minimum(patch.tube(path, np.maximum(radii, 7.0)), _room(scene, patch)), scene.free(patch, 1.0))
        _paint_hollow(scene, "colon", patch, depth, (2.0, *meal), gas)
        scene.reserve(patch, depth + 1.0)


def draw_small_bowel(scene: Scene) -> None:
    """Paint many loops of small bowel that fill the belly, and the strands of the mesentery between them."""
    rng = scene.rng("small bowel")
    loops = [_loop(rng, scene.person.belly_mm) for _ in range(58)]
    patch = scene.patch((-105, -150, -270), (105, 50, 10))
    if patch is None:
        return
    best = np.full(patch.x.shape, -30, dtype=np.float32)
    second, content = best.copy(), np.full_like(best, 25)
    for path, radii, value in loops:
        part = scene.sketch.around(path, 20)
        if part is None:
            continue
        inner, outer = overlap(patch, part)
        small = Patch(part.box, part.x[outer], part.y[outer], part.z[outer])
        if 0 in small.x.shape:
            continue
        depth = small.tube(path, radii)
        b, s, c = best[inner], second[inner], content[inner]
        wins = depth > b
        np.maximum(s, np.minimum(b, depth), out=s)
        c[wins] = value
        np.maximum(b, depth, out=b)
    free = np.minimum(_room(scene, patch), scene.free(patch, 1.0))
    outer = np.minimum(best + 0.8 * scene.ripple(14, patch), free)
    lumen = np.minimum(np.minimum(outer - 2.2, 0.5 * (best - second) - 0.8), free - 2)
    scene.paint("small_bowel", patch, outer, scene.tissue.bowel_wall)
    scene.paint("small_bowel", patch, lumen, content, 1.0)
    strands = np.minimum(1.1 - 9 * np.abs(scene.ripple(28, patch)), np.minimum(free - 3, -outer - 1))
    scene.paint(
        "", patch, np.minimum(strands, 1.0 - 6 * np.abs(scene.ripple(14, patch))), 0.35 * scene.tissue.portal_vein + 0.65 * 20
    )


def _draw_duodenum(scene: Scene, start: np.ndarray, rng: np.random.Generator) -> None:
    points = np.array(
        [
            tuple(start),
            (-42, -16, -8),
            (-46, -6, -34),
            (-44, 0, -64),
            (-24, -2, -80),
            (4, -10, -80),
            (26, -14, -62),
            (34, -26, -52),
        ]
    )
    path = curved(jittered(points, rng, 2.0))
    radii = np.full(len(path), float(rng.uniform(9, 13)))
    gas, meal = float(rng.uniform(0, 0.5)), float(rng.uniform(8, 40))
    patch = scene.sketch.around(path, 24)
    if patch is None:
        return
    depth = np.minimum(np.minimum(patch.tube(path, radii), _room(scene, patch)), scene.free(patch, 0.6)) + 0.6 * scene.ripple(
        14, patch
    )
    _paint_hollow(scene, "duodenum", patch, depth, (2.2, meal, 6.0), gas)
    scene.reserve(patch, depth + 1.0)


def _paint_hollow(scene: Scene, name: str, patch: Patch, depth: Field, meal: tuple[float, float, float], gas: float) -> None:
    """Paint wall, content and the gas that rises to the front; ``meal`` is wall mm, HU and lumpiness of the content."""
    wall_mm, value, lumps = meal
    scene.paint(name, patch, depth, scene.tissue.bowel_wall)
    bubbles = np.float32(value) + np.float32(lumps) * (scene.ripple(14, patch) + 0.6 * scene.ripple(28, patch))
    if lumps > 40:
        bubbles = np.where(bubbles < value - 1.1 * lumps, -500.0, np.clip(bubbles, value - 30, 95))
    scene.paint(name, patch, depth - np.float32(wall_mm), bubbles.astype(np.float32), 1.0)
    inside = depth > wall_mm
    if gas <= 0.03 or not inside.any():
        return
    # gas gathers in front: above one level within each stretch of the gut
    level = np.quantile(patch.y[inside], gas)
    air = np.minimum(depth - np.float32(wall_mm), np.float32(level) - patch.y)
    scene.paint(name, patch, air, AIR + 20)


def _loop(rng: np.random.Generator, belly_mm: float) -> tuple[Path3, Radii, float]:
    """One loop: a short winding path with its radii and the HU of its content."""
    angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1))
    z = rng.uniform(-255, -30)
    start = np.array([80 * reach * np.cos(angle), -32 - 0.4 * belly_mm + (40 + 0.5 * belly_mm) * reach * np.sin(angle), z])
    heading = rng.normal(0, 1, 3)
    points = [start]
    for _ in range(4):
        heading = heading / np.linalg.norm(heading) + rng.normal(0, 0.75, 3)
        points.append(points[-1] + 21 * heading / np.linalg.norm(heading))
    path = curved(np.array(points), 2)
    radii = np.full(len(path), float(np.clip(rng.normal(11.5, 2.2), 7, 17)))
    value = float(rng.choice([12.0, 28.0, 45.0, 190.0, AIR + 60], p=(0.35, 0.33, 0.16, 0.04, 0.12)))
    return path, radii, value


def _room(scene: Scene, patch: Patch) -> Field:
    return np.asarray(np.minimum(scene.cavity[patch.box] - 3.0, scene.under_dome[patch.box] - 5.0), dtype=np.float32)
