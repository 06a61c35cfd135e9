"""Volume + Segmentation -> Coverage: which part of the body is shown, and so what the draft may speak of at all.

The image decides, not the header: BodyPartExamined is often empty or wrong. What lies outside the volume, was not
segmented, or has no detector is "not evaluated", with the reason.
"""

from collections.abc import Mapping

import numpy as np

from medomni.anatomy import anatomy
from medomni.types.notice import Notice
from medomni.types.region import Coverage, Region
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.measure.regions import LUNG_PARTS, LUNGS

BODY_MIN_ML = 300.0
"""Less solid tissue than this (a forearm holds about 1 L) is no part of a patient that we can judge."""
LUNG_MIN_ML = 150.0
"""Less aerated lung than this is not enough to judge the lungs."""
SMOOTH_CORRELATION = 0.5
"""Correlation of neighbouring voxels: above 0.95 in CT of a patient, near 0 in noise."""
BELOW_LUNG_MM = 60.0
"""A volume without trachea that shows this much below the lungs is an abdomen with lung bases."""
UPPER_ABDOMEN_MM = 120.0
"""A chest with this much below the lungs shows the upper abdomen as a whole."""
HEAD_BONE_SHARE = 0.09
"""Bone share of body volume: skull and neck 0.1 to 0.25, trunk 0.02 to 0.07."""
SIDE_RATIO = (0.6, 1.8)
"""Right to left lung volume; about 1.2 in health (Crapo 1982); beyond this one side is collapsed, resected or not all found."""

LUNG_BASES = frozenset(("lungs", "pleura", "great_vessels", "bones", "soft_tissues", "devices"))
CHEST = LUNG_BASES | {"airways", "heart", "mediastinum", "thyroid", "upper_abdomen"}
ABDOMEN = LUNG_BASES | {"liver", "gallbladder", "spleen", "pancreas", "kidneys", "adrenals", "stomach_and_bowel"}
ORGANS_IN_VIEW = {
    "chest": CHEST,
    "abdomen": ABDOMEN,
    "chest_abdomen": (CHEST | ABDOMEN) - {"upper_abdomen"},
}
"""Organs that lie in view of each region, in whole or in part."""
PAIRED = ("kidney", "adrenal_gland")
MEASURED_ORGANS = frozenset(
    (
        "liver",
        "spleen",
        "pancreas",
        "gallbladder",
        "thyroid_gland",
        "heart",
        *(f"{p}_{s}" for p in PAIRED for s in ("left", "right")),
    )
)
"""Structures whose volume and mean CT number are reported as such when a segmenter finds them."""


def scope(volume: Volume, segmentation: Segmentation, regions: tuple[Region, ...]) -> tuple[Coverage, tuple[Notice, ...]]:
    """Return what the volume covers and the notices that limit the draft."""
    by_name = {region.structure: region for region in regions}
    problem = _image_problem(volume, by_name)
    if problem:
        organs = dict.fromkeys(anatomy().organs, problem)
        return Coverage(region="none", not_evaluated=organs), (Notice(code=problem),)
    region = _region(volume, by_name)
    in_view = ORGANS_IN_VIEW.get(region, frozenset())
    evaluated = _evaluated(by_name, in_view, volume.grid.is_side_known)
    reasons = {organ: _reason(organ, region, in_view) for organ in anatomy().organs if organ not in evaluated}
    if "lungs" in evaluated and "pleura" in reasons:
        reasons["pleura"] = "side_unknown"
    lungs = [r for name, r in by_name.items() if name in LUNGS and r.is_found]
    is_partial = "lungs" in in_view and (not lungs or any(r.touches_edge for r in lungs))
    positions = volume.grid.slice_origins_mm[:, 2]
    coverage = Coverage(
        region=region,
        evaluated=evaluated,
        not_evaluated=reasons,
        is_partial=is_partial,
        z_range_mm=(float(positions.min().round(2)), float(positions.max().round(2))),
    )
    return coverage, tuple(_notices(coverage, by_name))


