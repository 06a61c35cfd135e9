"""Training samples of the omni model: what was made of a phantom, cut and varied by chance as scanners and segmenters vary.

    bank file -> Sample -> (crop, noise, blur, faults of the segmentation) -> Example

The bank is written by ``medomni adapt --samples`` (``app/bank.py``); nothing here renders a phantom.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from medomni.model.config import LABELS
from medomni.model.scan import CELL, CELL_MM, GRID_MM, HU_OF_CODE, STRUCTURES, focus, to_codes

LABEL_OF_KIND = {**{label: label for label in LABELS}, "steatosis": "hepatic_steatosis"}
"""The label of each kind of phantom disease; kinds without one are not answered."""
ALSO = {"consolidation": "lung_opacity"}
"""A consolidation is an opacity."""
FULL_CELL = 8
"""Voxels of a cell (of 32) from which it holds a lesion; fewer are not judged, unless the lesion has no fuller cell."""
LEAST_SHARE = 0.35
"""Share of a lesion in a crop from which its label counts; below, the label of the crop is not judged."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One scan and its truth.

    Attributes:
        codes, structures: see ``medomni.model.scan.Scan``.
        voxels: for each lesion the number of its voxels in each cell.
        lesions: kind and box of each (LPS millimetres).
        start_mm: LPS place of the first voxel.
        info: everything else that is known of the patient.
    """

    codes: UInt8[np.ndarray, "z y x"]
    structures: UInt8[np.ndarray, "z h w"]
    voxels: UInt8[np.ndarray, "lesion d h2 w2"]
    lesions: tuple[tuple[str, Float32[np.ndarray, "6"]], ...]
    info: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Example:
    """What the vision encoder learns from.

    Attributes:
        places: for each label and cell 1 (there), 0 (not there) or 255 (not judged).
        labels: for each label 1, 0 or -1 (not judged).
        box_cells: (n, 3) index of cells of lesions; box_labels their label, boxes the six faces in mm of the crop.
    """

    codes: UInt8[np.ndarray, "z y x"]
    structures: UInt8[np.ndarray, "z h w"]
    places: UInt8[np.ndarray, "label d h2 w2"]
    labels: Float32[np.ndarray, "label"]
    box_cells: np.ndarray
    box_labels: np.ndarray
    boxes: Float32[np.ndarray, "n 6"]


def load_sample(path: Path) -> Sample:
    """Read one file of the bank, cut to what the model looks at."""
    with np.load(path) as stored:
        codes, structures, voxels = stored["codes"], stored["structures"], stored["occ"]
        info = json.loads(bytes(stored["info"]).decode("utf-8"))
    z, y, x = focus(structures)
    edge = np.array(info["start_mm"])[::-1] + np.array([0.0, y.start * GRID_MM[1], x.start * GRID_MM[2]]) - np.array(GRID_MM) / 2
    lesions = []
    for lesion in info["lesions"]:
        low, high = (np.array(corner)[::-1] - edge for corner in lesion["box_mm"])
        lesions.append((lesion["kind"], np.concatenate([low, high]).astype(np.float32)))
    cut = (slice(None), slice(y.start // CELL[1], y.stop // CELL[1]), slice(x.start // CELL[2], x.stop // CELL[2]))
    inner = structures[:, y.start // 2 : y.stop // 2, x.start // 2 : x.stop // 2]
    return Sample(codes[z, y, x], inner, voxels[(slice(None), *cut)], tuple(lesions), info)


def example(sample: Sample, rng: np.random.Generator | None, *, longest: int = 120, boxes_each: int = 24) -> Example:
    """Cut and vary a sample; without a generator the whole scan as it is.

    Args:
        sample: of the bank.
        rng: what is drawn follows from it.
        longest: slices of a crop.
        boxes_each: cells of each lesion that say where its box is.
    """
    first, last = 0, sample.codes.shape[0]
    codes, structures = sample.codes, sample.structures
    if rng is not None:
        first, last = _part(last, longest, rng)
        codes = _varied(codes[first:last], rng)
        structures = _faulty(structures[first:last], rng)
    voxels = sample.voxels[:, first // CELL[0] : last // CELL[0]]
    places = np.zeros((len(LABELS), *voxels.shape[1:]), np.uint8)
    labels = np.zeros(len(LABELS), np.float32)
    cells, names, boxes = [], [], []
    pick = rng or np.random.default_rng(0)
    for (kind, box), whole, part in zip(sample.lesions, sample.voxels, voxels, strict=True):
        label = LABEL_OF_KIND.get(kind)
        if label is None:
            continue
        full = part >= min(FULL_CELL, max(1, int(whole.max()) // 2))
        share = float(part.sum()) / max(1, int(whole.sum()))
        for name in (label, *([ALSO[label]] if label in ALSO else [])):
            channel = LABELS.index(name)
            _mark(places[channel], full, part > 0)
            if full.any():
                labels[channel] = 1 if share >= LEAST_SHARE or labels[channel] == 1 else -1
            elif part.any() and labels[channel] == 0:
                labels[channel] = -1
        if share >= 0.98 and full.any():
            where = np.argwhere(full)
            where = where[pick.permutation(len(where))[:boxes_each]]
            cells.append(where)
            names.append(np.full(len(where), LABELS.index(label)))
            shift = np.array([first * GRID_MM[0], 0, 0] * 2, np.float32)
            boxes.append(np.repeat((box - shift)[None], len(where), 0))
    none = np.zeros((0, 3), np.int64), np.zeros(0, np.int64), np.zeros((0, 6), np.float32)
    joined = (np.concatenate(cells), np.concatenate(names), np.concatenate(boxes)) if cells else none
    return Example(codes, structures, places, labels, *joined)


def _mark(places: UInt8[np.ndarray, "d h w"], full: Bool[np.ndarray, "d h w"], touched: Bool[np.ndarray, "d h w"]) -> None:
    places[touched & ~full & (places == 0)] = 255
    places[full] = 1


def _part(depth: int, longest: int, rng: np.random.Generator) -> tuple[int, int]:
    """First and last slice of a crop, in whole cells; one in three is the whole scan."""
    if depth <= longest and rng.random() < 1 / 3:
        return 0, depth
    length = min(depth, int(rng.integers(longest // 2, longest + 1))) // CELL[0] * CELL[0]
    first = int(rng.integers(0, (depth - length) // CELL[0] + 1)) * CELL[0]
    return first, first + length


def _varied(codes: UInt8[np.ndarray, "z y x"], rng: np.random.Generator) -> UInt8[np.ndarray, "z y x"]:
    """Other calibration, more noise, less sharpness, thicker slices."""
    hu = HU_OF_CODE[codes]
    if rng.random() < 0.25:
        hu[:, :, 1:-1] = hu[:, :, 1:-1] * 0.5 + 0.25 * (hu[:, :, 2:] + hu[:, :, :-2])
        hu[:, 1:-1] = hu[:, 1:-1] * 0.5 + 0.25 * (hu[:, 2:] + hu[:, :-2])
    if rng.random() < 0.2:
        even = hu.shape[0] // 2 * 2
        mean = (hu[0:even:2] + hu[1:even:2]) / 2
        hu[0:even:2], hu[1:even:2] = mean, mean
    if rng.random() < 0.5:
        noise = rng.standard_normal(hu.shape, dtype=np.float32)
        if rng.random() < 0.5:
            noise[:, :, 1:] = (noise[:, :, 1:] + noise[:, :, :-1]) * 0.7
        hu += noise * np.float32(rng.uniform(2, 22))
    hu *= np.float32(rng.uniform(0.97, 1.03))
    hu += np.float32(rng.uniform(-12, 12))
    return to_codes(hu)


def _faulty(structures: UInt8[np.ndarray, "z h w"], rng: np.random.Generator) -> UInt8[np.ndarray, "z h w"]:
    """The map as another segmenter would have it: shifted, without some structures, or not at all."""
    if rng.random() < 0.06:
        return np.zeros_like(structures)
    out = structures
    if rng.random() < 0.3:
        out = np.roll(out, tuple(int(k) for k in rng.integers(-1, 2, 3)), axis=(0, 1, 2))
    if rng.random() < 0.3:
        table = np.arange(len(STRUCTURES) + 1, dtype=np.uint8)
        table[1 + rng.permutation(len(STRUCTURES))[: int(rng.integers(1, 5))]] = 0
        out = table[out]
    return np.ascontiguousarray(out)


def cell_volume_ml() -> float:
    """Volume of a cell."""
    return CELL_MM[0] * CELL_MM[1] * CELL_MM[2] / 1000.0
