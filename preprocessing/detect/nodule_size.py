"""A place in a nodule -> its border at half maximum, and the diameters a reader would measure there.

The border lies where the CT number is half way between the nodule's outer tissue and the lung around it; vessels and spicules
that run into the nodule are cut off (Bankier et al., Radiology 2017: Fleischner Society recommendations for measuring nodules).
Works on a small box at 0.5 mm, so that the border is finer than a voxel. Knows nothing about how the place was found.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from preprocessing.detect.case import Case
from preprocessing.detect.lung_grid import fine_lungs
from preprocessing.morphology import Mask3D

FINE_MM = 0.5
"""Edge of a voxel of the box for nodules up to ``LARGE_MM``; a third of the wanted accuracy of a diameter."""
LARGE_MM, COARSE_MM = 14.0, 0.9
"""Larger nodules are drawn on voxels of the second edge: the box of a 30 mm nodule stays small."""
SMOOTH_MM = 0.5
"""Standard deviation of the smoothing: noise of 20 HU falls below 8 HU, a border moves by less than 0.2 mm."""
LUNG_HU = (-960.0, -700.0)
"""Aerated lung beside a nodule lies between these; its median is the outer level of the border."""
SOLID_HU = -300.0
"""CT number above which tissue of a nodule is solid; ground glass lies below (half way from lung to soft tissue is -400)."""
GLASS_RIM_HU, GLASS_RIM_MM, GLASS_RIM_SHARE = 130.0, (1.2, 3.2), 0.55
"""A rim so much denser than lung between these distances outside a solid border is the ground glass of a part-solid nodule."""
STALK_SHARE = 0.5
"""A strand thinner than this share of the nodule's inner radius is no part of it."""
SHELL_MM, AERATED_HU = (1.5, 5.0), -650.0
"""Lung around a nodule is looked at between these distances; below the second it is aerated, vessels averaged in."""
SKIN_MM = (0.7, 1.7)
"""Where strands that go on from the surface are looked for."""
SOLID_HIGHEST_HU = 30.0
"""Calcification does not move the border: denser cores count as soft tissue."""


@dataclass(frozen=True, eq=False)
class SizedNodule:
    """One nodule with its border.

    Attributes:
        mask: voxels of ``box``, on the study's own voxels in patient order.
        slice_index: index (patient order, feet to head) of the slice in which it is largest.
        centre: (z, y, x) in that slice, on the study's voxels in patient order.
        long_mm, short_mm: long axis there, and the extent across it.
        solid_mm: mean diameter of the solid part in the slice where that is largest; 0 without one.
        mean_hu: mean CT number inside, without the blurred border.
        solid_share: share of the inside that is solid.
        air_share: share of the lung around it that is aerated; low in a pneumonia and at the hilum.
        stalk_share: share of its surface inside the lung where a strand as dense as itself goes on; high for pieces of a vessel.
    """

    box: tuple[slice, slice, slice]
    mask: Mask3D
    slice_index: int
    centre: tuple[float, float, float]
    long_mm: float
    short_mm: float
    solid_mm: float
    volume_ml: float
    mean_hu: float
    solid_share: float
    air_share: float
    stalk_share: float

    @property
    def fullness(self) -> float:
        """Its volume over that of a ball of its mean diameter."""
        return self.volume_ml * 1000.0 / (np.pi / 6.0 * max(self.mean_mm, 0.1) ** 3)

    @property
    def mean_mm(self) -> float:
        """Mean of long and short axis, the diameter of the Fleischner guideline."""
        return (self.long_mm + self.short_mm) / 2


@dataclass(frozen=True, eq=False)
class _Box:
    """CT numbers and lungs around a place on even voxels of ``edge_mm``; ``box`` and ``spacing_mm`` are of the study's voxels."""

    hu: Float32[np.ndarray, "z y x"]
    lungs: Mask3D
    edge_mm: float
    box: tuple[slice, slice, slice]
    spacing_mm: tuple[float, float, float]
    middle: tuple[int, int, int]


def sized(case: Case, place: Float64[np.ndarray, "3"], radius_mm: float) -> SizedNodule | None:
    """Return the nodule around a place (z, y, x on the study's voxels in patient order); None when nothing stands out there."""
    box = _cut(case, place, radius_mm)
    seed = _seed(box, radius_mm)
    level_hu = _level(box, seed, radius_mm)
    if level_hu is None:
        return None
    nodule = _without_stalks(_connected(box.lungs & (box.hu > level_hu), seed, box.edge_mm), seed, box.edge_mm)
    if not nodule.any():
        return None
    return _measured(box, nodule, level_hu)


