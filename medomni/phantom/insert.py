"""A CT (real or phantom) and its lungs -> the same CT with lung disease in it, and the truth of it.

    volume, lungs, placed -> grain (blur, noise) -> one layer after the other -> Inserted

The models of ``disease/`` are used unchanged; ``grain.py`` blends them with the resolution and the noise of the CT, so that
neither gives the lesion away. ``insert_arrays`` is the core on plain arrays for training loops.
"""

from dataclasses import dataclass, replace

import numpy as np

from medomni.phantom.canvas import Canvas, Field
from medomni.phantom.disease.apply import DRAWING_ORDER, ON_SITE, PRESSED_ML
from medomni.phantom.disease.fluid import effusion, pressed_lung, push
from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.record import record
from medomni.phantom.disease.site import Site, Window, window
from medomni.phantom.grain import Grain, blend, measure_grain
from medomni.types.volume import Mask, Volume

INSERTABLE = tuple(kind for kind in DRAWING_ORDER if kind == "pleural_effusion" or kind in ON_SITE)
"""Kinds that can go into a CT, in the order in which they are drawn: each leaves less lung for the next."""

_Flips = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Inserted:
    """The changed CT, one mask for each kind, the lungs as they are now and what was placed, in the order of drawing.

    Effusion is no lung any more; airless lung still is. ``lesions`` may hold ``atelectasis``, lung that an effusion pressed.
    """

    volume: Volume
    lesions: dict[str, Mask]
    lungs: dict[str, Mask]
    placed: tuple[Lesion, ...]


@dataclass(frozen=True, eq=False)
class InsertedArrays:
    """The same on plain arrays; places are millimetres from the middle of the array, x to the left, y to the back, z up."""

    hu: Field
    lungs: dict[str, Mask]
    placed: tuple[Lesion, ...]


def insert(volume: Volume, lungs: dict[str, Mask], placed: tuple[Placed, ...], rng: np.random.Generator) -> Inserted:
    """Return the CT with diseases in its lungs; places are LPS millimetres of the CT.

    ``lungs`` holds masks on the volume's grid, by lobe or by side (``lung_right``, ``lung_left``).

    Raises:
        ValueError: a kind cannot be inserted, its side is not among the lungs, a nodule does not fit, or slices are not axial.
    """
    flips = _flips(volume)
    turned = {name: mask[flips] for name, mask in lungs.items()}
    made = insert_arrays(volume.hu[flips].astype(np.float32), volume.grid.spacing_mm, turned, placed, rng)
    lesions = tuple(_in_patient(lesion, volume, flips) for lesion in made.placed)
    masks: dict[str, Mask] = {}
    for lesion in lesions:
        masks[lesion.kind] = masks[lesion.kind] | lesion.mask if lesion.kind in masks else lesion.mask
    hu = np.ascontiguousarray(made.hu[flips])
    if volume.hu.dtype == np.int16:
        changed = Volume(np.clip(np.rint(hu), -1024, 32767).astype(np.int16), volume.grid)
    else:
        changed = Volume(hu, volume.grid)
    return Inserted(changed, masks, {name: np.ascontiguousarray(mask[flips]) for name, mask in made.lungs.items()}, lesions)


def insert_arrays(
    hu: Field,
    spacing_mm: tuple[float, float, float],
    lungs: dict[str, Mask],
    placed: tuple[Placed, ...],
    rng: np.random.Generator,
) -> InsertedArrays:
    """Return the array with diseases in its lungs; the arguments are not changed.

    ``hu`` is float32 HU, z to the head, y to the back, x to the left; ``lungs`` as for ``insert``.

    Raises:
        ValueError: a kind cannot be inserted, its side is not among the lungs, or a nodule does not fit.
    """
    if any(item.kind not in INSERTABLE for item in placed):
        raise ValueError(f"only {', '.join(INSERTABLE)} can be inserted, got {sorted({item.kind for item in placed})}")
    canvas = Canvas((hu.shape[0], hu.shape[1], hu.shape[2]), spacing_mm, 0.0)
    now, left = hu.copy(), {name: mask.copy() for name, mask in lungs.items()}
    whole = np.logical_or.reduce(list(lungs.values()))
    grain = measure_grain(now, whole, spacing_mm)
    lesions: list[Lesion] = []
    for item in sorted(placed, key=lambda item: INSERTABLE.index(item.kind)):
        lesions += _insert_one(canvas, now, left, item, grain, lesions, rng)
    return InsertedArrays(now, left, tuple(lesions))


