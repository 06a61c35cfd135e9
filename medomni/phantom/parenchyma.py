"""Fills the pleural spaces with healthy lung: five lobes, tissue, fissures, arteries, veins and bronchi."""

from dataclasses import dataclass

import numpy as np

from medomni.anatomy import LOBES
from medomni.phantom.canvas import Box, Field, Path3, Radii
from medomni.phantom.contrast import AIR
from medomni.phantom.pleura import Lungs
from medomni.phantom.scene import Scene
from medomni.phantom.sketch import Nodes
from medomni.phantom.trees import Tree, draw_bronchi, draw_vessels, end_points, grow_trunks

_SHARE_OF_ENDS = {"lung_middle_lobe_right": 0.18}
_ENDS = {"artery": 760, "vein": 520}
_TIP_MM = 0.5
_AIRWAYS = {
    "lung_upper_lobe_right": "bronchus_right_upper",
    "lung_middle_lobe_right": "bronchus_right_middle",
    "lung_lower_lobe_right": "bronchus_right_lower",
    "lung_upper_lobe_left": "bronchus_left_upper",
    "lung_lower_lobe_left": "bronchus_left_lower",
}
_ROOTS = {"artery_right": (-44, 8, 162), "artery_left": (47, 18, 170), "vein_right": (-44, 4, 146), "vein_left": (48, 8, 150)}


@dataclass(frozen=True, eq=False)
class _Side:
    """One lung on the voxels of its box: depth in the pleural space, behind the oblique and above the horizontal fissure."""

    box: Box
    depth: Field
    behind: Field
    above: Field | None


def fill_lungs(scene: Scene, lungs: Lungs, airways: dict[str, tuple[Path3, Radii]], rng: np.random.Generator) -> dict[str, Tree]:
    """Paint both lungs and return their vessel trees (in world space). ``rng`` is for texture only."""
    sides = {side: _claim_lobes(scene, lungs, side) for side in LOBES}
    trees = _grow_trees(scene, airways)
    canvas = scene.sketch.canvas
    artery, vein, wall, lumen = (np.zeros(canvas.shape, dtype=np.float32) for _ in range(4))
    for name, tree in trees.items():
        draw_vessels(canvas, tree, artery if name.startswith("artery") else vein)
        if name.startswith("artery"):
            draw_bronchi(canvas, tree, wall, lumen)
    for name in _AIRWAYS.values():
        path, radii = airways[name]
        world = scene.sketch.pose.to_world(path)
        canvas.add_tube(wall, world, radii + 1.2)
        canvas.add_tube(lumen, world, radii)
    for side in sides.values():
        if side is not None:
            _paint_side(scene, side, (artery, vein, wall, lumen), canvas.soft_noise(rng, 4.5, side.box))
    return trees


def _claim_lobes(scene: Scene, lungs: Lungs, side: str) -> _Side | None:
    """Share a pleural space among its lobes."""
    is_right = side == "right"
    room = lungs.right if is_right else lungs.left
    rows = [np.flatnonzero((room > -6).any(axis=tuple(k for k in range(3) if k != axis))) for axis in range(3)]
    if any(len(found) < 2 for found in rows):
        return None
    part = tuple(slice(int(found[0]), int(found[-1]) + 1) for found in rows)
    corner = [slice(b.start + p.start, b.start + p.stop) for b, p in zip(lungs.patch.box, part, strict=True)]
    coarse = (corner[0], corner[1], corner[2])
    box, depth = scene.sketch.enlarge(room[part], coarse)
    behind = scene.sketch.enlarge((lungs.behind_right if is_right else lungs.behind_left)[part], coarse)[1]
    above = scene.sketch.enlarge(lungs.above[part], coarse)[1] if is_right else None
    upper, *middle, lower = LOBES[side]
    inside = depth > 0
    scene.claim(lower, box, inside & (behind > 0))
    front = inside & (behind <= 0)
    if above is not None:
        scene.claim(middle[0], box, front & (above <= 0))
        front &= above > 0
    scene.claim(upper, box, front)
    return _Side(box, depth, behind, above)


def _grow_trees(scene: Scene, airways: dict[str, tuple[Path3, Radii]]) -> dict[str, Tree]:
    """Arteries beside the lobar bronchi, veins between the segments, each lobe with its own branches."""
    masks = {lobe: scene.mask(lobe) for lobes in LOBES.values() for lobe in lobes}
    trees = {}
    for kind, count in _ENDS.items():
        for side, lobes in LOBES.items():
            rng = scene.rng(f"{kind}_{side}")
            trunks, ends = [], []
            for lobe in lobes:
                share = _SHARE_OF_ENDS.get(lobe, 0.41 if side == "right" else 0.5)
                path = airways[_AIRWAYS[lobe]][0]
                aside = (0.0, -6.5, 2.0) if kind == "artery" else (3.0 * np.sign(path[0, 0]), -9.0, -9.0)
                root = np.array(_ROOTS[f"{kind}_{side}"], dtype=float)
                trunk = np.stack([root, (path[1] + path[-1]) / 2 + aside, path[-1] + aside])
                trunks.append(scene.sketch.pose.to_world(trunk))
                ends.append(end_points(scene.sketch.canvas, masks[lobe], int(count * share), rng))
            trees[f"{kind}_{side}"] = grow_trunks(trunks, ends, _TIP_MM, rng)
    return trees


def _paint_side(scene: Scene, side: _Side, shares: tuple[Field, Field, Field, Field], grain: Nodes) -> None:
    artery, vein, wall, lumen = (share[side.box] for share in shares)
    hu = _tissue(scene, side, grain)
    hu += vein * (scene.tissue.left_heart - hu)
    hu += artery * (scene.tissue.pulmonary_artery - hu)
    hu += np.maximum(wall - lumen, 0) * (-60 - hu)
    hu += lumen * (AIR + 12 - hu)
    scene.fill("", side.box, side.depth, hu)


def _tissue(scene: Scene, side: _Side, grain: Field) -> Field:
    """HU of lung tissue: denser towards the back (gravity) and along the fissures."""
    canvas = scene.sketch.canvas
    width = np.float32(max(0.8, 0.45 * min(canvas.spacing_mm)))
    hu = np.float32(11) * grain
    hu += np.float32(scene.person.lung_hu) + np.float32(0.3) * canvas.y[:, side.box[1]]
    for gap, strength in ((side.behind, 95.0), (side.above, 75.0)):
        if gap is None:
            continue
        near = np.abs(gap) < 2.5 * width
        if gap is side.above:
            near &= side.behind < 0
        hu[near] += np.float32(strength) * np.exp(-((gap[near] / width) ** 2))
    return np.asarray(hu, dtype=np.float32)