def _image_problem(volume: Volume, regions: Mapping[str, Region]) -> str:
    """Reason code when nothing at all can be judged, else an empty text."""
    body_ml = sum(region.value("volume") or 0.0 for region in regions.values())
    step = max(1, len(volume.hu) // 16)
    planes = volume.hu[::step].astype(np.float32)
    if float(planes.std()) < 1.0:
        return "no_anatomy_found"
    here, beside = planes[:, :, :-1].ravel(), planes[:, :, 1:].ravel()
    if np.corrcoef(here, beside)[0, 1] < SMOOTH_CORRELATION:
        return "unusual_image"
    return "no_anatomy_found" if body_ml < BODY_MIN_ML else ""


def _region(volume: Volume, regions: Mapping[str, Region]) -> str:
    """The body region: chest, abdomen, chest_abdomen, head or other."""
    lungs = [r for r in regions.values() if r.structure in LUNGS and r.is_found]
    lung_ml = _lung_ml(regions, *LUNG_PARTS)
    body_ml = sum(r.value("volume") or 0.0 for r in regions.values())
    bone = regions.get("bone")
    bone_ml = (bone.value("volume") or 0.0) if bone else 0.0
    if lung_ml < LUNG_MIN_ML:
        if bone_ml / body_ml > HEAD_BONE_SHARE:
            return "head"
        return "abdomen" if body_ml / _height_mm(volume) > 20.0 else "other"
    below_mm = _below_lungs_mm(volume, lungs)
    airway = regions.get("airway")
    if airway is None or not airway.is_found:
        return "abdomen" if below_mm > BELOW_LUNG_MM else "chest"
    return "chest_abdomen" if below_mm > UPPER_ABDOMEN_MM else "chest"


def _height_mm(volume: Volume) -> float:
    return float(volume.grid.slice_extents_mm.sum())


def _below_lungs_mm(volume: Volume, lungs: list[Region]) -> float:
    """Millimetres shown below (towards the feet of) the lowest lung voxel."""
    lowest = min(r.box_mm[0][2] for r in lungs if r.box_mm)
    return max(0.0, lowest - float(volume.grid.slice_origins_mm[:, 2].min()))


def _evaluated(regions: Mapping[str, Region], in_view: frozenset[str], is_side_known: bool) -> tuple[str, ...]:
    """Organs that a detector judges or that a segmenter measured."""
    lung_ml = _lung_ml(regions, *LUNG_PARTS)
    organs = {"lungs"} if lung_ml >= LUNG_MIN_ML else set()
    if organs and is_side_known:
        organs.add("pleura")
    if "lymph_node" in regions:
        organs.add("mediastinum")
    measured = {
        anatomy().structures[name].organ for name, region in regions.items() if region.is_found and name in MEASURED_ORGANS
    }
    return tuple(organ for organ in anatomy().organs if organ in (organs & in_view) | measured)


def _reason(organ: str, region: str, in_view: frozenset[str]) -> str:
    """Why an organ was not evaluated."""
    if region in ("head", "other"):
        return "region_not_supported"
    return "no_detector" if organ in in_view else "outside_field_of_view"


def _notices(coverage: Coverage, regions: Mapping[str, Region]) -> list[Notice]:
    notices = []
    if coverage.region in ("head", "other"):
        notices.append(Notice(code="region_not_supported"))
    if coverage.is_partial and "lungs" in coverage.evaluated:
        notices.append(Notice(code="lungs_partly_covered"))
    right_ml, left_ml = (_lung_ml(regions, side) for side in ("right", "left"))
    if "lungs" in coverage.evaluated and right_ml + left_ml > 0.0:
        ratio = right_ml / max(left_ml, 1e-6)
        if ratio < SIDE_RATIO[0]:
            notices.append(Notice(code="lung_right_possibly_undersegmented"))
        if ratio > SIDE_RATIO[1]:
            notices.append(Notice(code="lung_left_possibly_undersegmented"))
    return notices


def _lung_ml(regions: Mapping[str, Region], *sides: str) -> float:
    """Volume of the lungs of the named sides."""
    return sum(r.value("volume") or 0.0 for side in sides for name, r in regions.items() if name in LUNG_PARTS[side])
