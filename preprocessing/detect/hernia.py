"""Case -> hiatal hernia, where the omni model's near network sees one behind the heart.

A rule of density takes the space behind the heart for empty where a hernia is small, and lung or fluid for a hernia
(docs/explanation/experiments.md); the network was shown hernias of phantoms of all sizes.
"""

import numpy as np

from medomni.types.finding import Finding, Measurement, Presence
from preprocessing.detect.answer import judged, not_evaluated
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.place import Outline, evidence, outline
from preprocessing.detect.places import SOURCE, places
from preprocessing.measure.regions import LUNGS
from preprocessing.morphology import Mask3D, grow

LABEL = "hiatal_hernia"
REACH_MM = 60.0
"""How far from the oesophagus a hernia reaches."""
FAT_HU = -30.0
"""Smoothed CT number up to which what lies round a hernia is fat; its gas is thinner than ``GAS_HU``."""
GAS_HU = -300.0


def hernia_ml(case: Case) -> float | None:
    """Volume of the places round the oesophagus that show a hernia; None when heart or oesophagus was not segmented."""
    if not case.has("esophagus") or not case.has("heart"):
        return None
    return case.millilitres(case.once(herniated))


def hiatal_hernia(case: Case) -> tuple[Finding, ...]:
    """A hernia with its width; never absent."""
    if "mediastinum" not in case.coverage.evaluated:
        return ()
    volume_ml = hernia_ml(case)
    if volume_ml is None:
        return (not_evaluated(LABEL, "not_segmented"),)
    mask = case.once(herniated)
    width_mm = _width_mm(case)
    figures = (Measurement(name="hernia_width", value=width_mm, unit="mm", structure="stomach"),) if width_mm else ()
    finding = judged(LABEL, calibrated(LABEL, volume_ml), evidence(case, mask, LABEL, SOURCE), figures)
    if finding.presence is not Presence.ABSENT:
        return (finding,)
    return (not_evaluated(LABEL, "outside_field_of_view" if case.mask("heart")[0].any() else "not_excluded"),)


def herniated(case: Case) -> Mask3D:
    """Where a hernia shows."""
    shown = case.once(places).shown(LABEL, case)
    return shown & grow(case.mask("esophagus"), REACH_MM, case.spacing_mm) if shown.any() else shown


def hernia_outline(case: Case) -> tuple[Outline, ...]:
    """Outline of what the stated width is that of; of all places that show a hernia where that is nothing."""
    inside = case.once(_wall_and_content)
    return outline(case, inside if inside.any() else case.once(herniated))


def _wall_and_content(case: Case) -> Mask3D:
    """What is neither fat nor lung where a hernia shows."""
    dense = (case.smooth_hu > FAT_HU) | (case.coarse.hu < GAS_HU)
    return np.asarray(case.once(herniated) & ~case.mask(*LUNGS) & dense)


def _width_mm(case: Case) -> float:
    """Widest extent of it in a slice, from right to left; 0 where it is nothing."""
    inside = case.once(_wall_and_content)
    columns = np.count_nonzero(inside.any(axis=1), axis=1)
    return float(columns.max()) * case.spacing_mm[2] if len(columns) else 0.0
