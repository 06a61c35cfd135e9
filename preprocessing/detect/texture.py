"""Case -> how much of each lung shows each disease, and where most of it lies, by the texture network.

Detectors of diffuse lung disease and of airless lung read these volumes instead of voxels: one pass over the lungs serves them
all. Knows what the network's channels mean and no finding.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from preprocessing.detect.case import Case
from preprocessing.detect.lung_grid import LungGrid, lung_grid
from preprocessing.detect.nodule import shows_nodules
from preprocessing.detect.texture_kinds import BLOCK, DIVISOR, GRID_MM, KINDS

SHOWN = 0.5
"""Probability from which a cell shows a disease."""
CELL_MM = (GRID_MM[0], GRID_MM[1] * BLOCK, GRID_MM[2] * BLOCK)
"""Edges of a cell: the network answers once for each."""
CELL_ML = CELL_MM[0] * CELL_MM[1] * CELL_MM[2] / 1000.0
AIR_HU = -1000.0

Cells = Bool[np.ndarray, "z y x"]


@dataclass(frozen=True, eq=False)
class Textures:
    """Probabilities of each disease in each cell of the lungs' box, and which cells are lung.

    ``sides`` has the cells of each lung that was found ("right", "left", "unknown"); a cell is ``CELL_MM`` large.
    """

    grid: LungGrid
    probability: Float32[np.ndarray, "kind z y x"]
    sides: dict[str, Cells]

    def millilitres(self, kind: str, side: str) -> float:
        """Volume of the lung of one side that shows a disease."""
        shown = self.probability[KINDS.index(kind)] >= SHOWN
        return float((shown & self.sides[side]).sum()) * CELL_ML

    def on_coarse(self, kind: str, case: Case) -> Float32[np.ndarray, "z y x"]:
        """Probability of a disease on the case's coarse grid, 0 outside the lungs' box."""
        cells = self.probability[KINDS.index(kind)]
        taken, inside = [], []
        for axis, count in enumerate(case.coarse.hu.shape):
            study = np.arange(count) * case.coarse.block[axis] + (case.coarse.block[axis] - 1) / 2
            own = (study - self.grid.start[axis] - (self.grid.block[axis] - 1) / 2) / self.grid.block[axis]
            index = np.floor((own + 0.5) * self.grid.spacing_mm[axis] / CELL_MM[axis]).astype(int)
            inside.append((index >= 0) & (index < cells.shape[axis]))
            taken.append(np.clip(index, 0, cells.shape[axis] - 1))
        z, y, x = inside
        return np.where(z[:, None, None] & y[:, None] & x, cells[np.ix_(*taken)], np.float32(0))

    def place(self, kind: str, side: str) -> tuple[float, float, float]:
        """Where most of a disease lies in one lung: (z, y, x) on the study's voxels in patient order."""
        shown = np.where(self.sides[side], self.probability[KINDS.index(kind)], np.float32(0))
        dense = ndimage.uniform_filter(shown, [2 * round(6.0 / edge) + 1 for edge in CELL_MM], mode="constant")
        cell = np.array(np.unravel_index(int(np.argmax(dense * self.sides[side])), dense.shape))
        z, y, x = self.grid.to_study((cell + 0.5) * CELL_MM / self.grid.spacing_mm - 0.5)
        return float(z), float(y), float(x)


def lung_textures(case: Case) -> Textures | None:
    """Return the textures of the lungs; keep them with ``case.once(lung_textures)``.

    None when the segmenter found no lung, or the sampling is too coarse for small things.
    """
    grid = case.once(lung_grid) if shows_nodules(case.volume.grid) else None
    if grid is None:
        return None
    from preprocessing.detect.texture_network import probabilities

    image = _resampled(grid)
    sides = {side: _cells(mask, grid) for side, mask in grid.sides.items() if mask.any()}
    shape = next(iter(sides.values())).shape if sides else _cells(grid.lungs, grid).shape
    probability = probabilities(image)[:, : shape[0], : shape[1], : shape[2]]
    return Textures(grid, probability, sides)


def _resampled(grid: LungGrid) -> Float32[np.ndarray, "z y x"]:
    """The lungs' box on the network's grid, its sides filled up with air to what the network takes."""
    hu = grid.hu
    wide = [2 * max(0, round((wanted / step - 1) / 2)) + 1 for wanted, step in zip(GRID_MM, grid.spacing_mm, strict=True)]
    if max(wide) > 1:
        hu = ndimage.uniform_filter(hu, wide)
    places = [_places(n, step, edge) for n, step, edge in zip(hu.shape, grid.spacing_mm, GRID_MM, strict=True)]
    for axis, place in enumerate(places):
        hu = _interpolated(hu, axis, place)
    lacking = [(0, -n % divisor) for n, divisor in zip(hu.shape, DIVISOR, strict=True)]
    return np.asarray(np.pad(hu, lacking, constant_values=AIR_HU), np.float32)


def _places(count: int, step_mm: float, edge_mm: float) -> np.ndarray:
    """Indices of the middles of voxels of another size, from the same outer edge."""
    wanted = max(1, int(np.ceil(count * step_mm / edge_mm - 0.5)))
    return np.asarray(np.clip((np.arange(wanted) + 0.5) * edge_mm / step_mm - 0.5, 0, count - 1))


def _interpolated(hu: Float32[np.ndarray, "..."], axis: int, places: np.ndarray) -> Float32[np.ndarray, "..."]:
    low = np.minimum(places.astype(int), max(0, hu.shape[axis] - 2))
    share = (places - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    high = np.minimum(low + 1, hu.shape[axis] - 1)
    return np.asarray(np.take(hu, low, axis) * (1 - share) + np.take(hu, high, axis) * share)


def _cells(mask: Bool[np.ndarray, "a b c"], grid: LungGrid) -> Cells:
    """The cells whose middle lies in a mask of the lung grid."""
    for axis, (edge, step) in enumerate(zip(CELL_MM, grid.spacing_mm, strict=True)):
        mask = np.take(mask, np.floor(_places(mask.shape[axis], step, edge) + 0.5).astype(int), axis)
    return mask
