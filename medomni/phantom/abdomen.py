"""The solid organs of the upper abdomen: kidneys, adrenals, liver, gallbladder, spleen and pancreas, with their vessels.

Organs are drawn in the order of their claim to space; each leaves what is reserved and reserves its own room.
"""

from dataclasses import dataclass

import numpy as np

from medomni.phantom.canvas import Field
from medomni.phantom.contours import spine_y
from medomni.phantom.scene import Scene, curved, jittered, spread
from medomni.phantom.sketch import Patch, Point, common, joined

SIDES = (-1, 1)


@dataclass(frozen=True)
class BellyFacts:
    """Random facts of the upper abdomen that several organs share."""

    visceral_mm: float
    liver_low_z: float
    liver_left_x: float
    has_gallbladder: bool


def draw_facts(scene: Scene) -> BellyFacts:
    """Return the facts of a person's abdomen."""
    rng, person = scene.rng("belly"), scene.person
    return BellyFacts(
        visceral_mm=float(np.clip(2 + 0.25 * max(person.belly_mm, 0) + rng.normal(0, 2), 1.5, 16)),
        liver_low_z=float(rng.normal(-52, 22)),
        liver_left_x=float(rng.uniform(35, 92)),
        has_gallbladder=bool(rng.random() > 0.1),
    )


def reserve_back(scene: Scene) -> None:
    """Reserve the spine, the psoas and the quadratus lumborum."""
    patch = scene.patch((-95, -40, -300), (95, 110, 120))
    if patch is None:
        return
    back = spine_y(patch.z).astype(np.float32)
    spine = np.maximum(24 - np.sqrt(patch.x**2 + (patch.y - back) ** 2), np.minimum(34 - np.abs(patch.x), patch.y - back - 12))
    scene.reserve(patch, spine)
    for side in SIDES:
        psoas = np.array([(24, 42, 4), (33, 40, -50), (42, 34, -110), (50, 22, -170), (58, 4, -230), (62, -20, -275)]) * (
            side,
            1.0,
            1,
        )
        scene.reserve(patch, patch.tube(psoas, np.array([5.0, 11, 17, 20, 20, 18]) * scene.person.muscle_share**0.5 + 1.5))
        square = np.array([(40, 62, 4), (56, 60, -50), (68, 62, -115)]) * (side, 1.0, 1)
        scene.reserve(patch, patch.tube(square, np.array([8.0, 11, 13]), (0.6, 1.2, 1)))


def draw_kidneys(scene: Scene, facts: BellyFacts) -> None:
    """Paint the kidneys with cortex, medulla, sinus and pelvis, each in its capsule of fat, and the adrenals."""
    for side, name in ((-1, "kidney_right"), (1, "kidney_left")):
        rng = scene.rng(name)
        size = float(np.clip(rng.normal(1.03, 0.05), 0.9, 1.14)) * (1.02 if scene.person.sex == "M" else 0.98) * scene.evened
        centre = (
            side * (60 + rng.normal(0, 4) + 0.3 * facts.visceral_mm),
            42 + rng.normal(0, 3.5),
            (-34 if side < 0 else -22) + rng.normal(0, 11),
        )
        turn = (float(rng.normal(14, 5)), float(side * -rng.normal(14, 4)), float(side * rng.normal(32, 8)))
        patch = _about(scene, centre, 80)
        if patch is None:
            continue
        radii = (29.0 * size, 26.5 * size * rng.uniform(0.93, 1.05), 56 * size * rng.uniform(0.94, 1.05))
        bean = patch.ellipsoid(centre, radii, turn) + 1.2 * scene.ripple(28, patch) + 0.5 * scene.ripple(14, patch)
        hilum = np.array(centre) + np.array([-side * 24.0, -14, 0]) * size
        hole = patch.ellipsoid((hilum[0], hilum[1], hilum[2]), (17 * size, 13 * size, 23 * size), turn)
        hole += 2.0 * scene.ripple(14, patch)
        kidney = np.minimum(bean, -hole)
        kidney = np.minimum(kidney, scene.free(patch, 1.5))
        scene.paint(name, patch, kidney, scene.tissue.kidney_cortex)
        pyramids = np.minimum(kidney - 6.5, 3.5 * (scene.ripple(14, patch) + 0.4))
        scene.paint("", patch, pyramids, scene.tissue.kidney_medulla, 2.0)
        pelvis = np.minimum(hole - 7 * size, bean + 8)
        scene.paint("", patch, pelvis, 8.0 if rng.random() < 0.7 else 0.5 * (scene.tissue.kidney_medulla + 8), 1.0)
        scene.reserve(patch, np.minimum(joined(kidney, hole - 2, 6) + np.float32(2 + 0.5 * facts.visceral_mm), 30))
        _draw_adrenal(scene, side, rng)
        _draw_renal_vessels(scene, side, hilum, rng)


