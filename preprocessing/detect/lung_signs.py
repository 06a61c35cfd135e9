"""Case -> the signs of each lung: how much of it is lines, bronchial lumen, low density or airless, and where most of it lies.

Detectors of diffuse lung disease read these numbers instead of voxels: one pass over the lungs serves them all. A sign is the
share of voxels that show it, in the whole lung or in its worst cell of 16 mm, because disease is regional. Knows no finding.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from scipy import ndimage

from preprocessing.detect.case import Case
from preprocessing.detect.lung_grid import LungGrid, lung_grid
from preprocessing.morphology import Mask3D

CELL_MM = 16.0
"""Edge of a cell: about a secondary lobule (10 to 25 mm)."""
LEAST_LUNG_SHARE = 0.3
"""A cell counts when so much of it is lung away from the pleura."""
WORST = 6
"""Cells averaged for the worst part of a lung: some 25 mL."""
RIM_MM, OUTER_MM = 3.0, 13.0
"""Lung closer to its border than the first is partial volume; the outer zone ends at the second."""
THIN_MM, LUMEN_MM = 7.0, 9.0
"""Windows in the slice: bright things narrower than the first are lines or vessels, dark ones narrower than the second lumina."""
LINE_HU, STRONG_HU = 110.0, 260.0
"""A line stands out from its surroundings by this much; walls and vessels by more."""
LUMEN_DEPTH_HU, LUMEN_HU = 220.0, -880.0
"""A lumen is this much darker than the ring around it, and about air."""
LOW_HU = -950.0
"""Low attenuation (LAA-950), on block averages, so that noise counts for little."""
AIRLESS_HU, GLASS_HU = -420.0, -720.0
"""Airless tissue, half way between lung and soft tissue; ground glass lies between the second and the first."""
SMALL_CELL_MM = 8.0
"""Edge of the cells in which the density of parenchyma is compared with its neighbours."""


@dataclass(frozen=True, eq=False)
class Signs:
    """The signs of one lung by name (shares in percent, areas in mm2, densities in HU) and the place of each worst cell.

    ``places`` are (z, y, x) on the study's voxels in patient order.
    """

    values: dict[str, float]
    places: dict[str, tuple[float, float, float]]


def lung_signs(case: Case) -> dict[str, Signs]:
    """Return the signs of each lung that was found; keep them with ``case.once(lung_signs)``."""
    grid = case.once(lung_grid)
    if grid is None:
        return {}
    maps = _maps(grid)
    return {side: _signs(grid, maps, mask) for side, mask in grid.sides.items() if mask.any()}


@dataclass(frozen=True, eq=False)
class _Maps:
    """What each voxel of the lungs shows."""

    masks: dict[str, Mask3D]
    zones: dict[str, Mask3D]
    is_parenchyma: Mask3D
    lumen: Mask3D
    hu: Float32[np.ndarray, "z y x"]


def _window(edge_mm: float, grid: LungGrid) -> tuple[int, int, int]:
    """An odd window in the slice."""
    rows, columns = (2 * round(edge_mm / step / 2) + 1 for step in grid.spacing_mm[1:])
    return (1, max(3, rows), max(3, columns))


def _maps(grid: LungGrid) -> _Maps:
    hu = grid.filled()
    lungs = grid.lungs
    rim, outer = (_inside(lungs, depth, grid) for depth in (RIM_MM, OUTER_MM))
    broad = ndimage.grey_opening(hu, _window(THIN_MM, grid))
    stands_out = hu - broad
    narrow = ndimage.grey_closing(hu, _window(LUMEN_MM, grid)) - hu
    is_dark = (hu < LUMEN_HU) & lungs
    lumen = is_dark & (narrow > LUMEN_DEPTH_HU)
    masks = {
        "line": stands_out > LINE_HU,
        "strong": stands_out > STRONG_HU,
        "lumen": lumen,
        "low": hu < LOW_HU,
        "airless": broad > AIRLESS_HU,
        "glass": (broad > GLASS_HU) & (broad <= AIRLESS_HU),
    }
    parenchyma = rim & (stands_out < 60.0) & (hu < -600.0) & (narrow < 90.0)
    zones = {"outer": rim & ~outer, "inner": outer}
    return _Maps(masks, zones, parenchyma, lumen, hu)


def _inside(lungs: Mask3D, depth_mm: float, grid: LungGrid) -> Mask3D:
    """Lung whose surrounding box of twice the depth is lung."""
    window = [2 * round(depth_mm / step) + 1 for step in grid.spacing_mm]
    return np.asarray(ndimage.minimum_filter(lungs.view(np.uint8), window, mode="nearest") > 0)


def _signs(grid: LungGrid, maps: _Maps, lung: Mask3D) -> Signs:
    """The signs of one lung, within its own box."""
    box = ndimage.find_objects(lung.view(np.uint8))[0]
    inside = lung[box]
    values: dict[str, float] = {}
    places: dict[str, tuple[float, float, float]] = {}
    for zone, area in maps.zones.items():
        room = area[box] & inside
        cells = _cells(room, CELL_MM, grid)
        counts = cells > LEAST_LUNG_SHARE * cells.max() if cells.size else cells > 0
        for name, mask in maps.masks.items():
            key = f"{name}_{zone}"
            share = np.where(counts, 100.0 * _cells(mask[box] & room, CELL_MM, grid) / np.maximum(cells, 1.0), 0.0)
            values[key] = 100.0 * float((mask[box] & room).sum()) / max(int(room.sum()), 1)
            values[f"{key}_worst"] = _worst(share)
            places[key] = _place(share, box, grid)
    away = (maps.zones["outer"] | maps.zones["inner"])[box] & inside
    values["low"] = 100.0 * float((maps.masks["low"][box] & away).sum()) / max(int(away.sum()), 1)
    values |= _mosaic(grid, maps, box, inside)
    values |= _bronchi(grid, maps, box, inside)
    values |= _airless_parts(grid, maps, box, inside)
    return Signs(values, places)


def _cells(mask: Mask3D, edge_mm: float, grid: LungGrid) -> Float64[np.ndarray, "a b c"]:
    """Voxels of a mask in each cell."""
    counts = mask.astype(np.float32)
    for axis, step in enumerate(grid.spacing_mm):
        starts = np.arange(0, counts.shape[axis], max(1, round(edge_mm / step)))
        counts = np.add.reduceat(counts, starts, axis=axis)
    return counts.astype(np.float64)


def _worst(share: Float64[np.ndarray, "a b c"]) -> float:
    flat = np.sort(share.ravel())[-WORST:]
    return float(flat.mean()) if flat.size else 0.0


def _place(share: Float64[np.ndarray, "a b c"], box: tuple[slice, ...], grid: LungGrid) -> tuple[float, float, float]:
    """Middle of the worst cell on the study's voxels in patient order."""
    worst = np.unravel_index(int(np.argmax(share)), share.shape)
    cell = np.array([max(1, round(CELL_MM / step)) for step in grid.spacing_mm])
    low = np.array([part.start for part in box])
    last = np.array([part.stop - 1 for part in box])
    z, y, x = grid.to_study(np.minimum(low + (np.array(worst) + 0.5) * cell, last))
    return float(z), float(y), float(x)


