"""The heart with four chambers, its sac and fat, and the coronary arteries."""

from dataclasses import dataclass

import numpy as np

from medomni.phantom.canvas import Field, Path3
from medomni.phantom.contrast import FAT
from medomni.phantom.scene import Scene, curved
from medomni.phantom.sketch import Patch, joined

_CENTRE = np.array([18.0, -30.0, 122.0])
_CORONARIES = {
    "coronary_left_anterior_descending": [(16, -28, 152), (28, -46, 148), (42, -62, 134), (58, -70, 112), (70, -66, 92)],
    "coronary_circumflex": [(16, -28, 152), (34, -20, 148), (50, -10, 136), (54, -2, 116), (44, 2, 100)],
    "coronary_right": [(-2, -40, 152), (-16, -54, 142), (-22, -58, 120), (-14, -50, 98), (4, -30, 86)],
}
"""Coronary arteries along the grooves, in the frame of a heart of mean size."""
_CORONARY_RADII_MM = {
    "coronary_left_anterior_descending": (2.1, 1.0),
    "coronary_circumflex": (1.8, 0.9),
    "coronary_right": (2.0, 1.0),
}
"""Radius at the origin and at the end (Dodge, Circulation 1992)."""


@dataclass(frozen=True)
class HeartFrame:
    """Where a person's heart lies: size, shift in mm and turn in degrees about z (axis), x and y."""

    size: float
    shift: tuple[float, float, float]
    turn_deg: tuple[float, float, float]
    fat_mm: float

    def place(self, points: Path3) -> Path3:
        """Points of the mean heart in person space."""
        a, b, c = np.deg2rad(self.turn_deg)
        around_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        around_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        around_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        moved = (np.asarray(points, dtype=np.float64) - _CENTRE) * self.size
        return np.asarray(moved @ (around_z @ around_y @ around_x).T + _CENTRE + self.shift)

    def of(self, patch: Patch) -> Patch:
        """The patch in the coordinates of the mean heart."""
        a, b, c = np.deg2rad(self.turn_deg)
        around_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        around_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        around_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        back = ((around_z @ around_y @ around_x).T / self.size).astype(np.float32)
        middle = (_CENTRE + self.shift).astype(np.float32)
        dx, dy, dz = patch.x - middle[0], patch.y - middle[1], patch.z - middle[2]
        x, y, z = (row[0] * dx + row[1] * dy + row[2] * dz + np.float32(c) for row, c in zip(back, _CENTRE, strict=True))
        return Patch(patch.box, x, y, z)


@dataclass(frozen=True, eq=False)
class Heart:
    """Depths of the heart on the nodes of a patch."""

    patch: Patch
    frame: HeartFrame
    whole: Field
    sac: Field
    pools: dict[str, Field]
    muscle: Field


def draw_frame(scene: Scene) -> HeartFrame:
    """Return the random lie of the heart."""
    rng = scene.rng("heart")
    size = (
        1.22
        * scene.person.heart_scale
        * scene.evened**0.7
        * float(np.clip(rng.normal(0.955, 0.025), 0.9, 1.01))
        * (1.0 if scene.person.sex == "M" else 0.95)
    )
    shift = (float(rng.normal(0, 3)), float(rng.normal(-2, 2)), float(rng.normal(0, 4)))
    turn = (float(rng.normal(0, 5)), float(rng.normal(0, 7)), float(rng.normal(0, 6)))
    return HeartFrame(size, shift, turn, float(np.clip(1.5 + 0.12 * scene.person.fat_mm + rng.normal(0, 1.5), 0.8, 8)))


