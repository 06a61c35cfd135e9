"""Case -> opacity and consolidation of the lungs, each with side, zone, size, slice and probability.

A consolidation is an opacity too: the first finding is about both and says how much of it is ground glass.
"""

import numpy as np

from medomni.types.finding import Finding, Measurement, Presence
from medomni.types.region import Region
from medomni.types.segmentation import Segmentation
from preprocessing.detect.answer import lesion_volume, not_evaluated, sided_finding
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.lung_lesions import lung_lesions
from preprocessing.detect.masks import CONSOLIDATION, OPACITY, find_lesions
from preprocessing.detect.places import is_fine_enough
from preprocessing.detect.sides import SidedLesion, by_side
from preprocessing.measure.regions import LUNG_PARTS, lungs_by_side, total

VESSEL_SHARE = 0.05
"""Share of a wide opacity that is vessels as dense as a consolidation (2 to 5 % in phantoms of pure ground glass)."""
CLEAR_BELOW_ML = 1.0
"""More than this, too little to be called an opacity, keeps the lungs from being called clear."""
SPLIT_ML = 2.0
"""Consolidation of this volume parts an opacity into consolidation and ground glass; less is its vessels."""
LOBE_ML, LOBE_SHARE = 1.0, 0.01
"""Least volume, and least share of the opacity of its lung, in a lobe that is named: less is the blurred fissure."""
CUT_SHARE = 0.25
"""A lung whose first and last slice hold no more than this share of its largest slice loses at most its tip."""


def lung_findings(case: Case) -> tuple[Finding, ...]:
    """Findings for opacity and consolidation; none where the lungs lie outside the scope of the draft."""
    if "lungs" not in case.coverage.evaluated:
        return ()
    segmentation, regions = case.segmentation, case.regions
    if not is_fine_enough(segmentation.grid):
        coarse = (not_evaluated(label, "resolution_too_low") for label in ("lung_opacity", "consolidation"))
        return tuple(coarse)
    lesions = case.once(find_lesions)
    opacity = by_side("lung_opacity", np.isin(lesions, (OPACITY, CONSOLIDATION)), segmentation, regions)
    consolidation = by_side("consolidation", lesions == CONSOLIDATION, segmentation, regions)
    return (
        _opacity(case, opacity, consolidation),
        _consolidation(consolidation, calibrated("consolidation", consolidation_ml(case) or 0.0)),
    )


def _opacity(case: Case, lesion: SidedLesion, consolidation: SidedLesion) -> Finding:
    """Opacity with its places; absent only where next to nothing was seen."""
    volume_ml = opacity_ml(case) or 0.0
    finding = sided_finding(lesion, calibrated("lung_opacity", volume_ml))
    if finding.presence is Presence.ABSENT and max(volume_ml, case.once(lung_lesions).opacities.dropped_ml) >= CLEAR_BELOW_ML:
        return not_evaluated(finding.label, "not_excluded")
    return _with_places(finding, lesion, consolidation, case.regions, case.segmentation)


def opacity_ml(case: Case) -> float | None:
    """Volume of opacity, less of it where only one of segmenter and density sees it; None out of scope."""
    return case.once(lung_lesions).opacities.agreed_ml if _is_in_scope(case) else None


def consolidation_ml(case: Case) -> float | None:
    """Volume of consolidation beyond what the vessels of a wide opacity make up; None out of scope."""
    if not _is_in_scope(case):
        return None
    found = case.once(lung_lesions).opacities
    return max(0.0, case.millilitres(found.consolidation) - VESSEL_SHARE * case.millilitres(found.opacity))


def _is_in_scope(case: Case) -> bool:
    return "lungs" in case.coverage.evaluated and is_fine_enough(case.segmentation.grid)


def _with_places(
    finding: Finding, lesion: SidedLesion, consolidation: SidedLesion, regions: tuple[Region, ...], segmentation: Segmentation
) -> Finding:
    """Add the ground glass and the share of each lung, and the lobes, or the zones where the height of the lung is in view."""
    if finding.presence is Presence.ABSENT:
        return finding
    added: list[Measurement] = []
    places: list[str] = []
    lungs = lungs_by_side(regions)
    for side in lesion.sides:
        lung = lungs[side]
        lung_ml = total(lung, "volume")
        if not lung_ml:
            continue
        ground_glass_ml = lesion.volume_ml(side) - consolidation.volume_ml(side)
        if consolidation.volume_ml(side) >= SPLIT_ML and ground_glass_ml > 0:
            added.append(lesion_volume("ground_glass_volume", side, ground_glass_ml, lesion, False))
        name = f"opacity_percent_{'total' if side == 'unknown' else side}"
        percent = 100.0 * lesion.volume_ml(side) / lung_ml
        added.append(Measurement(name=name, value=percent, unit="%", structure=lesion.label, decimals=1))
        inside = _place_volumes_ml(lesion, side, lung, segmentation)
        places += inside
        added += [lesion_volume("opacity_volume", place, ml, lesion, False) for place, ml in inside.items()]
    return finding.model_copy(update={"measurements": (*finding.measurements, *added), "anatomy": tuple(places)})


def _place_volumes_ml(lesion: SidedLesion, side: str, lung: tuple[Region, ...], segmentation: Segmentation) -> dict[str, float]:
    """Volume in the lobes of one lung, else in its zones; only places that hold enough to be named."""
    volumes = lesion.lobe_volumes_ml(side, segmentation)
    if volumes:
        least = max(LOBE_ML, LOBE_SHARE * lesion.volume_ml(side))
        return {lobe: ml for lobe, ml in volumes.items() if ml >= least}
    if side == "unknown" or not _is_whole(segmentation, side):
        return {}
    return {zone: ml for zone, ml in lesion.zone_volumes_ml(side, lung).items() if ml >= 0.5}


def _is_whole(segmentation: Segmentation, side: str) -> bool:
    """Whether no more than the tip of a lung is cut off, so that its height can be parted into zones."""
    areas = segmentation.mask(*LUNG_PARTS[side]).sum(axis=(1, 2))
    return bool(max(areas[0], areas[-1]) <= CUT_SHARE * areas.max())


def _consolidation(lesion: SidedLesion, probability: float) -> Finding:
    """Consolidation, its inner part at least; never absent, because the lung mask may have left out a whole lobe."""
    finding = sided_finding(lesion, probability, is_lower_bound=True)
    if finding.presence is not Presence.ABSENT:
        return finding
    return not_evaluated(finding.label, "not_excluded")
