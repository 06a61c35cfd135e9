"""Spine, ribs, sternum, clavicles and shoulder blades of a person, as shares of cortical bone, marrow and cartilage."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medomni.phantom.canvas import Canvas, Field, Path3
from medomni.phantom.person import Person
from medomni.types.volume import Mask

VERTEBRA_MM = 23.5
"""Height of one thoracic vertebra with its disc."""
_RIB_END_DEG = (140, 146, 150, 152, 152, 150, 146, 132, 118, 102, 76, 50)
_RIB_DROP_MM = (18, 30, 42, 54, 62, 68, 72, 74, 70, 60, 42, 26)


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Shares (0 to 1) of cortical bone, marrow and cartilage in each voxel, and the spinal canal."""

    cortex: Field
    marrow: Field
    cartilage: Field
    canal: Mask


def draw_skeleton(canvas: Canvas, person: Person) -> Skeleton:
    """Return the bones of a person."""
    cortex, marrow, cartilage = (np.zeros(canvas.shape, dtype=np.float32) for _ in range(3))
    for path in [*_ribs(person), *_clavicles(person)]:
        canvas.add_tube(cortex, path, np.full(len(path), 5.2))
        canvas.add_tube(marrow, path, np.full(len(path), 3.1))
    for path in _shoulder_blades(person):
        canvas.add_tube(cortex, path, np.full(len(path), 2.6))
    for path in _cartilages(person):
        canvas.add_tube(cartilage, path, np.full(len(path), 5.0))
    _add_sternum(canvas, person, cortex, marrow)
    canal = _add_spine(canvas, person, cortex, marrow)
    return Skeleton(cortex, marrow, cartilage, canal)


def spine_y(z: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Position of the centre of the vertebral bodies (the curve of the thoracic spine)."""
    return np.asarray(46 + 8 * np.sin((z - 20) / 250 * np.pi))


def _ribs(person: Person) -> list[Path3]:
    paths = []
    for index, (end_deg, drop) in enumerate(zip(_RIB_END_DEG, _RIB_DROP_MM, strict=True)):
        share = np.linspace(0, 1, 60)
        angle = np.deg2rad(17 + share * (end_deg - 17))
        top = 290 - VERTEBRA_MM * index
        z = top + 4 * np.sin(share * np.pi) - drop * share**1.4
        width, depth, centre = person.cavity(z)
        rho = ((np.sin(angle) / (width + 6)) ** 2) ** 1.2 + ((np.cos(angle) / (depth + 6)) ** 2) ** 1.2
        reach = rho ** (-1 / 2.4)
        head = np.array([13.0, float(spine_y(np.array(top))) + 10, top])
        for side in (-1, 1):
            shaft = np.stack([side * reach * np.sin(angle), centre + reach * np.cos(angle), z], axis=1)
            paths.append(np.concatenate([[head * (side, 1, 1)], shaft]))
    return paths


def _cartilages(person: Person) -> list[Path3]:
    ends = _ribs(person)
    paths = []
    for index in range(7):
        for path in ends[2 * index : 2 * index + 2]:
            start = path[-1]
            z = max(start[2] + 8 * (index - 2), 135.0) if index > 1 else start[2]
            _, depth, centre = person.cavity(np.array([z]))
            stop = np.array([np.sign(start[0]) * 15, float(centre[0] - depth[0]) - 5, z])
            bulge = (start + stop) / 2 - (0, 5, 2)
            paths.append(np.stack([start, bulge, stop]))
    return paths


def _clavicles(person: Person) -> list[Path3]:
    paths = []
    _, depth, centre = person.cavity(np.array([258.0]))
    front = float(centre[0] - depth[0]) - 8
    for side in (-1, 1):
        points = [(24, front - 4, 258), (60, front - 8, 268), (100, front + 6, 280), (140, front + 40, 290)]
        paths.append(np.array(points, dtype=np.float64) * (side, 1, 1))
    return paths


def _shoulder_blades(person: Person) -> list[Path3]:
    paths = []
    for side in (-1, 1):
        low = np.array([112.0 * person.scale, 74, 158])
        top = np.array([86.0 * person.scale, 84, 262])
        joint = np.array([142.0 * person.scale, 52, 262])
        for share in np.linspace(0, 1, 22):
            rim = np.stack([low + share * (top - low), low + share * (joint - low)])
            middle = rim.mean(axis=0) + np.array([3.0, 5, 0])
            paths.append(np.stack([rim[0], middle, rim[1]]) * (side, 1, 1))
    return paths


def _add_sternum(canvas: Canvas, person: Person, cortex: Field, marrow: Field) -> None:
    for z_low, z_high, half in ((150, 222, 13.0), (224, 256, 22.0)):
        z = np.linspace(z_low, z_high, 24)
        _, depth, centre = person.cavity(z)
        front = centre - depth - 5
        for offset in np.linspace(-1, 1, 15):
            path = np.stack([np.full(24, half * offset), front + 1.5 * offset**2, z], axis=1)
            canvas.add_tube(cortex, path, np.full(24, 4.6))
            canvas.add_tube(marrow, path, np.full(24, 3.0))


def _add_spine(canvas: Canvas, person: Person, cortex: Field, marrow: Field) -> Mask:
    """Draw the vertebrae in place and return the spinal canal."""
    s = person.scale
    centre = spine_y(canvas.z.ravel()).astype(np.float32)[:, None, None]
    dx, dy = canvas.x, canvas.y - centre
    phase = np.mod(canvas.z - 290 + VERTEBRA_MM / 2, VERTEBRA_MM)
    is_disc = (phase < 2.6) | (phase > VERTEBRA_MM - 2.6)
    waist = 1 - 0.08 * np.sin(phase / VERTEBRA_MM * np.pi)
    body = ((dx / (17 * s * waist)) ** 2 + (dy / (14 * s * waist)) ** 2) * np.ones_like(canvas.z)
    shell = (body <= 1) & ((body > 0.78) | (phase < 4.4) | (phase > VERTEBRA_MM - 4.4)) & ~is_disc
    np.maximum(marrow, (body <= 1) & ~is_disc, out=marrow)
    cortex[shell] = np.maximum(cortex[shell], 0.55)
    hole = (dx / 9) ** 2 + ((dy - 22 * s) / 8) ** 2 + 0 * canvas.z
    arch = (hole <= 2.2) & (hole > 1) & (phase > 4) & (phase < VERTEBRA_MM - 3)
    cortex[arch] = np.maximum(cortex[arch], 0.8)
    for index in range(13):
        top = 290 - VERTEBRA_MM * index
        back = float(spine_y(np.array(top)))
        spinous = np.array([[0, back + 30 * s, top - 2], [0, back + 47 * s, top - 18]])
        canvas.add_tube(cortex, spinous, np.array([3.6, 4.2]))
        for side in (-1, 1):
            wing = np.array([[side * 9, back + 24 * s, top + 1], [side * 30 * s, back + 31 * s, top + 4]])
            canvas.add_tube(cortex, wing, np.array([4.6, 4.8]))
            canvas.add_tube(marrow, wing, np.array([2.8, 3.0]))
    return np.asarray(hole <= 1)
