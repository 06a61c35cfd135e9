"""Case -> the finding of pleural effusion: side, volume, slice.

The fluid is the segmenter's own where it looks for it, checked for its density, else that of a density rule. The rule finds about
half of the fluid and can't tell it from thickened pleura, so it never states an effusion and its volume is a lower bound.
"""

import numpy as np

from medomni.types.finding import Finding, Presence
from preprocessing.detect.answer import not_evaluated, sided_finding
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.effusion import is_segmented, pleural_fluid, segmented_fluid
from preprocessing.detect.sides import SidedLesion, by_side
from preprocessing.measure.regions import LUNGS

LABEL = "pleural_effusion"
RULE_CEILING = 0.65
"""The most that the density rule may claim."""
DOUBTED_ML = 10.0
"""Fluid that the segmenter alone sees is not called from any volume on, and from this on it is not denied."""
CUT_SHARE = 0.25
"""A lung whose lowest slice in view holds more than this share of its largest one hides its base, where fluid gathers."""


def fluid_ml(case: Case) -> float | None:
    """Volume of the fluid of the side that holds more; None where the lungs are not in view or their sides not known."""
    if "lungs" not in case.coverage.evaluated or case.mask("lung").any():
        return None
    return _largest_ml(case.once(sided_fluid))


def pleural_effusion(case: Case) -> tuple[Finding, ...]:
    """Pleural fluid; absent only where the bases of the lungs are in view."""
    if "lungs" not in case.coverage.evaluated:
        return ()
    fluid = case.once(sided_fluid)
    probability = calibrated(LABEL, _largest_ml(fluid))
    finding = sided_finding(
        fluid,
        probability if is_segmented(case) else min(RULE_CEILING, probability),
        is_lower_bound=not is_segmented(case),
    )
    if finding.presence is not Presence.ABSENT:
        return (finding,)
    if "unknown" in fluid.voxels:
        return (not_evaluated(LABEL, "side_unknown"),)
    if is_segmented(case) and case.millilitres(case.once(segmented_fluid)[1]) >= DOUBTED_ML:
        return (not_evaluated(LABEL, "not_excluded"),)
    return (not_evaluated(LABEL, "outside_field_of_view") if _is_base_cut(case) else finding,)


def sided_fluid(case: Case) -> SidedLesion:
    """The fluid by side, on the study's own voxels."""
    fluid = case.coarse.full.restore(case.coarse.enlarge(case.once(pleural_fluid)))
    return by_side(LABEL, fluid, case.segmentation, case.regions)


def _largest_ml(fluid: SidedLesion) -> float:
    return max(fluid.volume_ml(side) for side in fluid.voxels)


def _is_base_cut(case: Case) -> bool:
    areas = case.mask(*LUNGS).sum(axis=(1, 2))
    return bool(areas[0] > CUT_SHARE * np.max(areas))
