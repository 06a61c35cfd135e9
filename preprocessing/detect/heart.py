"""Case -> cardiomegaly by the cardiothoracic ratio, and pericardial effusion from the segmenter's own mask.

The ratio is the widest extent of the heart on any axial slice over the widest inner extent of the chest on any axial slice. On
an upright film 0.5 is its limit (Danzer 1919); a patient who lies on the back and breathes in less reads higher.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from medomni.types.finding import Finding, Measurement, Presence
from preprocessing.detect.answer import judged, not_evaluated
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.place import Outline, evidence, outline, slice_index
from preprocessing.measure.regions import LUNGS
from preprocessing.morphology import Mask3D, largest_part

LEAST_HEART_ML = 150.0
"""Less heart than this (a third of a small one) cannot be judged for its size."""
ROBUST_MM = 6.0
"""A column counts for a width when it holds this much of the structure: spikes of a mask are thinner."""
CUT_SHARE = 0.6
"""A heart whose first or last slice in view is this wide, against its widest, may be wider outside the view."""
FLUID_HU = (-20.0, 20.0)
"""Median CT number of simple fluid; fat lies below, blood and muscle above.

On phantoms without fluid what the network took for some had 21 HU and more, on eight with fluid 6 and less.
"""
BELOW_HEART_HU = 25.0
"""Simple fluid is that much thinner than the heart: by 32 HU and more on eight phantoms, by 21 in a real chest without any."""
UNSURE_ML = 60.0
"""So much that is too dense for simple fluid leaves the question open: it may be blood."""


@dataclass(frozen=True)
class Width:
    """The widest extent of a structure from right to left: millimetres, and the height on the coarse grid where it lies."""

    mm: float
    z: int


def cardiothoracic_ratio(case: Case) -> float | None:
    """Widest heart over widest inner chest; None when heart or either lung is missing or too little is in view."""
    heart, chest = case.once(heart_width), case.once(chest_width)
    return None if heart is None or chest is None else heart.mm / chest.mm


def cardiomegaly(case: Case) -> tuple[Finding, ...]:
    """The cardiothoracic ratio and what it says."""
    label, ratio = "cardiomegaly", cardiothoracic_ratio(case)
    if "heart" not in case.coverage.evaluated:
        return ()
    heart = case.once(heart_width)
    if ratio is None or heart is None:
        return (not_evaluated(label, "too_little_shown"),)
    mask = case.mask("heart")
    at, is_cut = slice_index(case, heart.z, mask), _is_cut(mask)
    figure = Measurement(
        name="cardiothoracic_ratio",
        value=ratio,
        unit="1",
        structure="heart",
        decimals=2,
        slice_index=at,
        is_lower_bound=is_cut,
    )
    proof = evidence(case, mask, "heart", "segmentation").model_copy(update={"slice_index": at})
    return (_unless_cut(judged(label, calibrated(label, ratio), proof, (figure,)), is_cut),)


def heart_width(case: Case) -> Width | None:
    """The widest extent of the heart; None when too little of it was found."""
    heart = largest_part(case.mask("heart") | case.lesion_mask("pericardial_effusion"))
    if case.millilitres(case.mask("heart")) < LEAST_HEART_ML:
        return None
    widths = _widths_mm(heart & case.mask("heart"), case.spacing_mm)
    return Width(float(widths.max()), int(widths.argmax()))


def chest_width(case: Case) -> Width | None:
    """The widest inner extent of the chest, from the outer edge of one lung with its fluid to that of the other."""
    if case.mask("lung").any() or not case.coverage.evaluated:
        return None
    inner = case.mask(*LUNGS) | case.lesion_mask("pleural_effusion")
    if not inner.any() or inner[:, :, [0, -1]].any():
        return None
    widths = _widths_mm(inner, case.spacing_mm)
    return Width(float(widths.max()), int(widths.argmax()))


def pericardial_fluid_ml(case: Case) -> float | None:
    """Volume of fluid round the heart, 0 where its density is not that of fluid; None when no segmenter looked for it."""
    if not case.knows_lesion("pericardial_effusion") or case.millilitres(case.mask("heart")) < LEAST_HEART_ML:
        return None
    fluid = case.once(_pericardial_fluid)
    return case.millilitres(fluid)


def pericardial_effusion(case: Case) -> tuple[Finding, ...]:
    """Fluid in the pericardial sac with its volume and its greatest thickness."""
    label, volume_ml = "pericardial_effusion", pericardial_fluid_ml(case)
    if "heart" not in case.coverage.evaluated:
        return ()
    if volume_ml is None:
        return (not_evaluated(label, "no_detector"),)
    fluid, is_cut = case.once(_pericardial_fluid), _is_cut(case.mask("heart"))
    proposed = case.lesion_mask(label)
    if not fluid.any() and case.millilitres(proposed) >= UNSURE_ML and float(np.median(case.coarse.hu[proposed])) > FLUID_HU[0]:
        return (not_evaluated(label, "not_excluded"),)
    thickness_mm = 2.0 * float(ndimage.distance_transform_edt(fluid, case.spacing_mm).max())
    figures = (
        Measurement(name="pericardial_fluid_volume", value=volume_ml, unit="mL", structure=label, is_lower_bound=is_cut),
        Measurement(name="pericardial_fluid_thickness", value=thickness_mm, unit="mm", structure=label),
    )
    finding = judged(label, calibrated(label, volume_ml), evidence(case, fluid, label, "segmentation"), figures)
    return (_unless_cut(finding, is_cut),)


def pericardial_outline(case: Case) -> tuple[Outline, ...]:
    """Outline of the fluid whose volume is stated."""
    return outline(case, case.once(_pericardial_fluid))


def _unless_cut(finding: Finding, is_cut: bool) -> Finding:
    """The finding, but not its absence where the heart runs out of the view."""
    return not_evaluated(finding.label, "outside_field_of_view") if is_cut and finding.presence is Presence.ABSENT else finding


def _pericardial_fluid(case: Case) -> Mask3D:
    """The segmenter's pericardial fluid, empty when it is not as dense as fluid: thin layers average with fat and lung."""
    fluid = case.lesion_mask("pericardial_effusion")
    if not fluid.any():
        return fluid
    middle_hu = float(np.median(case.coarse.hu[fluid]))
    heart = case.mask("heart") & ~fluid
    most_hu = min(FLUID_HU[1], float(np.median(case.coarse.hu[heart])) - BELOW_HEART_HU) if heart.any() else FLUID_HU[1]
    return fluid if FLUID_HU[0] <= middle_hu <= most_hu else np.zeros_like(fluid)


def _widths_mm(mask: Mask3D, spacing_mm: tuple[float, float, float]) -> Float64[np.ndarray, "z"]:
    """Extent from right to left of each slice, edge to edge, without thin spikes."""
    wide = mask.sum(axis=1) * spacing_mm[1] >= ROBUST_MM
    first, last = wide.argmax(axis=1), wide.shape[1] - 1 - wide[:, ::-1].argmax(axis=1)
    return np.where(wide.any(axis=1), (last - first + 1) * spacing_mm[2], 0.0)


def _is_cut(heart: Mask3D) -> bool:
    """Whether the heart runs out of the volume at a height where it is still wide."""
    areas = heart.sum(axis=(1, 2))
    return bool(max(areas[0], areas[-1]) > CUT_SHARE * areas.max())
