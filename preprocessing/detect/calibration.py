"""A detector's raw measure -> the probability of its finding, by a logistic curve fitted on phantoms of known truth.

    calibrated("pleural_effusion", 120.0) -> 0.97

The curves stand in ``calibration.toml`` with the seeds they were fitted on; ``calibrate.py`` fits them. A probability
is that of a phantom in a cohort where the disease is as common as in the one that was measured, not of a patient.
"""

import math
import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import Field, TypeAdapter

from medomni.types.codes import Value

TABLE = Path(__file__).with_name("calibration.toml")
STEEPEST = 30.0
"""Largest exponent: beyond it a probability is 0 or 1 to 13 digits."""


class Scale(StrEnum):
    """How a measure enters its curve: as it is, or as the logarithm of 1 + itself for volumes and scores of any size."""

    LINEAR = "linear"
    LOG = "log"

    def of(self, measure: float) -> float:
        """The measure on this scale."""
        return math.log1p(max(measure, 0.0)) if self is Scale.LOG else measure

    def back(self, value: float) -> float:
        """The measure that stands at a value of this scale."""
        return math.expm1(value) if self is Scale.LOG else value


class Curve(Value):
    """The logistic curve of one finding.

    Attributes:
        measure: what is measured, in words, with its unit.
        scale: the scale on which the curve is logistic.
        middle: the measure at probability 0.5.
        slope: steepness at the middle, for each step of the scale.
        ceiling: the most a detector of this kind may claim; below 0.9 its finding is never stated without a hedge.
        present, absent: how many phantoms with and without the finding the curve was fitted on; 0 where it is set by hand.
        seeds: first and last seed of those phantoms.
        source: where a curve set by hand comes from, or the day of the fit.
    """

    measure: str = Field(min_length=1)
    scale: Scale
    middle: float
    slope: float
    ceiling: float = Field(default=1.0, gt=0, le=1)
    present: int = Field(default=0, ge=0)
    absent: int = Field(default=0, ge=0)
    seeds: tuple[int, int] = (0, 0)
    source: str = Field(min_length=1)

    def probability(self, measure: float) -> float:
        """Probability of the finding at a measure, three decimals."""
        exponent = self.slope * (self.scale.of(measure) - self.scale.of(self.middle))
        exponent = max(-STEEPEST, min(STEEPEST, exponent))
        return round(min(self.ceiling, 1.0 / (1.0 + math.exp(-exponent))), 3)


def calibrated(label: str, measure: float) -> float:
    """Probability of the finding at its detector's raw measure.

    Raises:
        KeyError: the table has no curve for the label.
    """
    return curves()[label].probability(measure)


@cache
def curves() -> dict[str, Curve]:
    """All curves by finding label, read once from ``calibration.toml``."""
    return TypeAdapter(dict[str, Curve]).validate_python(tomllib.loads(TABLE.read_text(encoding="utf-8")))
