"""Turns a working volume into the image a bundle's network wants (axes, spacing, intensity), and its labels back.

Working arrays run to head, back and left; a bundle states its axes by three letters, as MONAI's Orientation does. Knows
nothing about networks.
"""

import numpy as np
from jaxtyping import Float32, UInt8

from medomni.types.volume import Volume
from preprocessing.segment.bundle_config import BundlePlan, IntensityStep

_AXES = {"S": (0, 1), "I": (0, -1), "P": (1, 1), "A": (1, -1), "L": (2, 1), "R": (2, -1)}
"""Letter to (axis of a working array, direction); working arrays run to head (S), back (P) and left (L)."""


def working_spacing_mm(plan: BundlePlan, volume: Volume) -> tuple[float, float, float]:
    """The bundle's spacing along (head, back, left); an axis it leaves alone keeps about its own."""
    grid = volume.grid
    directions = np.abs(np.stack([grid.normal, grid.column_direction, grid.row_direction]))
    native = [float(grid.spacing_mm[int(np.argmax(directions[:, world]))]) for world in (2, 1, 0)]
    wanted = dict(zip((_AXES[letter][0] for letter in plan.axcodes), plan.spacing_mm, strict=True))
    a, b, c = (wanted[axis] or native[axis] for axis in range(3))
    return (a, b, c)


def orient(hu: Float32[np.ndarray, "z y x"], axcodes: str) -> Float32[np.ndarray, "i j k"]:
    """A working array as the bundle wants it: axes in the order and direction of ``axcodes``, as MONAI's Orientation."""
    turned = hu.transpose([_AXES[letter][0] for letter in axcodes])
    return np.ascontiguousarray(turned[tuple(slice(None, None, _AXES[letter][1]) for letter in axcodes)])


def restore(labels: UInt8[np.ndarray, "i j k"], axcodes: str) -> UInt8[np.ndarray, "z y x"]:
    """The inverse of ``orient``."""
    straight = labels[tuple(slice(None, None, _AXES[letter][1]) for letter in axcodes)]
    return np.ascontiguousarray(straight.transpose(np.argsort([_AXES[letter][0] for letter in axcodes])))


def prepare(image: Float32[np.ndarray, "i j k"], steps: tuple[IntensityStep, ...]) -> Float32[np.ndarray, "i j k"]:
    """Apply the bundle's intensity steps as MONAI's ScaleIntensityRange, NormalizeIntensity and ScaleIntensity do."""
    for step in steps:
        n = step.numbers
        if step.kind == "range":
            image = (image - n["a_min"]) / (n["a_max"] - n["a_min"]) * (n["b_max"] - n["b_min"]) + n["b_min"]
            if n["clip"]:
                image = np.clip(image, n["b_min"], n["b_max"])
        elif step.kind == "normalize":
            inside = image != 0 if n.get("nonzero") else np.ones(image.shape, dtype=bool)
            values = image[inside]
            mean = n.get("subtrahend", float(values.mean(dtype=np.float64)) if values.size else 0.0)
            deviation = n.get("divisor", float(values.std(dtype=np.float64)) if values.size else 1.0) or 1.0
            image = np.where(inside, (image - mean) / deviation, image)
        else:
            low, high = float(image.min()), float(image.max())
            span = (n["maxv"] - n["minv"]) / (high - low) if high > low else 0.0
            image = (image - low) * span + n["minv"]
        image = image.astype(np.float32, copy=False)
    return image
