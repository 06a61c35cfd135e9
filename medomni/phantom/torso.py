"""The soft parts of a person: skin, fat, muscle, chest cavity, mediastinum, heart, great vessels and upper abdomen.

Draws HU and the masks that are true by construction; lungs come out as empty rooms for ``lung.py`` to fill.
"""

from dataclasses import dataclass

import numpy as np

from medomni.phantom.canvas import Canvas, Field, Path3, smooth
from medomni.phantom.person import Person, radial
from medomni.phantom.skeleton import draw_skeleton, spine_y
from medomni.types.volume import Mask

AIR, FAT, MUSCLE, BLOOD, WATER = -1000.0, -100.0, 52.0, 42.0, 6.0
"""HU of unenhanced tissue at 120 kV (Kalender, Computed Tomography, 3rd ed., table of CT numbers)."""


@dataclass(frozen=True, eq=False)
class Torso:
    """HU of everything but the lungs, and the masks that are true by construction.

    ``room_right`` and ``room_left`` are the pleural spaces. ``parts`` holds the named solid structures.
    """

    hu: Field
    body: Mask
    room_right: Mask
    room_left: Mask
    airway: Mask
    bone: Mask
    parts: dict[str, Mask]


def draw_torso(canvas: Canvas, person: Person, rng: np.random.Generator) -> Torso:
    """Return the torso of a person with air in the pleural spaces."""
    z = canvas.z.ravel().astype(np.float64)
    wall = radial(canvas, *person.cavity(z))
    hu, body = _draw_wall(canvas, person, wall, rng)
    cavity = wall < -2
    solid, hearty = _draw_mediastinum(canvas, person, hu, cavity, rng)
    under = _draw_abdomen(canvas, person, hu, cavity & ~solid, rng)
    skeleton = draw_skeleton(canvas, person)
    bone = _draw_bones(hu, skeleton.cortex, skeleton.marrow, skeleton.cartilage, person)
    hu[skeleton.canal] = 24
    airway = _draw_trachea(canvas, person, hu)
    room = cavity & ~solid & ~under.pop("below_lungs") & ~_above_apices(canvas, person) & ~bone
    right = np.asarray(canvas.x < _midline(canvas)) & room
    return Torso(hu, body | right | (room & ~right), right, room & ~right, airway, bone, {**hearty, **under})


def trachea_paths(person: Person) -> tuple[tuple[Path3, float], ...]:
    """Centre lines and radii (mm) of the trachea and the right and left main bronchus."""
    radius = 8.6 if person.sex == "M" else 7.6
    carina = (1.0, 17.0, 190.0)
    trachea = np.array([(0, -2, 330), (0, 2, 290), (1, 9, 245), carina])
    right = np.array([carina, (-17, 19, 177), (-31, 15, 166), (-38, 12, 158)])
    left = np.array([carina, (20, 19, 175), (36, 18, 164), (46, 14, 156)])
    return ((trachea, radius), (right, radius * 0.76), (left, radius * 0.68))


def _draw_wall(canvas: Canvas, person: Person, wall: Field, rng: np.random.Generator) -> tuple[Field, Mask]:
    z = canvas.z.ravel().astype(np.float64)
    width, depth = person.outline(z)
    flesh = radial(canvas, width, depth, np.zeros_like(z))
    flesh = np.minimum(flesh, wall - 15)
    thickness = person.fat_mm * (1 + 0.25 * canvas.soft_noise(rng, 90)) + 5 * (canvas.y < 0)
    back = float(np.interp(120, z, depth)) + 0.6 * person.fat_mm
    body = (flesh < thickness) & (canvas.y < back)
    if person.sex == "F":
        body |= _breasts(canvas, person)
    hu = np.full(canvas.shape, AIR, dtype=np.float32)
    hu[body] = FAT
    skin = body & ((flesh > thickness - 2) | (canvas.y > back - 2))
    muscle = body & (flesh < 0)
    planes = np.abs(canvas.soft_noise(rng, 26)) < 0.11
    hu[muscle] = np.where(planes[muscle] & (wall[muscle] > 12), FAT + 25, MUSCLE)
    hu[skin] = 15
    hu[(wall > -4) & (wall <= 0)] = 10
    return hu, body


def _breasts(canvas: Canvas, person: Person) -> Mask:
    size = 40 + 1.5 * person.fat_mm
    right, left = (
        canvas.ellipsoid((side * 68 * person.scale, -82 * person.scale, 150), (size, size * 0.95, size)) for side in (-1, 1)
    )
    return np.asarray((right | left) & (canvas.y < -40))


