"""Network labels + what the CT numbers show -> labels that anatomy allows: whole organs on their side, lesions where they can be.

An organ is one piece, so smaller pieces are taken for errors; vessels and bones may come in several. Pieces are judged by
size, side and neighbours alone. Labels are those of ``classes.py``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int32, UInt8
from scipy import ndimage

from preprocessing.morphology import Mask3D
from preprocessing.segment.classes import CLASSES, LABELS, LOBES_LEFT, LOBES_RIGHT
from preprocessing.segment.density import Density

LabelMap = UInt8[np.ndarray, "z y x"]

LOBES = (*LOBES_LEFT, *LOBES_RIGHT)
TUBE_SHARE = 0.1
"""Tubes that leave the volume and come back, or thin out: pieces down to this share of the largest are kept."""
LEAST_ML = {
    "vertebrae": 1.0,
    "ribs": 0.3,
    "lung_opacity": 0.2,
    "nodule": 0.05,
    "pleural_effusion": 1.0,
    "pericardial_effusion": 1.0,
    "lymph_node": 0.2,
}
"""Structures of many pieces: smaller ones are specks. A nodule of 6 mm has 0.11 mL."""
LEAST_ORGAN_ML = {
    **{"heart": 15.0, "liver": 15.0, "spleen": 10.0},
    **{"kidney_right": 5.0, "kidney_left": 5.0, "pancreas": 5.0, "gallbladder": 3.0},
}
"""Less of an organ than this, a tenth of a small one, is a guess at the edge of the view."""
SOLID = tuple(
    LABELS[name]
    for name in ("aorta", "pulmonary_artery", "liver", "spleen", "kidney_right", "kidney_left", "pancreas", "gallbladder")
)
"""Organs of soft tissue or blood throughout."""
MOST_FAT = 0.4
"""An organ of which more than this share is fat or gas is not reported: a blurred border holds up to a quarter."""
LUNG_SHARE = 0.05
"""A separate piece of lung holds at least this share of the largest one."""
BESIDE_LUNG_VOXELS = 3
"""Pleural fluid lies within 9 mm of lung: pleura and atelectasis lie between."""
LEAST_FACING_LUNG = 0.35
"""Least share of the surface of an airless part of lung that faces other lung or pleural fluid.

