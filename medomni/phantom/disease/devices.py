"""Devices and what surgery leaves: pacemaker, port, central line, sternal wires, valve, stent, clips, tubes.

Metal is far above bone: it is drawn at 3071 HU, the top of the 12-bit scale, plastic at a few hundred HU.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from medomni.phantom.body import Body
from medomni.phantom.canvas import Field, Path3
from medomni.phantom.disease.host import lesion_from, moved
from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.placed import VARIANTS, Placed

METAL_HU = 3071.0
PLASTIC_HU = 320.0
"""HU of radio-opaque tubes and lines (silicone or polyurethane with barium: 200 to 500)."""
SEEN_HU = 150.0
"""A voxel belongs to a device when the device raised it by this much."""
_Point = Float64[np.ndarray, "3"]
_Parts = list[tuple[Field, float]]
"""Share of each voxel that a part fills, and its HU."""


def medical_material(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Draw ``placed.size`` devices, the stated variant first."""
    names = [name for name in VARIANTS[placed.kind] if name != placed.variant]
    chosen = ([placed.variant] if placed.variant else []) + [str(name) for name in rng.permutation(names)]
    hu, mask = body.hu, np.zeros(body.canvas.shape, dtype=bool)
    drawn: list[str] = []
    for name in chosen:
        if len(drawn) >= round(placed.size):
            break
        before = mask.sum()
        for share, value in _DEVICES[name](body, rng):
            risen = share * np.maximum(np.float32(value) - hu, 0)
            hu += risen
            mask |= risen > SEEN_HU
        if mask.sum() > before:
            drawn.append(name)
    return lesion_from(body.canvas, placed.kind, mask, {"devices": float(len(drawn))}, drawn[0] if drawn else "")


def _tube(body: Body, points: list[_Point] | Path3, radius: float) -> Field:
    path = np.asarray(points, dtype=np.float64)
    return body.canvas.tube(path, np.full(len(path), radius))


def _can(body: Body, centre: _Point, radii: tuple[float, float, float]) -> Field:
    return body.canvas.ellipsoid((float(centre[0]), float(centre[1]), float(centre[2])), radii).astype(np.float32)


def _carina(body: Body) -> _Point:
    line = body.paths["trachea"][0]
    return np.asarray(line[np.argmin(line[:, 2])])


def _vein(body: Body, side: int) -> list[_Point]:
    """From under the collar bone of a side (-1 right, 1 left) down the superior vena cava to the right atrium."""
    carina = _carina(body)
    cava = [moved(carina, -24, -28, 35), moved(carina, -26, -30, 5), moved(carina, -28, -32, -25)]
    if "superior_vena_cava" in body.paths:
        line = body.paths["superior_vena_cava"][0]
        cava = list(line[np.argsort(-line[:, 2])])
    entry = [moved(carina, side * 95, -45, 62), moved(carina, side * 60, -38, 66)]
    middle = [moved(carina, -10, -40, 48)] if side > 0 else [moved(carina, -34, -32, 52)]
    return [*entry, *middle, *cava]


def _heart_point(body: Body, x: float, y: float, z: float) -> _Point:
    """A point of the heart by its shares of the extent of the heart in x (right to left), y (front to back), z (low to high)."""
    heart = body.parts["heart"]
    point = []
    for axis, values, share in ((2, body.canvas.x, x), (1, body.canvas.y, y), (0, body.canvas.z, z)):
        found = values.ravel()[np.flatnonzero(heart.any(axis=tuple(a for a in range(3) if a != axis)))]
        point.append(float(found[0] + share * (found[-1] - found[0])) if len(found) else 0.0)
    return np.array(point)


def _skin_front_y(body: Body, x: float, z: float) -> float:
    """Where the skin of the chest lies in front of a point."""
    canvas = body.canvas
    k = int(np.argmin(np.abs(canvas.z.ravel() - z)))
    i = int(np.argmin(np.abs(canvas.x.ravel() - x)))
    rows = np.flatnonzero(body.parts["body"][k, :, i])
    return float(canvas.y.flat[rows[0]]) if len(rows) else 0.0


def _pacemaker(body: Body, rng: np.random.Generator) -> _Parts:
    carina = _carina(body)
    x, z = float(carina[0]) + 72, float(carina[2]) + 38
    centre = np.array([x, _skin_front_y(body, x, z) + 11, z])
    right, atrium = _heart_point(body, 0.5, 0.2, 0.2), _heart_point(body, 0.12, 0.35, 0.65)
    vein = _vein(body, 1)
    leads = [_tube(body, [moved(centre, -10, 0, 8), *vein, _heart_point(body, 0.15, 0.45, 0.5), right], 1.1)]
    if rng.random() < 0.6:
        leads.append(_tube(body, [moved(centre, -12, 1, 6), *vein, moved(atrium, 0, 0, -12), atrium], 1.1))
    return [(_can(body, centre, (24, 4.5, 20)), METAL_HU), *((lead, 2600.0) for lead in leads)]


def _port(body: Body, rng: np.random.Generator) -> _Parts:
    carina = _carina(body)
    x, z = float(carina[0]) - 68, float(carina[2]) + 30
    centre = np.array([x, _skin_front_y(body, x, z) + 10, z])
    shell = _can(body, centre, (13, 6, 13))
    return [(shell, 2200.0), (_tube(body, [moved(centre, 10, 0, 10), *_vein(body, -1)], 1.3), PLASTIC_HU + 250)]