def _draw_mediastinum(
    canvas: Canvas, person: Person, hu: Field, cavity: Mask, rng: np.random.Generator
) -> tuple[Mask, dict[str, Mask]]:
    """Fill the solid middle of the chest with fat, heart and vessels; return it and the named parts."""
    heart = _heart(canvas, person)
    z = canvas.z
    back = spine_y(z.ravel()).astype(np.float32)[:, None, None]
    upper = (z > 150) & (((canvas.x - 1) / 36) ** 2 + ((canvas.y + 18) / 46) ** 2 < 1)
    apex = (z > 225) & (((canvas.x) / 40) ** 2 + ((canvas.y - 8) / 48) ** 2 < 1)
    column = (np.abs(canvas.x) < 22 * person.scale) & (canvas.y > back - 17)
    column = column | ((canvas.x / 22) ** 2 + ((canvas.y - back) / 19) ** 2 < 1)
    gullet = ((canvas.x - 5) / 19) ** 2 + ((canvas.y - 20) / 20) ** 2 + 0 * z < 1
    sheet = np.abs(canvas.x - _midline(canvas)) < 5.5
    hila = canvas.ellipsoid((-36, 10, 162), (15, 17, 22)) | canvas.ellipsoid((43, 13, 160), (13, 15, 20))
    aorta = np.maximum.reduce([canvas.tube(path, radii) for path, radii in _aorta(person)]) > 0.5
    solid = heart | upper | apex | column | gullet | sheet | hila | smooth(aorta, canvas, 0.1)
    solid = smooth(solid, canvas, 4.0) | column | aorta
    solid |= canvas.tube(np.array([(20.0, 44, 215), (26, 42, 60)]), np.array([15.0, 14])) > 0.5
    inside = cavity & solid
    hu[inside] = FAT + 8 * canvas.soft_noise(rng, 12)[inside]
    _draw_vessels(canvas, person, hu, inside)
    hu[heart & inside] = BLOOD + 4 * canvas.soft_noise(rng, 22)[heart & inside]
    hu[aorta] = BLOOD
    if person.age_years > 60:
        rim = (canvas.soft_noise(rng, 9) > 2.0) & aorta & ~smooth(aorta, canvas, 3.0)
        hu[rim] = 420
    return solid, {"heart": heart & inside & ~aorta, "aorta": aorta}


def _midline(canvas: Canvas) -> Field:
    """Where the fat sheet between the lungs lies: a little right of the middle, but left of it in front of the heart."""
    return np.asarray(-3 + 10 * ((canvas.y < -40) & (canvas.z < 150)) + 0 * canvas.x, dtype=np.float32)


def _heart(canvas: Canvas, person: Person) -> Mask:
    s = person.heart_scale * person.scale
    turn = np.deg2rad(38)
    u = (canvas.x - 29) * np.cos(turn) - (canvas.y + 40) * np.sin(turn)
    v = (canvas.x - 29) * np.sin(turn) + (canvas.y + 40) * np.cos(turn)
    ventricles = (u / (60 * s)) ** 2 + (v / (42 * s)) ** 2 + ((canvas.z - 120) / (48 * s)) ** 2 < 1
    atria = canvas.ellipsoid((-20, -28, 138), (25 * s, 30 * s, 38 * s)) | canvas.ellipsoid((4, 6, 146), (33 * s, 17 * s, 24 * s))
    return smooth(ventricles | atria, canvas, 3.0)


def _aorta(person: Person) -> tuple[tuple[Path3, np.ndarray], ...]:
    r = 13.0 + 0.05 * (person.age_years - 50)
    rise = np.array([(0, -22, 160), (-13, -27, 180), (-14, -26, 203), (-6, -16, 219), (8, 8, 224), (20, 30, 217), (23, 41, 200)])
    fall = np.array([(23, 41, 200), (24, 43, 150), (20, 40, 80), (10, 30, 30), (4, 24, -40)])
    return ((rise.astype(float), np.full(7, r)), (fall.astype(float), np.linspace(r * 0.88, r * 0.75, 5)))


def _draw_vessels(canvas: Canvas, person: Person, hu: Field, inside: Mask) -> None:
    veins = [
        (np.array([(-27.0, -18, 150), (-28, -20, 215), (-24, -26, 245), (-40, -30, 285)]), 8.5),
        (np.array([(-24.0, -26, 245), (10, -38, 258), (34, -26, 285)]), 6.5),
        (np.array([(-8.0, -22, 222), (-14, -14, 255), (-18, -4, 300)]), 6.0),
        (np.array([(6.0, -6, 224), (12, 2, 255), (16, 2, 300)]), 4.5),
        (np.array([(16.0, 14, 222), (24, 16, 255), (30, 14, 300)]), 5.0),
        (np.array([(16.0, -38, 165), (14, -30, 182), (-4, -4, 182), (-34, -2, 172)]), 11.0),
        (np.array([(14.0, -30, 182), (28, 0, 190), (44, 12, 178)]), 10.5),
        (np.array([(-18.0, 12, 0), (-20, 2, 60), (-22, -10, 105)]), 12.0),
        (np.array([(6.0, 33, 330), (7, 34, 180), (10, 26, 100), (14, 8, 70)]), 7.0),
        (np.array([(-7.0, 36, 60), (-7, 38, 190)]), 3.0),
    ]
    filled = np.zeros(canvas.shape, dtype=np.float32)
    for path, radius in veins:
        canvas.add_tube(filled, path, np.full(len(path), radius * person.scale))
    hila = canvas.ellipsoid((-36, 10, 162), (13, 14, 19)) | canvas.ellipsoid((43, 13, 160), (11, 12, 17))
    filled[hila] = np.maximum(filled[hila], 0.85)
    hu[inside] += (filled * (BLOOD - hu))[inside]