def _mosaic(grid: LungGrid, maps: _Maps, box: tuple[slice, ...], inside: Mask3D) -> dict[str, float]:
    """How far the parenchyma's density departs from its slope with gravity, and how sharply it changes between cells."""
    room = maps.is_parenchyma[box] & inside
    count = _cells(room, SMALL_CELL_MM, grid)
    total = _weighted_cells(np.where(room, maps.hu[box], np.float32(0.0)), grid)
    full = count > 0.35 * max(float(count.max()), 1.0)
    if full.sum() < 20:
        return {"spread": 0.0, "two_levels": 0.0, "steps": 0.0}
    density = total / np.maximum(count, 1.0)
    at = np.argwhere(full).astype(np.float64)
    slope = np.column_stack([np.ones(len(at)), at, at[:, 1] ** 2])
    fit, *_ = np.linalg.lstsq(slope, density[full], rcond=None)
    rest = np.full(density.shape, np.nan)
    rest[full] = density[full] - slope @ fit
    values = np.sort(rest[full])
    steps = np.concatenate([np.abs(np.diff(rest, axis=axis)).ravel() for axis in range(3)])
    steps = steps[np.isfinite(steps)]
    return {
        "spread": float(np.percentile(values, 95) - np.percentile(values, 5)),
        "two_levels": _two_levels(values),
        "steps": float(np.percentile(steps, 90)) if steps.size else 0.0,
    }


def _weighted_cells(values: Float32[np.ndarray, "z y x"], grid: LungGrid) -> Float64[np.ndarray, "a b c"]:
    total = values
    for axis, step in enumerate(grid.spacing_mm):
        starts = np.arange(0, total.shape[axis], max(1, round(SMALL_CELL_MM / step)))
        total = np.add.reduceat(total, starts, axis=axis)
    return total.astype(np.float64)


