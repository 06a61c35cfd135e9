"""Lungs at about 1.25 mm -> places that look like a blob, each with its radius, contrast and roundness.

Difference of Gaussians over six scales (Lindeberg 1998: a ball of radius r answers most at sigma = r / sqrt(3)), then the
curvatures at each peak: a ball curves alike in all directions, a vessel or a fissure does not. Finds far more than nodules;
``nodule_network.py`` tells them apart.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy import ndimage

from preprocessing.detect.case import Case
from preprocessing.detect.lung_grid import LungGrid, lung_grid

RADII_MM = (2.0, 2.8, 4.0, 5.6, 8.0, 11.5, 16.0)
"""Radii of the blobs looked for: nodules of 4 to 30 mm, in steps of sqrt(2)."""
LEAST_HU = 45.0
"""Least difference of Gaussians: ground glass of 200 HU contrast answers with some 80 HU, noise of 20 HU a voxel with 10."""
LEAST_ROUNDNESS = 0.16
"""Least ratio of the smallest to the largest curvature of a peak: 1 for a ball, 0 for a straight vessel."""
ENOUGH_HU = 110.0
"""More contrast than this makes a candidate no likelier."""
MOST = (60, 70, 90, 100, 90, 60, 30)
"""Candidates handed on for each radius, strongest first: bounds the cost of the network."""
COARSER_FROM_MM = 5.0
"""Blobs of this radius and more are looked for on every second voxel."""


@dataclass(frozen=True)
class Candidate:
    """One blob: (z, y, x) on the lung grid, radius in mm, contrast in HU, and roundness from 0 to 1."""

    place: tuple[float, float, float]
    radius_mm: float
    contrast_hu: float
    roundness: float


def find_candidates(grid: LungGrid) -> tuple[Candidate, ...]:
    """Return the blobs of both lungs, strongest first; blobs of one radius lie apart, those of two may be the same thing."""
    hu, spacing, step = grid.filled(), grid.spacing_mm, 1
    lungs = grid.lungs
    found: list[Candidate] = []
    smooth = _smoothed(hu, _sigma_mm(RADII_MM[0]) / 2**0.25, 0.0, spacing)
    reached = _sigma_mm(RADII_MM[0]) / 2**0.25
    for radius, most in zip(RADII_MM, MOST, strict=True):
        if radius >= COARSER_FROM_MM and step == 1:
            smooth, lungs, step = smooth[::2, ::2, ::2], lungs[::2, ::2, ::2], 2
            spacing = (2 * spacing[0], 2 * spacing[1], 2 * spacing[2])
        wider = _sigma_mm(radius) * 2**0.25
        next_smooth = _smoothed(smooth, wider, reached, spacing)
        found += _apart(_peaks(smooth - next_smooth, lungs, radius, step, spacing), most, grid.spacing_mm)
        smooth, reached = next_smooth, wider
    return tuple(sorted(found, key=_strength, reverse=True))


def _strength(candidate: Candidate) -> float:
    """Rank of a candidate: round before bright, for a ground-glass ball is fainter than any vessel."""
    return min(candidate.contrast_hu, ENOUGH_HU) * candidate.roundness


def _sigma_mm(radius_mm: float) -> float:
    return float(radius_mm / 3.0**0.5)


def _smoothed(
    hu: Float32[np.ndarray, "z y x"], sigma_mm: float, reached_mm: float, spacing_mm: tuple[float, float, float]
) -> Float32[np.ndarray, "z y x"]:
    """Smooth further, from one sigma to a wider one."""
    more = (sigma_mm**2 - reached_mm**2) ** 0.5
    return np.asarray(ndimage.gaussian_filter(hu, [more / step for step in spacing_mm], truncate=2.5, mode="nearest"))


def _peaks(
    response: Float32[np.ndarray, "z y x"],
    lungs: np.ndarray,
    radius_mm: float,
    step: int,
    spacing_mm: tuple[float, float, float],
) -> list[Candidate]:
    """Peaks of one scale inside the lungs that curve down in all directions."""
    inner = np.zeros_like(lungs)
    inner[1:-1, 1:-1, 1:-1] = lungs[1:-1, 1:-1, 1:-1]
    strong = np.argwhere((response > LEAST_HU) & inner)
    strong = strong[_is_peak(response, strong)]
    roundness = _roundness(response, strong, spacing_mm)
    kept = roundness >= LEAST_ROUNDNESS
    return [
        Candidate(_finer(place, step), radius_mm, float(response[tuple(place)]), float(round_))
        for place, round_ in zip(strong[kept], roundness[kept], strict=True)
    ]


def _finer(place: Int64[np.ndarray, "3"], step: int) -> tuple[float, float, float]:
    return float(place[0] * step), float(place[1] * step), float(place[2] * step)


def _is_peak(response: Float32[np.ndarray, "z y x"], places: Int64[np.ndarray, "n 3"]) -> np.ndarray:
    """Whether each voxel is the highest among its 26 neighbours."""
    flat, strides = response.ravel(), np.array([response.shape[1] * response.shape[2], response.shape[2], 1])
    index = places @ strides
    height = flat[index]
    is_peak = np.ones(len(places), bool)
    for offset in np.ndindex(3, 3, 3):
        if offset != (1, 1, 1):
            is_peak[is_peak] = height[is_peak] >= flat[index[is_peak] + (np.array(offset) - 1) @ strides]
    return is_peak


def _roundness(
    response: Float32[np.ndarray, "z y x"], places: Int64[np.ndarray, "n 3"], spacing_mm: tuple[float, float, float]
) -> Float64[np.ndarray, "n"]:
    """Smallest over largest downward curvature (eigenvalues of the Hessian) at each place; 0 where one curves up."""

    def at(offset: Int64[np.ndarray, "3"]) -> np.ndarray:
        return np.asarray(response[tuple((places + offset).T)].astype(np.float64))

    hessian = np.zeros((len(places), 3, 3))
    unit = np.eye(3, dtype=np.int64)
    for a in range(3):
        hessian[:, a, a] = (at(unit[a]) - 2 * at(0 * unit[a]) + at(-unit[a])) / spacing_mm[a] ** 2
        for b in range(a):
            cross = at(unit[a] + unit[b]) + at(-unit[a] - unit[b]) - at(unit[a] - unit[b]) - at(unit[b] - unit[a])
            hessian[:, a, b] = hessian[:, b, a] = cross / (4.0 * spacing_mm[a] * spacing_mm[b])
    curvature = np.linalg.eigvalsh(-hessian)  # rising
    return np.where(curvature[:, 0] > 0, curvature[:, 0] / np.maximum(curvature[:, 2], 1e-9), 0.0)


def _apart(found: list[Candidate], most: int, spacing_mm: tuple[float, float, float]) -> list[Candidate]:
    """The strongest candidates of one radius, none with its centre inside another."""
    kept: list[Candidate] = []
    places = np.array([c.place for c in found]).reshape(-1, 3) * spacing_mm
    is_free = np.ones(len(found), bool)
    for k in sorted(range(len(found)), key=lambda k: -_strength(found[k])):
        if is_free[k] and len(kept) < most:
            kept.append(found[k])
            is_free &= np.linalg.norm(places - places[k], axis=1) >= found[k].radius_mm
    return kept


def candidate_places(case: Case) -> Float64[np.ndarray, "n 3"]:
    """Places of all candidates, (z, y, x) on the study's voxels in patient order, strongest first; each place once."""
    grid = lung_grid(case)
    if grid is None:
        return np.zeros((0, 3))
    places = {candidate.place: None for candidate in find_candidates(grid)}
    return grid.to_study(np.array(list(places)).reshape(-1, 3))