def _central_line(body: Body, rng: np.random.Generator) -> _Parts:
    carina = _carina(body)
    neck = moved(carina, -32, -26, 110)
    return [(_tube(body, [neck, moved(carina, -30, -28, 70), *_vein(body, -1)[3:]], 1.3), PLASTIC_HU + 200)]


def _sternal_wires(body: Body, rng: np.random.Generator) -> _Parts:
    carina = _carina(body)
    wires = np.zeros(body.canvas.shape, dtype=np.float32)
    angle = np.linspace(0, 2 * np.pi, 14)
    for height in np.linspace(float(carina[2]) - 62, float(carina[2]) + 38, 6):
        front = _bone_front_y(body, height)
        if front is None:
            continue
        ring = np.stack([15 * np.cos(angle), front + 5 + 8 * np.sin(angle), height + 1.5 * np.sin(2 * angle)], axis=1)
        body.canvas.add_tube(wires, ring + np.array([float(carina[0]), 0.0, 0.0]), np.full(14, 0.7))
    return [(wires, METAL_HU)]


def _bone_front_y(body: Body, z: float) -> float | None:
    """Front of the breastbone at a height: the first voxel above 120 HU in the middle, or None."""
    canvas = body.canvas
    k = int(np.argmin(np.abs(canvas.z.ravel() - z)))
    middle = np.abs(canvas.x.ravel()) < 12
    rows = np.flatnonzero((body.hu[k][:, middle] > 120).any(axis=1))
    return float(canvas.y.flat[rows[0]]) if len(rows) and canvas.y.flat[rows[0]] < 0 else None


def _valve(body: Body, rng: np.random.Generator) -> _Parts:
    place = _heart_point(body, *((0.5, 0.48, 0.72) if rng.random() < 0.5 else (0.62, 0.62, 0.5)))
    tilt, radius = rng.normal(0, 0.4, 2), float(rng.uniform(11, 14))
    angle = np.linspace(0, 2 * np.pi, 20)
    ring = np.stack(
        [radius * np.cos(angle), radius * np.sin(angle), radius * (tilt[0] * np.cos(angle) + tilt[1] * np.sin(angle))], 1
    )
    return [(_tube(body, ring + place, 1.6), METAL_HU)]


def _coronary_stent(body: Body, rng: np.random.Generator) -> _Parts:
    line = body.paths.get("coronary_left_anterior_descending", (None, None))[0]
    if line is None:
        line = np.array(
            [_heart_point(body, 0.62, 0.1, 0.8), _heart_point(body, 0.75, 0.06, 0.55), _heart_point(body, 0.85, 0.1, 0.3)]
        )
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    start = float(rng.uniform(0.08, 0.3)) * along[-1]
    places = np.linspace(start, min(along[-1], start + float(rng.uniform(14, 28))), 6)
    piece = np.stack([np.interp(places, along, line[:, a]) for a in range(3)], axis=1)
    return [(_tube(body, piece, 1.7), 1100.0)]


def _clips(body: Body, rng: np.random.Generator) -> _Parts:
    carina = _carina(body)
    sites = [moved(carina, -70, -20, 45), moved(carina, 75, -15, 40), moved(carina, -40, -5, -30), moved(carina, 45, -10, -28)]
    place = sites[int(rng.integers(len(sites)))]
    clips = np.zeros(body.canvas.shape, dtype=np.float32)
    for _ in range(int(rng.integers(4, 10))):
        middle = place + rng.normal(0, 9, 3)
        half = rng.normal(0, 1, 3)
        half *= 3.5 / max(0.5, float(np.linalg.norm(half)))
        body.canvas.add_tube(clips, np.stack([middle - half, middle + half]), np.full(2, 1.0))
    return [(clips, METAL_HU)]


def _endotracheal_tube(body: Body, rng: np.random.Generator) -> _Parts:
    line, radius = body.paths["trachea"]
    tip = float(line[:, 2].min()) + float(rng.uniform(30, 55))
    kept = line[line[:, 2] > tip]
    order = np.argsort(line[:, 2])
    foot = np.array([np.interp(tip, line[order, 2], line[order, a]) for a in range(3)])
    path = np.concatenate([kept, foot[None]]) if len(kept) and kept[0, 2] > kept[-1, 2] else np.concatenate([foot[None], kept])
    if len(path) < 2:
        return []
    outer = min(5.6, 0.72 * float(np.mean(radius)))
    wall = _tube(body, path, outer) - _tube(body, path, outer - 1.5)
    return [(np.maximum(wall, 0), PLASTIC_HU - 120)]


def _feeding_tube(body: Body, rng: np.random.Generator) -> _Parts:
    line = body.paths["esophagus"][0]
    stomach = np.argwhere(body.parts["stomach"])
    path = line[np.argsort(-line[:, 2])]
    if len(stomach):
        z, y, x = (int(v) for v in stomach.mean(axis=0))
        path = np.concatenate(
            [path, [[float(body.canvas.x.flat[x]), float(body.canvas.y.flat[y]), float(body.canvas.z.flat[z])]]]
        )
    return [(_tube(body, path, 2.0), PLASTIC_HU)]


_DEVICES: dict[str, Callable[[Body, np.random.Generator], _Parts]] = {
    "pacemaker": _pacemaker,
    "port": _port,
    "central_line": _central_line,
    "sternal_wires": _sternal_wires,
    "valve": _valve,
    "coronary_stent": _coronary_stent,
    "clips": _clips,
    "endotracheal_tube": _endotracheal_tube,
    "feeding_tube": _feeding_tube,
}
