"""Lesion masks of a segmenter -> one finding for each lesion, with diameters, side and slice."""

from medomni.types.finding import Evidence, Finding, Laterality, Presence
from medomni.types.region import Region
from medomni.types.volume import Volume
from preprocessing.detect.case import Case
from preprocessing.detect.sides import midplane_mm
from preprocessing.measure.lesion import Lesion, measure_lesions

LESION_LABELS = {"nodule": "lung_nodule", "lymph_node": "lymphadenopathy"}
"""Lesion structures and the finding each one supports."""
NODE_SHORT_AXIS_MM = 10.0
"""A lymph node is enlarged from a short axis of 10 mm (RECIST 1.1)."""
MOST_LESIONS = 20
"""Lesions reported one by one; the largest come first."""


def segmented_lesions(case: Case) -> tuple[Finding, ...]:
    """One finding for each lesion of a segmenter that knows them; absent when it looked for lesions and found none."""
    volume, segmentation, regions = case.volume, case.segmentation, case.regions
    found: list[Finding] = []
    for structure, label in LESION_LABELS.items():
        if not segmentation.has(structure):
            continue
        lesions = measure_lesions(segmentation.mask(structure), volume, structure)
        if structure == "lymph_node":
            lesions = tuple(lesion for lesion in lesions if lesion.value("short_diameter") >= NODE_SHORT_AXIS_MM)
        found += _findings(lesions, label, structure, volume, regions)
        if not lesions:
            found.append(Finding(id=label.replace("_", "-"), label=label, presence=Presence.ABSENT))
    return tuple(found)


def _findings(
    lesions: tuple[Lesion, ...], label: str, structure: str, volume: Volume, regions: tuple[Region, ...]
) -> list[Finding]:
    return [
        Finding(
            id=f"{label.replace('_', '-')}-{number}",
            label=label,
            presence=Presence.PRESENT,
            laterality=_side(lesion, volume, regions),
            measurements=lesion.measurements,
            box_mm=lesion.box_mm,
            evidence=(
                Evidence(
                    structure=structure,
                    slice_index=lesion.slice_index,
                    position_mm=lesion.position_mm,
                    box_mm=lesion.box_mm,
                    source="segmentation",
                ),
            ),
        )
        for number, lesion in enumerate(lesions[:MOST_LESIONS], start=1)
    ]


def _side(lesion: Lesion, volume: Volume, regions: tuple[Region, ...]) -> Laterality:
    """The patient's side of a lesion, by the midplane between the lungs."""
    if not volume.grid.is_side_known:
        return Laterality.UNKNOWN
    return Laterality.LEFT if lesion.position_mm[0] > midplane_mm(regions) else Laterality.RIGHT
