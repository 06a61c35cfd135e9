"""Training maps -> random patches: another pose and shape, other CT numbers, another scanner each time.

    Case (tissues, CT numbers if any) -> warp -> paint or repaint -> scan -> Patch (image, target)

A case without CT numbers (an atlas) is painted from its tissues alone; one with CT numbers keeps them, shifted tissue by tissue.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int16, UInt8
from scipy import ndimage

from preprocessing.segment.classes import HU_PER_UNIT, LABELS, LOBES_LEFT, LOBES_RIGHT, WINDOW_HU
from preprocessing.segment.training import tissues as t

Field = Float32[np.ndarray, "z y x"]
Map = UInt8[np.ndarray, "z y x"]
Shape = tuple[int, int, int]

LUNGS = (*LOBES_LEFT, *LOBES_RIGHT, t.LUNG_RIGHT, t.LUNG_LEFT)
_GROWING = ("liver", "spleen", "kidney_right", "kidney_left", "stomach", "pancreas", "gallbladder", "aorta", "heart")
MOST_SHIFT_HU = 50.0
"""Deviation of the shift of a tissue that has CT numbers, at most: ground glass stays ground glass, fluid stays fluid."""
LEAST_SHIFT_HU = 7.0
"""And at least: phantoms of one tissue are more alike than people are."""
MEAL_SHARE = 0.3
"""Share of the scans whose stomach is filled with food."""
STRONG_SHARE = 0.4
"""Share of the scans with contrast whose blood is far brighter, as in CT of the arteries."""
BLOOD_HU = 45.0
"""Blood without contrast (Kalender, Computed Tomography, 3rd ed.)."""
DISSECTED_SHARE = 0.15
"""Share of the patches whose aorta is dissected: a flap, and less contrast on one side of it."""
BOX_SHARE = 0.12
"""Share of the patches that show a box cut out of a body."""
_HOLLOW = (t.BOWEL, LABELS["stomach"])
_ENHANCING = ("heart", "aorta", "pulmonary_artery", "liver", "spleen", "kidney_right", "kidney_left", "pancreas", "stomach")


@dataclass(frozen=True, eq=False)
class Case:
    """One training map on the 3 mm grid; ``hu`` is None for a map of shapes only. ``kind`` is atlas, phantom or real."""

    kind: str
    tissues: Map
    hu: Int16[np.ndarray, "z y x"] | None


@dataclass(frozen=True, eq=False)
class Patch:
    """What the network sees (``image`` in units of ``HU_PER_UNIT``) and what it shall answer."""

    image: Field
    target: Map


def load_case(path: Path) -> Case:
    """Read a training map written by ``bank.py``; its name begins with the kind."""
    with np.load(path) as stored:
        hu = stored["hu"] if "hu" in stored.files else None
        return Case(path.name.split("-")[0], stored["tissues"], hu)


def save_case(case: Case, path: Path) -> None:
    """Write a training map."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if case.hu is None:
        np.savez(path, tissues=case.tissues)
    else:
        np.savez(path, tissues=case.tissues, hu=case.hu)


def draw_patch(case: Case, shape: Shape, rng: np.random.Generator) -> Patch:
    """Return one random patch of a case."""
    places = _warp(case.tissues.shape, _middle(case.tissues, rng), shape, rng, rough=case.kind == "atlas")
    tissues = _pick(case.tissues, places)
    if case.hu is None:
        tissues = _vary(tissues, rng)
        hu = _paint(tissues, rng)
    else:
        hu = _repaint(_interpolate(case.hu, places), tissues, rng, is_real=case.kind == "real")
    if rng.random() < DISSECTED_SHARE:
        _dissect(hu, tissues, rng)
    image = _scan(hu, tissues, rng, is_real=case.kind == "real")
    return Patch(to_input(image), t.targets(tissues))


def to_input(hu: Field) -> Field:
    """CT numbers as the network takes them."""
    return np.asarray(np.clip(hu, *WINDOW_HU) / HU_PER_UNIT, np.float32)


