"""Case -> emphysema by densitometry: lung below -950 HU, judged on block averages, stated on the study's own voxels."""

import numpy as np
from scipy import ndimage

from medomni.reporting.hedge import presence_of
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.lung_grid import LungGrid, lung_grid
from preprocessing.measure.regions import lungs_by_side, weighted_mean

LABEL = "emphysema"
LOW_HU = -950.0
"""Low attenuation (LAA-950)."""
RIM_MM = 3.0
"""Lung closer to its border than this is partial volume."""


def low_percent(case: Case) -> float | None:
    """Low-attenuation area of the worse lung on block averages, so that noise counts for little; None out of scope."""
    if "lungs" not in case.coverage.evaluated:
        return None
    return max(case.once(low_percent_by_side).values(), default=None)


def low_percent_by_side(case: Case) -> dict[str, float]:
    """Low-attenuation area (%) of each lung that was found, on block averages."""
    grid = case.once(lung_grid)
    return {} if grid is None else {side: _low_percent(grid, mask) for side, mask in grid.sides.items() if mask.any()}


def _low_percent(grid: LungGrid, lung: np.ndarray) -> float:
    window = [2 * round(RIM_MM / step) + 1 for step in grid.spacing_mm]
    inside = lung & (ndimage.minimum_filter(grid.lungs.view(np.uint8), window, mode="nearest") > 0)
    return 100.0 * float((inside & (grid.hu < LOW_HU)).sum()) / max(int(inside.sum()), 1)


def emphysema(case: Case) -> tuple[Finding, ...]:
    """The averaged low-attenuation area of the worse lung decides, that of the voxels is stated."""
    if "lungs" not in case.coverage.evaluated:
        return ()
    lungs = lungs_by_side(case.regions)
    probability = {side: calibrated(LABEL, percent) for side, percent in case.once(low_percent_by_side).items()}
    worst = max(probability.values(), default=0.0)
    both = [region for parts in lungs.values() for region in parts]
    figures = {"total": weighted_mean(both, "laa950")}
    if presence_of(worst) is not Presence.ABSENT:
        shares = {side: weighted_mean(parts, "laa950") for side, parts in lungs.items() if parts and side != "unknown"}
        figures = shares | figures
    sides = [side for side in probability if side != "unknown" and presence_of(probability[side]) is not Presence.ABSENT]
    return (
        Finding(
            id=LABEL,
            label=LABEL,
            presence=presence_of(worst),
            probability=worst,
            laterality=Laterality.of(sides),
            measurements=tuple(
                Measurement(name=f"laa950_{side}", value=share, unit="%", structure="lungs", decimals=1)
                for side, share in figures.items()
            ),
            evidence=tuple(Evidence(structure=r.structure, box_mm=r.box_mm, source="densitometry") for r in both),
        ),
    )