def _insert_one(
    canvas: Canvas, hu: Field, lungs: dict[str, Mask], item: Placed, grain: Grain, before: list[Lesion], rng: np.random.Generator
) -> list[Lesion]:
    """Draw one disease into ``hu`` (and, for fluid, ``lungs``) in place."""
    site = _site(canvas, hu, lungs, item.side)
    box = _window(site).box
    if item.kind == "pleural_effusion":
        return _insert_fluid(hu[box], {name: mask[box] for name, mask in lungs.items()}, site, item, grain, rng)
    if item.kind == "lung_nodule":
        taken = np.logical_or.reduce([np.zeros_like(site.lung), *(lesion.mask[box] for lesion in before)])
        layer = ON_SITE[item.kind](replace(site, lung=site.lung & ~taken), item, rng)
    else:
        layer = ON_SITE[item.kind](site, item, rng)
    blend(hu[box], layer, site.canvas, grain, rng)
    return [record(item.kind, layer, site)]


def _insert_fluid(
    hu: Field, lungs: dict[str, Mask], site: Site, item: Placed, grain: Grain, rng: np.random.Generator
) -> list[Lesion]:
    fluid = effusion(site, item, rng)
    lobes = {name: mask for name, mask in lungs.items() if name.endswith(item.side)}
    if fluid.variant == "free":
        push(hu, fluid.mask, site.lung, lobes)
    for name in lobes:
        lobes[name] &= ~fluid.mask
    lesions = [record(item.kind, fluid, site)]
    beside = Site(site.canvas, hu.copy(), site.lung & ~fluid.mask, site.side, lobes)
    if lesions[0].measurements["volume"] >= PRESSED_ML:
        rim = pressed_lung(beside, fluid.mask, rng)
        blend(hu, rim, site.canvas, grain, rng)
        lesions.append(record("atelectasis", rim, beside))
    blend(hu, fluid, site.canvas, grain, rng)
    return lesions


def _site(canvas: Canvas, hu: Field, lungs: dict[str, Mask], side: str) -> Site:
    parts = {name: mask for name, mask in lungs.items() if name.endswith(f"_{side}")}
    if not parts or not any(mask.any() for mask in parts.values()):
        raise ValueError(f"no {side} lung among {sorted(lungs)}")
    lung = np.logical_or.reduce(list(parts.values()))
    frame = window(canvas, lung, 8.0)
    lobes = {name: mask[frame.box] for name, mask in parts.items() if "lobe" in name}
    return Site(frame, hu[frame.box].copy(), lung[frame.box], side, lobes)


def _window(site: Site) -> Window:
    assert isinstance(site.canvas, Window)  # noqa: S101  (our own mistake: sites of an array are windows)
    return site.canvas


def _flips(volume: Volume) -> _Flips:
    """Steps that turn the array to z to the head, y to the back, x to the left; taken twice they turn it back."""
    grid = volume.grid
    along = (float(grid.normal[2]), float(grid.column_direction[1]), float(grid.row_direction[0]))
    if min(abs(value) for value in along) < 0.8:
        raise ValueError("lesions can be inserted into axial slices only: turn the volume first")
    steps = [slice(None, None, 1 if value > 0 else -1) for value in along]
    return (steps[0], steps[1], steps[2])


def _in_patient(lesion: Lesion, volume: Volume, flips: _Flips) -> Lesion:
    """Return the lesion with its masks on the volume's grid and its place in patient millimetres."""
    grid = volume.grid
    half = (np.array(grid.shape) - 1) / 2
    signs = np.array([step.step for step in flips])
    index = half + signs * np.array(lesion.centre_mm)[::-1] / np.array(grid.spacing_mm)
    centre = grid.to_world_mm(index)
    mask = np.ascontiguousarray(lesion.mask[flips])
    places = np.argwhere(mask)
    ends = [places.min(axis=0) - 0.5, places.max(axis=0) + 0.5] if len(places) else [index, index]
    corners = grid.to_world_mm(np.array([[ends[a][0], ends[b][1], ends[c][2]] for a in (0, 1) for b in (0, 1) for c in (0, 1)]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    return replace(
        lesion,
        mask=mask,
        parts={name: np.ascontiguousarray(part[flips]) for name, part in lesion.parts.items()},
        centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        box_mm=((float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))),
    )