def _cut(case: Case, place: Float64[np.ndarray, "3"], radius_mm: float) -> _Box:
    reach_mm = 2.0 * radius_mm + 6.0
    spacing, shape = case.fine_spacing_mm, case.fine_hu.shape
    parts = [
        slice(max(0, round(p - reach_mm / s)), min(n, round(p + reach_mm / s) + 1))
        for p, s, n in zip(place, spacing, shape, strict=True)
    ]
    box = (parts[0], parts[1], parts[2])
    edge = FINE_MM if 2.0 * radius_mm <= LARGE_MM else COARSE_MM
    where = [
        np.arange(int((part.stop - part.start - 1) * step / edge) + 1) * edge / step
        for part, step in zip(box, spacing, strict=True)
    ]
    hu = case.fine_hu[box].astype(np.float32)
    for axis, at in enumerate(where):
        hu = _stretched(hu, at, axis)
    hu = ndimage.gaussian_filter(hu, SMOOTH_MM / edge)
    lungs = case.once(fine_lungs)[box][np.ix_(*[np.rint(at).astype(int) for at in where])]
    middle = [
        min(max(round((p - part.start) * step / edge), 0), len(at) - 1)
        for p, part, step, at in zip(place, box, spacing, where, strict=True)
    ]
    return _Box(hu, lungs, edge, box, spacing, (middle[0], middle[1], middle[2]))


def _stretched(hu: Float32[np.ndarray, "z y x"], at: Float64[np.ndarray, "n"], axis: int) -> Float32[np.ndarray, "..."]:
    """Linear interpolation along one axis."""
    low = np.minimum(at.astype(int), hu.shape[axis] - 1)
    high = np.minimum(low + 1, hu.shape[axis] - 1)
    share = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    return np.asarray(np.take(hu, low, axis) * (1 - share) + np.take(hu, high, axis) * share)


def _distance_mm(box: _Box, place: tuple[int, int, int]) -> Float64[np.ndarray, "z y x"]:
    z, y, x = (np.arange(n) - p for n, p in zip(box.hu.shape, place, strict=True))
    return np.asarray(np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2) * box.edge_mm)


def _seed(box: _Box, radius_mm: float) -> tuple[int, int, int]:
    """The brightest place, averaged over half the radius, within half the radius of the middle."""
    mean = ndimage.gaussian_filter(np.where(box.lungs, box.hu, -1000.0), 0.4 * radius_mm / box.edge_mm, truncate=2.0)
    mean[(_distance_mm(box, box.middle) > max(0.6 * radius_mm, 1.5)) | ~box.lungs] = -np.inf
    z, y, x = np.unravel_index(int(np.argmax(mean)), mean.shape)
    return int(z), int(y), int(x)


def _level(box: _Box, seed: tuple[int, int, int], radius_mm: float) -> float | None:
    """The CT number of the border, or None when the middle is no denser than lung."""
    distance = _distance_mm(box, seed)
    core = box.hu[(distance < max(0.45 * radius_mm, 0.8)) & box.lungs]
    aerated = box.hu[box.lungs & (box.hu > LUNG_HU[0]) & (box.hu < LUNG_HU[1])]
    if not core.size or not aerated.size:
        return None
    lung_hu, core_hu = float(np.median(aerated)), float(np.median(core))
    if core_hu < lung_hu + GLASS_RIM_HU:
        return None
    level = (min(core_hu, SOLID_HIGHEST_HU) + lung_hu) / 2
    if core_hu < SOLID_HU:
        return level
    solid = _without_stalks(_connected(box.lungs & (box.hu > level), seed, box.edge_mm), seed, box.edge_mm)
    if not solid.any():
        return level
    outside = ndimage.distance_transform_edt(~solid) * box.edge_mm
    rim = (outside > GLASS_RIM_MM[0]) & (outside < GLASS_RIM_MM[1]) & box.lungs
    if not rim.any() or np.mean(box.hu[rim] > lung_hu + GLASS_RIM_HU) < GLASS_RIM_SHARE:
        return level
    return (float(np.median(box.hu[rim])) + lung_hu) / 2


def _connected(mask: Mask3D, seed: tuple[int, int, int], edge_mm: float) -> Mask3D:
    """The part of a mask that holds the seed, or comes within a millimetre of it."""
    parts, count = ndimage.label(mask)
    reach = max(1, round(1.0 / edge_mm))
    around = parts[tuple(slice(max(0, s - reach), s + reach + 1) for s in seed)]
    label = parts[seed] or (np.bincount(around[around > 0]).argmax() if count and around.any() else 0)
    return np.asarray(parts == label) if label else np.zeros_like(mask)


