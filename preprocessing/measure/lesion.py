"""Lesion mask -> its measures as radiologists report them: long and perpendicular short axis on one axial slice.

Conventions: the long axis is the largest extent in any single slice, the short axis the largest extent perpendicular to
it in that same slice (RECIST 1.1, Eisenhauer 2009); the mean diameter is their mean (Fleischner 2017 for nodules).
Extents run from outer edge to outer edge of the voxels; the density is that of the inside, without the blurred border. A
lesion cut by the edge of the volume has lower bounds only.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from medomni.types.finding import BoxMm, Measurement
from medomni.types.volume import Mask, Volume
from preprocessing.measure.regions import box_mm


@dataclass(frozen=True)
class Lesion:
    """One connected lesion with its measures. ``position_mm`` is the centre (LPS) in the slice of the long axis."""

    measurements: tuple[Measurement, ...]
    slice_index: int
    position_mm: tuple[float, float, float]
    box_mm: BoxMm
    touches_edge: bool

    def value(self, name: str) -> float:
        """The value of the named measurement."""
        return next(m.value for m in self.measurements if m.name == name)


def measure_lesions(mask: Mask, volume: Volume, structure: str, smallest_mm: float = 3.0) -> tuple[Lesion, ...]:
    """Return each connected lesion of the mask, largest long axis first; parts under ``smallest_mm`` are noise."""
    parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    lesions = [
        _lesion(parts[box] == label, box, volume, structure) for label, box in enumerate(ndimage.find_objects(parts), start=1)
    ]
    kept = [lesion for lesion in lesions if lesion.value("long_diameter") >= smallest_mm]
    return tuple(sorted(kept, key=lambda lesion: (-lesion.value("long_diameter"), lesion.slice_index)))


def _lesion(part: Mask, box: tuple[slice, ...], volume: Volume, structure: str) -> Lesion:
    grid = volume.grid
    axes = [_axes_mm(plane, grid.pixel_spacing_mm) for plane in part]
    best = int(np.argmax([long for long, _ in axes]))
    long, short = axes[best]
    index = box[0].start + best
    rows, columns = np.nonzero(part[best])
    centre = grid.to_world_mm(np.array([index, rows.mean() + box[1].start, columns.mean() + box[2].start]))
    touches_edge = any(s.start == 0 or s.stop == n for s, n in zip(box, grid.shape, strict=True))
    millilitres = float(part.sum(axis=(1, 2)) @ grid.voxel_volumes_ml[box[0]])
    inside = ndimage.binary_erosion(part, np.ones((1, 3, 3)))
    figures = (
        ("long_diameter", long, "mm", 0),
        ("short_diameter", short, "mm", 0),
        ("mean_diameter", (long + short) / 2, "mm", 0),
        ("volume", millilitres, "mL", 1),
        ("mean_hu", float(volume.hu[box][inside if inside.any() else part].mean()), "[hnsf'U]", 0),
    )
    return Lesion(
        measurements=tuple(
            Measurement(
                name=name,
                value=value,
                unit=unit,
                structure=structure,
                decimals=decimals,
                slice_index=index,
                is_lower_bound=touches_edge and name != "mean_hu",
                crosses_gap=name == "volume" and grid.crosses_gap(box[0].start, box[0].stop - 1),
            )
            for name, value, unit, decimals in figures
        ),
        slice_index=index,
        position_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        box_mm=box_mm(box, grid),
        touches_edge=touches_edge,
    )


def _axes_mm(plane: np.ndarray, pixel_spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """Long and perpendicular short axis of one slice of a mask, edge to edge, in millimetres; zeros when it is empty."""
    if not plane.any():
        return 0.0, 0.0
    corners = _corner_points_mm(plane, pixel_spacing_mm)
    difference = corners[:, None] - corners[None]
    distance = np.hypot(difference[..., 0], difference[..., 1])
    a, b = np.unravel_index(int(np.argmax(distance)), distance.shape)
    direction = difference[a, b] / distance[a, b]
    across = corners @ np.array([-direction[1], direction[0]])
    return float(distance[a, b]), float(np.ptp(across))


def _corner_points_mm(plane: np.ndarray, pixel_spacing_mm: tuple[float, float]) -> Float64[np.ndarray, "n 2"]:
    """Outer corners of the mask's pixels that span its convex hull."""
    points = np.argwhere(plane).astype(np.float64)
    offsets = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])
    corners = (points[:, None] + offsets).reshape(-1, 2) * np.asarray(pixel_spacing_mm)
    try:
        return np.asarray(corners[ConvexHull(corners).vertices])
    except QhullError:  # too flat for a hull: all corners will do
        return np.asarray(corners)
