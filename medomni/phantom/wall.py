"""The wall of the trunk: skin, fat under the skin, breasts, shoulders and the muscle groups.

Opens the scene: lays out the contours, then paints everything between the skin and the cavity.
"""

import numpy as np

from medomni.phantom.canvas import Field
from medomni.phantom.contours import contour_on, outline_at, ring, spine_y
from medomni.phantom.contrast import AIR, FAT, TissueHu
from medomni.phantom.lattice import draw_lattice
from medomni.phantom.person import Arms, Person
from medomni.phantom.scene import Scene, curved, spread
from medomni.phantom.sketch import Patch, Sketch, common, joined

SKIN_MM = 2.0
_SKIN_HU = 20.0
_RIPPLES_MM = (60, 28, 14)
SIDES = (-1, 1)


def open_scene(sketch: Sketch, person: Person, tissue: TissueHu, entropy: int) -> Scene:
    """Return a scene with the contours of the person and nothing painted."""
    whole = sketch.whole
    rng = np.random.default_rng([entropy, 1])
    axes = (sketch.coarse.z.ravel(), sketch.coarse.y.ravel(), sketch.coarse.x.ravel())
    ripples = {scale: draw_lattice(rng, float(scale) / 1.6).on(*axes) for scale in _RIPPLES_MM}
    cavity = ring(whole, contour_on(whole, "cavity", person.belly_mm), 2.4)
    outline = ring(whole, contour_on(whole, "outline", person.belly_mm), 2.5)
    outline = np.maximum(outline, cavity + 13 * np.float32(person.muscle_share))
    for side in SIDES:
        path, radii = arm(person, side)
        patch = sketch.around(path, 75)
        if patch is not None:
            outline[patch.box] = joined(outline[patch.box], patch.tube(path, radii), 22)
    hu = np.full(sketch.canvas.shape, AIR, dtype=np.float32)
    owner = np.zeros(sketch.canvas.shape, dtype=np.uint8)
    under = (dome_height(whole, person) + 2.5 * ripples[60] - whole.z) * np.float32(0.75)
    return Scene(sketch, person, tissue, entropy, hu, owner, cavity, outline, under, ripples, np.full_like(cavity, -60))


def dome_height(patch: Patch, person: Person) -> Field:
    """Height of the diaphragm over each node."""
    dx, dy = np.abs(patch.x) - np.float32(62), patch.y + np.float32(14)
    fall = (
        np.where(dx > 0, 66, 16) * (np.abs(dx) / 68) ** 1.7 + 92 * np.maximum(dy / 96, 0) ** 2 + 30 * np.maximum(-dy / 82, 0) ** 2
    )
    top = np.where(patch.x < 0, person.right_dome_z, person.left_dome_z)
    middle = np.clip(np.abs(patch.x) / 30, 0, 1)
    top = top * middle + (0.5 * (person.right_dome_z + person.left_dome_z)) * (1 - middle)
    return np.asarray(top - fall, dtype=np.float32)


