"""Signs of each lung -> findings of diffuse disease and of airless lung: side, place and probability of each label.

A label's score is a weighted sum of log(1 + sign); ``diffuse.toml`` holds the weights, fitted on phantoms of known truth
(``fit_diffuse.py``), and ``calibration.toml`` turns the score into a probability. The signs are plain (share of lines, width of
bronchi, steps of density), so a reader can check each one; none tells a disease from its look-alikes with certainty, so most
labels are never stated without a hedge and never called absent.
"""

import math
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import Field, TypeAdapter

from medomni.types.codes import Value
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.region import Region
from preprocessing.detect.answer import absent, identifier, not_evaluated
from preprocessing.detect.calibration import calibrated, presence_of
from preprocessing.detect.case import Case
from preprocessing.detect.lung_signs import Signs, lung_signs
from preprocessing.detect.nodule import shows_nodules
from preprocessing.detect.place import fine_to_study
from preprocessing.measure.regions import lungs_by_side

TABLE = Path(__file__).with_name("diffuse.toml")


class Rule(Value):
    """How one label is scored.

    Attributes:
        signs: weight of log(1 + sign) by the name of the sign.
        intercept: the score where every sign is 0.
        shown_by: the sign whose worst cell is the evidence.
        is_excludable: whether a low score allows to say that the finding is absent.
    """

    signs: dict[str, float]
    intercept: float
    shown_by: str = Field(min_length=1)
    is_excludable: bool = False

    def score(self, signs: Signs) -> float:
        """The score of one lung."""
        return self.intercept + sum(weight * math.log1p(max(signs.values[name], 0.0)) for name, weight in self.signs.items())


@cache
def rules() -> dict[str, Rule]:
    """The rule of each label, read once from ``diffuse.toml``."""
    return TypeAdapter(dict[str, Rule]).validate_python(tomllib.loads(TABLE.read_text(encoding="utf-8")))


def diffuse_score(label: str) -> Callable[[Case], float | None]:
    """The raw measure of a label for calibration: the score of the worse lung, None out of scope."""

    def measure(case: Case) -> float | None:
        signs = case.once(lung_signs) if _is_in_scope(case) else {}
        return max((rules()[label].score(one) for one in signs.values()), default=None)

    return measure


def diffuse_findings(case: Case) -> tuple[Finding, ...]:
    """One finding for each label of the table; none where the lungs lie outside the scope of the draft."""
    if "lungs" not in case.coverage.evaluated:
        return ()
    if not _is_in_scope(case):
        return tuple(not_evaluated(label, "resolution_too_low") for label in rules())
    signs = case.once(lung_signs)
    return tuple(_finding(case, label, rule, signs) for label, rule in rules().items()) if signs else ()


def _is_in_scope(case: Case) -> bool:
    return "lungs" in case.coverage.evaluated and shows_nodules(case.volume.grid)


def _finding(case: Case, label: str, rule: Rule, signs: dict[str, Signs]) -> Finding:
    probabilities = {side: calibrated(label, rule.score(one)) for side, one in signs.items()}
    best = max(probabilities.values())
    presence = presence_of(best)
    if presence is Presence.ABSENT:
        return absent(label, best) if rule.is_excludable else not_evaluated(label, "not_excluded")
    sides = [side for side, probability in probabilities.items() if presence_of(probability) is not Presence.ABSENT]
    lungs = lungs_by_side(case.regions)
    evidence = tuple(_evidence(case, signs[side], rule.shown_by, lungs[side]) for side in sides)
    return Finding(
        id=identifier(label),
        label=label,
        presence=presence,
        probability=best,
        laterality=_laterality(sides),
        measurements=tuple(m for side in sides for m in _measurements(label, side, signs[side])),
        evidence=evidence,
    )


def _laterality(sides: list[str]) -> Laterality:
    named = [side for side in sides if side != "unknown"]
    if not named:
        return Laterality.UNKNOWN
    return Laterality.BILATERAL if len(named) == 2 else Laterality(named[0])


def _evidence(case: Case, signs: Signs, shown_by: str, lung: tuple[Region, ...]) -> Evidence:
    """The middle of the cell that shows the sign most."""
    structure = lung[0].structure if len(lung) == 1 else "lungs"
    place = signs.places.get(shown_by)
    if place is None:
        return Evidence(structure=structure, source="lung_signs")
    study = fine_to_study(case, np.array(place))
    x, y, z = (float(value) for value in case.volume.grid.to_world_mm(study).round(1))
    index = min(max(round(float(study[0])), 0), case.volume.grid.shape[0] - 1)
    return Evidence(structure=structure, slice_index=index, position_mm=(x, y, z), source="lung_signs")


def _measurements(label: str, side: str, signs: Signs) -> tuple[Measurement, ...]:
    """The number that goes with a label; most have none."""
    if label == "atelectasis":
        value = signs.values["plate_ml"] + signs.values["rear_ml"]
        name = f"atelectasis_volume_{'total' if side == 'unknown' else side}"
        figure = Measurement(
            name=name, value=value, unit="mL", structure=label, is_lower_bound=True, decimals=0 if value >= 10.0 else 1
        )
        return (figure,) if value > 0 else ()
    return ()
