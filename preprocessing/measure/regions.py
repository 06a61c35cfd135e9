"""Volume + Segmentation -> Regions: volume, mean CT number, extent and density shares of every segmented structure.

One pass over the voxels makes a histogram of CT numbers for each structure; every density figure is read from it, so the
figures of one structure always agree with each other.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from medomni.anatomy import LOBES
from medomni.types.finding import BoxMm, Measurement
from medomni.types.region import Region
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Grid, Volume

LOWEST_HU, HIGHEST_HU = -1024, 3071
"""Range of a 12-bit CT number with intercept -1024; values beyond it count at its ends."""
LOW_ATTENUATION_HU = -950
"""Emphysema by densitometry: share of lung voxels below -950 HU (Gevenois 1995; used by COPDGene and MESA)."""
HIGH_ATTENUATION_HU = (-600, -250)
"""High-attenuation area: share of lung voxels from -600 to -250 HU (Lederer 2009, MESA)."""
LUNG_PARTS = {
    "right": ("lung_right", *LOBES["right"]),
    "left": ("lung_left", *LOBES["left"]),
    "unknown": ("lung",),
}
"""Structures that make up each lung, whatever the segmenter calls them; "unknown" where no side may be named."""
LUNGS = frozenset(name for parts in LUNG_PARTS.values() for name in parts)

Histogram = Float64[np.ndarray, "bin"]


def measure(volume: Volume, segmentation: Segmentation) -> tuple[Region, ...]:
    """Return one region for each structure the segmenter looked for, found or not, in label order."""
    histograms, voxels = _histograms(volume, segmentation)
    boxes = ndimage.find_objects(segmentation.labels)
    return tuple(
        _region(name, histograms[label], int(voxels[label]), boxes[label - 1], volume.grid)
        if voxels[label]
        else Region(structure=name, voxels=0)
        for label, name in sorted(segmentation.names.items())
    )


def _histograms(volume: Volume, segmentation: Segmentation) -> tuple[Float64[np.ndarray, "label bin"], np.ndarray]:
    """Millilitres and voxels per label and CT number; each slice counts with the height it stands for."""
    bins = HIGHEST_HU - LOWEST_HU + 1
    count = max(segmentation.names, default=0) + 1
    millilitres = np.zeros((count, bins))
    voxels = np.zeros(count, np.int64)
    for hu, labels, voxel_ml in zip(volume.hu, segmentation.labels, volume.grid.voxel_volumes_ml, strict=True):
        inside = labels > 0
        value = np.clip(hu[inside], LOWEST_HU, HIGHEST_HU).astype(np.int32) - LOWEST_HU
        joint = np.bincount(labels[inside].astype(np.int32) * bins + value, minlength=count * bins).reshape(count, bins)
        millilitres += joint * voxel_ml
        voxels += joint.sum(axis=1)
    return millilitres, voxels


def _region(name: str, histogram: Histogram, voxels: int, box: tuple[slice, ...], grid: Grid) -> Region:
    touches_edge = any(s.start == 0 or s.stop == n for s, n in zip(box, grid.shape, strict=True))
    crosses_gap = grid.crosses_gap(box[0].start, box[0].stop - 1)
    return Region(
        structure=name,
        voxels=voxels,
        measurements=tuple(_measurements(name, histogram, touches_edge, crosses_gap)),
        box_mm=box_mm(box, grid),
        first_slice=box[0].start,
        last_slice=box[0].stop - 1,
        touches_edge=touches_edge,
    )


def _measurements(name: str, histogram: Histogram, touches_edge: bool, crosses_gap: bool) -> Iterator[Measurement]:
    total = float(histogram.sum())
    hu = np.arange(LOWEST_HU, HIGHEST_HU + 1)
    yield Measurement(name="volume", value=total, unit="mL", structure=name, is_lower_bound=touches_edge, crosses_gap=crosses_gap)
    yield Measurement(name="mean_hu", value=float(histogram @ hu) / total, unit="[hnsf'U]", structure=name)
    if name in LUNGS:
        low = 100.0 * float(histogram[hu < LOW_ATTENUATION_HU].sum()) / total
        yield Measurement(name="laa950", value=low, unit="%", structure=name, decimals=1)
        lowest, highest = HIGH_ATTENUATION_HU
        high = 100.0 * float(histogram[(hu >= lowest) & (hu <= highest)].sum()) / total
        yield Measurement(name="haa", value=high, unit="%", structure=name, decimals=1)


def lungs_by_side(regions: Iterable[Region]) -> dict[str, tuple[Region, ...]]:
    """The lung parts that were found on each side ("right", "left", "unknown"), empty where there is none."""
    found = [region for region in regions if region.is_found]
    return {side: tuple(r for r in found if r.structure in parts) for side, parts in LUNG_PARTS.items()}


def total(regions: Iterable[Region], name: str) -> float:
    """Sum of a figure over some regions."""
    return sum(region.value(name) or 0.0 for region in regions)


def weighted_mean(regions: Iterable[Region], name: str) -> float:
    """Mean of a density figure over some regions, weighted by volume."""
    parts = tuple(regions)
    return sum((r.value(name) or 0.0) * (r.value("volume") or 0.0) for r in parts) / total(parts, "volume")


def lung_ml(regions: Mapping[str, Region], *sides: str) -> float:
    """Volume of the lungs of the named sides ("right", "left", "unknown"), of all when none is named."""
    names = [name for side in sides or LUNG_PARTS for name in LUNG_PARTS[side]]
    return sum(regions[name].value("volume") or 0.0 for name in names if name in regions)


def box_mm(box: tuple[slice, ...], grid: Grid) -> BoxMm:
    """The box (LPS millimetres) around the voxel centres of an index box, whatever way the grid lies."""
    ends = [(s.start, s.stop - 1) for s in box]
    corners = np.array([[z, y, x] for z in range(ends[0][0], ends[0][1] + 1) for y in ends[1] for x in ends[2]], dtype=float)
    world = grid.to_world_mm(corners)
    low, high = world.min(axis=0).round(2), world.max(axis=0).round(2)
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))
