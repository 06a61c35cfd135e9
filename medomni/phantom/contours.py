"""The mean adult in person space: levels of the spine, its curve, the chest and belly cavity and the outer muscle contour.

Person space is in millimetres: x to the left, y to the back, z to the head; z = 300 is the top of T1, z = 13 the bottom of T12.
Values were read off anatomical cross-section atlases and rounded.
"""

import numpy as np
from jaxtyping import Float, Float32, Float64

from medomni.phantom.canvas import Field
from medomni.phantom.sketch import Patch

VERTEBRAE = ("C6", "C7", *(f"T{k}" for k in range(1, 13)), *(f"L{k}" for k in range(1, 6)), "S1")
_HEIGHTS_MM = np.array([17.0, 18, 20, 20.5, 21, 21.5, 22, 23, 24, 25, 26, 27, 28, 29, 32, 34, 35, 36, 36, 34])
"""Height of each vertebra with the disc below it (Gilad and Nissan, Spine 1986; Kunkel, J Anat 2011)."""
VERTEBRA_TOPS_MM: Float64[np.ndarray, "level"] = 335.0 - np.concatenate([[0.0], np.cumsum(_HEIGHTS_MM)[:-1]])
VERTEBRA_BOTTOMS_MM: Float64[np.ndarray, "level"] = VERTEBRA_TOPS_MM - _HEIGHTS_MM

_SPINE = np.array(
    [
        (-270, 70),
        (-215, 52),
        (-178, 36),
        (-139, 30),
        (-105, 30),
        (-67, 34),
        (-30, 40),
        (10, 46),
        (60, 51),
        (110, 54),
        (160, 54),
        (210, 50),
        (250, 42),
        (290, 31),
        (320, 25),
        (345, 22),
    ],
    dtype=float,
)
"""Height and y of the middle of the vertebral bodies of a person on the back."""

_CAVITY = np.array(
    [
        (-275, 72, -50, 66),
        (-230, 96, -66, 66),
        (-180, 113, -76, 64),
        (-140, 117, -82, 62),
        (-100, 115, -85, 62),
        (-60, 115, -88, 63),
        (-20, 119, -91, 72),
        (30, 126, -95, 84),
        (80, 131, -98, 90),
        (130, 131, -98, 91),
        (170, 123, -93, 89),
        (210, 110, -79, 86),
        (240, 94, -57, 81),
        (262, 77, -37, 75),
        (278, 62, -20, 71),
        (292, 52, -8, 66),
        (345, 40, 0, 60),
    ],
    dtype=float,
)
"""Height, half width, front and back of the pleural and peritoneal cavity."""

_OUTLINE = np.array(
    [
        (-275, 168, -78, 112),
        (-220, 164, -86, 112),
        (-180, 156, -90, 110),
        (-140, 142, -94, 107),
        (-100, 133, -97, 104),
        (-60, 130, -99, 104),
        (-20, 134, -102, 106),
        (30, 140, -106, 110),
        (80, 145, -109, 114),
        (130, 147, -111, 116),
        (170, 152, -109, 117),
        (210, 158, -100, 115),
        (240, 163, -86, 111),
        (262, 165, -74, 106),
        (280, 158, -62, 100),
        (296, 128, -52, 92),
        (312, 92, -46, 86),
        (330, 68, -44, 80),
        (350, 60, -44, 76),
    ],
    dtype=float,
)
"""Height, half width, front and back of the muscles, without the fat under the skin."""


def spine_y(z: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Position of the middle of the vertebral bodies."""
    return np.asarray(_smooth_interp(z, _SPINE[:, 0], _SPINE[:, 1]))


def spine_slope(z: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Slope dy/dz of the spine."""
    return np.asarray((spine_y(z + 4) - spine_y(z - 4)) / 8)


def cavity_at(z: Float64[np.ndarray, "n"], belly_mm: float = 0.0) -> tuple[Float64[np.ndarray, "n"], ...]:
    """Half width, front and back of the cavity at the given heights; ``belly_mm`` pushes the front of the belly out."""
    width, front, back = (_smooth_interp(z, _CAVITY[:, 0], _CAVITY[:, k]) for k in (1, 2, 3))
    share = _belly(z)
    return width + 0.45 * belly_mm * share, front - belly_mm * share, back


def outline_at(z: Float64[np.ndarray, "n"], belly_mm: float = 0.0) -> tuple[Float64[np.ndarray, "n"], ...]:
    """Half width, front and back of the muscles at the given heights."""
    width, front, back = (_smooth_interp(z, _OUTLINE[:, 0], _OUTLINE[:, k]) for k in (1, 2, 3))
    share = _belly(z)
    return width + 0.45 * belly_mm * share, front - belly_mm * share, back


def ring(patch: Patch, contour: tuple[Float32[np.ndarray, "..."], ...], power: float) -> Field:
    """Depth in a rounded box given by half width, front and back of each node, along the ray from its middle."""
    width, front, back = contour
    middle = (front + back) / 2
    dy = patch.y - middle
    rho = (np.abs(patch.x / width) ** np.float32(power) + np.abs(dy / ((back - front) / 2)) ** np.float32(power)) ** np.float32(
        1 / power
    )
    distance = np.sqrt(patch.x**2 + dy**2)
    return np.asarray(distance / np.maximum(rho, np.float32(1e-3)) - distance, dtype=np.float32)


def contour_on(patch: Patch, table: str, belly_mm: float) -> tuple[Float32[np.ndarray, "z y x"], ...]:
    """The contour of "cavity" or "outline" at the height of every node."""
    heights = np.arange(-420.0, 520.0, 2.0)
    values = (cavity_at if table == "cavity" else outline_at)(heights, belly_mm)
    place = np.clip((patch.z + np.float32(420)) / 2, 0, len(heights) - 1.01)
    low = place.astype(np.int32)
    share = (place - low).astype(np.float32)
    found = []
    for value in values:
        value32 = value.astype(np.float32)
        below = value32[low]
        found.append(below + share * (value32[low + 1] - below))
    return tuple(found)


def _belly(z: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.exp(-(((z + 75) / 95) ** 2)) * (z < 300)


def _smooth_interp(
    z: Float[np.ndarray, "..."], heights: Float64[np.ndarray, "k"], values: Float64[np.ndarray, "k"]
) -> Float[np.ndarray, "..."]:
    """Interpolation without corners: the mean of three shifted linear interpolations."""
    return np.asarray(sum(np.interp(z + shift, heights, values) for shift in (-10.0, 0.0, 10.0)) / 3)
