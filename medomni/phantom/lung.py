"""Fills the pleural spaces with lung: parenchyma, vessels, bronchi, fissures and the placed diseases."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from medomni.phantom.canvas import Canvas, Field
from medomni.phantom.disease import Placed, canvas_ball, effusion, lucencies, nodule_centre, patch
from medomni.phantom.person import Person
from medomni.phantom.torso import AIR, BLOOD, WATER, Torso
from medomni.phantom.trees import draw_bronchi, draw_vessels, end_points, grow
from medomni.types.volume import Mask

_ROOTS = {"right": ((-37.0, 6.0, 163.0), (-34.0, 12.0, 150.0)), "left": ((45.0, 9.0, 166.0), (42.0, 14.0, 150.0))}
_OPACITY_SHARE = {"mild": 0.32, "moderate": 0.42, "severe": 0.52}


@dataclass(frozen=True, eq=False)
class Nodule:
    """One placed nodule with its true size and place (x, y, z in LPS mm)."""

    side: str
    diameter_mm: float
    centre_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Lungs:
    """Lung masks (vessels and diseased lung inside, pleural fluid and main bronchi outside), lesions and nodules."""

    right: Mask
    left: Mask
    airway: Mask
    lesions: dict[str, Mask]
    nodules: tuple[Nodule, ...]


def fill_lungs(canvas: Canvas, person: Person, torso: Torso, placed: tuple[Placed, ...], rng: np.random.Generator) -> Lungs:
    """Paint both lungs into ``torso.hu`` in place and return what is true of them.

    Raises:
        ValueError: a nodule does not fit into its zone.
    """
    rooms = {"right": torso.room_right, "left": torso.room_left}
    lesions: dict[str, Mask] = {}
    for item in placed:
        if item.kind == "pleural_effusion":
            _add(lesions, "pleural_effusion", effusion(canvas, rooms[item.side], item.size))
    fluid = lesions.get("pleural_effusion")
    lungs = rooms if fluid is None else {side: room & ~fluid for side, room in rooms.items()}
    if fluid is not None:
        torso.hu[fluid] = WATER
    both = lungs["right"] | lungs["left"]
    tissue = _parenchyma(canvas, person, rng)
    _paint_diffuse(canvas, lungs, tissue, placed, lesions, rng)
    lumen = _paint_trees(canvas, lungs, tissue, lesions.get("consolidation"), rng)
    nodules = _paint_nodules(canvas, lungs, tissue, placed, lesions, rng)
    torso.hu[both] = tissue[both]
    outside = (lumen > 0.5) & ~both & (torso.body & ~torso.bone)
    torso.hu[outside] = AIR
    return Lungs(lungs["right"], lungs["left"], torso.airway & ~both | outside, lesions, nodules)


def _parenchyma(canvas: Canvas, person: Person, rng: np.random.Generator) -> Field:
    """Lung tissue everywhere: denser towards the back (gravity) and along the fissures."""
    hu = person.lung_hu + 0.32 * canvas.y + 9 * canvas.soft_noise(rng, 14) + 12 * canvas.soft_noise(rng, 4.5)
    oblique = ((canvas.y - 60) * 125 - (canvas.z - 220) * 135) / 184
    width = max(0.8, 0.4 * min(canvas.spacing_mm))
    hu += 90 * np.exp(-((oblique + 2 * canvas.soft_noise(rng, 70)) ** 2) / width**2)
    flat = (canvas.z - 152 + 3 * canvas.soft_noise(rng, 60)) / 1.4
    hu += 60 * np.exp(-(flat**2)) * ((oblique < 0) & (canvas.x < 0))
    return np.asarray(hu, dtype=np.float32)


def _paint_diffuse(
    canvas: Canvas,
    lungs: dict[str, Mask],
    tissue: Field,
    placed: tuple[Placed, ...],
    lesions: dict[str, Mask],
    rng: np.random.Generator,
) -> None:
    for item in placed:
        lung = lungs[item.side]
        if item.kind == "emphysema":
            mask = lucencies(canvas, lung, item, rng)
            tissue[mask] = -978 + 6 * canvas.soft_noise(rng, 6)[mask]
            _add(lesions, "low_attenuation", mask)
        elif item.kind == "lung_opacity":
            mask = patch(canvas, lung, item, rng)
            share = _OPACITY_SHARE[item.severity] * (1 + 0.12 * canvas.soft_noise(rng, 8)[mask])
            tissue[mask] += share * (-60 - tissue[mask])
            _add(lesions, "lung_opacity", mask)
        elif item.kind == "consolidation":
            mask = patch(canvas, lung, item, rng)
            tissue[mask] = 32 + 7 * canvas.soft_noise(rng, 9)[mask]
            _add(lesions, "consolidation", mask)


def _paint_trees(
    canvas: Canvas, lungs: dict[str, Mask], tissue: Field, filled_lung: Mask | None, rng: np.random.Generator
) -> Float32[np.ndarray, "z y x"]:
    """Paint vessels and bronchi into the tissue in place and return the share of bronchial lumen."""
    vessels, wall, lumen = (np.zeros(canvas.shape, dtype=np.float32) for _ in range(3))
    for side, lung in lungs.items():
        artery_root, vein_root = _ROOTS[side]
        artery = grow(artery_root, end_points(canvas, lung, 420, rng), 0.6, rng)
        vein = grow(vein_root, end_points(canvas, lung, 280, rng), 0.6, rng)
        for tree in (artery, vein):
            draw_vessels(canvas, tree, vessels)
        draw_bronchi(canvas, artery, wall, lumen)
    tissue += vessels * (BLOOD - tissue)
    tissue += np.maximum(wall - lumen, 0) * (-120 - tissue)
    air = lumen if filled_lung is None else np.where(filled_lung, lumen * 0.8, lumen)
    tissue += air * (-985 - tissue)
    return lumen


def _paint_nodules(
    canvas: Canvas,
    lungs: dict[str, Mask],
    tissue: Field,
    placed: tuple[Placed, ...],
    lesions: dict[str, Mask],
    rng: np.random.Generator,
) -> tuple[Nodule, ...]:
    nodules = []
    for item in placed:
        if item.kind != "lung_nodule":
            continue
        free = lungs[item.side].copy()
        for name, mask in lesions.items():
            if name != "low_attenuation":
                free &= ~mask
        centre = nodule_centre(canvas, free, item, rng)
        if centre is None:
            raise ValueError(f"a nodule of {item.size:g} mm does not fit into the {item.side} {item.zone} zone")
        point = np.array([centre, centre])
        share = canvas.tube(point, np.full(2, item.size / 2))
        tissue += share * (34 - tissue)
        _add(lesions, "nodule", canvas_ball(canvas, centre, item.size / 2))
        nodules.append(Nodule(item.side, item.size, centre))
    return tuple(nodules)


def _add(lesions: dict[str, Mask], name: str, mask: Mask) -> None:
    lesions[name] = lesions[name] | mask if name in lesions else mask