Measured: parts that hold disease, in phantoms and in a real pneumonia, 0.37 and more; the tip of a spleen, fat beside the heart
and a blurred diaphragm that the network took for it, 0.19 to 0.32.
"""
WHOLE_LOBE_ML = 100.0
"""A part this large may be all of a lobe, with next to no lung left to face."""
IN_CHEST = (*LOBES, *(LABELS[name] for name in ("airway", "nodule", "pleural_effusion")))
"""What airless lung faces where it lies in the chest."""


def plausible(labels: LabelMap, density: Density) -> LabelMap:
    """Return the labels without what cannot be there; those outside the body go, kidneys get their side by their place."""
    labels = np.where(density.body, labels, np.uint8(0))
    middle = _middle(labels, density.body)
    _keep_lungs(labels, density)
    _part_from_fat(labels, density.thin)
    _side_kidneys(labels, middle)
    for label, pieces in _pieces(labels, [LABELS[name] for name in CHOICES]):
        pieces.clear(labels, CHOICES[CLASSES[label - 1]](pieces, middle, density.voxel_ml))
    _keep_facing_lung(labels, density.voxel_ml)
    _keep_beside(labels, LABELS["pleural_effusion"], (*LOBES, LABELS["lung_opacity"]), BESIDE_LUNG_VOXELS)
    _keep_beside(labels, LABELS["pericardial_effusion"], (LABELS["heart"],), 1)
    return labels


def odd_lobe_parts(labels: LabelMap) -> Mask3D:
    """Lobe voxels that the network put on the wrong side, or apart from the rest of their lobe."""
    odd = np.zeros(labels.shape, bool)
    middle = _middle_of_lungs(labels)
    for label, pieces in _pieces(labels, LOBES):
        if len(pieces.sizes) > 1:
            is_astray = (pieces.columns > middle) if label in LOBES_RIGHT else (pieces.columns < middle)
            is_largest = pieces.sizes == pieces.sizes.max()
            is_odd = ~is_largest & (is_astray | (pieces.sizes < LUNG_SHARE * pieces.sizes.max()))
            odd[pieces.box] |= np.concatenate([[False], is_odd])[pieces.parts]
    return odd


def _keep_lungs(labels: LabelMap, density: Density) -> None:
    """Drop pieces of lung that are specks, or gas that the density rules do not take for lung (bowel, stomach)."""
    lungs = np.isin(labels, (*LOBES, LABELS["lung_opacity"], LABELS["nodule"]))
    parts, count = ndimage.label(lungs)
    if count < 2:
        return
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    gas, aerated = (np.bincount(parts[mask], minlength=count + 1) for mask in (density.gas, density.lungs))
    is_other_gas = (gas >= 0.5 * sizes) & (aerated < 0.2 * sizes)
    is_kept = ~is_other_gas & ((sizes >= LUNG_SHARE * sizes[1:].max()) | (aerated >= 0.5 * sizes))
    is_kept[0] = True
    labels[~is_kept[parts]] = 0


def _part_from_fat(labels: LabelMap, thin: Mask3D) -> None:
    """Take fat and gas out of organs that hold none; what was fat for a good part was never that organ."""
    total = np.bincount(labels.ravel(), minlength=len(CLASSES) + 1)
    fat = np.bincount(labels[thin], minlength=len(CLASSES) + 1)
    labels[thin & np.isin(labels, SOLID)] = 0
    doubtful = [label for label in SOLID if fat[label] > MOST_FAT * total[label]]
    if doubtful:
        labels[np.isin(labels, doubtful)] = 0


def _side_kidneys(labels: LabelMap, middle: float) -> None:
    """Give each piece of kidney the side on which most of it lies."""
    right, left = LABELS["kidney_right"], LABELS["kidney_left"]
    kidneys = np.isin(labels, (right, left))
    for _, pieces in _pieces(kidneys.view(np.uint8), (1,)):
        side = np.concatenate([[0], np.where(pieces.columns < middle, right, left)]).astype(np.uint8)
        np.copyto(labels[pieces.box], side[pieces.parts], where=pieces.parts > 0)


def _largest(pieces: "Pieces", *_: float) -> Bool[np.ndarray, "piece"]:
    return np.asarray(pieces.sizes == pieces.sizes.max())


def _largest_right(pieces: "Pieces", middle: float, _: float) -> Bool[np.ndarray, "piece"]:
    """The largest piece right of the middle, or of all where none lies there (situs inversus)."""
    return _largest_of(pieces, pieces.columns < middle) if len(pieces.sizes) > 1 else _largest(pieces)


def _largest_left(pieces: "Pieces", middle: float, _: float) -> Bool[np.ndarray, "piece"]:
    return _largest_of(pieces, pieces.columns > middle) if len(pieces.sizes) > 1 else _largest(pieces)


def _largest_of(pieces: "Pieces", is_eligible: Bool[np.ndarray, "piece"]) -> Bool[np.ndarray, "piece"]:
    sizes = np.where(is_eligible, pieces.sizes, 0.0) if is_eligible.any() else pieces.sizes
    return np.asarray(sizes == sizes.max())


def _large(pieces: "Pieces", *_: float) -> Bool[np.ndarray, "piece"]:
    return np.asarray(pieces.sizes >= TUBE_SHARE * pieces.sizes.max())


def _of_size(name: str, choice: "Choice") -> "Choice":
    """The choice among the pieces that are large enough to be the organ at all."""
    enough = _at_least(LEAST_ORGAN_ML[name])
    return lambda pieces, middle, voxel_ml: choice(pieces, middle, voxel_ml) & enough(pieces, middle, voxel_ml)


def _at_least(least_ml: float) -> "Choice":
    return lambda pieces, _, voxel_ml: np.asarray(pieces.sizes * voxel_ml >= least_ml)


Choice = Callable[["Pieces", float, float], np.ndarray]
"""From the pieces of a structure, the middle column of the body and the mL of a voxel: which pieces are kept."""
CHOICES: Mapping[str, Choice] = {
    **{name: _of_size(name, _largest) for name in ("heart", "pancreas", "gallbladder", "kidney_right", "kidney_left")},
    "stomach": _largest,
    "liver": _of_size("liver", _largest_right),
    "spleen": _of_size("spleen", _largest_left),
    **dict.fromkeys(("airway", "aorta", "pulmonary_artery", "esophagus"), _large),
    **{name: _at_least(least_ml) for name, least_ml in LEAST_ML.items()},
}
"""An organ is one piece; tubes may leave the volume and come back; bones and lesions are many."""


def _keep_facing_lung(labels: LabelMap, voxel_ml: float) -> None:
    """Drop the pieces of lung opacity that are mostly surrounded by something other than lung."""
    for label, pieces in _pieces(labels, (LABELS["lung_opacity"],)):
        count = len(pieces.sizes) + 1
        faces, lung = np.zeros(count), np.zeros(count)
        wide, inner = _widened(pieces.box, 1)
        around, parts = labels[wide], np.zeros(labels[wide].shape, np.int32)
        parts[inner] = pieces.parts
        is_lung = np.isin(around, IN_CHEST)
        for axis in range(3):
            low, high = (tuple(ends if a == axis else slice(None) for a in range(3)) for ends in (slice(-1), slice(1, None)))
            for here, there in ((low, high), (high, low)):
                outer = around[there] != label
                faces += np.bincount(parts[here][outer], minlength=count)
                lung += np.bincount(parts[here][outer & is_lung[there]], minlength=count)
        is_facing = lung[1:] >= LEAST_FACING_LUNG * faces[1:]
        pieces.clear(labels, is_facing | (pieces.sizes * voxel_ml >= WHOLE_LOBE_ML))


def _widened(box: tuple[slice, ...], voxels: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """A box with a margin, and where the box itself lies in it."""
    wide = tuple(slice(max(0, s.start - voxels), s.stop + voxels) for s in box)
    return wide, tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))


def _keep_beside(labels: LabelMap, label: int, neighbours: tuple[int, ...], voxels: int) -> None:
    """Drop the pieces of a lesion that no neighbour comes near."""
    for _, pieces in _pieces(labels, (label,)):
        wide, inner = _widened(pieces.box, voxels)
        near = ndimage.binary_dilation(np.isin(labels[wide], neighbours), iterations=voxels)[inner]
        pieces.clear(labels, np.bincount(pieces.parts[near], minlength=len(pieces.sizes) + 1)[1:] > 0)


@dataclass(frozen=True, eq=False)
class Pieces:
    """The pieces of one structure: its box, numbered pieces there (0 is none), and the voxels of each piece."""

    box: tuple[slice, ...]
    parts: Int32[np.ndarray, "z y x"]
    sizes: Float64[np.ndarray, "piece"]

    @cached_property
    def columns(self) -> Float64[np.ndarray, "piece"]:
        """Middle column of each piece in the volume."""
        along = np.zeros(len(self.sizes))
        for column in range(self.parts.shape[2]):
            count = np.bincount(self.parts[:, :, column].ravel(), minlength=len(along) + 1)[1:]
            along += count * (column + self.box[2].start)
        return np.asarray(along / self.sizes)

    def clear(self, labels: LabelMap, is_kept: Bool[np.ndarray, "piece"]) -> None:
        """Remove the other pieces from the labels."""
        if not is_kept.all():
            labels[self.box][np.concatenate([[False], ~is_kept])[self.parts]] = 0


def _pieces(labels: LabelMap, wanted: Iterable[int]) -> Iterator[tuple[int, Pieces]]:
    """The pieces of each label that occurs."""
    boxes = ndimage.find_objects(labels)
    for label in wanted:
        box = boxes[label - 1] if label <= len(boxes) else None
        if box is not None:
            parts, count = ndimage.label(labels[box] == label)
            yield label, Pieces(box, parts, np.bincount(parts.ravel(), minlength=count + 1)[1:].astype(float))


def _middle(labels: LabelMap, body: Mask3D) -> float:
    """The column between right and left: through the vertebrae where they were found, else through the body."""
    vertebrae = (labels == LABELS["vertebrae"]).sum(axis=(0, 1))
    columns = vertebrae if vertebrae.sum() >= 100 else body.sum(axis=(0, 1))
    return float((columns * np.arange(len(columns))).sum() / max(1, columns.sum()))


def _middle_of_lungs(labels: LabelMap) -> float:
    """Half way between the right and the left lobes."""
    columns = np.arange(labels.shape[2])
    means = []
    for lobes in (LOBES_RIGHT, LOBES_LEFT):
        count = np.isin(labels, lobes).sum(axis=(0, 1))
        means.append(float((count * columns).sum() / count.sum()) if count.any() else float("nan"))
    return float(np.mean(means))
