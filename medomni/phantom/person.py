"""A person drawn from a seed: age, sex, size and the shapes that vary from one chest to the next."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from medomni.phantom.contrast import Phase

HEIGHT_MM = 300.0
"""Height of the part of the chest that the shapes describe, from below the lung bases to above the apices."""


class Arms(StrEnum):
    """Where the arms lie during the scan."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True)
class Person:
    """The seeded facts of one phantom; lengths in millimetres."""

    seed: int
    age_years: int
    sex: str
    scale: float
    fat_mm: float
    right_dome_z: float
    left_dome_z: float
    heart_scale: float
    lung_hu: float
    size: tuple[float, float, float] = (1.0, 1.0, 1.0)
    arms: Arms = Arms.UP
    belly_mm: float = 10.0
    muscle_share: float = 1.0
    phase: Phase = Phase.NONE
    spleen_scale: float = 1.0


def make_person(seed: int) -> Person:
    """Return the person of a seed."""
    rng = np.random.default_rng([seed, 1])
    sex = "M" if rng.random() < 0.5 else "F"
    right_dome_z = float(rng.uniform(92, 106))
    more = np.random.default_rng([seed, 7])
    tall = float(np.clip(more.normal(1.0 if sex == "M" else 0.94, 0.035), 0.86, 1.04))
    fat_mm = float(np.clip(more.lognormal(np.log(14), 0.55), 3, 50))
    return Person(
        seed=seed,
        age_years=int(rng.integers(28, 85)),
        sex=sex,
        scale=float(rng.uniform(0.95, 1.04) if sex == "M" else rng.uniform(0.88, 0.97)),
        fat_mm=fat_mm,
        right_dome_z=right_dome_z,
        left_dome_z=right_dome_z - float(rng.uniform(3, 13)),
        heart_scale=float(rng.uniform(0.9, 1.02)),
        lung_hu=float(rng.uniform(-885, -835)),
        size=(tall * float(more.uniform(0.92, 1.1)), tall * float(more.uniform(0.92, 1.12)), tall),
        arms=Arms.UP if more.random() < 0.8 else Arms.DOWN,
        belly_mm=float(np.clip(more.normal(0.9 * fat_mm, 10), -4, 60)),
        muscle_share=float(np.clip(more.normal(1.05 if sex == "M" else 0.85, 0.15), 0.55, 1.4)),
        phase=_draw_phase(more),
    )


def _draw_phase(rng: np.random.Generator) -> Phase:
    phases = (Phase.NONE, Phase.PULMONARY_ARTERIAL, Phase.ARTERIAL, Phase.PORTAL_VENOUS, Phase.DELAYED)
    return phases[int(rng.choice(5, p=(0.5, 0.08, 0.12, 0.22, 0.08)))]
