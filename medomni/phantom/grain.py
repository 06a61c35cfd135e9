"""How a CT renders fine things: the blur of its edges and the size and correlation of its noise, measured on the CT itself.

Lesions that are painted into a CT are blended with it: their edges get its blur, their tissue its noise.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float32
from scipy import ndimage
from scipy.special import erfinv

from medomni.phantom.canvas import Canvas, Field
from medomni.phantom.disease.site import Layer, strength
from medomni.types.volume import Mask

SOFT_TISSUE_HU = (0.0, 90.0)
EDGE_STEP_HU = 880.0
"""Height of the step between lung (about -850 HU) and chest wall (about 30 HU)."""
_SLICES = 12
_PATCH = 5


@dataclass(frozen=True)
class Grain:
    """Rendering of a CT.

    ``blur_mm`` is the deviation of the Gaussian that best explains its lung edges in the slice, ``noise_hu`` the deviation of
    the noise in soft tissue, ``noise_blur`` the deviation (voxels) of the Gaussian that gives white noise its correlation.
    """

    blur_mm: float
    noise_hu: float
    noise_blur: float


def measure_grain(hu: Field, lung: Mask, spacing_mm: tuple[float, float, float]) -> Grain:
    """Return the grain of a CT around its lungs, from about a dozen slices."""
    found = np.flatnonzero(lung.any(axis=(1, 2)))
    chosen = np.unique(np.linspace(found[0], found[-1], _SLICES).astype(int)) if len(found) else np.arange(min(1, len(hu)))
    slices, inside = hu[chosen].astype(np.float32), lung[chosen]
    noise_hu, noise_blur = _noise(slices)
    return Grain(_blur_mm(slices, inside, spacing_mm), noise_hu, noise_blur)


def blend(hu: Field, layer: Layer, canvas: Canvas, grain: Grain, rng: np.random.Generator) -> None:
    """Mix a layer into a CT in place, with the blur and the noise of that CT."""
    box = _extent(layer.share)
    if box is None:
        return
    target = layer.target_hu if isinstance(layer.target_hu, float) else layer.target_hu[box]
    # a voxel already averages over its width: only the rest of the blur is left to do
    blur = [sqrt(max(0.0, (grain.blur_mm / s) ** 2 - 1 / 12)) for s in canvas.spacing_mm]
    blur[0] = min(blur[0], 0.5)
    share = ndimage.gaussian_filter(layer.share[box], blur, truncate=3) if max(blur) > 0.2 else layer.share[box]
    share = strength(hu[box], share, layer.spares_hu)
    noise = rng.standard_normal(share.shape, dtype=np.float32)
    if grain.noise_blur > 0.2:
        noise = ndimage.gaussian_filter(noise, (0, grain.noise_blur, grain.noise_blur), truncate=3)
    noise *= np.float32(grain.noise_hu / max(float(noise.std()), 1e-6))
    lost = np.sqrt(np.maximum(1 - (1 - share) ** 2, 0))
    hu[box] += share * (target - hu[box]) + lost * noise


def _noise(slices: Float32[np.ndarray, "z y x"]) -> tuple[float, float]:
    """Deviation in HU and correlation (as a blur in voxels) of the noise in the flattest soft tissue."""
    mean = ndimage.uniform_filter(slices, (0, _PATCH, _PATCH))
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(slices**2, (0, _PATCH, _PATCH)) - mean**2, 0))
    soft = (mean > SOFT_TISSUE_HU[0]) & (mean < SOFT_TISSUE_HU[1])
    if soft.sum() < 200:
        return 15.0, 0.6
    flat = soft & (spread <= np.percentile(spread[soft], 40))
    rest = np.where(flat, slices - mean, 0)
    pairs = flat[:, :, 1:] & flat[:, :, :-1]
    power = float((rest[flat] ** 2).mean())
    likeness = float((rest[:, :, 1:] * rest[:, :, :-1])[pairs].mean()) / power if pairs.any() and power > 0 else 0.0
    likeness = float(np.clip(likeness + 0.1, 0.0, 0.9))  # taking the mean of the patch away costs about 0.1
    blur = sqrt(-1 / (4 * np.log(likeness))) if likeness > 0.02 else 0.0
    return float(np.median(spread[flat])) * 1.1, blur


def _blur_mm(slices: Float32[np.ndarray, "z y x"], inside: Mask, spacing_mm: tuple[float, float, float]) -> float:
    """Blur that explains the steepest tenth of the lung edges: the slope of a blurred step over two voxels."""
    square = np.ones((1, 3, 3), dtype=bool)
    edge = ndimage.binary_dilation(inside, square) & ~ndimage.binary_erosion(inside, square)
    if edge.sum() < 50:
        return 0.6 * spacing_mm[2]
    step_y = ndimage.correlate1d(slices, [-1.0, 0.0, 1.0], axis=1)[edge]
    step_x = ndimage.correlate1d(slices, [-1.0, 0.0, 1.0], axis=2)[edge]
    share = float(np.clip(np.percentile(np.hypot(step_y, step_x), 90) / EDGE_STEP_HU, 0.25, 0.98))
    return float(spacing_mm[2] / (sqrt(2) * erfinv(share)))


def _extent(share: Field) -> tuple[slice, slice, slice] | None:
    """The box around what is painted, three voxels wider."""
    painted = share > 0.003
    if not painted.any():
        return None
    ends = [np.flatnonzero(painted.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    slices = [slice(max(0, int(found[0]) - 3), int(found[-1]) + 4) for found in ends]
    return (slices[0], slices[1], slices[2])
