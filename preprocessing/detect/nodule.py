"""Case -> lung nodules: round candidates, judged by a small trained network, each with its border and diameters.

    lungs at 1.25 mm -> candidates.py -> nodule_network.py -> nodule_size.py -> Nodule, Nodule...

Solid, part-solid and ground-glass nodules from 4 to 30 mm, free, on a vessel or on the pleura. What lies in or against a wide
opacity is left to the opacities.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from medomni.reporting.hedge import presence_of
from medomni.types.finding import Presence
from medomni.types.volume import Grid
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.candidates import Candidate, find_candidates
from preprocessing.detect.case import Case
from preprocessing.detect.lung_grid import lung_grid
from preprocessing.detect.nodule_patches import patches_at
from preprocessing.detect.nodule_size import SizedNodule, sized

LABEL = "lung_nodule"
COARSEST_SLICE_MM, COARSEST_PIXEL_MM = 3.1, 1.6
"""Sampling up to which nodules are looked for: beyond it the smallest ones fill less than two voxels."""
LEAST_LOGIT = 0.5
"""Candidates below this are never looked at; the calibrated probability is far below *possible* there."""
SMALLEST_MM, SMALLEST_SUBSOLID_MM, LARGEST_MM = 4.0, 5.0, 30.0
"""Mean diameter of what is reported: micronodules are no finding (Fleischner 2017), faint ones are told from vessels only when
larger; above 30 mm it is a mass."""
LEAST_AIR_SHARE = 0.4
"""Least share of aerated lung around a nodule; in pneumonia and at the hilum there is less."""
LEAST_ROUND, FULLNESS, MOST_STALK = 0.55, (0.45, 1.45), 0.25
"""Least short over long axis, volume over that of a ball, and most of the surface that goes on as a strand in a solid nodule.

Measured: inserted nodules 0.65 and more, 0.6 to 1.35, 0.13 at most; most pieces of hilar vessels fail at least one.
"""
WIDER_THAN_VESSELS_MM = 12.0
"""From this mean diameter on a strand says nothing: only at the hilum are vessels so wide, and there the network must tell.

On six real CT the rule kept away nothing of that size that the network called possible; on a phantom it hid a nodule of 26 mm.
"""
MOST = 40
"""Nodules looked at, most likely first."""


@dataclass(frozen=True, eq=False)
class Nodule:
    """One nodule with the logit of the network."""

    logit: float
    sized: SizedNodule

    @property
    def probability(self) -> float:
        """Calibrated probability that it is a nodule."""
        return calibrated(LABEL, self.logit)


@dataclass(frozen=True, eq=False)
class _Judged:
    """A candidate: its radius, where it lies (z, y, x on the study's voxels in patient order) and the logit of the network."""

    radius_mm: float
    place: Float64[np.ndarray, "3"]
    logit: float


def shows_nodules(grid: Grid) -> bool:
    """Whether the sampling shows nodules of 4 mm."""
    slice_mm, row_mm, column_mm = grid.spacing_mm
    return slice_mm <= COARSEST_SLICE_MM and max(row_mm, column_mm) <= COARSEST_PIXEL_MM


def reported_nodules(case: Case) -> tuple[Nodule, ...]:
    """The nodules whose probability allows a claim, largest first; none where the sampling is too coarse."""
    if not shows_nodules(case.volume.grid):
        return ()
    return tuple(sorted(_nodules(case, _is_claimed), key=lambda nodule: -nodule.sized.mean_mm))


def best_logit(case: Case) -> float | None:
    """The logit of the likeliest nodule, for calibration; that of the least candidate where there is none, None out of scope."""
    if "lungs" not in case.coverage.evaluated or not shows_nodules(case.volume.grid):
        return None
    return max((nodule.logit for nodule in case.once(find_nodules)), default=LEAST_LOGIT - 1.0)


def find_nodules(case: Case) -> tuple[Nodule, ...]:
    """Return all that may be a nodule, most likely first, also what is too unlikely for a claim."""
    return _nodules(case, lambda logit: logit >= LEAST_LOGIT)


def _is_claimed(logit: float) -> bool:
    return logit >= LEAST_LOGIT and presence_of(calibrated(LABEL, logit)) is not Presence.ABSENT


def _nodules(case: Case, is_looked_at: Callable[[float], bool]) -> tuple[Nodule, ...]:
    """The nodules whose logit is looked at, most likely first; outlining them is what costs."""
    candidates = case.once(_judged)
    return _kept(case, [one for one in candidates if is_looked_at(one.logit)])


def _judged(case: Case) -> tuple[_Judged, ...]:
    """What looks like a blob, likeliest a nodule first."""
    grid = case.once(lung_grid)
    if grid is None:
        return ()
    candidates = _distinct(find_candidates(grid))
    if not candidates:
        return ()
    from preprocessing.detect.nodule_network import nodule_logits

    places = grid.to_study(np.array([candidate.place for candidate in candidates]))
    logits = nodule_logits(patches_at(case.coarse, places))
    return tuple(_Judged(candidates[k].radius_mm, places[k], float(logits[k])) for k in np.argsort(-logits))


def _distinct(candidates: tuple[Candidate, ...]) -> list[Candidate]:
    """One candidate for each place, of the radius with the highest contrast."""
    places: dict[tuple[float, float, float], Candidate] = {}
    for candidate in candidates:
        if candidate.contrast_hu > places.get(candidate.place, candidate).contrast_hu or candidate.place not in places:
            places[candidate.place] = candidate
    return list(places.values())


def _kept(case: Case, candidates: Sequence[_Judged]) -> tuple[Nodule, ...]:
    """The nodules among candidates, each once."""
    spacing = np.array(case.fine_spacing_mm)
    kept: list[Nodule] = []
    for one in candidates:
        if len(kept) == MOST:
            break
        if any(_is_inside(nodule.sized, one.place, spacing) for nodule in kept):
            continue
        found = sized(case, one.place, one.radius_mm)
        if found is None or not is_nodule_shaped(found) or found.air_share < LEAST_AIR_SHARE:
            continue
        if not any(_is_inside(nodule.sized, np.array(found.centre), spacing) for nodule in kept):
            kept.append(Nodule(one.logit, found))
    return tuple(kept)


def is_nodule_shaped(nodule: SizedNodule) -> bool:
    """Whether the size and the shape are those of a nodule and not of a piece of vessel."""
    smallest_mm = SMALLEST_MM if nodule.solid_share >= 0.5 else SMALLEST_SUBSOLID_MM
    is_sized = smallest_mm <= nodule.mean_mm <= LARGEST_MM
    is_ball = nodule.short_mm >= LEAST_ROUND * nodule.long_mm and FULLNESS[0] <= nodule.fullness <= FULLNESS[1]
    may_be_vessel = nodule.solid_share >= 0.5 and nodule.mean_mm < WIDER_THAN_VESSELS_MM
    return is_sized and is_ball and not (may_be_vessel and nodule.stalk_share > MOST_STALK)


def _is_inside(nodule: SizedNodule, place: Float64[np.ndarray, "3"], spacing_mm: Float64[np.ndarray, "3"]) -> bool:
    """Whether a place lies in a nodule or within 2 mm of it, taken as a ball."""
    distance = np.linalg.norm((place - np.array(nodule.centre)) * spacing_mm)
    return bool(distance < max(nodule.long_mm / 2 + 2.0, 4.0))