def draw_gallbladder(scene: Scene, facts: BellyFacts) -> None:
    """Paint the gallbladder, unless it was taken out."""
    rng = scene.rng("gallbladder")
    neck = np.array([-34.0, -18, 14]) + rng.normal(0, 4, 3)
    fundus = np.array(
        [-58.0 + rng.normal(0, 7), -62 + rng.normal(0, 6), min(-30 + 0.3 * (facts.liver_low_z + 52), -6) + rng.normal(0, 9)]
    )
    path = curved(np.stack([neck, (neck + fundus) / 2 + rng.normal(0, 4, 3), fundus]))
    fill = float(np.clip(rng.lognormal(np.log(12.5), 0.28), 6, 22))
    value = float(rng.choice([8.0, 14.0, 22.0, 45.0], p=(0.5, 0.3, 0.15, 0.05)))
    patch = scene.sketch.around(path, 30)
    if patch is None or not facts.has_gallbladder:
        return
    depth = patch.tube(path, spread([0.3 * fill, 0.65 * fill, fill, 0.95 * fill], path)) + 0.8 * scene.ripple(28, patch)
    depth = np.minimum(np.minimum(depth, scene.cavity[patch.box] - 3), scene.free(patch, 1.0))
    scene.paint("gallbladder", patch, depth, 0.5 * (scene.tissue.bowel_wall + 40))
    scene.paint("gallbladder", patch, depth - 1.6, value)
    scene.reserve(patch, depth + 0.3)


def draw_liver(scene: Scene, facts: BellyFacts) -> None:
    """Paint the liver under the right dome, with its fissures, portal and hepatic veins."""
    rng = scene.rng("liver")
    patch = scene.patch((-150, -135, -150), (120, 85, 135))
    values = rng.normal(0, 1, 12)
    if patch is None:
        return
    depth = _liver_shape(scene, patch, facts, values)
    scene.paint("liver", patch, depth, scene.tissue.liver + 2.0 * scene.ripple(28, patch) + 1.5 * scene.ripple(14, patch))
    scene.reserve(patch, depth + 1.2)
    _draw_liver_vessels(scene, rng)


