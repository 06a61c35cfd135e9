"""Case -> hiatal hernia: soft tissue with or without gas, too wide to be anything else, behind the heart and before the spine.

The diaphragm is not segmented. A slice counts as chest where the heart is wide; there the space round the oesophagus holds fat
and nothing wider than the oesophagus itself. ``medomni-ct`` calls some of a hernia stomach, most of it nothing; so what no
structure explains counts when it is wide and touches oesophagus or stomach, with gas that is not lung. The fundus under the
left dome lies further to the left than the aorta. Small hernias are missed (docs/explanation/what-the-model-saw.md), so one that
is not seen is not excluded.
"""

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from medomni.types.finding import Finding, Measurement, Presence
from preprocessing.detect.answer import judged, not_evaluated
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.place import evidence
from preprocessing.measure.regions import LUNGS
from preprocessing.morphology import Mask3D, grow, opening

LABEL = "hiatal_hernia"
HEART_SHARE = 0.3
"""A slice lies in the chest when it holds this share of the largest section of the heart."""
REACH_MM = 40.0
"""How far from the line of the oesophagus a hernia is looked for, to the right, the front and the back."""
BESIDE_AORTA_MM = 10.0
"""How far left of the aorta it is looked for."""
GULLET_MM = 11.0
"""Half of the width of the widest healthy oesophagus, wall and content."""
WIDE_MM = 6.5
"""Half of the least width of what counts beside a known oesophagus, after ``GAP_MM`` on both sides."""
TOUCH_MM = 4.0
"""How near to oesophagus or stomach a hernia comes."""
GAS_HU, SOFT_HU = -500.0, (-10.0, 100.0)
BLUR_MM = 4.0
"""How far the border of gas and content is neither: blurred to the density of fat."""
GAP_MM = 2.0
"""Kept away from heart, aorta, spine, lung and fluid, whose borders are blurred."""
LESIONS = ("pleural_effusion", "pericardial_effusion", "lung_opacity")


def hernia_ml(case: Case) -> float | None:
    """Volume of what is herniated behind the heart; None when heart or oesophagus was not segmented."""
    if not case.has("esophagus") or not case.has("heart"):
        return None
    return case.millilitres(case.once(herniated))


def hiatal_hernia(case: Case) -> tuple[Finding, ...]:
    """A hernia with its volume above the diaphragm."""
    if "mediastinum" not in case.coverage.evaluated:
        return ()
    volume_ml = hernia_ml(case)
    if volume_ml is None:
        return (not_evaluated(LABEL, "not_segmented"),)
    mask = case.once(herniated)
    width_mm = _width_mm(mask, case)
    figures = (Measurement(name="hernia_width", value=width_mm, unit="mm", structure="stomach"),)
    finding = judged(LABEL, calibrated(LABEL, volume_ml), evidence(case, mask, "stomach"), figures)
    if finding.presence is not Presence.ABSENT:
        return (finding,)
    return (not_evaluated(LABEL, "outside_field_of_view" if case.mask("heart")[0].any() else "not_excluded"),)


def herniated(case: Case) -> Mask3D:
    """What is wide in the space behind the heart, neither fat nor a known structure but stomach, and touches the oesophagus.

    A segmenter that knows the stomach also says what is oesophagus; another may have missed a part of it.
    """
    room, gullet, stomach = _behind_heart(case), case.mask("esophagus"), case.mask("stomach")
    dark = case.coarse.hu < GAS_HU
    lung = ndimage.binary_propagation(dark & case.mask(*LUNGS), mask=dark)
    gas = grow(room & dark & ~lung, BLUR_MM, case.spacing_mm)
    soft = (case.smooth_hu > SOFT_HU[0]) & (case.smooth_hu < SOFT_HU[1])
    tissue = room & (soft | gas | stomach)
    if case.segmentation.has("stomach"):
        wide = opening(tissue & ~gullet, WIDE_MM, case.spacing_mm)
    else:
        wide = opening(tissue, GULLET_MM, case.spacing_mm)
    near = grow(gullet | stomach, TOUCH_MM, case.spacing_mm)
    return np.asarray(ndimage.binary_propagation(near & wide, mask=wide))


def _behind_heart(case: Case) -> Mask3D:
    """The space round the oesophagus in the slices of the chest, without heart, aorta, spine, lungs, airways and fluid."""
    heart, gullet, aorta = case.mask("heart"), case.mask("esophagus"), case.mask("aorta")
    areas = heart.sum(axis=(1, 2))
    known = case.mask("heart", "aorta", "vertebrae", "airway", "pulmonary_artery", "ribs", "liver", "spleen")
    free = ~grow(known | case.mask(*LUNGS) | case.lesion_mask(*LESIONS), GAP_MM, case.spacing_mm)
    line = _line(gullet)
    room = np.zeros_like(heart)
    _, row_mm, column_mm = case.spacing_mm
    rows, columns = np.arange(heart.shape[1]) * row_mm, np.arange(heart.shape[2]) * column_mm
    for z in np.flatnonzero(areas >= HEART_SHARE * areas.max()):
        y_mm, x_mm = line[z, 0] * row_mm, line[z, 1] * column_mm
        left_mm = x_mm + REACH_MM
        if aorta[z].any():
            left_mm = min(left_mm, columns[np.flatnonzero(aorta[z].any(axis=0))[-1]] + BESIDE_AORTA_MM)
        in_columns = (columns >= x_mm - REACH_MM) & (columns <= left_mm)
        room[z] = (np.abs(rows - y_mm) <= REACH_MM)[:, None] & in_columns[None, :]
    return np.asarray(room & free)


def _line(gullet: Mask3D) -> Float64[np.ndarray, "z 2"]:
    """Middle (row, column) of the oesophagus in every slice, carried on beyond its ends."""
    slices = np.flatnonzero(gullet.any(axis=(1, 2)))
    middles = np.array([np.argwhere(gullet[z]).mean(axis=0) for z in slices])
    return np.stack([np.interp(np.arange(len(gullet)), slices, middles[:, axis]) for axis in (0, 1)], axis=1)


def _width_mm(mask: Mask3D, case: Case) -> float:
    """Widest extent from right to left in a slice."""
    columns = np.count_nonzero(mask.any(axis=1), axis=1)
    return float(columns.max()) * case.spacing_mm[2] if len(columns) else 0.0