def _two_levels(ordered: Float64[np.ndarray, "n"]) -> float:
    """Share of the variance that a cut into two levels explains (Otsu 1979): 0.64 for one normal level, 1 for two sharp ones."""
    count = np.arange(1, len(ordered))
    low = np.cumsum(ordered)[:-1] / count
    high = (ordered.sum() - np.cumsum(ordered)[:-1]) / (len(ordered) - count)
    between = count * (len(ordered) - count) * (high - low) ** 2 / len(ordered) ** 2
    return float(between.max() / max(float(ordered.var()), 1e-6))


def _bronchi(grid: LungGrid, maps: _Maps, box: tuple[slice, ...], inside: Mask3D) -> dict[str, float]:
    """Cross-sections of bronchi: how many, how wide, how thick their wall, and how wide against the vessel beside them."""
    lumen = maps.lumen[box] & inside
    in_slice = np.zeros((3, 3, 3), bool)
    in_slice[1] = True
    parts, count = ndimage.label(lumen, in_slice)
    names = ("sections", "lumen_mm2", "wall_mm", "to_artery", "many_wide")
    if count == 0:
        return dict.fromkeys(names, 0.0)
    pixel_mm2 = grid.spacing_mm[1] * grid.spacing_mm[2]
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:] * pixel_mm2
    near = ndimage.maximum_filter(parts, _window(2.0 * 2.5, grid))
    beside = ndimage.maximum_filter(parts, _window(2.0 * 6.0, grid))
    dense, vessel = maps.hu[box] > -650.0, maps.hu[box] > -350.0
    ring = np.bincount(near[dense & (parts == 0)], minlength=count + 1)[1:] * pixel_mm2
    vessels = np.bincount(beside[vessel & (parts == 0)], minlength=count + 1)[1:] * pixel_mm2
    outside = np.isin(np.arange(1, count + 1), np.unique(parts[maps.zones["inner"][box]]))
    radius = np.sqrt(area / np.pi)
    wall = np.sqrt((area + ring) / np.pi) - radius
    counts = (area >= 2.0 * pixel_mm2) & outside
    if not counts.any():
        return dict.fromkeys(names, 0.0)
    lung_l = float(inside.sum()) * grid.voxel_ml / 1000.0
    height = grid.spacing_mm[0]
    ratio = np.sqrt(area / np.maximum(vessels, pixel_mm2))
    return {
        "sections": float(counts.sum()) * height / lung_l,
        "lumen_mm2": float(np.percentile(area[counts], 85)),
        "wall_mm": float(np.percentile(wall[counts], 75)),
        "to_artery": float(np.percentile(ratio[counts], 85)),
        "many_wide": float((counts & (ratio > 1.0) & (area > 6.0)).sum()) * height / lung_l,
    }


def _airless_parts(grid: LungGrid, maps: _Maps, box: tuple[slice, ...], inside: Mask3D) -> dict[str, float]:
    """Airless tissue by shape: thin plates, a layer along the back, and the rest; all in mL."""
    airless = maps.masks["airless"][box] & inside
    step = 2
    small = airless[:, ::step, ::step]
    parts, count = ndimage.label(small, np.ones((3, 3, 3)))
    found = {"plate_ml": 0.0, "rear_ml": 0.0, "mass_ml": 0.0}
    if count == 0:
        return found
    edges = np.array([grid.spacing_mm[0], grid.spacing_mm[1] * step, grid.spacing_mm[2] * step])
    voxel_ml = float(np.prod(edges)) / 1000.0
    rear = small.shape[1] - 1 - np.argmax(inside[:, ::step, ::step][:, ::-1], axis=1)  # last row of lung in each column
    for label, part_box in enumerate(ndimage.find_objects(parts), start=1):
        voxels = np.argwhere(parts[part_box] == label) + [part.start for part in part_box]
        ml = len(voxels) * voxel_ml
        if ml < 0.4:
            continue
        spread = np.linalg.eigvalsh(np.cov((voxels * edges).T) + np.eye(3) * 0.3)
        thick, _, long = 3.46 * np.sqrt(spread)  # a uniform slab of thickness t has deviation t / 3.46
        middle = 3.46 * np.sqrt(spread[1])
        behind = np.mean((rear[voxels[:, 0], voxels[:, 2]] - voxels[:, 1]) * edges[1] < 18.0)
        kind = "plate_ml" if thick < 10.0 and middle > 2.2 * thick and long > 20.0 else "rear_ml" if behind > 0.75 else "mass_ml"
        found[kind] += ml
    return found
