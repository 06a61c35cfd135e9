"""Lesion mask -> the same lesion parted by the patient's side and lung zone, with the place where it is largest.

Sides and heights are read from patient coordinates (LPS), never from rows and columns, so a prone or flipped stack gives
the same answer. Works on the voxels of the lesion only.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from medomni.types.finding import BoxMm, Evidence, Laterality
from medomni.types.region import Region
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Grid, Mask
from preprocessing.measure.regions import LUNG_PARTS, box_mm, lungs_by_side

LEAST_ML, LEAST_SHARE = 0.5, 0.05
"""A side counts when it holds this volume and this share of the larger side; less is a stray edge."""

Voxels = Int64[np.ndarray, "n 3"]


@dataclass(frozen=True, eq=False)
class SidedLesion:
    """One kind of lesion: the (z, y, x) indices of its voxels on each side ("right", "left", or "unknown")."""

    label: str
    voxels: dict[str, Voxels]
    grid: Grid

    def volume_ml(self, side: str) -> float:
        """Volume on one side."""
        return float(self.grid.voxel_volumes_ml[self.voxels[side][:, 0]].sum())

    @property
    def crosses_gap(self) -> bool:
        """Whether a slice is missing within the lesion."""
        slices = np.concatenate([voxels[:, 0] for voxels in self.voxels.values()])
        return bool(slices.size) and self.grid.crosses_gap(int(slices.min()), int(slices.max()))

    @property
    def sides(self) -> tuple[str, ...]:
        """Sides with a real share of the lesion, right before left."""
        volumes = {side: self.volume_ml(side) for side in self.voxels}
        least = max(LEAST_ML, LEAST_SHARE * max(volumes.values()))
        return tuple(side for side, volume in volumes.items() if volume >= least)

    @property
    def laterality(self) -> Laterality:
        """The side as coded: bilateral, one side, or unknown."""
        sides = self.sides
        if len(sides) == 2:
            return Laterality.BILATERAL
        return Laterality(sides[0]) if sides else Laterality.UNKNOWN

    def evidence(self, side: str) -> Evidence:
        """Where one side is largest: slice, centre there, and the box around all of it."""
        voxels = self.voxels[side]
        index = int(np.bincount(voxels[:, 0]).argmax())
        centre = self.grid.to_world_mm(voxels[voxels[:, 0] == index].mean(axis=0)).round(1)
        box = tuple(slice(int(low), int(high) + 1) for low, high in zip(voxels.min(axis=0), voxels.max(axis=0), strict=True))
        return Evidence(
            structure=self.label,
            slice_index=index,
            position_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
            box_mm=box_mm(box, self.grid),
            source="rule",
        )

    def lobe_volumes_ml(self, side: str, segmentation: Segmentation) -> dict[str, float]:
        """Volume in each lobe of one side that the segmenter knows, by structure name."""
        labels = segmentation.labels[tuple(self.voxels[side].T)]
        volumes = np.bincount(labels, self.grid.voxel_volumes_ml[self.voxels[side][:, 0]], minlength=256)
        lobes = {label: name for label, name in segmentation.names.items() if name in LUNG_PARTS[side] and "_lobe_" in name}
        return {name: float(volumes[label]) for label, name in lobes.items()}

    def zone_volumes_ml(self, side: str, lung: tuple[Region, ...]) -> dict[str, float]:
        """Volume in the upper, middle and lower third of the lung's height, by zone name."""
        low, high = lung_extent_mm(lung, 2)
        z_mm = self.grid.to_world_mm(self.voxels[side])[:, 2]
        third = np.clip((z_mm - low) * 3.0 / max(high - low, 1e-6), 0.0, 2.999).astype(int)
        volumes = np.bincount(third, self.grid.voxel_volumes_ml[self.voxels[side][:, 0]], minlength=3)
        return {f"{side}_{zone}_zone": float(volumes[k]) for k, zone in ((2, "upper"), (1, "middle"), (0, "lower"))}


def by_side(label: str, mask: Mask, segmentation: Segmentation, regions: tuple[Region, ...]) -> SidedLesion:
    """Part a lesion by side: voxels of a lung belong to it, all others to the side of the midplane on which they lie."""
    voxels = np.argwhere(mask)
    grid = segmentation.grid
    if not grid.is_side_known:
        return SidedLesion(label, {"unknown": voxels}, grid)
    is_left = _is_left(voxels, segmentation, regions)
    return SidedLesion(label, {"right": voxels[~is_left], "left": voxels[is_left]}, grid)


def _is_left(voxels: Voxels, segmentation: Segmentation, regions: tuple[Region, ...]) -> Bool[np.ndarray, "n"]:
    """Whether each voxel lies on the patient's left (LPS x rises to the left)."""
    middle_mm = midplane_mm(regions)
    names = np.array([segmentation.names.get(label, "") for label in range(256)])
    structure = names[segmentation.labels[tuple(voxels.T)]]
    x_mm = segmentation.grid.to_world_mm(voxels)[:, 0]
    is_left = np.where(np.isin(structure, LUNG_PARTS["left"]), True, x_mm > middle_mm)
    return np.asarray(np.where(np.isin(structure, LUNG_PARTS["right"]), False, is_left))


def midplane_mm(regions: tuple[Region, ...]) -> float:
    """LPS x of the plane half way between both lungs, or of the middle of all that was found."""
    lungs = lungs_by_side(regions)
    if lungs["right"] and lungs["left"]:
        return (sum(lung_extent_mm(lungs["right"], 0)) + sum(lung_extent_mm(lungs["left"], 0))) / 4.0
    return sum(lung_extent_mm(regions, 0)) / 2.0


def lung_extent_mm(lung: tuple[Region, ...], axis: int) -> tuple[float, float]:
    """Lowest and highest LPS coordinate of a lung along one axis (0 = x, 2 = z)."""
    boxes = [region.box_mm for region in lung if region.box_mm]
    return min(box[0][axis] for box in boxes), max(box[1][axis] for box in boxes)


def union_box(boxes: list[BoxMm]) -> BoxMm | None:
    """The box around all boxes; None when there are none."""
    if not boxes:
        return None
    low, high = np.array([b[0] for b in boxes]).min(axis=0), np.array([b[1] for b in boxes]).max(axis=0)
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))