def _middle(tissues: Map, rng: np.random.Generator) -> np.ndarray:
    """Where the patch is centred: the height of a random class, and mostly the middle of the body."""
    heights = [
        np.flatnonzero((tissues == label).any(axis=(1, 2))) for label in rng.permutation(np.unique(t.targets(tissues)))[:3]
    ]
    found = next((z for z in heights if 0 < len(z) < len(tissues)), np.arange(len(tissues)))
    rows, columns = (np.flatnonzero((tissues > 0).any(axis=axes)) for axes in ((0, 2), (0, 1)))
    centre = np.array([rng.choice(found) + rng.normal(0, 8), rows.mean(), columns.mean()])
    return np.asarray(centre + np.array([0.0, rng.normal(0, 0.16) * np.ptp(rows), rng.normal(0, 0.16) * np.ptp(columns)]))


def _warp(size: tuple[int, ...], middle: np.ndarray, shape: Shape, rng: np.random.Generator, *, rough: bool) -> torch.Tensor:
    """Places of the patch's voxels in the case, for ``grid_sample``: turned, scaled, bent in two scales, (1, z, y, x, 3)."""
    scale = np.exp(rng.normal(0, 0.10)) * np.exp(rng.normal(0, 0.08 if rough else 0.06, 3))
    turn = _rotation(np.deg2rad(rng.normal(0, (3, 3, 6), 3)))
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    matrix = torch.from_numpy((turn * scale).astype(np.float32))
    place = grid @ matrix.T + torch.from_numpy(middle.astype(np.float32))
    bends = ((36.0, rng.uniform(1.0, 4.5) if rough else rng.uniform(0.3, 2.5)), (13.0, rng.uniform(0.2, 1.2 if rough else 0.7)))
    for spacing, amount in bends:
        place += torch.from_numpy(np.stack([_noise(shape, spacing, rng) for _ in range(3)], axis=-1)) * float(amount)
    span = torch.tensor([n - 1 for n in size], dtype=torch.float32)
    return (2 * place / span - 1).flip(-1)[None]


def _rotation(angles: Float64[np.ndarray, "3"]) -> np.ndarray:
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        a, b = [k for k in range(3) if k != axis]
        part = np.eye(3)
        part[a, a], part[b, b], part[a, b], part[b, a] = c, c, -s, s
        turn = turn @ part
    return turn


def _pick(labels: Map, places: torch.Tensor) -> UInt8[np.ndarray, "d h w"]:
    """Nearest label; air outside the case."""
    source = torch.from_numpy(labels.astype(np.float32))[None, None]
    picked = torch.nn.functional.grid_sample(source, places, mode="nearest", padding_mode="zeros", align_corners=True)
    return picked[0, 0].numpy().astype(np.uint8)


def _interpolate(hu: Int16[np.ndarray, "z y x"], places: torch.Tensor) -> Float32[np.ndarray, "d h w"]:
    source = torch.from_numpy(hu.astype(np.float32) + 1000.0)[None, None]
    picked = torch.nn.functional.grid_sample(source, places, mode="bilinear", padding_mode="zeros", align_corners=True)
    return picked[0, 0].numpy() - 1000.0


def _noise(shape: Shape, scale: float, rng: np.random.Generator) -> Field:
    """A smooth random field of about unit deviation with structures of ``scale`` voxels."""
    coarse = [max(2, round(n / scale) + 2) for n in shape]
    seed = torch.from_numpy(rng.standard_normal(coarse, dtype=np.float32))[None, None]
    field = torch.nn.functional.interpolate(seed, size=shape, mode="trilinear", align_corners=True)[0, 0]
    return (field * 1.5).numpy()


def _vary(tissues: Map, rng: np.random.Generator) -> Map:
    """Other organ sizes, bowel in the fat, gas and fluid in hollow organs."""
    varied = tissues.copy()
    for name in _GROWING:
        if rng.random() < (0.7 if name == "spleen" else 0.3):
            steps = int(rng.integers(1, 4 if name == "spleen" else 3))
            grown = ndimage.binary_dilation(varied == LABELS[name], iterations=steps)
            varied[grown & np.isin(varied, (t.FAT, t.BOWEL, t.LUNG_LEFT, t.SOFT))] = LABELS[name]
    loops = _noise(tissues.shape, rng.uniform(5, 10), rng) > rng.uniform(0.2, 1.6)
    varied[(varied == t.FAT) & loops & _below_chest(tissues)] = t.BOWEL
    return varied


def _below_chest(tissues: Map) -> np.ndarray:
    """Slices without much lung: fat there may hold bowel."""
    share = np.isin(tissues, LUNGS).mean(axis=(1, 2))
    return np.asarray(share < 0.02)[:, None, None]


