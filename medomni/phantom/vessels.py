"""Great vessels, oesophagus, airway and thyroid: their paths, and how they are painted."""

from dataclasses import dataclass

import numpy as np

from medomni.phantom.canvas import Path3
from medomni.phantom.contours import spine_y
from medomni.phantom.contrast import AIR
from medomni.phantom.heart import HeartFrame
from medomni.phantom.scene import Radii, Scene, curved, jittered, spread

_BRANCHES = {
    "brachiocephalic_trunk": ([(-7, -18, 220), (-14, -14, 242), (-20, -8, 264)], (6.5, 6.0)),
    "subclavian_artery_right": ([(-20, -8, 264), (-38, 0, 282), (-70, -6, 284), (-118, 4, 276)], (4.8, 4.0)),
    "common_carotid_artery_right": ([(-20, -8, 264), (-23, -3, 300), (-28, -6, 352)], (4.0, 3.6)),
    "common_carotid_artery_left": ([(4, -6, 222), (12, -4, 252), (20, 0, 290), (27, -6, 352)], (4.2, 3.6)),
    "subclavian_artery_left": ([(16, 12, 220), (23, 12, 252), (34, 6, 278), (70, -6, 284), (118, 4, 276)], (5.4, 4.0)),
}
_UPPER_VEINS = {
    "brachiocephalic_vein_right": ([(-26, -26, 238), (-30, -24, 255), (-40, -18, 276), (-42, -16, 352)], (7.5, 6.0)),
    "brachiocephalic_vein_left": ([(-24, -28, 236), (4, -36, 246), (32, -32, 262), (42, -18, 282), (42, -16, 352)], (6.5, 6.0)),
    "": ([(-40, -18, 276), (-78, -22, 280), (-120, -10, 272)], (5.0, 4.5)),
}
_UPPER_VEINS_LEFT = ([(40, -20, 278), (78, -22, 280), (120, -10, 272)], (5.0, 4.5))


MAIN_AIRWAYS = ("trachea", "bronchus_right", "bronchus_left", "bronchus_intermediate")
"""The airways whose lumen is the structure ``airway``; smaller bronchi belong to the lobes."""


@dataclass(frozen=True, eq=False)
class Vessel:
    """A tube of the mediastinum or the belly in person space."""

    name: str
    path: Path3
    radii: Radii
    hu: float


def aorta(scene: Scene, frame: HeartFrame) -> Vessel:
    """The aorta from root to bifurcation; wider and more unfolded with age."""
    rng, age = scene.rng("aorta"), scene.person.age_years
    root = frame.place(np.array([(4.0, -25.0, 146.0), (-6, -30, 166)]))
    unfold = float(np.clip(0.12 * (age - 45) + rng.normal(0, 3), -4, 10))
    chest = np.array([(-13, -30, 190), (-10, -23, 208), (3, -4, 220), (17, 18, 221), (25, 35, 208), (26, 43, 185), (24, 46, 150)])
    chest = (
        chest
        + np.array([(-0.5, 0, 0.3), (-0.2, 0, 0.8), (0.3, 0, 1.0), (0.8, 0, 1.0), (1, 0, 0.7), (0.8, 0, 0), (0.4, 0, 0)]) * unfold
    )
    z = np.array([105.0, 65, 30, 0, -30, -65, -108])
    x = np.array([20.0, 13, 7, 4, 4, 3, 2]) + rng.normal(0, 2) + np.array([0.4, 0.2, 0, 0.2, 0.3, 0.3, 0]) * unfold
    gap = np.array([4.0, -15, -26, -27.5, -28, -28.5, -28.5])
    belly = np.stack([x, spine_y(z) + gap - np.array([6, 4, 0, 0, 0, 0, 0.0]), z], axis=1)
    path = curved(np.concatenate([root, jittered(chest, rng, 1.6), belly]), 3)
    width = (
        (1.0 if scene.person.sex == "M" else 0.92) * (1 + 0.0035 * (age - 50)) * float(np.clip(rng.normal(1, 0.07), 0.85, 1.25))
    )
    knots = np.array([15.5, 15.5, 15.5, 14.8, 14, 13.2, 12.6, 12.2, 12, 11.5, 11, 10.4, 9.6, 9.2, 8.8, 8.4])
    return Vessel("aorta", path, spread(knots * width, path), scene.tissue.aorta)


