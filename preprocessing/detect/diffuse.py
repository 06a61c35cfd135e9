"""Textures of each lung -> findings of diffuse disease and of airless lung: side, place and probability of each label.

A label's measure is the volume of the worse lung that the texture network takes for it; ``calibration.toml`` turns it into a
probability. Most of what the network knows comes from phantoms, so these labels are hedged (the ceilings of their curves) and
never called absent.
"""

from collections.abc import Callable

import numpy as np

from medomni.reporting.hedge import presence_of
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.region import Region
from preprocessing.detect.answer import identifier, not_evaluated
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.lung_lesions import lung_lesions
from preprocessing.detect.nodule import shows_nodules
from preprocessing.detect.place import fine_to_study
from preprocessing.detect.texture import Textures, lung_textures
from preprocessing.measure.regions import LUNG_PARTS, lungs_by_side

LABELS = (
    "bronchiectasis",
    "peribronchial_thickening",
    "interlobular_septal_thickening",
    "mosaic_attenuation_pattern",
    "pulmonary_fibrotic_sequela",
    "atelectasis",
)
"""The labels that are judged here, each by the texture of its name."""
MEASURED = ("atelectasis",)
"""Those whose volume is stated; of the others it is a figure for the curve only."""


def shown_ml(label: str) -> Callable[[Case], float | None]:
    """The raw measure of a label for calibration: the volume in the worse lung, None out of scope."""

    def measure(case: Case) -> float | None:
        textures = case.once(lung_textures) if _is_in_scope(case) else None
        if textures is None:
            return None
        return max((volume_ml(case, textures, label, side) for side in textures.sides), default=None)

    return measure


def volume_ml(case: Case, textures: Textures, label: str, side: str) -> float:
    """Volume of one lung that shows a label: by its texture, or for atelectasis what is airless and collapsed if that is more."""
    shown = textures.millilitres(label, side)
    if label != "atelectasis":
        return shown
    collapsed = case.once(lung_lesions).opacities.collapsed & case.mask(*LUNG_PARTS[side])
    return max(shown, case.millilitres(collapsed))


def diffuse_findings(case: Case) -> tuple[Finding, ...]:
    """One finding for each label; none where the lungs lie outside the scope of the draft."""
    if "lungs" not in case.coverage.evaluated:
        return ()
    if not _is_in_scope(case):
        return tuple(not_evaluated(label, "resolution_too_low") for label in LABELS)
    textures = case.once(lung_textures)
    return tuple(_finding(case, label, textures) for label in LABELS) if textures and textures.sides else ()


def _is_in_scope(case: Case) -> bool:
    return "lungs" in case.coverage.evaluated and shows_nodules(case.volume.grid)


def _finding(case: Case, label: str, textures: Textures) -> Finding:
    volumes = {side: volume_ml(case, textures, label, side) for side in textures.sides}
    probabilities = {side: calibrated(label, volume) for side, volume in volumes.items()}
    best = max(probabilities.values())
    if presence_of(best) is Presence.ABSENT:
        return not_evaluated(label, "not_excluded")
    sides = [side for side, probability in probabilities.items() if presence_of(probability) is not Presence.ABSENT]
    lungs = lungs_by_side(case.regions)
    return Finding(
        id=identifier(label),
        label=label,
        presence=presence_of(best),
        probability=best,
        laterality=_laterality(sides),
        measurements=tuple(_measurement(label, side, volumes[side]) for side in sides if label in MEASURED),
        evidence=tuple(_evidence(case, textures, label, side, lungs[side]) for side in sides),
    )


def _laterality(sides: list[str]) -> Laterality:
    named = [side for side in sides if side != "unknown"]
    return Laterality.of(named) if named else Laterality.UNKNOWN


def _evidence(case: Case, textures: Textures, label: str, side: str, lung: tuple[Region, ...]) -> Evidence:
    """Where most of it lies."""
    study = fine_to_study(case, np.array(textures.place(label, side)))
    x, y, z = (float(value) for value in case.volume.grid.to_world_mm(study).round(1))
    index = min(max(round(float(study[0])), 0), case.volume.grid.shape[0] - 1)
    structure = lung[0].structure if len(lung) == 1 else "lungs"
    return Evidence(structure=structure, slice_index=index, position_mm=(x, y, z), source="texture_network")


def _measurement(label: str, side: str, value: float) -> Measurement:
    """The volume that a label shows in one lung."""
    name = f"{label}_volume_{'total' if side == 'unknown' else side}"
    return Measurement(name=name, value=value, unit="mL", structure=label, decimals=0 if value >= 10.0 else 1)
