"""Case -> possible enlarged lymph nodes: what is soft tissue in those that the segmenter outlines, or else free lumps of it.

A lump is soft tissue that no known structure explains. Veins, thymus and thyroid are not segmented and look alike without
contrast medium, so a lump is a possible node at most. None found leaves the question open either way: ``medomni-ct`` learned
nodes on phantoms. A segmenter that outlines nodes as anatomy answers in ``lesion_findings.py`` instead.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medomni.types.finding import Finding, Measurement, Presence
from preprocessing.detect.answer import judged, not_evaluated
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.place import evidence
from preprocessing.detect.surroundings import has_contrast
from preprocessing.measure.regions import LUNGS
from preprocessing.morphology import Mask3D, grow, opening

LABEL, NODE = "lymphadenopathy", "lymph_node"
SOFT_HU = (5.0, 110.0)
"""Smoothed CT number of a node without contrast medium: 30 to 50 HU, with partial volume in fat and calcium."""
FAT_HU = -10.0
"""Smoothed CT number up to which a place that the segmenter calls node is fat: it outlines that of the aortopulmonary window."""
RADIUS_MM = 5.0
"""Half of the short axis from which a node is enlarged: 10 mm (RECIST 1.1)."""
TALLEST_MM = 45.0
"""Veins run further up and down than a node does."""
LARGEST_ML = 40.0
CENTRE_MM = 45.0
"""Mediastinal nodes lie this near to the airways."""
BELOW_MM = 15.0
"""How far below the main bronchi nodes are looked for; further down lies the lower caval vein."""
BEYOND_MM, CARRIED_SHARE = 8.0, 0.3
"""A vein goes on this far above or below a lump over at least this share of its footprint."""
KNOWN = ("heart", "aorta", "pulmonary_artery", "esophagus", "airway", "vertebrae", "ribs", "bone", "liver", "stomach")
GAP_MM = 1.5
"""Kept away from known structures: their walls."""


@dataclass(frozen=True, eq=False)
class Lump:
    """A lump that may be a node, with its short axis in the axial plane."""

    mask: Mask3D
    short_mm: float


def short_axis_mm(case: Case) -> float | None:
    """Short axis of the largest lump, 0 without one; None where the structures to tell it from are not known."""
    if not case.knows_lesion(NODE) and not (case.has("airway") and case.has("heart") and case.has("aorta")):
        return None
    lump = _largest(case)
    return 0.0 if lump is None else lump.short_mm


def enlarged_node(case: Case) -> tuple[Finding, ...]:
    """A possible enlarged node; never absent."""
    if "mediastinum" not in case.coverage.evaluated or case.segmentation.has(NODE):
        return ()
    short_mm = short_axis_mm(case)
    if short_mm is None:
        return (not_evaluated(LABEL, "not_segmented"),)
    lump = _largest(case)
    if lump is None or (case.once(has_contrast) and not case.knows_lesion(NODE)):
        return (not_evaluated(LABEL, "not_excluded"),)
    figures = (Measurement(name="short_diameter", value=short_mm, unit="mm", structure=NODE),)
    finding = judged(LABEL, calibrated(LABEL, short_mm), evidence(case, lump.mask, NODE), figures)
    return (not_evaluated(LABEL, "not_excluded") if finding.presence is Presence.ABSENT else finding,)


def _largest(case: Case) -> Lump | None:
    """The largest node of the segmenter, or the largest lump where it does not look for nodes."""
    return case.once(largest_node if case.knows_lesion(NODE) else largest_lump)


def largest_node(case: Case) -> Lump | None:
    """The node of the segmenter with the largest short axis; None when there is none. The fat that it takes along is no node."""
    parts, _ = ndimage.label(case.lesion_mask(NODE) & (case.smooth_hu > FAT_HU))
    boxes = enumerate(ndimage.find_objects(parts), start=1)
    nodes = [Lump(parts == label, _short_mm(parts[box] == label, case)) for label, box in boxes]
    return max(nodes, key=lambda node: node.short_mm, default=None)


def largest_lump(case: Case) -> Lump | None:
    """The lump with the largest short axis; None when there is none."""
    free = _free_tissue(case)
    parts, _ = ndimage.label(opening(free, RADIUS_MM, case.spacing_mm))
    lumps = [
        Lump(parts == label, _short_mm(parts[box] == label, case))
        for label, box in enumerate(ndimage.find_objects(parts), start=1)
        if _is_lump(parts[box] == label, box, free, case)
    ]
    return max(lumps, key=lambda lump: lump.short_mm, default=None)


def _free_tissue(case: Case) -> Mask3D:
    """Soft tissue near the airways, between the lungs and in front of the spine that no known structure holds."""
    lungs, airway, spine = case.mask(*LUNGS), case.mask("airway"), case.mask("vertebrae")
    soft = (case.smooth_hu > SOFT_HU[0]) & (case.smooth_hu < SOFT_HU[1])
    near = grow(airway, CENTRE_MM, case.spacing_mm) & ~np.maximum.accumulate(spine, axis=1)
    lowest = int(np.flatnonzero(airway.any(axis=(1, 2)))[0] - BELOW_MM / case.spacing_mm[0])
    near[: max(0, lowest)] = False
    free = ~grow(case.mask(*KNOWN), GAP_MM, case.spacing_mm)
    return np.asarray(soft & near & free & ~lungs & _between(lungs))


def _between(lungs: Mask3D) -> Mask3D:
    """Voxels with lung both to their right and to their left."""
    right = np.maximum.accumulate(lungs, axis=2)
    left = np.maximum.accumulate(lungs[:, :, ::-1], axis=2)[:, :, ::-1]
    return np.asarray(right & left)


def _is_lump(part: Mask3D, box: tuple[slice, ...], free: Mask3D, case: Case) -> bool:
    """Whether a part is no taller than a node, and no piece of a vein that goes on above and below it."""
    height_mm = (box[0].stop - box[0].start) * case.spacing_mm[0]
    if height_mm > TALLEST_MM or case.millilitres(part) > LARGEST_ML:
        return False
    footprint, step = part.any(axis=0), max(1, round(BEYOND_MM / case.spacing_mm[0]))
    ends = [z for z in (box[0].start - step, box[0].stop - 1 + step) if 0 <= z < len(free)]
    carried_on = [float(free[z][box[1:]][footprint].mean()) for z in ends]
    return max(carried_on, default=1.0) < CARRIED_SHARE


def _short_mm(part: Mask3D, case: Case) -> float:
    """Diameter of the largest circle in a slice."""
    depth = [ndimage.distance_transform_edt(np.pad(plane, 1), case.spacing_mm[1:]).max() for plane in part]
    return 2.0 * float(max(depth)) - float(np.mean(case.spacing_mm[1:]))
