"""What the network sees in each lung -> findings of diffuse disease and of airless lung: side, place and probability.

A label's measure is the volume of the worse lung that shows it; ``calibration.toml`` turns it into a probability. Most of what
the network knows comes from phantoms, so these labels are hedged (the ceilings of their curves) and never called absent.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import ndimage

from medomni.reporting.hedge import presence_of
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from preprocessing.detect.answer import identifier, not_evaluated
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.lung_grid import fine_lungs
from preprocessing.detect.lung_lesions import lung_lesions
from preprocessing.detect.nodule import shows_nodules
from preprocessing.detect.place import Outline, evidence, outline
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


def shown_outline(label: str) -> Callable[[Case], tuple[Outline, ...]]:
    """The outline of a label in the lungs that its finding names; its border is that of cells, cut off at the lung."""

    def outlined(case: Case) -> tuple[Outline, ...]:
        named = case.once(_named(label))
        outlines = outline(case, np.logical_or.reduce([mask for mask, _ in named.values()])) if named else ()
        return tuple(Outline(one.box, one.mask & case.once(fine_lungs)[one.box]) for one in outlines)

    return outlined


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


@cache
def _named(label: str) -> Callable[[Case], dict[str, tuple[Mask3D, float]]]:
    """Where each lung that shows enough of a label to be named shows it, and how likely; keep it with ``case.once``."""

    def named(case: Case) -> dict[str, tuple[Mask3D, float]]:
        judged = {side: (mask, calibrated(label, case.millilitres(mask))) for side, mask in _by_side(case, label).items()}
        return {side: one for side, one in judged.items() if presence_of(one[1]) is not Presence.ABSENT}

    return named


def _finding(case: Case, label: str) -> Finding:
    named = case.once(_named(label))
    if not named:
        return not_evaluated(label, "not_excluded")
    best = max(probability for _, probability in named.values())
    return Finding(
        id=identifier(label),
        label=label,
        presence=presence_of(best),
        probability=best,
        laterality=_laterality(list(named)),
        measurements=tuple(
            _measurement(label, side, case.millilitres(mask)) for side, (mask, _) in named.items() if label in MEASURED
        ),
        evidence=tuple(_evidence(case, label, mask) for mask, _ in named.values()),
    )


def _laterality(sides: list[str]) -> Laterality:
    named = [side for side in sides if side != "unknown"]
    return Laterality.of(named) if named else Laterality.UNKNOWN


def _evidence(case: Case, label: str, mask: Mask3D) -> Evidence:
    """The largest part of what one lung shows."""
    parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    largest = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    return evidence(case, largest, label, SOURCE)


def _measurement(label: str, side: str, value: float) -> Measurement:
    """The volume that a label shows in one lung."""
    name = f"{label}_volume_{'total' if side == 'unknown' else side}"
    return Measurement(name=name, value=value, unit="mL", structure=label, decimals=0 if value >= 10.0 else 1)
