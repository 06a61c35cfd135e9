"""Case -> emphysema by densitometry: lung below -950 HU, judged on block averages, stated on the study's own voxels."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medomni.reporting.hedge import presence_of
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.lung_grid import lung_grid
from preprocessing.detect.place import Outline, block_outline, evidence_at
from preprocessing.measure.regions import lungs_by_side, weighted_mean
from preprocessing.morphology import Mask3D

LABEL, LOW = "emphysema", "low_attenuation"
LOW_HU = -950.0
"""Low attenuation (LAA-950)."""
RIM_MM = 3.0
"""Lung closer to its border than this is partial volume."""


@dataclass(frozen=True, eq=False)
class LowLung:
    """One lung on the blocks of its grid: what is not partial volume at its border, and what of it is of low attenuation."""

    inside: Mask3D
    low: Mask3D

    @property
    def percent(self) -> float:
        """Low-attenuation area."""
        return 100.0 * float(self.low.sum()) / max(int(self.inside.sum()), 1)


def low_percent(case: Case) -> float | None:
    """Low-attenuation area (%) of the worse lung on block averages, so that noise counts for little; None out of scope."""
    if "lungs" not in case.coverage.evaluated:
        return None
    return max((lung.percent for lung in case.once(low_lungs).values()), default=None)


def low_lungs(case: Case) -> dict[str, LowLung]:
    """Each lung that was found; keep them with ``case.once(low_lungs)``."""
    grid = case.once(lung_grid)
    if grid is None:
        return {}
    window = [2 * round(RIM_MM / step) + 1 for step in grid.spacing_mm]
    core = ndimage.minimum_filter(grid.lungs.view(np.uint8), window, mode="nearest") > 0
    low = grid.hu < LOW_HU
    return {side: LowLung(lung & core, lung & core & low) for side, lung in grid.sides.items() if lung.any()}


def emphysema(case: Case) -> tuple[Finding, ...]:
    """The averaged low-attenuation area of the worse lung decides, that of the voxels is stated."""
    if "lungs" not in case.coverage.evaluated:
        return ()
    lungs = lungs_by_side(case.regions)
    probability = case.once(_probabilities)
    worst = max(probability.values(), default=0.0)
    figures = {"total": weighted_mean([region for parts in lungs.values() for region in parts], "laa950")}
    if presence_of(worst) is not Presence.ABSENT:
        shares = {side: weighted_mean(parts, "laa950") for side, parts in lungs.items() if parts and side != "unknown"}
        figures = shares | figures
    named = case.once(_named)
    return (
        Finding(
            id=LABEL,
            label=LABEL,
            presence=presence_of(worst),
            probability=worst,
            laterality=Laterality.of(side for side in named if side != "unknown"),
            measurements=tuple(
                Measurement(name=f"laa950_{side}", value=share, unit="%", structure="lungs", decimals=1)
                for side, share in figures.items()
            ),
            evidence=tuple(_evidence(case, low) for low in named.values()),
        ),
    )


def emphysema_outline(case: Case) -> tuple[Outline, ...]:
    """Outline of what is of low attenuation in the lungs that the finding names."""
    grid, named = case.once(lung_grid), case.once(_named)
    if grid is None or not named:
        return ()
    return block_outline(case, np.logical_or.reduce(list(named.values())), grid.block, grid.start)


def _probabilities(case: Case) -> dict[str, float]:
    return {side: calibrated(LABEL, lung.percent) for side, lung in case.once(low_lungs).items()}


def _named(case: Case) -> dict[str, Mask3D]:
    """The blocks of low attenuation of each lung that holds enough of them to be named."""
    lungs, probability = case.once(low_lungs), case.once(_probabilities)
    return {side: lungs[side].low for side in lungs if presence_of(probability[side]) is not Presence.ABSENT}


def _evidence(case: Case, low: Mask3D) -> Evidence:
    grid = case.once(lung_grid)
    places = np.zeros((0, 3)) if grid is None else grid.to_study(np.argwhere(low))
    return evidence_at(case, places, LOW, "densitometry")