def draw_spleen(scene: Scene) -> None:
    """Paint the spleen: a crescent against the ribs and the diaphragm of the left back."""
    rng = scene.rng("spleen")
    grown = scene.person.spleen_scale
    size = float(np.clip(rng.lognormal(0.03, 0.13), 0.78, 1.32)) * scene.evened * grown
    centre = (96 + rng.normal(0, 4), 34 + rng.normal(0, 7), 50.0 + 0.6 * (scene.person.left_dome_z - 90) + rng.normal(0, 8))
    # a large spleen grows down and forward from under the ribs
    centre = (centre[0] - 8 * (grown - 1), centre[1] - 30 * (grown - 1), centre[2] - 50 * (grown - 1))
    turn = (float(rng.normal(-28, 10)), float(rng.normal(0, 8)), float(rng.normal(8, 8)))
    patch = _about(scene, centre, 92 * max(1.0, grown))
    if patch is None:
        return
    outer = patch.ellipsoid(centre, (52 * size, 56 * size, 62 * size), turn)
    room = np.minimum(scene.cavity[patch.box] - 3.2, scene.under_dome[patch.box] - 3.2)
    thick = np.float32(44 * size) + 4 * scene.ripple(28, patch) - room
    hollow = -patch.ellipsoid((centre[0] - 40 * size, centre[1] - 28 * size, centre[2] - 4), (34 * size, 32 * size, 44 * size))
    depth = common(common(outer + 2.0 * scene.ripple(28, patch), room, 6), common(thick, hollow, 8), 8)
    depth = np.minimum(depth, scene.free(patch, 1.5))
    texture = scene.tissue.spleen + 1.5 * scene.ripple(28, patch)
    if scene.person.phase in ("arterial", "pulmonary_arterial"):
        texture = texture + 22 * np.sin(2.2 * scene.ripple(28, patch) + 1.5 * scene.ripple(14, patch))
    scene.paint("spleen", patch, depth, texture)
    scene.reserve(patch, depth + 1.2)


def draw_pancreas(scene: Scene) -> None:
    """Paint the pancreas in front of the splenic vein, and the portal system."""
    rng, age = scene.rng("pancreas"), scene.person.age_years
    points = np.array(
        [(-30, -4, -62), (-32, -10, -40), (-24, -17, -24), (-6, -26, -12), (14, -22, -2), (40, -6, 6), (66, 14, 14), (88, 26, 24)]
    )
    points = jittered(points.astype(float), rng, 3.0) + np.array([0, 0, 1.0]) * rng.normal(0, 8)
    points[5:] += np.array([0, 0, 1.0]) * rng.normal(0, 7) * np.array([[0.4], [0.8], [1.0]])
    path = curved(points)
    size = float(np.clip(rng.normal(1.24 - 0.0025 * (age - 50), 0.13), 0.85, 1.5)) * scene.evened
    radii = spread(np.array([8.5, 13, 13.5, 9.0, 9.5, 9.5, 10, 8]) * size, path)
    patch = scene.sketch.around(path, 24)
    if patch is None:
        return
    lobules = 1.0 + 0.02 * max(0, age - 45)
    depth = patch.tube(path, radii, (1.0, 1.12, 0.92)) + np.float32(lobules) * scene.ripple(14, patch)
    depth = np.minimum(np.minimum(depth, scene.free(patch, 1.2)), scene.cavity[patch.box] - 6)
    fatty = np.clip((age - 40) / 50, 0, 1) * rng.uniform(0, 1.0)
    value = scene.tissue.pancreas - 22 * fatty + (5 + 14 * fatty) * scene.ripple(14, patch)
    scene.paint("pancreas", patch, depth, value.astype(np.float32))
    scene.reserve(patch, depth + 1.5)
    _draw_portal(scene, path, rng)


def _about(scene: Scene, centre: tuple[float, ...], reach: float) -> Patch | None:
    return scene.patch(
        (centre[0] - reach, centre[1] - reach, centre[2] - reach), (centre[0] + reach, centre[1] + reach, centre[2] + reach)
    )


