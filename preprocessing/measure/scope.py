"""Volume + Segmentation -> Coverage: which part of the body is shown, and so what the draft may speak of at all.

What lies outside the volume, was not segmented, or has no detector is "not evaluated", with the reason.
"""

from collections.abc import Iterator, Mapping

from medomni.anatomy import anatomy
from medomni.types.notice import Notice
from medomni.types.region import Coverage, Region
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.measure.body_part import LUNG_MIN_ML, body_part, image_problem
from preprocessing.measure.regions import LUNGS, lung_ml, measure
from preprocessing.segment.hu_rules import HuRules

SIDE_RATIO = (0.6, 1.8)
"""Right to left lung volume, somewhat above 1 in health; beyond this one side is collapsed, resected or not all found."""
ABDOMINAL = frozenset(("liver", "gallbladder", "spleen", "pancreas", "kidneys", "adrenals", "stomach_and_bowel"))
UNNAMED = {"chest": ABDOMINAL, "abdomen": frozenset(("upper_abdomen",)), "chest_abdomen": frozenset(("upper_abdomen",))}
"""Organs that a draft of the region does not name: in a chest "upper abdomen" stands for the abdominal ones."""
OUTSIDE_ABDOMEN = frozenset(("airways", "mediastinum", "thyroid"))
PAIRED = ("kidney", "adrenal_gland")
UNPAIRED = ("liver", "spleen", "pancreas", "gallbladder", "thyroid_gland", "heart")
MEASURED_ORGANS = frozenset((*UNPAIRED, *(f"{organ}_{side}" for organ in PAIRED for side in ("left", "right"))))
"""Structures whose volume and mean CT number are reported as such when a segmenter finds them."""

JUDGED_ON = {"great_vessels": ("aorta",), "mediastinum": ("heart", "aorta", "esophagus"), "bones": ("vertebrae",)}
"""Organs that a detector judges when a segmenter found all of these structures."""


def scope(volume: Volume, segmentation: Segmentation, regions: tuple[Region, ...]) -> tuple[Coverage, tuple[Notice, ...]]:
    """Return what the volume covers and the notices that limit the draft."""
    found = {region.structure: region for region in regions}
    rules = found if _is_by_rules(segmentation) else _by_rules(volume)
    problem = image_problem(volume, rules)
    if problem:
        organs = dict.fromkeys(anatomy().organs, problem)
        return Coverage(region="none", not_evaluated=organs), (Notice(code=problem),)
    part = body_part(volume, rules)
    evaluated = _evaluated(found, part, volume.grid.is_side_known)
    lungs = [r for name, r in rules.items() if name in LUNGS and r.is_found]
    positions = volume.grid.slice_origins_mm[:, 2]
    coverage = Coverage(
        region=part,
        evaluated=evaluated,
        not_evaluated=_not_evaluated(evaluated, part, rules),
        is_partial=part in UNNAMED and any(r.touches_edge for r in lungs),
        z_range_mm=(float(positions.min().round(2)), float(positions.max().round(2))),
    )
    return coverage, tuple(_notices(coverage, found))


def _is_by_rules(segmentation: Segmentation) -> bool:
    """Whether the segmenter itself outlines the body and the lungs by density rules, as ``hu-rules`` and ``medomni-ct`` do."""
    return segmentation.has("body") and any(segmentation.has(name) for name in LUNGS)


def _by_rules(volume: Volume) -> dict[str, Region]:
    """What the density rules see: a segmenter that knows organs only cannot say which part of the body is shown."""
    return {region.structure: region for region in measure(volume, HuRules().segment(volume))}


def _evaluated(found: Mapping[str, Region], part: str, is_side_known: bool) -> tuple[str, ...]:
    """Organs that a detector judges or that the segmenter measured."""
    organs = {anatomy().structures[name].organ for name, r in found.items() if r.is_found and name in MEASURED_ORGANS}
    if part in ("chest", "abdomen", "chest_abdomen") and lung_ml(found) >= LUNG_MIN_ML:
        organs |= {"lungs", "airways", "pleura"} if is_side_known else {"lungs", "airways"}  # bronchi are judged in the lungs
    organs |= {organ for organ, needed in JUDGED_ON.items() if all(_is_found(found, name) for name in needed)}
    if lung_ml(found) >= LUNG_MIN_ML:
        organs.add("devices")
    if "lymph_node" in found:
        organs.add("mediastinum")
    return tuple(organ for organ in anatomy().organs if organ in organs)


def _is_found(found: Mapping[str, Region], structure: str) -> bool:
    return structure in found and found[structure].is_found


def _not_evaluated(evaluated: tuple[str, ...], part: str, rules: Mapping[str, Region]) -> dict[str, str]:
    """The other organs, each with the reason."""
    if part in ("head", "other"):
        return {organ: "region_not_supported" for organ in anatomy().organs if organ not in evaluated}
    reasons = {organ: "no_detector" for organ in anatomy().organs if organ not in evaluated and organ not in UNNAMED[part]}
    if part == "abdomen":
        reasons |= dict.fromkeys(OUTSIDE_ABDOMEN.difference(evaluated), "outside_field_of_view")
    has_lungs = lung_ml(rules) >= LUNG_MIN_ML
    for organ in ("lungs", "pleura"):
        if organ in reasons:
            reasons[organ] = "not_segmented" if has_lungs else "outside_field_of_view"
    if "lungs" in evaluated and "pleura" in reasons:
        reasons["pleura"] = "side_unknown"
    return reasons


def _notices(coverage: Coverage, found: Mapping[str, Region]) -> Iterator[Notice]:
    if coverage.region in ("head", "other") and not coverage.evaluated:
        yield Notice(code="region_not_supported")
    if "lungs" not in coverage.evaluated:
        return
    if coverage.is_partial:
        yield Notice(code="lungs_partly_covered")
    ratio = lung_ml(found, "right") / max(lung_ml(found, "left"), 1e-6)
    if lung_ml(found, "unknown") or coverage.region == "abdomen":
        return
    if ratio < SIDE_RATIO[0]:
        yield Notice(code="lung_right_possibly_undersegmented")
    if ratio > SIDE_RATIO[1]:
        yield Notice(code="lung_left_possibly_undersegmented")
