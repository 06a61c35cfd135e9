"""What the network sees in each lung -> findings of diffuse disease and of airless lung: side, place and probability.

A label's measure is the volume of the worse lung that shows it; ``calibration.toml`` turns it into a probability. Most of what
the network knows comes from phantoms, so these labels are hedged (the ceilings of their curves) and never called absent.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from medomni.reporting.hedge import presence_of
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from preprocessing.detect.answer import identifier, not_evaluated
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.lung_lesions import lung_lesions
from preprocessing.detect.nodule import shows_nodules
from preprocessing.detect.place import evidence
from preprocessing.detect.places import SOURCE, places
from preprocessing.measure.regions import LUNG_PARTS, lungs_by_side
from preprocessing.morphology import Mask3D

LABELS = (
    "bronchiectasis",
    "peribronchial_thickening",
    "interlobular_septal_thickening",
    "mosaic_attenuation_pattern",
    "pulmonary_fibrotic_sequela",
    "atelectasis",
)
"""The labels that are judged here."""
MEASURED = ("atelectasis",)
"""Those whose volume is stated; of the others it is a figure for the curve only."""


def shown_ml(label: str) -> Callable[[Case], float | None]:
    """The raw measure of a label for calibration: the volume in the worse lung, None out of scope."""

    def measure(case: Case) -> float | None:
        if not _is_in_scope(case):
            return None
        return max((case.millilitres(mask) for mask in _by_side(case, label).values()), default=None)

    return measure


def diffuse_findings(case: Case) -> tuple[Finding, ...]:
    """One finding for each label; none where the lungs lie outside the scope of the draft."""
    if "lungs" not in case.coverage.evaluated:
        return ()
    if not _is_in_scope(case):
        return tuple(not_evaluated(label, "resolution_too_low") for label in LABELS)
    return tuple(_finding(case, label) for label in LABELS)


def _is_in_scope(case: Case) -> bool:
    return "lungs" in case.coverage.evaluated and shows_nodules(case.volume.grid)


def _by_side(case: Case, label: str) -> dict[str, Mask3D]:
    """Where each lung that was found shows a label; atelectasis also where lung is airless and collapsed."""
    shown = case.once(places).shown(label, case)
    if label == "atelectasis":
        shown |= case.once(lung_lesions).opacities.collapsed
    lungs = {side: case.mask(*LUNG_PARTS[side]) for side, parts in lungs_by_side(case.regions).items() if parts}
    return {side: shown & lung for side, lung in lungs.items()}


def _finding(case: Case, label: str) -> Finding:
    masks = _by_side(case, label)
    volumes = {side: case.millilitres(mask) for side, mask in masks.items()}
    probabilities = {side: calibrated(label, volume) for side, volume in volumes.items()}
    best = max(probabilities.values(), default=0.0)
    if presence_of(best) is Presence.ABSENT:
        return not_evaluated(label, "not_excluded")
    sides = [side for side, probability in probabilities.items() if presence_of(probability) is not Presence.ABSENT]
    return Finding(
        id=identifier(label),
        label=label,
        presence=presence_of(best),
        probability=best,
        laterality=_laterality(sides),
        measurements=tuple(_measurement(label, side, volumes[side]) for side in sides if label in MEASURED),
        evidence=tuple(_evidence(case, masks[side], side) for side in sides),
    )


def _laterality(sides: list[str]) -> Laterality:
    named = [side for side in sides if side != "unknown"]
    return Laterality.of(named) if named else Laterality.UNKNOWN


def _evidence(case: Case, mask: Mask3D, side: str) -> Evidence:
    """The largest part of what one lung shows."""
    parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    largest = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    lung = lungs_by_side(case.regions)[side]
    return evidence(case, largest, lung[0].structure if len(lung) == 1 else "lungs", SOURCE)


def _measurement(label: str, side: str, value: float) -> Measurement:
    """The volume that a label shows in one lung."""
    name = f"{label}_volume_{'total' if side == 'unknown' else side}"
    return Measurement(name=name, value=value, unit="mL", structure=label, decimals=0 if value >= 10.0 else 1)