def shape_heart(scene: Scene) -> Heart | None:
    """Return the depths of the heart, or None outside the window."""
    frame = draw_frame(scene)
    patch = scene.patch((-85, -110, 45), (125, 50, 200))
    if patch is None:
        return None
    mean = frame.of(patch)
    wobble = 1.6 * scene.ripple(28, patch)
    left = mean.ellipsoid((37, -31, 113), (51, 35, 34), (-12, 24, -37)) + wobble
    left = np.minimum(left, 92 - (0.72 * mean.x - 0.55 * mean.y - 0.42 * (mean.z - 150)) + 12)
    cavity = np.minimum(left - 9.5, mean.ellipsoid((34, -30, 115), (44, 26, 25), (-12, 24, -37)))
    right_outer = joined(
        mean.ellipsoid((14, -53, 112), (48, 24, 33), (-8, 22, -32)), mean.ellipsoid((14, -48, 143), (17, 15, 20)), 12
    )
    right_pool = np.minimum(right_outer - 3.0, -left - 1.0)
    atrium_right = mean.ellipsoid((-26, -26, 124), (23, 27, 35), (8, 0, 0)) + wobble
    atrium_right = joined(atrium_right, mean.ellipsoid((-13, -50, 148), (14, 9, 9)), 6)
    atrium_left = joined(mean.ellipsoid((6, 4, 139), (36, 19, 23)), mean.ellipsoid((42, -14, 148), (9, 19, 9), (10, 0, 15)), 5)
    chambers = np.maximum.reduce([left, right_outer, atrium_right, atrium_left])
    grooves = joined(joined(left, right_outer, 9), joined(atrium_right, atrium_left, 8), 15)
    sac = joined(grooves + 1.5 + np.float32(frame.fat_mm), mean.ellipsoid((2, -24, 158), (30, 30, 30)), 18)
    sac = np.minimum(sac, np.minimum(2.0 * scene.cavity[patch.box] + 4, 0.8 * (mean.z - 64)))
    inside = scene.cavity[patch.box] - 1.0
    whole = np.minimum(np.minimum(grooves, inside), -scene.under_dome[patch.box] + 3)
    pools = {
        "heart_ventricle_right": np.minimum(right_pool, whole),
        "heart_atrium_right": np.minimum(atrium_right - 1.5, whole),
        "heart_atrium_left": np.minimum(np.minimum(atrium_left - 1.5, whole), -left + 6),
        "heart_ventricle_left": np.minimum(cavity, whole),
    }
    return Heart(patch, frame, whole, np.maximum(np.minimum(sac, inside), whole + 1), pools, np.minimum(chambers, whole))


def paint_heart(scene: Scene, heart: Heart) -> None:
    """Paint sac, fat, muscle and blood; every voxel of the heart belongs to ``heart``."""
    patch, tissue = heart.patch, scene.tissue
    scene.paint("pericardium", patch, heart.sac, 12.0)
    scene.paint("pericardium", patch, heart.sac - 1.6, FAT)
    scene.paint("heart", patch, heart.whole, FAT + 12.0)
    scene.paint("heart", patch, heart.whole - 7.0, tissue.myocardium)
    scene.paint("heart", patch, heart.muscle, tissue.myocardium)
    values = {"heart_ventricle_left": tissue.left_heart, "heart_atrium_left": tissue.left_heart}
    for name, depth in heart.pools.items():
        scene.paint("heart", patch, depth, values.get(name, tissue.right_heart), 1.0)


def paint_coronaries(scene: Scene, frame: HeartFrame) -> None:
    """Paint the coronary arteries and keep their centre lines."""
    for name, points in _CORONARIES.items():
        path = frame.place(curved(np.array(points, dtype=float), 3))
        first, last = _CORONARY_RADII_MM[name]
        radii = np.linspace(first, last, len(path))
        scene.keep_path(name, path, radii)
        patch = scene.sketch.around(path, 6)
        if patch is None:
            continue
        fine = scene.sketch.fine(patch)
        depth = fine.tube(path, radii)
        scene.fill("", fine.box, depth + 3.0, FAT + 15.0, 2.0)
        scene.fill("", fine.box, depth, scene.tissue.aorta)
