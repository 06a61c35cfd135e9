"""Lesion map + Regions -> findings of lung and pleura, each with side, zone, size, slice and the probability of its rule.

A rule's probability rises with the measured size and is 0.5 at the size named below; it says how far the measure lies from
the rule's threshold and is not calibrated on patients. The ladder of ``findings.toml`` turns it into present, uncertain or
absent.
"""

import numpy as np
from jaxtyping import UInt8

from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.region import Coverage, Region
from medomni.types.segmentation import Segmentation
from preprocessing.detect.masks import CONSOLIDATION, FLUID, OPACITY, is_fine_enough
from preprocessing.detect.sides import SidedLesion, by_side, union_box
from preprocessing.measure.regions import LUNG_PARTS, lungs_by_side, total, weighted_mean

OPACITY_HALF_ML = 1.0
"""Opacity volume at probability 0.5: hilar and motion artefacts that pass the mask rules measured 0 mL on clean real CT."""
CONSOLIDATION_HALF_ML = 4.0
"""Consolidation volume at probability 0.5: vessels inside an opacity measure 2 to 3 mL."""
VESSEL_SHARE = 0.05
"""Share of a wide opacity that is vessels as dense as a consolidation (2 to 5 % in phantoms of pure ground glass)."""
FLUID_HALF_ML = 30.0
"""Candidate fluid at probability 0.5: fat and muscle in the recess measured up to 14 mL without effusion."""
FLUID_CEILING = 0.65
"""A density rule alone never states pleural fluid as present: thickening and fat-streaked muscle look alike."""
LAA_HALF_PERCENT = 8.0
"""Low-attenuation area of the worse lung at probability 0.5: the upper limit of health is 5 to 6 %, 10 % is mild emphysema."""
CUT_SHARE = 0.25
"""A lung whose first and last slice hold no more than this share of its largest slice loses at most its tip."""
LOWER_BOUNDS = ("consolidation", "pleural_effusion")
"""The rules find about half of the fluid and the inner part of a consolidation: their volume is at least what is found."""
VOLUME_NAMES = {"lung_opacity": "opacity_volume", "consolidation": "consolidation_volume", "pleural_effusion": "effusion_volume"}


def lung_findings(
    lesions: UInt8[np.ndarray, "z y x"], segmentation: Segmentation, regions: tuple[Region, ...], coverage: Coverage
) -> tuple[Finding, ...]:
    """Findings for opacity, consolidation, pleural fluid and emphysema."""
    opacity = by_side("lung_opacity", np.isin(lesions, (OPACITY, CONSOLIDATION)), segmentation, regions)
    consolidation = by_side("consolidation", lesions == CONSOLIDATION, segmentation, regions)
    fluid = by_side("pleural_effusion", lesions == FLUID, segmentation, regions)
    fluid_and_density = (_fluid_finding(fluid, coverage), _emphysema(regions))
    if not is_fine_enough(segmentation.grid):
        return (*(_not_evaluated(label, "resolution_too_low") for label in ("lung_opacity", "consolidation")), *fluid_and_density)
    return (
        _with_zones(_finding(opacity, _rising(opacity.total_ml, OPACITY_HALF_ML)), opacity, regions, segmentation),
        _consolidation(consolidation, opacity.total_ml),
        *fluid_and_density,
    )


def _not_evaluated(label: str, reason: str) -> Finding:
    return Finding(id=label.replace("_", "-"), label=label, presence=Presence.NOT_EVALUATED, reason=reason)


def _rising(size: float, half: float) -> float:
    """Probability of a rule: 0 at size 0, 0.5 at ``half``, towards 1 beyond."""
    return size / (size + half)


def _presence(probability: float) -> Presence:
    steps = {hedge.name: hedge.at_least for hedge in vocabulary().hedges}
    if probability >= steps["probable"]:
        return Presence.PRESENT
    return Presence.UNCERTAIN if probability >= steps["possible"] else Presence.ABSENT


def _finding(lesion: SidedLesion, probability: float) -> Finding:
    """The finding of one kind of lesion with its volume by side and the slice where each side is largest."""
    identifier, probability = lesion.label.replace("_", "-"), round(probability, 3)
    presence = _presence(probability)
    if presence is Presence.ABSENT:
        return Finding(id=identifier, label=lesion.label, presence=presence, probability=probability)
    evidence = {side: lesion.evidence(side) for side in lesion.sides}
    return Finding(
        id=identifier,
        label=lesion.label,
        presence=presence,
        probability=probability,
        laterality=lesion.laterality,
        measurements=tuple(
            _volume(VOLUME_NAMES[lesion.label], side, lesion.volume_ml(side), lesion, evidence[side].slice_index)
            for side in lesion.sides
        ),
        box_mm=union_box([place.box_mm for place in evidence.values() if place.box_mm]),
        evidence=tuple(evidence.values()),
    )


