"""Case -> hiatal hernia: stomach, or gas and wall too wide for an oesophagus, behind the heart and in front of the spine.

The diaphragm is not segmented. A slice counts as chest where the heart is wide; there the space round the oesophagus holds
nothing wider than the oesophagus itself. The fundus under the left dome lies further to the left than the aorta.
Most hernias of the cohort are missed (docs/explanation/what-the-model-saw.md), so one that is not seen is not excluded.
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
GAS_HU, SOFT_HU = -250.0, (-10.0, 150.0)
GAP_MM = 2.0
"""Kept away from heart, aorta, spine and lung, whose borders are blurred."""


def hernia_ml(case: Case) -> float | None:
    """Volume of stomach or of a too wide oesophagus behind the heart; None when heart or oesophagus was not segmented."""
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
    """Stomach, or what is wider than an oesophagus, in the space behind the heart.

    A segmenter that knows the stomach says what is oesophagus; without one gas and soft tissue are taken for it.
    """
    room = _behind_heart(case)
    if case.segmentation.has("stomach"):
        stomach = case.mask("stomach")
        return np.asarray(room & (stomach | opening(stomach | case.mask("esophagus"), GULLET_MM, case.spacing_mm)))
    hu = case.coarse.hu
    hollow = room & (hu < GAS_HU)
    soft = room & (case.smooth_hu > SOFT_HU[0]) & (case.smooth_hu < SOFT_HU[1])
    wide = opening(soft | ndimage.binary_fill_holes(hollow), GULLET_MM, case.spacing_mm)
    return np.asarray(room & wide)


def _behind_heart(case: Case) -> Mask3D:
    """The space round the oesophagus in the slices of the chest, without heart, aorta, spine, lungs and airways."""
    heart, gullet, aorta = case.mask("heart"), case.mask("esophagus"), case.mask("aorta")
    areas = heart.sum(axis=(1, 2))
    known = case.mask("heart", "aorta", "vertebrae", "airway", "pulmonary_artery", "ribs", "liver", "spleen")
    free = ~grow(known | case.mask(*LUNGS), GAP_MM, case.spacing_mm)
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