def pulmonary_artery(scene: Scene, frame: HeartFrame) -> tuple[Vessel, Vessel]:
    """Trunk with left main, and right main pulmonary artery."""
    rng = scene.rng("pulmonary_artery")
    width = float(np.clip(rng.normal(1, 0.08), 0.85, 1.25))
    start = frame.place(np.array([(16.0, -46.0, 148.0)]))
    left = np.concatenate(
        [start, jittered(np.array([(19, -36, 166), (20, -22, 180), (32, -3, 185), (43, 12, 180), (47, 22, 168)]), rng, 1.2)]
    )
    right = np.concatenate([left[2:3], jittered(np.array([(6, -7, 180), (-14, 0, 178), (-32, 2, 171), (-44, 8, 162)]), rng, 1.2)])
    path_left, path_right = curved(left), curved(right)
    value = scene.tissue.pulmonary_artery
    return (
        Vessel("pulmonary_artery", path_left, spread(np.array([13.5, 14, 13, 11.5, 10.5, 8.5]) * width, path_left), value),
        Vessel("pulmonary_artery", path_right, spread(np.array([11.0, 10.5, 10, 9.5, 8]) * width, path_right), value),
    )


def chest_veins(scene: Scene) -> list[Vessel]:
    """Upper and lower vena cava, brachiocephalic and pulmonary veins, azygos."""
    rng, tissue = scene.rng("veins"), scene.tissue
    size = float(np.clip(rng.normal(1, 0.12), 0.7, 1.3))
    upper = curved(jittered(np.array([(-26, -20, 142), (-27, -20, 170), (-27, -22, 200), (-26, -27, 238)]), rng, 1.5))
    z = np.array([-108.0, -70, -35, 0, 30, 65, 92, 112])
    x = np.array([-16.0, -18, -19, -20, -21, -22, -22, -22])
    y = np.append(spine_y(z[:5]) + np.array([-26.0, -27, -27, -28, -28]), [4.0, -4, -14])
    lower = curved(np.stack([x, y, z], axis=1) + rng.normal(0, 1.0, 3))
    flat = float(np.clip(rng.normal(1, 0.15), 0.6, 1.3))
    veins = [
        Vessel("superior_vena_cava", upper, np.full(len(upper), 9.0 * size), tissue.upper_vein),
        Vessel("inferior_vena_cava", lower, spread(np.array([9.5, 10, 11, 11.5, 12.5, 13]) * flat, lower), tissue.lower_vein),
    ]
    for name, (points, radii) in _UPPER_VEINS.items():
        path = curved(jittered(np.array(points, dtype=float), rng, 1.5))
        veins.append(Vessel(name, path, spread(list(radii), path) * size, tissue.upper_vein))
    path = curved(np.array(_UPPER_VEINS_LEFT[0], dtype=float))
    veins.append(Vessel("", path, spread(list(_UPPER_VEINS_LEFT[1]), path), tissue.upper_vein))
    for points in (
        [(-18, 0, 148), (-36, -2, 153), (-46, -4, 160)],
        [(-18, 8, 136), (-36, 14, 134), (-48, 20, 130)],
        [(30, -2, 150), (44, 0, 157), (52, -2, 166)],
        [(28, 8, 138), (42, 16, 136), (52, 22, 130)],
    ):
        path = curved(jittered(np.array(points, dtype=float), rng, 1.0))
        veins.append(Vessel("pulmonary_vein", path, spread([8.0, 6.5, 5.0], path), tissue.left_heart))
    azygos = curved(
        np.array([(-5, 22, 0), (-6, 33, 60), (-6, 36, 150), (-8, 34, 190), (-20, 25, 199), (-27, 4, 201), (-27, -14, 198)])
    )
    veins.append(
        Vessel(
            "", azygos, np.full(len(azygos), float(rng.uniform(2.8, 4.6))), tissue.lower_vein * 0.5 + tissue.upper_vein * 0.1 + 18
        )
    )
    return veins


def arch_branches(scene: Scene) -> list[Vessel]:
    """The three branches of the aortic arch and their continuations."""
    rng, found = scene.rng("arch"), []
    for name, (points, radii) in _BRANCHES.items():
        path = curved(
            np.array(points, dtype=float) + np.concatenate([np.zeros((1, 3)), rng.normal(0, 1.5, (len(points) - 1, 3))])
        )
        found.append(Vessel(name, path, spread(list(radii), path), scene.tissue.aorta))
    return found


def oesophagus(scene: Scene) -> tuple[Path3, Radii]:
    """Centre line and radii from the neck to the stomach."""
    rng = scene.rng("oesophagus")
    points = np.array(
        [(3, 8, 352), (5, 14, 310), (7, 21, 270), (7, 26, 230), (4, 29, 195), (4, 31, 165), (3, 30, 132), (7, 24, 100)]
    )
    points = np.concatenate([jittered(points.astype(float), rng, 1.5), [(14.0, 12, 76), (22, 2, 64)]])
    path = curved(points)
    return path, spread([6.0, 6.5, 6.5, 7, 7.5, 8], path) * float(rng.uniform(0.85, 1.2))


