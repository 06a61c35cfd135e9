"""Contrast phases: the HU of each blood pool and organ of a person in a scan."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

AIR, FAT = -1000.0, -105.0
"""HU of air, adipose tissue and serous fluid at 120 kV (ICRU Report 46 tissues; Kalender, Computed Tomography, 3rd ed.)."""


class Phase(StrEnum):
    """When the scan was taken after an intravenous contrast agent."""

    NONE = "none"
    PULMONARY_ARTERIAL = "pulmonary_arterial"
    ARTERIAL = "arterial"
    PORTAL_VENOUS = "portal_venous"
    DELAYED = "delayed"


@dataclass(frozen=True)
class TissueHu:
    """HU of the soft tissues of one person in one scan."""

    muscle: float
    aorta: float
    pulmonary_artery: float
    left_heart: float
    right_heart: float
    upper_vein: float
    lower_vein: float
    portal_vein: float
    myocardium: float
    liver: float
    spleen: float
    pancreas: float
    kidney_cortex: float
    kidney_medulla: float
    bowel_wall: float
    thyroid: float
    adrenal: float


_PLAIN = TissueHu(54, 42, 42, 42, 42, 42, 42, 42, 44, 57, 48, 40, 33, 31, 38, 98, 28)
"""Unenhanced HU (Kalender; liver 55 to 65, spleen 45 to 50: Boyce, AJR 2010; thyroid about 100: Pandey, 2012)."""
_GAIN = {
    Phase.NONE: (0,) * 17,
    Phase.PULMONARY_ARTERIAL: (2, 110, 300, 150, 300, 420, 5, 5, 25, 4, 25, 15, 40, 10, 8, 60, 20),
    Phase.ARTERIAL: (6, 260, 190, 260, 170, 200, 20, 40, 70, 14, 75, 60, 130, 45, 35, 90, 50),
    Phase.PORTAL_VENOUS: (12, 105, 105, 105, 105, 110, 85, 135, 60, 52, 72, 55, 125, 110, 50, 70, 40),
    Phase.DELAYED: (10, 62, 62, 62, 62, 62, 62, 68, 42, 36, 45, 35, 95, 105, 35, 50, 28),
}
"""Rise of each tissue, in the order of ``TissueHu`` (Bae, Radiology 2010; Foley, AJR 2000)."""


def tissue_hu(phase: Phase, age_years: int, rng: np.random.Generator) -> TissueHu:
    """Return the HU of a person's tissues; the dose and the timing vary, and the blood thins in some."""
    strength = rng.uniform(0.65, 1.3)
    plain = np.array([getattr(_PLAIN, name) for name in TissueHu.__dataclass_fields__], dtype=float)
    gain = np.array(_GAIN[phase]) * strength * rng.uniform(0.85, 1.15, len(plain))
    blood = rng.uniform(-7, 6)
    plain[1:8] += blood
    plain += rng.normal(0, 2.0, len(plain))
    plain[0] -= 0.12 * max(0, age_years - 50)
    plain[9] += rng.normal(0, 4)
    plain[15] += rng.normal(0, 14)
    gain[2:5] *= rng.uniform(0.92, 1.08)
    return TissueHu(*(float(v) for v in plain + gain))