def _paint(tissues: Map, rng: np.random.Generator) -> Field:
    """CT numbers of a map of shapes: each tissue drawn anew, with its own texture, gas pockets and partial volume."""
    mean, uneven = np.full(256, -1000.0, np.float32), np.zeros(256, np.float32)
    phase = rng.random() * (rng.random() < 0.65)
    for tissue, density in t.DENSITIES.items():
        level = rng.uniform(density.low, density.high)
        mean[tissue] = level + density.contrast * phase * rng.uniform(0.5, 1.1)
        uneven[tissue] = density.texture * rng.uniform(0.4, 1.6)
    hu, texture = mean[tissues], uneven[tissues]
    shape = tissues.shape
    hu = hu + texture * (0.7 * _noise(shape, rng.uniform(1.5, 4), rng) + 0.7 * _noise(shape, rng.uniform(4, 14), rng))
    _fill_hollow(hu, tissues, rng)
    lungs = np.isin(tissues, LUNGS)
    vessels = lungs & (_noise(shape, 2.2, rng) > 2.3)
    hu[vessels] += rng.uniform(200, 700)
    return np.asarray(ndimage.gaussian_filter(hu, rng.uniform(0.25, 0.6)), np.float32)


def _fill_hollow(hu: Field, tissues: Map, rng: np.random.Generator) -> None:
    """Gas above fluid or contrast in stomach and bowel, in pockets."""
    for tissue in _HOLLOW:
        hollow = ndimage.binary_erosion(tissues == tissue)
        if not hollow.any() or rng.random() < 0.2:
            continue
        pockets = _noise(tissues.shape, rng.uniform(4, 9), rng)
        rise = (np.arange(tissues.shape[1], dtype=np.float32) / tissues.shape[1] - 0.5)[None, :, None] * -3.0
        chosen = hollow & (pockets + rise > rng.uniform(0.0, 1.8))
        hu[chosen] = rng.uniform(-1000, -850)
        content = hollow & ~chosen & (pockets < rng.uniform(-1.5, 0.2))
        hu[content] = rng.choice([rng.uniform(0, 30), rng.uniform(-60, 90), rng.uniform(150, 500)], p=[0.5, 0.35, 0.15])


def _repaint(hu: Field, tissues: Map, rng: np.random.Generator, *, is_real: bool) -> Field:
    """CT numbers of a scan, shifted tissue by tissue; contrast is added to blood and organs in some patches."""
    shift = np.zeros(256, np.float32)
    phase = rng.random() * (rng.random() < 0.55)
    for tissue, density in t.DENSITIES.items():
        shift[tissue] = rng.normal(0, np.clip(0.25 * (density.high - density.low), LEAST_SHIFT_HU, MOST_SHIFT_HU))
    for name in _ENHANCING:
        shift[LABELS[name]] += t.DENSITIES[LABELS[name]].contrast * phase * rng.uniform(0.2, 0.8)
    shift[t.VEIN], shift[t.ARTERY] = shift[LABELS["aorta"]] * rng.uniform(0, 1.5), shift[LABELS["aorta"]]
    shift[list(LUNGS)] = rng.normal(0, 35)
    moved = ndimage.gaussian_filter(shift[tissues], 0.5 if is_real else 0.4)
    changed = hu + moved * (hu > -1010)
    if rng.random() < STRONG_SHARE:
        _brighten(changed, tissues, rng)
    if rng.random() < MEAL_SHARE:
        _feed(changed, tissues, rng)
    if rng.random() < 0.3:
        changed += 8 * _noise(tissues.shape, rng.uniform(3, 12), rng) * (hu > -200)
    return np.asarray(changed, np.float32)


def _brighten(hu: Field, tissues: Map, rng: np.random.Generator) -> None:
    """More contrast in the blood, in proportion to what is there: chambers stay brighter than the muscle around them."""
    gain = np.zeros(256, np.float32)
    strength = rng.uniform(0.3, 1.6)
    for tissue in (*(LABELS[name] for name in ("heart", "aorta", "pulmonary_artery")), t.VEIN, t.ARTERY):
        gain[tissue] = strength * rng.uniform(0.6, 1.2)
    hu += gain[tissues] * np.clip(hu - BLOOD_HU, 0, 350)


