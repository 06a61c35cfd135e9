"""Lesion masks, of the segmenter or of the rules -> one finding for each lesion, with diameters, side and slice."""

from medomni.types.finding import Evidence, Finding, Laterality, Presence
from medomni.types.region import Region
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Mask, Volume
from preprocessing.detect.sides import midplane_mm
from preprocessing.measure.lesion import Lesion, measure_lesions

LESION_LABELS = {"nodule": "lung_nodule", "lymph_node": "lymphadenopathy"}
"""Lesion structures and the finding each one supports."""
NODE_SHORT_AXIS_MM = 10.0
"""A lymph node is enlarged from a short axis of 10 mm (RECIST 1.1)."""
NODULE_PROBABILITY = 0.6
"""A free solid ball is a nodule more often than not; a fixed figure until a trained detector gives its own."""
SMALLEST_NODULE_MM = 10.0
"""The rule finds no nodule below this; smaller parts are crumbs of its border."""
MOST_LESIONS = 20
"""Lesions reported one by one; the largest come first."""


def segmented_lesions(volume: Volume, segmentation: Segmentation, regions: tuple[Region, ...]) -> tuple[Finding, ...]:
    """One finding for each lesion of a segmenter that knows them; absent when it looked for lesions and found none."""
    found: list[Finding] = []
    for structure, label in LESION_LABELS.items():
        if not segmentation.has(structure):
            continue
        lesions = measure_lesions(segmentation.mask(structure), volume, structure)
        if structure == "lymph_node":
            lesions = tuple(lesion for lesion in lesions if lesion.value("short_diameter") >= NODE_SHORT_AXIS_MM)
        found += _findings(lesions, label, structure, Presence.PRESENT, volume, regions)
        if not lesions:
            found.append(Finding(id=label.replace("_", "-"), label=label, presence=Presence.ABSENT))
    return tuple(found)


def nodule_candidates(volume: Volume, nodules: Mask, regions: tuple[Region, ...]) -> tuple[Finding, ...]:
    """One uncertain finding for each free solid nodule of the rule; none found says nothing."""
    lesions = measure_lesions(nodules, volume, "nodule", smallest_mm=SMALLEST_NODULE_MM)
    return tuple(_findings(lesions, "lung_nodule", "nodule", Presence.UNCERTAIN, volume, regions))


def _findings(
    lesions: tuple[Lesion, ...], label: str, structure: str, presence: Presence, volume: Volume, regions: tuple[Region, ...]
) -> list[Finding]:
    return [
        Finding(
            id=f"{label.replace('_', '-')}-{number}",
            label=label,
            presence=presence,
            probability=NODULE_PROBABILITY if presence is Presence.UNCERTAIN else None,
            laterality=_side(lesion, volume, regions),
            measurements=lesion.measurements,
            box_mm=lesion.box_mm,
            evidence=(
                Evidence(
                    structure=structure,
                    slice_index=lesion.slice_index,
                    position_mm=lesion.position_mm,
                    box_mm=lesion.box_mm,
                    source="rule" if presence is Presence.UNCERTAIN else "segmentation",
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
