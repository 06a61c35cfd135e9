"""The skeleton: vertebrae C6 to S1, ribs with cartilage, sternum, shoulder girdle and pelvis.

Bones are gathered as depths on the voxels (thin plates need them), then painted as cortex over marrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from medomni.phantom.canvas import Field, Path3, Radii
from medomni.phantom.contours import VERTEBRA_BOTTOMS_MM, VERTEBRA_TOPS_MM, VERTEBRAE, cavity_at, spine_slope, spine_y
from medomni.phantom.person import Arms
from medomni.phantom.scene import Scene, curved, spread
from medomni.phantom.sketch import Patch

SIDES = (-1, 1)
_CORD_HU, _CANAL_HU, _DISC_HU = 36.0, 18.0, 82.0
_DROP_MM = (20, 36, 54, 68, 80, 90, 96, 97, 90, 76, 50, 30)
_END_DEG = (138, 146, 150, 152, 151, 148, 142, 130, 117, 102, 74, 48)
_HALF_WIDTH_MM = (14.0, 15, 16.5, 16, 15.5, 15, 15, 15.5, 16, 16.5, 17.5, 19, 20, 21.5, 22.5, 23, 24, 25, 26.5, 27)
_HALF_DEPTH_MM = (8.5, 8.5, 9, 9.5, 10, 11, 12, 13, 13.5, 14, 14.5, 15, 15.5, 16, 16.5, 17, 17.5, 17.5, 17.5, 16)
"""Half width and half depth of each vertebral body (Panjabi, Spine 1991 and 1992)."""


@dataclass(frozen=True, eq=False)
class _Bar:
    """A part of a bone: a tube along a path in person space, thinner along an axis whose ``flat`` is above 1."""

    path: Path3
    radii: Radii
    flat: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class _Column:
    """Voxels near the spine: their level, the half width, half depth and height of the vertebra there, and y from its middle."""

    fine: Patch
    level: Field
    wide: Field
    deep: Field
    high: Field
    dy: Field


def draw_bones(scene: Scene) -> None:
    """Paint the skeleton."""
    rng = scene.rng("bones")
    age = scene.person.age_years
    soft = float(np.clip(215 - 1.75 * (age - 20) + rng.normal(0, 22), 30, 280))
    spine = _empty(scene)
    discs = _spine(scene, spine, rng)
    ribs, cartilage, others = _empty(scene), _empty(scene), _empty(scene)
    _raise(scene, ribs, [_Bar(path, _rib_radii(path), (1.0, 1.0, 0.56)) for path in _ribs(scene)])
    _raise(scene, cartilage, [_Bar(path, np.full(len(path), 5.0), (1.0, 1.0, 0.75)) for path in _cartilages(scene)])
    _raise(scene, others, [*_sternum(scene), *_girdles(scene), *_pelvis(scene)])
    _paint(scene, "", discs, _DISC_HU, _DISC_HU, 1.0)
    _paint(scene, "costal_cartilages", cartilage, 100.0 + 1.2 * max(0, age - 40), 96.0, 1.3)
    _paint(scene, "ribs", ribs, 640.0, 150.0 + 0.4 * soft, 1.4)
    _paint(scene, "bone_other", others, 620.0, 60 + 0.7 * soft, 1.6)
    _paint(scene, "vertebrae", spine, 330.0 + 0.9 * soft, soft, 1.1)


def spine_path() -> tuple[Path3, np.ndarray]:
    """Middle of every vertebral body from C6 to S1 in person space, and its half depth."""
    share = 0.42
    z = VERTEBRA_TOPS_MM + share * (VERTEBRA_BOTTOMS_MM - VERTEBRA_TOPS_MM)
    return np.stack([np.zeros(len(z)), spine_y(z), z], axis=1), np.array(_HALF_DEPTH_MM)


def _empty(scene: Scene) -> Field:
    return np.full(scene.sketch.canvas.shape, -9, dtype=np.float32)


def _raise(scene: Scene, depth: Field, bars: list[_Bar]) -> None:
    """Raise ``depth`` to the depth in many bars."""
    if not bars:
        return
    world = scene.sketch.pose.to_world(np.concatenate([bar.path for bar in bars]))
    for bar, path in zip(bars, np.split(world, np.cumsum([len(bar.path) for bar in bars])[:-1]), strict=True):
        scene.sketch.canvas.add_depth(depth, path, bar.radii, bar.flat)


def _paint(scene: Scene, name: str, depth: Field, cortex: float, marrow: float, shell_mm: float) -> None:
    """Paint cortex of the given thickness around marrow where the depth says bone."""
    near = np.flatnonzero(depth.ravel() > -2.5)
    if not len(near):
        return
    width = float(np.prod(scene.sketch.canvas.spacing_mm)) ** (1 / 3)
    here = depth.ravel()[near]
    share = np.clip(here / width + 0.5, 0, 1)
    shell = np.clip((shell_mm - here) / max(width, shell_mm) + 0.5, 0, 1)
    hu = scene.hu.ravel()
    hu[near] += share * (marrow + (cortex - marrow) * shell - hu[near])
    if name:
        whole = tuple(slice(0, n) for n in depth.shape)
        scene.claim(name, (whole[0], whole[1], whole[2]), depth > 0)


def _spine(scene: Scene, depth: Field, rng: np.random.Generator) -> Field:
    """Raise ``depth`` to the vertebrae, paint canal and cord, and return the depth in the discs."""
    discs = np.full_like(depth, -9)
    _raise(scene, depth, [bar for level in range(len(VERTEBRAE)) for bar in _processes(level, rng)])
    patch = scene.patch((-46, -6, -300), (46, 112, 352))
    if patch is None:
        return discs
    column = _column(scene, patch)
    box, fine, hole = column.fine.box, column.fine, column.dy - column.deep - 7.5
    np.maximum(depth[box], _bodies(column, hole), out=depth[box])
    rho = np.sqrt((fine.x / column.wide) ** 2 + (column.dy / column.deep) ** 2)
    np.maximum(discs[box], (1.02 - rho) * column.deep, out=discs[box])
    canal = 8.2 - np.sqrt((fine.x / 1.15) ** 2 + hole**2)
    scene.fill("", box, canal, _CANAL_HU)
    scene.fill("spinal_cord", box, np.minimum(canal - 3.0, (fine.z + 12) * 0.5), _CORD_HU)
    np.minimum(depth[box], -canal, out=depth[box])
    return discs


def _column(scene: Scene, patch: Patch) -> _Column:
    """Level, sizes and place of the vertebral bodies around every voxel near the spine."""
    back = spine_y(patch.z)
    place = _place(patch, back)
    edges = np.arange(len(VERTEBRAE) + 1.0)
    tables = (_HALF_WIDTH_MM, _HALF_DEPTH_MM, tuple(VERTEBRA_TOPS_MM - VERTEBRA_BOTTOMS_MM))
    fields = [place, *(np.interp(place, edges, np.append(table, table[-1])) for table in tables), patch.y - back]
    level, wide, deep, high, dy = (scene.sketch.enlarge(field.astype(np.float32), patch.box)[1] for field in fields)
    return _Column(scene.sketch.fine(patch), level, wide, deep, high, dy)


def _place(patch: Patch, back: Float64[np.ndarray, "z y x"]) -> Float64[np.ndarray, "z y x"]:
    """Level of each node along the spine: 3.25 is a quarter of the way down through the fourth vertebra."""
    along = patch.z + spine_slope(patch.z) * (patch.y - back)
    edges = np.append(VERTEBRA_TOPS_MM, VERTEBRA_BOTTOMS_MM[-1] - 40)[::-1]
    return np.asarray(np.interp(along, edges, np.arange(len(edges))[::-1].astype(float)))


def _bodies(column: _Column, hole: Field) -> Field:
    """Depth in the vertebral bodies and the arches behind them."""
    part = column.level - np.floor(column.level)
    disc = np.float32(0.17) + np.float32(0.006) * np.maximum(column.level - 8, 0)
    to_ends = np.minimum(part, 1 - disc - part) * column.high
    waist = 1 + np.float32(0.09) * np.clip(1 - to_ends / 7, 0, 1)
    wide, deep = column.wide * waist, column.deep * waist
    behind = np.maximum(column.dy, 0) / deep
    rho = np.sqrt((column.fine.x / wide) ** 2 + (column.dy / deep) ** 2 + 0.25 * (behind * behind) ** 2)
    body = np.minimum((1 - rho) * deep, to_ends)
    ring = np.sqrt((column.fine.x / 1.15) ** 2 + hole**2)
    lamina = np.minimum(2.6 - np.abs(ring - 11.2), np.minimum(part - 0.2, 0.98 - part) * column.high)
    lamina = np.minimum(lamina, hole + 6)
    pedicle = 4.6 - np.sqrt((np.abs(column.fine.x) - 0.62 * wide) ** 2 + (0.75 * (part - 0.32) * column.high) ** 2)
    pedicle = np.minimum(pedicle, 10 - np.abs(hole + 3))
    return np.asarray(np.maximum(body, np.maximum(lamina, pedicle)), dtype=np.float32)


def _processes(level: int, rng: np.random.Generator) -> list[_Bar]:
    """Spinous and transverse processes and facet joints of a vertebra."""
    top, bottom = VERTEBRA_TOPS_MM[level], VERTEBRA_BOTTOMS_MM[level]
    height = top - bottom
    z = top - 0.45 * height
    back = float(spine_y(np.array(z))) + _HALF_DEPTH_MM[level] + 7.5
    lumbar = float(np.clip((level - 12) / 3, 0, 1))
    slope = (1 - lumbar) * (20 if 3 < level < 12 else 12)
    tilt = rng.normal(0, 1.0)
    spine = np.array([[0, back + 10, z], [0.5 * tilt, back + 22, z - 0.6 * slope], [tilt, back + 33, z - slope - 3]])
    found = [_Bar(spine, np.array([3.2, 2.8, 3.6]) + 3.4 * lumbar, (1 + 0.9 * lumbar, 1 + 0.3 * lumbar, 1.0))]
    reach = 30 + 12 * lumbar + (4 if 1 < level < 8 else 0)
    for side in SIDES:
        wing = np.array([[side * 11.0, back + 2, z + 4], [side * reach, back + 12 - 9 * lumbar, z + 6]])
        found.append(_Bar(wing, np.array([4.4, 4.0 - 0.8 * lumbar])))
        joint = np.array([[side * 13.5, back + 5, z + 0.42 * height], [side * 14.0, back + 8, z - 0.45 * height]])
        found.append(_Bar(joint, np.array([4.0, 4.2]) + 1.6 * lumbar))
    return found


def _ribs(scene: Scene) -> list[Path3]:
    """Centre lines of ribs 1 to 12, right and left of each, from head to front end."""
    rng, paths = scene.rng("ribs"), []
    steep, belly = rng.normal(1.0, 0.08), scene.person.belly_mm
    for index, (end_deg, drop) in enumerate(zip(_END_DEG, _DROP_MM, strict=True)):
        share = np.linspace(0, 1, 19 if index else 13)
        angle = np.deg2rad(16 + share * (end_deg + rng.normal(0, 2.5) - 16))
        top = VERTEBRA_TOPS_MM[index + 2] - 1
        z = top + 3 * np.sin(share * np.pi) - drop * steep * share**1.25 + rng.normal(0, 1.2)
        width, front, back = cavity_at(z, belly)
        middle, deep = (front + back) / 2, (back - front) / 2
        rho = ((np.sin(angle) / (width + 6)) ** 2) ** 1.2 + ((np.cos(angle) / (deep + 6)) ** 2) ** 1.2
        reach = rho ** (-1 / 2.4)
        head = np.array([14.0, float(spine_y(np.array(top))) + 7, top])
        for side in SIDES:
            shaft = np.stack([side * reach * np.sin(angle), middle + reach * np.cos(angle), z], axis=1)
            paths.append(np.concatenate([[head * (side, 1, 1)], shaft]))
    return paths


def _rib_radii(path: Path3) -> np.ndarray:
    return np.interp(np.linspace(0, 1, len(path)), [0, 0.1, 0.5, 1], [4.0, 3.2, 3.2, 3.6])


def _cartilages(scene: Scene) -> list[Path3]:
    ends, paths = _ribs(scene), []
    for index in range(10):
        for path in ends[2 * index : 2 * index + 2]:
            start, side = path[-1], np.sign(path[-1][0])
            z = (258.0, 238.0, 216.0, 192.0, 170.0, 152.0, 142.0)[min(index, 6)]
            if index > 6:
                stop = np.array([side * (38 + 14 * (index - 6)), 0.0, 128 - 17.0 * (index - 7)])
            else:
                stop = np.array([side * 15, 0.0, z])
            width, front, back = cavity_at(np.array([stop[2]]), scene.person.belly_mm)
            share = min(abs(stop[0]) / float(width[0]), 0.95)
            half = float(back[0] - front[0]) / 2
            stop[1] = float(front[0]) + half * (1 - (1 - share**2.4) ** (1 / 2.4)) - 6
            low = (start + stop) / 2 - (0, 3, 7.0 if index > 3 else 0.0)
            paths.append(curved([tuple(start), tuple(low), tuple(stop)], 3))
    return paths


def _sternum(scene: Scene) -> list[_Bar]:
    rng, bars = scene.rng("sternum"), []
    for low, high, wide in ((138, 218, (15.0, 17, 13)), (222, 262, (16.0, 24, 27)), (112, 134, (4.0, 5, 6))):
        z = np.linspace(low, high, 5)
        _, front, _ = cavity_at(z, scene.person.belly_mm)
        half = np.interp(z, np.linspace(low, high, 3), wide) * rng.uniform(0.9, 1.1)
        for offset in np.linspace(-0.75, 0.75, 9):
            bars.append(_Bar(np.stack([half * offset, front - 6 + 2 * offset**2, z], axis=1), np.full(5, 4.8)))
    return bars


def _girdles(scene: Scene) -> list[_Bar]:
    """Clavicles, shoulder blades and upper arms."""
    _, front, _ = cavity_at(np.array([258.0]))
    edge = float(front[0]) - 6
    up = scene.person.arms is Arms.UP
    lift = 20.0 if up else 0.0
    joint = np.array([150.0, 18.0 - 0.3 * lift, 264 + lift])
    tip = np.array([112.0 + 0.9 * lift, 82 - 0.8 * lift, 158 + 0.2 * lift])
    corner = np.array([84.0 + 0.2 * lift, 84.0, 262 + 0.3 * lift])
    glenoid = joint + np.array([-14, 8, -2])
    shaft = [(196, -4, 340), (226, -20, 410)] if up else [(172, 22, 200), (190, 24, 80), (200, 14, -60)]
    bars = [
        _knots(
            [(22, edge, 262), (58, edge - 5, 268), (100, edge + 22, 276 + 0.5 * lift), (140, 18, 284 + lift)],
            [8.0, 5.5, 5.5, 6.5],
        ),
        _knots([joint + np.array([0, 0, 3]), joint + np.array([0, 0, 3.5])], [22.0, 22.0]),
        _knots([corner, (112, 76, 262 + lift), (joint[0] - 4, 44, 280 + lift)], [3.5, 5.5, 6.5], (1.0, 1.0, 0.8)),
        _knots([glenoid + np.array([0, 0, -10]), glenoid + np.array([0, 0, 10])], [8.5, 8.5]),
        _knots([glenoid + np.array([-6, -6, 12]), joint + np.array([-20, -30, 4])], [6.0, 5.5]),
        _knots([joint, *shaft], [16.0, *[11.5] * len(shaft)]),
    ]
    for share in np.linspace(0, 1, 9):
        inner, outer = tip + share * (corner - tip), tip + share * (glenoid - tip)
        bars.append(_knots([inner, (inner + outer) / 2 + (4.0, 6.0, 0.0), outer], [3.0, 2.6, 4.2], (1.0, 1.0, 0.5)))
    return [_Bar(bar.path * (side, 1.0, 1.0), bar.radii, bar.flat) for bar in bars for side in SIDES]


def _knots(points: Sequence[object], radii: list[float], flat: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> _Bar:
    path = curved(np.array(points, dtype=float), 3)
    return _Bar(path, spread(radii, path), flat)


def _pelvis(scene: Scene) -> list[_Bar]:
    """Iliac wings and sacrum as far as the brim."""
    wide, bars = scene.rng("pelvis").uniform(0.94, 1.06) * (1.03 if scene.person.sex == "F" else 1.0), []
    wing = np.array([(40, 74, 0), (62, 76, 0), (88, 62, 0), (110, 34, 0), (122, 0, 0), (124, -34, 0)], dtype=float)
    crest = np.array([-158.0, -140, -122, -114, -122, -158])
    for drop in np.arange(0, 150, 8.0):
        path = np.stack(
            [wing[:, 0] * wide * (1 - 0.0022 * drop), wing[:, 1] - 0.05 * drop, np.maximum(crest - 2 - drop, -320)], axis=1
        )
        radii = np.interp(drop, [0, 12, 60, 150], [6.5, 4.5, 4.2, 6.0]) * np.array([1.5, 1.4, 1.0, 0.9, 1.1, 1.2])
        bars += [_Bar(path * (side, 1, 1), radii, (1.0, 1.0, 0.6)) for side in SIDES]
    for z in np.arange(-172.0, -300, -11):
        half = float(np.interp(z, [-300, -172], [26, 50]))
        path = np.array([(-half, 66.0, z), (0, float(spine_y(np.array(z))) + 8, z), (half, 66.0, z)])
        bars.append(_Bar(path, np.array([10.0, 15, 10]), (1.0, 0.9, 1.0)))
    return bars