def _volume(name: str, place: str, value: float, lesion: SidedLesion, slice_index: int | None = None) -> Measurement:
    """A lesion volume: whole millilitres from 10 mL on, one decimal below."""
    return Measurement(
        name=f"{name}_{'total' if place == 'unknown' else place}",
        value=value,
        unit="mL",
        structure=lesion.label,
        is_lower_bound=lesion.label in LOWER_BOUNDS,
        crosses_gap=lesion.crosses_gap,
        decimals=0 if value >= 10.0 else 1,
        slice_index=slice_index,
    )


def _with_zones(finding: Finding, lesion: SidedLesion, regions: tuple[Region, ...], segmentation: Segmentation) -> Finding:
    """Add the share of each lung, and the lung zones where the height of the lung is in view."""
    if finding.presence is Presence.ABSENT:
        return finding
    added: list[Measurement] = []
    zones: list[str] = []
    lungs = lungs_by_side(regions)
    for side in lesion.sides:
        lung = lungs[side]
        lung_ml = total(lung, "volume")
        if not lung_ml:
            continue
        name = f"opacity_percent_{'total' if side == 'unknown' else side}"
        percent = 100.0 * lesion.volume_ml(side) / lung_ml
        added.append(Measurement(name=name, value=percent, unit="%", structure=lesion.label, decimals=1))
        if side != "unknown" and _is_whole(segmentation, side):
            inside = {zone: ml for zone, ml in lesion.zone_volumes_ml(side, lung).items() if ml >= 0.5}
            zones += inside
            added += [_volume("opacity_volume", zone, ml, lesion) for zone, ml in inside.items()]
    return finding.model_copy(update={"measurements": (*finding.measurements, *added), "anatomy": tuple(zones)})


def _is_whole(segmentation: Segmentation, side: str) -> bool:
    """Whether no more than the tip of a lung is cut off, so that its height can be parted into zones."""
    areas = segmentation.mask(*LUNG_PARTS[side]).sum(axis=(1, 2))
    return bool(max(areas[0], areas[-1]) <= CUT_SHARE * areas.max())


def _consolidation(lesion: SidedLesion, opacity_ml: float) -> Finding:
    """Consolidation; never absent, because the lung mask may have left out a lobe that is wholly consolidated."""
    half_ml = max(CONSOLIDATION_HALF_ML, VESSEL_SHARE * opacity_ml)
    finding = _finding(lesion, _rising(lesion.total_ml, half_ml))
    if finding.presence is not Presence.ABSENT:
        return finding
    return _not_evaluated(finding.label, "not_excluded")


def _fluid_finding(fluid: SidedLesion, coverage: Coverage) -> Finding:
    """Candidate pleural fluid: uncertain at most; absent only where the lungs are wholly in view."""
    largest_ml = max(fluid.volume_ml(side) for side in fluid.voxels)
    finding = _finding(fluid, min(FLUID_CEILING, _rising(largest_ml, FLUID_HALF_ML)))
    if finding.presence is not Presence.ABSENT:
        return finding
    if "unknown" in fluid.voxels:
        return _not_evaluated(finding.label, "side_unknown")
    if coverage.is_partial:
        return _not_evaluated(finding.label, "outside_field_of_view")
    return finding


def _emphysema(regions: tuple[Region, ...]) -> Finding:
    """Emphysema by densitometry: the low-attenuation area of the worse lung decides, that of both is stated."""
    lungs = lungs_by_side(regions)
    shares = {side: weighted_mean(parts, "laa950") for side, parts in lungs.items() if parts}
    probability = {side: round(_rising(share**2, LAA_HALF_PERCENT**2), 3) for side, share in shares.items()}
    worst = max(probability.values())
    both = [region for parts in lungs.values() for region in parts]
    figures = {"total": weighted_mean(both, "laa950")}
    if _presence(worst) is not Presence.ABSENT:
        figures = {side: share for side, share in shares.items() if side != "unknown"} | figures
    sides = [side for side in shares if side != "unknown" and _presence(probability[side]) is not Presence.ABSENT]
    return Finding(
        id="emphysema",
        label="emphysema",
        presence=_presence(worst),
        probability=worst,
        laterality=Laterality.NONE if not sides else Laterality.BILATERAL if len(sides) == 2 else Laterality(sides[0]),
        measurements=tuple(
            Measurement(name=f"laa950_{side}", value=share, unit="%", structure="lungs", decimals=1)
            for side, share in figures.items()
        ),
        evidence=tuple(Evidence(structure=r.structure, box_mm=r.box_mm, source="densitometry") for r in both),
    )
