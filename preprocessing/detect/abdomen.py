"""Case -> fatty liver by density, enlarged spleen by volume and length, and stones in the kidneys.

Densities of liver and kidneys are judged without contrast medium only. Thresholds: liver of 40 HU and less, or 10 HU and more
below the spleen, is fatty (Boyce, AJR 2010; Zeb, Acad Radiol 2012); spleens of more than 315 mL exceed the range of healthy
adults (Prassopoulos, Eur Radiol 1997).
"""

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from medomni.reporting.hedge import presence_of
from medomni.types.finding import Finding, Laterality, Measurement, Presence
from preprocessing.detect.answer import absent, identifier, judged, not_evaluated
from preprocessing.detect.calcium_score import Calcium, calcium_evidence, score_calcium, slabs_around
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.place import evidence
from preprocessing.detect.sides import union_box
from preprocessing.detect.surroundings import has_contrast
from preprocessing.morphology import Mask3D, closing, shrink

CORE_MM = 8.0
"""Depth at which an organ is free of its surface and of what moves with breathing."""
LEAST_ML = 15.0
"""Less of an organ's core than this is no sample of its density."""
SPLEEN_OFFSET_HU = 50.0
"""A liver 10 HU below the spleen counts like one of 40 HU."""
STONE_HU = 180.0
"""Least CT number of a stone in slabs of 3 mm; the kidney reads 30 to 45 HU, uric acid stones 300 to 500."""
ENHANCED_KIDNEY_HU = 70.0
"""Denser kidneys hold contrast medium, which lies in the calices like stones."""
ENHANCED_SPLEEN_HU = 75.0
"""An unenhanced spleen reads 45 to 60 HU."""
SINUS_MM = 8.0
"""The mask of a kidney is closed by this radius, so that it holds the calices and the pelvis between its lips."""
KIDNEY_CORE_MM = 4.0
LEAST_POINTS = 8
"""Fewer points than this span no hull worth computing."""


def liver_index_hu(case: Case) -> float | None:
    """The liver's CT number, or the liver minus the spleen plus 50 HU where that is less; None with contrast medium."""
    liver, spleen = _core_hu(case, "liver"), _core_hu(case, "spleen")
    if liver is None or case.once(has_contrast) or (spleen or 0.0) > ENHANCED_SPLEEN_HU:
        return None
    return liver if spleen is None else min(liver, liver - spleen + SPLEEN_OFFSET_HU)


def steatosis(case: Case) -> tuple[Finding, ...]:
    """Fatty liver; nothing is said when the liver is not in view."""
    label, liver = "hepatic_steatosis", _core_hu(case, "liver")
    if liver is None or "liver" not in case.coverage.evaluated:
        return ()
    index = liver_index_hu(case)
    if index is None:
        return (not_evaluated(label, "contrast_medium"),)
    figures = [Measurement(name="liver_hu", value=liver, unit="[hnsf'U]", structure="liver")]
    spleen = _core_hu(case, "spleen")
    if spleen is not None:
        figures.append(Measurement(name="spleen_hu", value=spleen, unit="[hnsf'U]", structure="spleen"))
    proof = evidence(case, _core(case, "liver"), "liver", "segmentation")
    return (judged(label, calibrated(label, -index), proof, tuple(figures)),)


def spleen_ml(case: Case) -> float | None:
    """Volume of the spleen in view; None when there is none."""
    return case.millilitres(case.mask("spleen")) if case.has("spleen") else None


def splenomegaly(case: Case) -> tuple[Finding, ...]:
    """Enlarged spleen by volume; its absence is not stated when the spleen runs out of the view."""
    label, volume_ml = "splenomegaly", spleen_ml(case)
    if volume_ml is None or "spleen" not in case.coverage.evaluated:
        return ()
    mask = case.mask("spleen")
    is_cut = bool(mask[[0, -1]].any())
    figures = (
        Measurement(name="volume", value=volume_ml, unit="mL", structure="spleen", is_lower_bound=is_cut),
        Measurement(name="spleen_length", value=_length_mm(mask, case), unit="mm", structure="spleen", is_lower_bound=is_cut),
    )
    finding = judged(label, calibrated(label, volume_ml), evidence(case, mask, "spleen", "segmentation"), figures)
    if is_cut and finding.presence is Presence.ABSENT:
        return (not_evaluated(label, "outside_field_of_view"),)
    return (finding,)