def arm(person: Person, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Path and radii of the flesh of a shoulder and upper arm."""
    if person.arms is Arms.DOWN:
        points = [(150, 24, 272), (166, 24, 250), (184, 26, 200), (196, 28, 110), (202, 20, 0), (204, 10, -60)]
        radii = np.array([36.0, 42, 44, 41, 38, 36])
    else:
        points = [(140, 26, 262), (160, 22, 285), (188, 8, 325), (214, -8, 385)]
        radii = np.array([36.0, 42, 42, 40])
    return np.array(points) * (side, 1.0, 1.0), radii * (0.85 + 0.15 * person.muscle_share)


def draw_wall(scene: Scene) -> None:
    """Paint skin, fat and muscles."""
    person, whole = scene.person, scene.sketch.whole
    skin = scene.outline + _fat_mm(scene)
    if person.sex == "F":
        skin = joined(skin, _breasts(scene), 16)
    pressed = float(outline_at(np.array([120.0]))[2][0]) + 0.6 * person.fat_mm + 3
    skin = common(skin, np.float32(pressed) - whole.y, 14)
    scene.paint("skin", whole, skin, _SKIN_HU)
    scene.paint("subcutaneous_fat", whole, skin - SKIN_MM, FAT)
    box, inner = scene.sketch.enlarge(np.minimum(scene.outline, skin - SKIN_MM), whole.box)
    scene.claim("fat", box, inner > 0)
    if person.sex == "F":
        gland = np.minimum(
            _breasts(scene) - 9, 4 * (scene.ripple(28, whole) + scene.ripple(14, whole) - 0.5 + 0.02 * person.age_years)
        )
        scene.paint("", whole, np.minimum(gland, -scene.outline - 4), 25.0, 3.0)
    flesh = np.minimum(_muscles(scene), np.minimum(scene.outline - 0.5, skin - SKIN_MM - 1))
    seams = np.abs(scene.ripple(14, whole)) < 0.13
    value = np.where(seams & (scene.cavity < -11), FAT + 60, scene.tissue.muscle + 4 * scene.ripple(28, whole))
    scene.paint("muscle", whole, flesh, value.astype(np.float32))


def _fat_mm(scene: Scene) -> Field:
    """Thickness of the fat under the skin: thickest over the lower belly and the flanks, thin over the upper back."""
    whole, fat_mm = scene.sketch.whole, np.float32(scene.person.fat_mm)
    low = np.clip((90 - whole.z) / 150, 0, 1)
    front = np.clip(-whole.y / 90, 0, 1)
    side = np.clip(np.abs(whole.x) / 140, 0, 1)
    share = 0.6 + low * (0.35 * front + 0.45 * side) + 0.15 * front
    share *= np.where(whole.z > 285, 0.55, 1.0)
    return np.asarray(1.5 + fat_mm * share * (1 + 0.16 * scene.ripple(60, whole)), dtype=np.float32)


def _breasts(scene: Scene) -> Field:
    whole, rng = scene.sketch.whole, scene.rng("breasts")
    size = float((36 + 0.9 * scene.person.fat_mm) * rng.uniform(0.75, 1.2))
    flat, drop = rng.uniform(0.55, 0.9), rng.uniform(-25, 5)
    both = [
        whole.ellipsoid(
            (side * (70 + 0.25 * size), -100.0 - 0.15 * size, 160 + drop), (1.15 * size, float(flat * size), 1.05 * size)
        )
        for side in SIDES
    ]
    return np.asarray(np.maximum(*both) + 2 * scene.ripple(28, whole), dtype=np.float32)


def _muscles(scene: Scene) -> Field:
    """Depth in all muscles of the wall together."""
    depth = _ribcage_layer(scene)
    for layer in (_belly_wall(scene), _side_layers(scene), _chest_muscles(scene), _back_layer(scene), _neck(scene)):
        np.maximum(depth, layer, out=depth)
    bulk = np.float32(np.sqrt(scene.person.muscle_share))
    for side in SIDES:
        mirror = np.array([side, 1.0, 1.0])
        for points, knots, flat in _TUBES:
            path = curved(np.array(points) * mirror, 2)
            patch = scene.sketch.around(path, 30)
            if patch is None:
                continue
            here = depth[patch.box]
            np.maximum(here, patch.tube(path, spread(list(knots), path) * bulk, flat), out=here)
        path, radii = arm(scene.person, side)
        patch = scene.sketch.around(path, 50)
        if patch is not None:
            np.maximum(depth[patch.box], patch.tube(path, radii - 3), out=depth[patch.box])
        erector = _erector(scene, side)
        if erector is not None:
            box = erector[0].box
            np.maximum(depth[box], erector[1], out=depth[box])
    return depth


def _outside(scene: Scene) -> Field:
    """Distance from the cavity to the outside."""
    return np.asarray(-scene.cavity)


def _margin(whole: Patch) -> Field:
    """Height of the costal margin."""
    low = 122 - np.float32(0.95) * np.abs(whole.x) - 70 * np.clip((whole.y + 40) / 80, 0, 1)
    return np.asarray(np.maximum(low, -12), dtype=np.float32)


def _ribcage_layer(scene: Scene) -> Field:
    whole = scene.sketch.whole
    band = np.float32(4.5) - np.abs(_outside(scene) - np.float32(5.5))
    return np.asarray(np.minimum(band, 0.6 * (whole.z - _margin(whole))), dtype=np.float32)


def _belly_wall(scene: Scene) -> Field:
    whole, bulk = scene.sketch.whole, scene.person.muscle_share
    front = np.clip((60 - np.abs(whole.x)) / 16, 0, 1) * (whole.y < 0)
    thick = np.float32(bulk) * (17 - 7 * front)
    band = thick / 2 - np.abs(_outside(scene) - (0.8 + thick / 2))
    band = np.minimum(band, np.where(whole.y < 0, np.abs(whole.x) - 3, 99))
    band = np.minimum(band, np.where(whole.y < -20, np.abs(np.abs(whole.x) - 66) - 1, 99))
    band = np.minimum(band, 0.6 * (_margin(whole) + 22 - whole.z))
    return np.asarray(np.minimum(band, 0.6 * (58 - whole.y)), dtype=np.float32)


def _side_layers(scene: Scene) -> Field:
    """Serratus and external oblique next to the ribs; latissimus dorsi over them."""
    whole, bulk = scene.sketch.whole, np.float32(scene.person.muscle_share)
    out, wide = _outside(scene), np.abs(whole.x)
    serratus = np.minimum.reduce([2.0 * bulk - np.abs(out - 13.5), 0.5 * (wide - 62), 0.5 * (whole.z - 5), 0.5 * (215 - whole.z)])
    back = np.minimum.reduce(
        [
            3.2 * bulk - np.abs(out - (18 + 3.2 * bulk)),
            0.5 * (whole.y - 2),
            0.5 * (wide - 52),
            0.4 * (whole.z + 70),
            0.4 * (222 - whole.z),
        ]
    )
    return np.asarray(np.maximum(serratus, back), dtype=np.float32)


def _chest_muscles(scene: Scene) -> Field:
    """Pectoral muscles."""
    whole, bulk = scene.sketch.whole, scene.person.muscle_share
    thick = np.float32(bulk) * (3 + 13 * np.exp(-(((whole.z - 200) / 52) ** 2)))
    out = _outside(scene)
    band = thick / 2 - np.abs(out - (12 + thick / 2))
    band = np.minimum(band, np.minimum(0.6 * (np.abs(whole.x) - 16), 0.5 * (2 - whole.y)))
    return np.asarray(np.minimum(band, 0.5 * (whole.z - 122)), dtype=np.float32)


def _back_layer(scene: Scene) -> Field:
    """Trapezius and rhomboids under the skin of the upper back."""
    whole, bulk = scene.sketch.whole, np.float32(scene.person.muscle_share)
    band = 4.5 * bulk - np.abs(scene.outline - (4.5 * bulk + 1))
    return np.asarray(np.minimum(band, 0.4 * np.minimum(whole.y - 40, whole.z - 95)), dtype=np.float32)


def _neck(scene: Scene) -> Field:
    whole = scene.sketch.whole
    middle = np.sqrt((whole.x / 30) ** 2 + ((whole.y + 6) / 30) ** 2) * 30 - 30
    return np.asarray(np.minimum.reduce([scene.outline - 3, 0.6 * (whole.z - 286), middle]), dtype=np.float32)


def _erector(scene: Scene, side: int) -> tuple[Patch, Field] | None:
    """The erector spinae beside the spinous processes."""
    z = np.arange(-260.0, 341.0, 30)
    aside = np.interp(z, [-260, -150, -60, 60, 200, 300, 340], [30, 34, 36, 32, 27, 22, 20])
    behind = np.interp(z, [-260, -150, -60, 60, 200, 300, 340], [26, 44, 46, 42, 38, 34, 32])
    radii = np.interp(z, [-260, -150, -60, 60, 200, 300, 340], [14, 21, 22, 18, 15, 15, 15])
    path = np.stack([side * aside, spine_y(z) + behind, z], axis=1)
    patch = scene.sketch.around(path, 34)
    if patch is None:
        return None
    bulk = 0.75 + 0.25 * scene.person.muscle_share
    return patch, patch.tube(path, radii * bulk, (0.72, 1.0, 1.0))


_TUBES: tuple[tuple[list[tuple[float, float, float]], tuple[float, ...], tuple[float, float, float]], ...] = (
    (
        [(24, 42, 4), (33, 40, -50), (42, 34, -110), (50, 22, -170), (58, 4, -230), (62, -20, -275)],
        (5, 11, 17, 20, 20, 18),
        (1, 0.9, 1),
    ),
    ([(40, 62, 4), (56, 60, -50), (68, 62, -115)], (8, 11, 13), (0.6, 1.2, 1)),
    ([(88, 44, -140), (88, 22, -190), (80, -10, -250)], (6, 15, 16), (0.8, 1, 1)),
    ([(106, 70, -140), (128, 60, -190), (130, 50, -260)], (14, 26, 34), (1, 0.9, 1)),
    ([(60, 100, -185), (80, 96, -240), (90, 92, -275)], (14, 24, 30), (0.7, 1, 1)),
    ([(108, 84, 160), (114, 80, 205), (120, 68, 245), (140, 44, 262)], (12, 19, 19, 15), (1, 1.2, 1)),
    ([(80, 84, 268), (112, 66, 276), (146, 44, 282)], (11, 14, 12), (1, 1, 1)),
    ([(130, 58, 170), (142, 48, 215), (150, 34, 246)], (12, 18, 15), (1, 1, 1)),
    ([(14, 14, 36), (13, 18, 0), (11, 20, -40)], (5, 5.5, 4), (1, 0.7, 1)),
)
"""Psoas, quadratus lumborum, iliacus, gluteus medius and maximus, infraspinatus with subscapularis, supraspinatus,
teres, crura."""
