"""A person drawn from a seed: age, sex, size and the shapes that vary from one chest to the next."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float32, Float64

from medomni.phantom.canvas import Canvas
from medomni.phantom.contrast import Phase

HEIGHT_MM = 300.0
"""Height of the part of the chest that the shapes describe, from below the lung bases to above the apices."""

_Z = np.array([-20.0, 30, 80, 130, 170, 210, 240, 262, 278, 292])
_CAVITY_WIDTH = np.array([124.0, 131, 133, 129, 122, 110, 94, 76, 60, 46])
_CAVITY_DEPTH = np.array([82.0, 86, 88, 88, 86, 78, 66, 54, 44, 36])
_CAVITY_Y = np.array([-8.0, -8, -8, -8, -6, 0, 10, 20, 28, 32])
_BODY_WIDTH = np.array([138.0, 143, 146, 147, 152, 158, 160, 160, 158, 154])
_BODY_DEPTH = np.array([96.0, 99, 101, 102, 102, 97, 92, 88, 84, 80])


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
    gas_share: float
    size: tuple[float, float, float] = (1.0, 1.0, 1.0)
    arms: Arms = Arms.UP
    belly_mm: float = 10.0
    muscle_share: float = 1.0
    phase: Phase = Phase.NONE
    spleen_scale: float = 1.0

    def cavity(
        self, z: Float64[np.ndarray, "n"]
    ) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
        """Half width, half depth and centre y of the chest cavity at the given heights."""
        return (
            np.interp(z, _Z, _CAVITY_WIDTH) * self.scale,
            np.interp(z, _Z, _CAVITY_DEPTH) * self.scale,
            np.interp(z, _Z, _CAVITY_Y),
        )

    def outline(self, z: Float64[np.ndarray, "n"]) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
        """Half width and half depth of muscle (without the fat under the skin) at the given heights."""
        return np.interp(z, _Z, _BODY_WIDTH) * self.scale, np.interp(z, _Z, _BODY_DEPTH) * self.scale


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
        gas_share=float(rng.uniform(0.25, 0.6)),
        size=(tall * float(more.uniform(0.92, 1.1)), tall * float(more.uniform(0.92, 1.12)), tall),
        arms=Arms.UP if more.random() < 0.8 else Arms.DOWN,
        belly_mm=float(np.clip(more.normal(0.9 * fat_mm, 10), -4, 60)),
        muscle_share=float(np.clip(more.normal(1.05 if sex == "M" else 0.85, 0.15), 0.55, 1.4)),
        phase=_draw_phase(more),
    )


def _draw_phase(rng: np.random.Generator) -> Phase:
    phases = (Phase.NONE, Phase.PULMONARY_ARTERIAL, Phase.ARTERIAL, Phase.PORTAL_VENOUS, Phase.DELAYED)
    return phases[int(rng.choice(5, p=(0.5, 0.08, 0.12, 0.22, 0.08)))]


def radial(
    canvas: Canvas, width: Float64[np.ndarray, "z"], depth: Float64[np.ndarray, "z"], centre_y: Float64[np.ndarray, "z"]
) -> Float32[np.ndarray, "z y x"]:
    """Distance from the contour of a rounded box along the ray from its centre; negative inside (mm)."""
    a, b, c = (v.astype(np.float32)[:, None, None] for v in (width, depth, centre_y))
    dy = canvas.y - c
    rho = (((canvas.x / a) ** 2) ** 1.2 + ((dy / b) ** 2) ** 1.2) ** np.float32(1 / 2.4)
    distance = np.sqrt(canvas.x**2 + dy**2)
    return np.asarray(distance * (1 - 1 / np.maximum(rho, 1e-3)), dtype=np.float32)
