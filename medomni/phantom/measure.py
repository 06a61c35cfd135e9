"""True measurements of a phantom, under the measurement names of a report.

    parts, lesions, HU -> {name: value}

Volumes come from the masks; HU are those of the scanned image, which is what a reader can measure.
"""

import numpy as np
from jaxtyping import Int16

from medomni.phantom.body import LUNG_PARTS
from medomni.phantom.canvas import Canvas
from medomni.phantom.disease import Lesion
from medomni.types.volume import Mask

_BY_SIDE = {"lung_opacity": "opacity", "consolidation": "consolidation", "pleural_effusion": "effusion"}
_ORGANS = ("liver", "spleen", "kidney_right", "kidney_left", "heart")
_LOW_ATTENUATION_HU = -950
_INSIDE_MM = 4.0
"""Depth from which an organ is measured: its border shares voxels with its neighbours."""


def measure(
    canvas: Canvas, parts: dict[str, Mask], drawn: tuple[Lesion, ...], hu: Int16[np.ndarray, "z y x"]
) -> dict[str, float]:
    """Return the true values of a case: mL, HU and %."""
    values: dict[str, float] = {}
    for side in ("right", "left"):
        _measure_lung(side, canvas, parts, hu, values)
        for kind, name in _BY_SIDE.items():
            masks = [lesion.mask for lesion in drawn if lesion.kind == kind and lesion.side == side]
            volume = float(np.logical_or.reduce(masks).sum() * canvas.voxel_ml) if masks else 0.0
            values[f"{name}_volume_{side}"] = volume
        lung_ml = values[f"lung_volume_{side}"]
        values[f"opacity_percent_{side}"] = 100 * values[f"opacity_volume_{side}"] / lung_ml if lung_ml else 0.0
    for name in ("lung_volume", *(f"{name}_volume" for name in _BY_SIDE.values())):
        values[f"{name}_total"] = values[f"{name}_right"] + values[f"{name}_left"]
    for name in LUNG_PARTS:
        values[f"volume_{name}"] = float(np.count_nonzero(parts[name]) * canvas.voxel_ml)
    for name in _ORGANS:
        _measure_organ(name, canvas, parts[name], hu, values)
    return values


def _measure_lung(
    side: str, canvas: Canvas, parts: dict[str, Mask], hu: Int16[np.ndarray, "z y x"], values: dict[str, float]
) -> None:
    lung = np.logical_or.reduce([parts[name] for name in LUNG_PARTS if name.endswith(side)])
    inside = hu[lung]
    values[f"lung_volume_{side}"] = float(len(inside) * canvas.voxel_ml)
    if len(inside):
        values[f"mean_hu_{side}"] = float(inside.mean())
        values[f"laa950_{side}"] = float((inside < _LOW_ATTENUATION_HU).mean() * 100)


def _measure_organ(name: str, canvas: Canvas, mask: Mask, hu: Int16[np.ndarray, "z y x"], values: dict[str, float]) -> None:
    """Volume, and the mean HU of its inside."""
    values[f"volume_{name}"] = float(np.count_nonzero(mask) * canvas.voxel_ml)
    steps = [max(1, round(_INSIDE_MM / spacing)) for spacing in canvas.spacing_mm]
    inside = mask.copy()
    for axis, step in enumerate(steps):
        inside &= np.roll(mask, step, axis) & np.roll(mask, -step, axis)
    if inside.any():
        values[f"mean_hu_{name}"] = float(hu[inside].mean())
