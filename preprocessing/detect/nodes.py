"""Case -> possible enlarged lymph nodes: soft tissue where the omni model's near network sees one, with its short axis.

Veins, thymus and thyroid look alike without contrast medium, and the network learned nodes on phantoms, so a node is possible at
most, and none found leaves the question open. A segmenter that outlines nodes as anatomy answers in ``lesion_findings.py``.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from medomni.types.finding import Finding, Measurement, Presence
from preprocessing.detect.answer import judged, not_evaluated
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.lesion_findings import NODE_SHORT_AXIS_MM
from preprocessing.detect.place import Outline, evidence, outline
from preprocessing.detect.places import SOURCE, places
from preprocessing.morphology import Mask3D

LABEL, NODE = "lymphadenopathy", "lymph_node"
FAT_HU = -10.0
"""Smoothed CT number up to which a place is fat and no node."""
BEYOND_MM, CARRIED_SHARE = 8.0, 0.5
"""A vein goes on this far above or below over at least this share of its footprint: an upper caval vein looked like a node."""


@dataclass(frozen=True, eq=False)
class Node:
    """What may be a node, with its short axis in the axial plane."""

    mask: Mask3D
    short_mm: float


def short_axis_mm(case: Case) -> float:
    """Short axis of the largest node, 0 without one."""
    node = case.once(largest_node)
    return 0.0 if node is None else node.short_mm


def enlarged_node(case: Case) -> tuple[Finding, ...]:
    """A possible enlarged node; never absent."""
    if "mediastinum" not in case.coverage.evaluated or case.segmentation.has(NODE):
        return ()
    node = case.once(largest_node)
    if node is None:
        return (not_evaluated(LABEL, "not_excluded"),)
    figures = (Measurement(name="short_diameter", value=node.short_mm, unit="mm", structure=NODE),)
    stated = figures if node.short_mm >= NODE_SHORT_AXIS_MM else ()  # cells cut off its border
    finding = judged(LABEL, calibrated(LABEL, node.short_mm), evidence(case, node.mask, NODE, SOURCE), stated)
    return (not_evaluated(LABEL, "not_excluded") if finding.presence is Presence.ABSENT else finding,)


def largest_node(case: Case) -> Node | None:
    """The part of the soft tissue that shows a node with the largest short axis; None when there is none."""
    soft = case.smooth_hu > FAT_HU
    parts, _ = ndimage.label(case.once(places).shown(LABEL, case) & soft)
    nodes = [
        Node(parts == label, _short_mm(parts[box] == label, case))
        for label, box in enumerate(ndimage.find_objects(parts), start=1)
        if not _is_vein(parts[box] == label, box, soft, case)
    ]
    return max(nodes, key=lambda node: node.short_mm, default=None)


def node_outline(case: Case) -> tuple[Outline, ...]:
    """Outline of the largest node; none where a segmenter outlines nodes as anatomy."""
    node = None if case.segmentation.has(NODE) else case.once(largest_node)
    return () if node is None else outline(case, node.mask)


def _is_vein(part: Mask3D, box: tuple[slice, ...], soft: Bool[np.ndarray, "d h w"], case: Case) -> bool:
    """Whether soft tissue goes on above or below a part, as what runs out of the view may."""
    footprint, step = part.any(axis=0), max(1, round(BEYOND_MM / case.spacing_mm[0]))
    ends = (box[0].start - step, box[0].stop - 1 + step)
    if ends[0] < 0 or ends[1] >= len(soft):
        return True
    return max(float(soft[z][box[1:]][footprint].mean()) for z in ends) >= CARRIED_SHARE


def _short_mm(part: Mask3D, case: Case) -> float:
    """Diameter of the largest circle in a slice."""
    depth = [ndimage.distance_transform_edt(np.pad(plane, 1), case.spacing_mm[1:]).max() for plane in part]
    return 2.0 * float(max(depth)) - float(np.mean(case.spacing_mm[1:]))
