"""Regions -> measurement findings: lung volumes, densities, and organ volumes; figures only, no judgement."""

from collections.abc import Iterable

from medomni.anatomy import anatomy
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.region import Region
from preprocessing.detect.case import Case
from preprocessing.measure.regions import lungs_by_side, total, weighted_mean
from preprocessing.measure.scope import MEASURED_ORGANS

FIGURES = (
    ("lung_volume", "lung_volume", "volume", "mL", 0),
    ("lung_density", "mean_hu", "mean_hu", "[hnsf'U]", 0),
    ("low_attenuation_area", "laa950", "laa950", "%", 1),
    ("high_attenuation_area", "haa", "haa", "%", 1),
)
"""Label, name of the figure in the finding, its name in the region, unit, decimals."""


def lung_measures(case: Case) -> tuple[Finding, ...]:
    """One finding each for volume, density, low and high attenuation of the lungs, by side where sides are known."""
    if "lungs" not in case.coverage.evaluated:
        return ()
    return tuple(_lung_measure(case.regions, *figure) for figure in FIGURES)


def _lung_measure(regions: tuple[Region, ...], label: str, name: str, source: str, unit: str, decimals: int) -> Finding:
    sides = lungs_by_side(regions)
    combine = total if source == "volume" else weighted_mean
    measurements = [
        Measurement(
            name=f"{name}_{side}",
            value=combine(parts, source),
            unit=unit,
            structure=parts[0].structure,
            decimals=decimals,
            is_lower_bound=source == "volume" and any(r.touches_edge for r in parts),
            crosses_gap=_crosses_gap(parts, source),
        )
        for side, parts in sides.items()
        if parts and side != "unknown"
    ]
    lungs = [r for parts in sides.values() for r in parts]
    both = Measurement(
        name=f"{name}_total",
        value=combine(lungs, source),
        unit=unit,
        structure="lungs",
        decimals=decimals,
        is_lower_bound=source == "volume" and any(r.touches_edge for r in lungs),
        crosses_gap=_crosses_gap(lungs, source),
    )
    return Finding(
        id=label.replace("_", "-"),
        label=label,
        presence=Presence.PRESENT,
        laterality=Laterality.of(side for side, parts in sides.items() if parts),
        measurements=(*measurements, both),
        evidence=tuple(Evidence(structure=r.structure, box_mm=r.box_mm, source="segmentation") for r in lungs),
    )


def _crosses_gap(regions: Iterable[Region], name: str) -> bool:
    return any(m.crosses_gap for r in regions for m in r.measurements if m.name == name)


def organ_measures(case: Case) -> tuple[Finding, ...]:
    """One finding with volume and mean CT number for each measured organ inside the scope of the draft."""
    return tuple(
        Finding(
            id=f"organ-volume-{r.structure.replace('_', '-')}",
            label="organ_volume",
            presence=Presence.PRESENT,
            laterality=Laterality(anatomy().structures[r.structure].side or "none"),
            anatomy=(r.structure,),
            measurements=r.measurements,
            box_mm=r.box_mm,
            evidence=(Evidence(structure=r.structure, box_mm=r.box_mm, source="segmentation"),),
        )
        for r in case.regions
        if r.is_found and r.structure in MEASURED_ORGANS and anatomy().structures[r.structure].organ in case.coverage.evaluated
    )