def _liver_shape(scene: Scene, patch: Patch, facts: BellyFacts, v: np.ndarray) -> Field:
    """Depth in the liver: what the right dome and the ribs leave, cut off below, behind and to the left."""
    x, y, z = patch.x, patch.y, patch.z
    room = np.minimum(scene.cavity[patch.box] - 3.5, scene.under_dome[patch.box] - 3.2)
    wave = 3.5 * scene.ripple(60, patch) + 2.2 * scene.ripple(28, patch)
    low, left = np.float32(facts.liver_low_z), np.float32(facts.liver_left_x)
    # the inferior face rises from the tip of the right lobe to the left lobe, and over the kidney behind
    knots = [-135.0, -100, -70, -40, -10, 30, 70, 110]
    heights = np.array([0, 4, 16, 34, 58, 66 + 5 * v[0], 74 + 5 * v[0], 86])
    base = np.interp(x, knots, low + heights * (1 - 0.006 * (low + 52))).astype(np.float32)
    base = (
        base
        + np.clip((y - 5) / 50, 0, 1) * 22 * np.clip((x + 130) / 50, 0, 1)
        - np.clip((-y - 40) / 60, 0, 1) * (14 + 6 * np.float32(v[1]))
    )
    below = (z - base) * np.float32(0.72) + wave
    # the posterior face of the left lobe lies in front of the stomach; the caudate reaches back to the vena cava
    back = np.interp(x, [-40.0, -22, -5, 10, 35, 80, 120], [95, 22, 16, -2, -24 + 5 * v[2], -48 + 5 * v[2], -70]).astype(
        np.float32
    )
    behind = (back - y) * np.float32(0.8) + wave
    # at the level of the kidney the right lobe ends in front of it and beside it
    kidney = (28 + 0.6 * (-x - 66) + 2.2 * np.maximum(z - 18, 0) - y) * np.float32(0.8) + wave
    behind = np.minimum(behind, kidney)
    tip = (left - x) * np.float32(0.75) + wave - 0.15 * (z - 60)
    depth = common(common(room, below, 4), common(behind, tip, 16), 10)
    bed = scene.free(patch, 0.0)
    split = np.abs(x - (2 + 6 * np.float32(v[3])) - 0.2 * (y + 60) - 2 * scene.ripple(28, patch))
    up, rear = z - base - 24 - 7 * np.float32(v[6]), y + 48 + 8 * np.float32(v[4])
    fissure = np.maximum(split - 2.6, 0.7 * np.maximum(up, rear))
    porta = -patch.ellipsoid((-20, -14, 30 + 4 * v[5]), (20, 10, 10))
    return np.asarray(np.minimum(common(np.minimum(depth, bed), fissure, 3), porta), dtype=np.float32)


def _draw_liver_vessels(scene: Scene, rng: np.random.Generator) -> None:
    tissue = scene.tissue
    cava = (-21.0, 0.0, 84.0)
    hepatic: list[list[Point]] = [
        [cava, (-52, 0, 74), (-86, -4, 44), (-100, -2, 10)],
        [cava, (-30, -24, 70), (-48, -48, 46), (-58, -62, 20)],
        [cava, (-4, -22, 72), (18, -38, 60), (38, -50, 50)],
        [(-52, 0, 74), (-74, 26, 62), (-92, 34, 40)],
    ]
    portal: list[list[Point]] = [
        [(-22, -10, 30), (-42, -8, 38), (-64, -10, 36), (-88, -24, 26)],
        [(-22, -10, 30), (-14, -24, 44), (4, -40, 52), (22, -50, 54)],
        [(-50, -8, 38), (-70, 18, 28), (-92, 30, 10)],
        [(-60, -10, 36), (-76, -36, 50), (-88, -48, 56)],
        [(-64, -10, 36), (-84, -6, 12), (-98, -8, -14)],
    ]
    for group, value, radii in ((hepatic, tissue.lower_vein, (5.0, 2.0)), (portal, tissue.portal_vein, (5.5, 1.8))):
        for points in group:
            path = curved(
                np.array(points, dtype=float) + np.concatenate([np.zeros((1, 3)), rng.normal(0, 4, (len(points) - 1, 3))])
            )
            blood = 0.35 * value + 0.65 * tissue.liver if value < tissue.liver else value
            scene.tube("", path, spread(list(radii), path), blood, within="liver")