def _without_stalks(mask: Mask3D, seed: tuple[int, int, int], edge_mm: float) -> Mask3D:
    """The thick part of a mask around the seed: strands thinner than half of it are cut off."""
    if not mask.any():
        return mask
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1] * edge_mm
    place = _climb(depth, seed)
    cut = STALK_SHARE * float(depth[place])
    core = _connected(depth > cut, place, edge_mm)
    return np.asarray((ndimage.distance_transform_edt(~core) * edge_mm <= cut + 0.25 * edge_mm) & mask)


def _climb(depth: Float64[np.ndarray, "z y x"], seed: tuple[int, int, int]) -> tuple[int, int, int]:
    """The deepest place that rising steps from the seed lead to."""
    place = seed
    while True:
        box = tuple(slice(max(0, p - 2), p + 3) for p in place)
        step = np.unravel_index(int(np.argmax(depth[box])), depth[box].shape)
        best = (box[0].start + int(step[0]), box[1].start + int(step[1]), box[2].start + int(step[2]))
        if depth[best] <= depth[place]:
            return place
        place = best


def _measured(box: _Box, nodule: Mask3D, level_hu: float) -> SizedNodule:
    edge = box.edge_mm
    air_share, stalk_share = _surroundings(box, nodule, level_hu)
    areas = nodule.sum(axis=(1, 2))
    plane = int(np.argmax(areas))
    long, short = axes_mm(nodule[plane], edge)
    inner = ndimage.binary_erosion(nodule, iterations=max(1, round(0.8 / edge)))
    values = box.hu[inner if inner.any() else nodule]
    solid = nodule & (box.hu > SOLID_HU)
    solid_plane = int(np.argmax(solid.sum(axis=(1, 2))))
    rows, columns = np.nonzero(nodule[plane])
    to_study = [edge / step for step in box.spacing_mm]
    centre = (
        box.box[0].start + plane * to_study[0],
        box.box[1].start + float(rows.mean()) * to_study[1],
        box.box[2].start + float(columns.mean()) * to_study[2],
    )
    return SizedNodule(
        box=box.box,
        mask=_on_study(nodule, box),
        slice_index=round(centre[0]),
        centre=centre,
        long_mm=long,
        short_mm=short,
        solid_mm=float(np.mean(axes_mm(solid[solid_plane], edge))) if solid.any() else 0.0,
        volume_ml=float(nodule.sum()) * edge**3 / 1000.0,
        mean_hu=float(values.mean()),
        solid_share=float(np.mean(values > SOLID_HU)),
        air_share=air_share,
        stalk_share=stalk_share,
    )


def _surroundings(box: _Box, nodule: Mask3D, level_hu: float) -> tuple[float, float]:
    """Share of aerated lung around the nodule, and share of its surface where something as dense goes on."""
    outside = ndimage.distance_transform_edt(~nodule) * box.edge_mm
    shell = (outside > SHELL_MM[0]) & (outside < SHELL_MM[1]) & box.lungs
    skin = (outside > SKIN_MM[0]) & (outside < SKIN_MM[1]) & box.lungs
    air = float(np.mean(box.hu[shell] < AERATED_HU)) if shell.any() else 0.0
    return air, float(np.mean(box.hu[skin] > level_hu)) if skin.any() else 1.0


def _on_study(nodule: Mask3D, box: _Box) -> Bool[np.ndarray, "d h w"]:
    """The mask at the middles of the study's voxels."""
    at = [
        np.minimum(np.rint(np.arange(s.stop - s.start) * step / box.edge_mm).astype(int), n - 1)
        for s, step, n in zip(box.box, box.spacing_mm, nodule.shape, strict=True)
    ]
    return nodule[np.ix_(*at)]


def axes_mm(plane: Bool[np.ndarray, "y x"], edge_mm: float) -> tuple[float, float]:
    """Long axis of a plane and the extent across it; zeros when it is empty."""
    rows, columns = np.nonzero(plane & ~ndimage.binary_erosion(plane))
    if not len(rows):
        return 0.0, 0.0
    angle = np.deg2rad(np.arange(0, 180, 3))
    along = np.outer(columns, np.cos(angle)) + np.outer(rows, np.sin(angle))
    extent = (np.ptp(along, axis=0) + 0.8) * edge_mm
    best = int(np.argmax(extent))
    return float(extent[best]), float(extent[(best + 30) % 60])