def stone_mm(case: Case) -> float | None:
    """Length of the largest kidney stone, 0 without one; None when no kidney is in view or it holds contrast medium."""
    if not _has_plain_kidneys(case):
        return None
    return max((_length_of_stone_mm(found) for found in case.once(_stones).values()), default=0.0)


def kidney_stones(case: Case) -> tuple[Finding, ...]:
    """Stones by side with the length of the largest of each; their absence is stated of two kidneys that are wholly in view."""
    label = "renal_stone"
    if not case.has("kidney_right", "kidney_left") or "kidneys" not in case.coverage.evaluated:
        return ()
    if not _has_plain_kidneys(case):
        return (not_evaluated(label, "contrast_medium"),)
    lengths = {side: _length_of_stone_mm(found) for side, found in case.once(_stones).items()}
    best = calibrated(label, max(lengths.values()))
    seen = [side for side, mm in lengths.items() if presence_of(calibrated(label, mm)) is not Presence.ABSENT]
    if not seen:
        lacking = _kidneys_lacking(case)
        return (not_evaluated(label, lacking) if lacking else absent(label, best),)
    proof = [calcium_evidence(case, case.once(_stones)[side], f"kidney_{side}") for side in seen]
    return (
        Finding(
            id=identifier(label),
            label=label,
            presence=presence_of(best),
            probability=best,
            laterality=Laterality.of(seen),
            measurements=tuple(
                Measurement(
                    name=f"stone_length_{side}",
                    value=lengths[side],
                    unit="mm",
                    structure=f"kidney_{side}",
                    slice_index=place.slice_index,
                )
                for side, place in zip(seen, proof, strict=True)
            ),
            box_mm=union_box([place.box_mm for place in proof if place.box_mm]),
            evidence=tuple(proof),
        ),
    )


def _kidneys_lacking(case: Case) -> str:
    """Why nothing can be said of both kidneys: one runs out of the view or was not found; "" where both are whole."""
    masks = [case.mask(name) for name in ("kidney_right", "kidney_left") if case.has(name)]
    if any(mask[[0, -1]].any() for mask in masks):
        return "outside_field_of_view"
    return "" if len(masks) == 2 else "not_segmented"


def _has_plain_kidneys(case: Case) -> bool:
    """Whether a kidney is in view and none holds contrast medium."""
    cores = [hu for hu in (_core_hu(case, "kidney_right"), _core_hu(case, "kidney_left")) if hu is not None]
    return bool(cores) and max(cores) < ENHANCED_KIDNEY_HU and not case.once(has_contrast)


def _stones(case: Case) -> dict[str, Calcium]:
    """The stones of each kidney in view."""
    found = {}
    for side in ("right", "left"):
        kidney = closing(case.mask(f"kidney_{side}"), SINUS_MM, case.spacing_mm)
        slabs = slabs_around(case, kidney)
        if slabs is not None:
            found[side] = score_calcium(case, kidney, slabs, STONE_HU)
    return found


def _length_of_stone_mm(found: Calcium) -> float:
    """Longest side of the box round the largest stone, edge to edge."""
    parts, _ = ndimage.label(found.spots, np.ones((3, 3, 3)))
    boxes = ndimage.find_objects(parts)
    spacing = found.slabs.spacing_mm
    return max((max((s.stop - s.start) * mm for s, mm in zip(box, spacing, strict=True)) for box in boxes), default=0.0)


def _core(case: Case, structure: str) -> Mask3D:
    return shrink(case.mask(structure), CORE_MM if structure in ("liver", "spleen") else KIDNEY_CORE_MM, case.spacing_mm)


def _core_hu(case: Case, structure: str) -> float | None:
    """Median CT number deep inside an organ; None when too little of it is in view."""
    core = _core(case, structure)
    return float(np.median(case.coarse.hu[core])) if case.millilitres(core) >= LEAST_ML else None


def _length_mm(mask: Mask3D, case: Case) -> float:
    """Longest extent of an organ in any direction, between the middles of its outermost voxels."""
    points = np.argwhere(mask & ~shrink(mask, max(case.spacing_mm), case.spacing_mm)) * np.array(case.spacing_mm)
    hull = points[ConvexHull(points).vertices] if len(points) > LEAST_POINTS else points
    return float(pdist(hull).max()) if len(hull) > 1 else 0.0