def _draw_adrenal(scene: Scene, side: int, rng: np.random.Generator) -> None:
    name = "adrenal_gland_right" if side < 0 else "adrenal_gland_left"
    middle = (np.array([-27.0, 26, 22]) if side < 0 else np.array([38.0, 20, 14])) + rng.normal(0, 2, 3)
    body = middle + np.array([(0.0, -6, 14), (0, -3, 0), (0, 0, -8)])
    thick = rng.uniform(2.0, 3.0)
    value = scene.tissue.adrenal - float(rng.uniform(0, 14))
    scene.tube(name, body, np.full(3, thick), value, (1.0, 0.7, 1.0))
    for turn in (-1, 1):
        limb = np.stack(
            [middle + np.array([0, -2, 6]), middle + np.array([turn * 5.0, 8, 0]), middle + np.array([turn * 8.0, 17, -6])]
        )
        scene.tube(name, limb, np.array([thick, 0.85 * thick, 0.7 * thick]), value, (1.2, 1.0, 0.5))


def _draw_renal_vessels(scene: Scene, side: int, hilum: np.ndarray, rng: np.random.Generator) -> None:
    start = np.array([4.0, float(spine_y(np.array(-8.0))) - 28, -6])
    artery = curved(np.stack([start, np.array([side * 24.0, 18, -12 + rng.normal(0, 3)]), hilum + np.array([side * 6, 0, 2])]))
    scene.tube("", artery, np.full(len(artery), 2.8), scene.tissue.aorta)
    cava = np.array([-19.0, 12, -16])
    bend = np.array([side * 20.0, -2 if side > 0 else 14, -16])
    vein = curved(np.stack([cava, bend, hilum + np.array([side * 4, -2, -4])]))
    scene.tube(
        "",
        vein,
        np.full(len(vein), 4.2),
        0.5 * (scene.tissue.lower_vein + max(scene.tissue.lower_vein, scene.tissue.kidney_cortex - 40)),
    )


def _draw_portal(scene: Scene, pancreas: np.ndarray, rng: np.random.Generator) -> None:
    """Splenic, superior mesenteric and portal vein; coeliac trunk and superior mesenteric artery."""
    value, name = scene.tissue.portal_vein, "portal_vein_and_splenic_vein"
    behind = pancreas[9:] + np.array([0.0, 9.5, 1.0])
    scene.tube(name, behind, np.linspace(5.0, 3.2, len(behind)), value)
    joint = behind[0] + (-4.0, 0, 0)
    portal = curved(np.stack([joint, (joint + np.array([-22, -12, 32])) / 2 + (-2, 2, 0), np.array([-22.0, -11, 31])]))
    scene.tube(name, portal, np.full(len(portal), 6.5), value)
    lower = curved(np.stack([joint, joint + np.array([0, -2.0, -20]), np.array([-8.0, -14, -70]), np.array([-10.0, -22, -130])]))
    scene.tube("", lower, np.linspace(5.5, 3.5, len(lower)), value)
    aorta_y = float(spine_y(np.array(4.0))) - 28
    for points, radii in (
        ([(4, aorta_y, 4), (4, aorta_y - 14, -2), (4, -16, -30), (2, -22, -120)], (3.6, 2.2)),
        ([(5, aorta_y - 2, 22), (5, aorta_y - 18, 26), (-8, -18, 30), (-18, -18, 28)], (3.8, 2.4)),
        ([(5, aorta_y - 18, 26), (30, 0, 18), (60, 18, 24), (84, 28, 34)], (3.0, 2.2)),
    ):
        path = curved(jittered(np.array(points, dtype=float), rng, 1.0))
        scene.tube("", path, np.linspace(radii[0], radii[1], len(path)), scene.tissue.aorta)


def paint_diaphragm(scene: Scene) -> None:
    """Paint the sheet of the diaphragm."""
    whole = scene.sketch.whole
    scene.paint("", whole, np.minimum(1.9 - np.abs(scene.under_dome - 1.2), scene.cavity + 1), scene.tissue.muscle - 4)