def _draw_abdomen(canvas: Canvas, person: Person, hu: Field, free: Mask, rng: np.random.Generator) -> dict[str, Mask]:
    """Draw what lies under the domes; ``below_lungs`` is the room that the lungs cannot have."""
    dome = _dome(canvas, person)
    below = np.asarray(canvas.z < dome)
    deep = below & (canvas.z < dome - 4) & free
    hu[below & free] = MUSCLE - 6
    hu[deep] = FAT + 6 * canvas.soft_noise(rng, 14)[deep]
    s = person.scale
    lobe = canvas.ellipsoid((-48 * s, -8, 48), (88 * s, 84 * s, 78)) & np.asarray(canvas.x < 24 - 0.3 * canvas.y)
    lobe |= canvas.ellipsoid((10 * s, -50 * s, 60), (52 * s, 28 * s, 36))
    liver = deep & lobe
    spleen = deep & canvas.ellipsoid((88 * s, 40, 44), (32 * s, 42, 44))
    pouch = deep & canvas.ellipsoid((58 * s, -24, 36), (44 * s, 46, 48)) & ~liver & ~spleen & (canvas.z < dome - 12)
    hollow = pouch & canvas.ellipsoid((58 * s, -24, 34), (38 * s, 40, 42)) & (canvas.z < dome - 19)
    level = -24 + 46 * (2 * person.gas_share - 1)
    hu[liver] = 57 + 3 * canvas.soft_noise(rng, 30)[liver]
    hu[spleen], hu[pouch] = 50, 40
    hu[hollow] = 18
    hu[hollow & (canvas.y < level)] = -960
    return {"below_lungs": below, "liver": liver, "spleen": spleen, "stomach": pouch}


def _dome(canvas: Canvas, person: Person) -> Field:
    """Height of the diaphragm over each point."""
    heights = []
    for side, top in ((-1, person.right_dome_z), (1, person.left_dome_z)):
        dx, dy = (canvas.x - side * 62 * person.scale) / 68, canvas.y + 14
        fall = np.where(side * dx > 0, 42, 14) * dx**2 + 74 * np.maximum(dy / 86, 0) ** 2 + 26 * np.maximum(-dy / 80, 0) ** 2
        heights.append(top - fall)
    return np.asarray(np.where(canvas.x < 0, heights[0], heights[1]), dtype=np.float32)


def _above_apices(canvas: Canvas, person: Person) -> Mask:
    """Neck side of the lung apices, which narrow to two cones."""
    z = canvas.z.ravel().astype(np.float64)
    half = np.interp(z, [205, 240, 262, 276, 284], [105.0, 56, 38, 22, 0]) * person.scale
    deep = np.interp(z, [205, 240, 262, 276, 284], [105.0, 64, 44, 26, 0]) * person.scale
    a, b = (np.maximum(v, 1e-3).astype(np.float32)[:, None, None] for v in (half, deep))
    centre = np.interp(z, [205, 240, 284], [0, 14, 26]).astype(np.float32)[:, None, None]
    side = np.interp(z, [205, 240, 284], [60, 52, 46]).astype(np.float32)[:, None, None] * np.float32(person.scale)
    return np.asarray(((np.abs(canvas.x) - side) / a) ** 2 + ((canvas.y - centre) / b) ** 2 > 1)


def _draw_bones(hu: Field, cortex: Field, marrow: Field, cartilage: Field, person: Person) -> Mask:
    soft = 190 - 1.1 * person.age_years
    hu += cartilage * (95 - hu)
    hu += cortex * (680 - hu)
    hu += marrow * (soft + 260 * (cortex > 0.5) * (marrow < 0.9) - hu) * (marrow > 0.5)
    return (cortex > 0.5) | (marrow > 0.5)


def _draw_trachea(canvas: Canvas, person: Person, hu: Field) -> Mask:
    lumen = np.zeros(canvas.shape, dtype=np.float32)
    sheath = np.zeros(canvas.shape, dtype=np.float32)
    for path, radius in trachea_paths(person):
        radii = np.linspace(radius, radius * 0.9, len(path))
        canvas.add_tube(sheath, path, radii + 2)
        canvas.add_tube(lumen, path, radii)
    hu += sheath * (30 - hu)
    hu += lumen * (AIR - hu)
    return lumen > 0.5