def _feed(hu: Field, tissues: Map, rng: np.random.Generator) -> None:
    """Food in the stomach: lumps of all CT numbers between fat and muscle, with bubbles of gas."""
    inside = ndimage.binary_erosion(tissues == LABELS["stomach"])
    lumps, bubbles = (_noise(tissues.shape, rng.uniform(1.2, 4), rng) for _ in range(2))
    meal = rng.uniform(-60, 90) + rng.uniform(15, 70) * lumps
    meal[bubbles > rng.uniform(1.2, 3.5)] = rng.uniform(-950, -300)
    np.copyto(hu, meal.astype(np.float32), where=inside)


def _dissect(hu: Field, tissues: Map, rng: np.random.Generator) -> None:
    """Part the aorta by a flap that turns along its way: the false lumen takes up some of the contrast, or clots."""
    aorta = tissues == LABELS["aorta"]
    if not aorta.any():
        return
    side = _noise(hu.shape, rng.uniform(8, 20), rng)
    side -= np.float32(np.quantile(side[aorta], rng.uniform(0.2, 0.8)))
    false = aorta & (side < 0)
    blood = float(np.median(hu[aorta]))
    hu[false] += (rng.uniform(30, 60) - blood) * rng.uniform(0.1, 1.0)
    flap = aorta & (np.abs(side) < rng.uniform(0.02, 0.12))
    hu[flap] += (40 - hu[flap]) * np.float32(rng.uniform(0.2, 0.8))


def _scan(hu: Field, tissues: Map, rng: np.random.Generator, *, is_real: bool) -> Field:
    """Another scanner: blur, thick slices, correlated noise, calibration, a table, a field of view that cuts."""
    if rng.random() < 0.5:
        sigma = (rng.uniform(0.2, 1.1), *(rng.uniform(0.2, 0.7, 1).repeat(2)))
        hu = ndimage.gaussian_filter(hu, sigma)
    deviation = rng.uniform(0, 12) if is_real else rng.choice([rng.uniform(2, 12), rng.uniform(8, 28)], p=[0.75, 0.25])
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    if rng.random() < 0.5:
        noise = ndimage.gaussian_filter(noise, (0.3, 0.6, 0.6))
        noise /= max(float(noise.std()), 1e-6)
    hu = hu + noise * np.float32(deviation)
    if rng.random() < 0.3:
        hu = (hu + 1000) * rng.normal(1, 0.015) - 1000 + rng.normal(0, 6)
    if rng.random() < 0.5 and not is_real:
        _table(hu, tissues, rng)
    if rng.random() < 0.25:
        _cut_field(hu, tissues, rng)
    if rng.random() < BOX_SHARE:
        _cut_box(hu, tissues, rng)
    return np.asarray(hu, np.float32)


def _table(hu: Field, tissues: Map, rng: np.random.Generator) -> None:
    rows = np.flatnonzero((tissues > 0).any(axis=(0, 2)))
    if rows.size:
        top = min(hu.shape[1] - 1, int(rows[-1]) + int(rng.integers(0, 4)))
        plane = hu[:, top : top + 2]
        np.copyto(plane, np.float32(rng.uniform(-700, 50)), where=tissues[:, top : top + 2] == 0)


def _cut_field(hu: Field, tissues: Map, rng: np.random.Generator) -> None:
    """Nothing outside a circle, as in a small reconstruction; what was there is no longer asked for."""
    y, x = (np.arange(n, dtype=np.float32) - n / 2 for n in hu.shape[1:])
    radius = rng.uniform(0.38, 0.7) * max(hu.shape[1:])
    outside = (y[:, None] - rng.normal(0, 6)) ** 2 + (x[None] - rng.normal(0, 6)) ** 2 > radius**2
    hu[:, outside] = -1024.0
    tissues[:, outside] = 0


def _cut_box(hu: Field, tissues: Map, rng: np.random.Generator) -> None:
    """Nothing outside a box, as in a CT that was cropped to an organ."""
    sizes = [max(16, int(n * rng.uniform(0.45, 1.0))) for n in hu.shape]
    first = [int(rng.integers(0, max(1, n - size + 1))) for n, size in zip(hu.shape, sizes, strict=True)]
    outside = np.ones(hu.shape, dtype=bool)
    outside[tuple(slice(a, a + size) for a, size in zip(first, sizes, strict=True))] = False
    hu[outside] = -1000.0
    tissues[outside] = 0