def airway(scene: Scene) -> dict[str, tuple[Path3, Radii]]:
    """Trachea, main and lobar bronchi."""
    rng = scene.rng("airway")
    radius = (8.8 if scene.person.sex == "M" else 7.5) * float(np.clip(rng.normal(1, 0.08), 0.8, 1.2))
    carina = np.array([1.0, 16.0, 191.0]) + rng.normal(0, 1.5, 3) * (1, 1, 2)
    trachea = curved([(0.0, -6.0, 352.0), (0.0, 0.0, 300.0), (1.0, 7.0, 250.0), tuple(carina)], 3)
    right = curved([tuple(carina), (-16.0, 18.0, 178.0), (-27.0, 16.0, 169.0)], 2)
    left = curved([tuple(carina), (18.0, 19.0, 177.0), (33.0, 18.0, 166.0), (44.0, 15.0, 158.0)], 2)
    trunk = curved([(-27.0, 16.0, 169.0), (-33.0, 15.0, 155.0), (-36.0, 17.0, 142.0)], 2)
    found = {
        "trachea": (trachea, np.full(len(trachea), radius)),
        "bronchus_right": (right, np.linspace(0.8, 0.74, len(right)) * radius),
        "bronchus_left": (left, np.linspace(0.72, 0.62, len(left)) * radius),
        "bronchus_intermediate": (trunk, np.full(len(trunk), 0.58 * radius)),
    }
    ends = {
        "bronchus_right_upper": [(-27, 16, 169), (-38, 16, 176), (-48, 14, 186)],
        "bronchus_right_middle": [(-36, 16, 144), (-44, 4, 136), (-52, -14, 128)],
        "bronchus_right_lower": [(-36, 17, 142), (-44, 24, 126), (-52, 30, 108)],
        "bronchus_left_upper": [(44, 15, 158), (52, 6, 166), (56, -2, 176)],
        "bronchus_left_lower": [(44, 15, 158), (50, 24, 142), (56, 32, 118)],
    }
    for name, points in ends.items():
        path = curved(np.array(points, dtype=float) + np.concatenate([np.zeros((1, 3)), rng.normal(0, 1.2, (2, 3))]), 2)
        found[name] = (path, np.linspace(0.48, 0.33, len(path)) * radius)
    return found


def paint_vessel(scene: Scene, vessel: Vessel) -> None:
    """Paint a vessel with its thin wall."""
    scene.tube(vessel.name, vessel.path, vessel.radii, vessel.hu)


def reserve_vessel(scene: Scene, vessel: Vessel) -> None:
    """Keep the room of a vessel free of the organs of the belly."""
    patch = scene.sketch.around(vessel.path, float(vessel.radii.max()) + 8)
    if patch is not None:
        scene.reserve(patch, patch.tube(vessel.path, vessel.radii - 0.8))


def paint_thyroid(scene: Scene) -> None:
    """Paint the two lobes and the isthmus of the thyroid."""
    rng = scene.rng("thyroid")
    size = float(np.clip(rng.normal(1, 0.18), 0.6, 1.6))
    for side in (-1, 1):
        place = (side * 17.0, -3.0, 318.0 + rng.normal(0, 3))
        patch = scene.patch((place[0] - 24, place[1] - 26, place[2] - 42), (place[0] + 24, place[1] + 26, place[2] + 42))
        if patch is not None:
            scene.paint("thyroid_gland", patch, patch.ellipsoid(place, (8 * size, 9.5 * size, 23 * size)), scene.tissue.thyroid)
    isthmus = np.array([(-14.0, -14.0, 310.0), (0, -17, 310), (14, -14, 310)])
    scene.tube("thyroid_gland", isthmus, np.full(3, 3.2), scene.tissue.thyroid, (1.0, 1.0, 0.6))


def paint_oesophagus(scene: Scene, path: Path3, radii: Radii) -> None:
    """Paint the oesophagus, flattened a little, with some gas in places."""
    rng = scene.rng("oesophagus gas")
    scene.tube("esophagus", path, radii, 36.0 + 0.3 * (scene.tissue.bowel_wall - 38), (0.85, 1.15, 1.0))
    for _ in range(int(rng.integers(0, 5))):
        start = int(rng.integers(0, len(path) - 4))
        length = int(rng.integers(2, 4))
        scene.tube(
            "esophagus", path[start : start + length] - (0, 1.0, 0), np.full(length, float(rng.uniform(1.2, 3.4))), AIR + 150
        )


def paint_airway(scene: Scene, paths: dict[str, tuple[Path3, Radii]]) -> None:
    """Paint walls and lumen of trachea and main bronchi."""
    for part in ("wall", "lumen"):
        for name in MAIN_AIRWAYS:
            path, radii = paths[name]
            if part == "wall":
                scene.tube("", path, radii + 1.6, 35.0)
            else:
                scene.tube("airway", path, radii, AIR + 8)
