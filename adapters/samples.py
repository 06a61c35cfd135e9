"""Training samples of the vision encoder: scans of phantoms with their truth, cut and varied by chance.

    bank file -> Sample -> (cut, noise, blur, faults of the segmentation) -> Example

The bank is written by ``app/bank.py``; nothing here renders a phantom.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from medomni.model.config import LABELS
from medomni.model.scan import CELL, GRID_MM, HU_OF_CODE, STRUCTURES, Scan, focus, to_codes
from medomni.types.volume import Grid

LABEL_OF_KIND = {**{label: label for label in LABELS}, "steatosis": "hepatic_steatosis"}
"""The label of each kind of phantom disease; kinds without one are not answered."""
ALSO = {"consolidation": "lung_opacity"}
"""A consolidation is an opacity."""
FULL_CELL = 8
"""Voxels of a cell (of 32) from which it holds a lesion; fewer are not judged, unless the lesion has no fuller cell."""
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Lesion:
    """A placed disease: its label, its box as low (z, y, x) and high in mm of the scan, and its voxels in each cell."""

    label: str
    box: Float32[np.ndarray, "6"]
    voxels: UInt8[np.ndarray, "d h2 w2"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One scan and its truth; ``codes`` and ``structures`` as in ``medomni.model.scan.Scan``, ``info`` all else that is known."""

    codes: UInt8[np.ndarray, "z y x"]
    structures: UInt8[np.ndarray, "z h w"]
    lesions: tuple[Lesion, ...]
    info: dict[str, Any]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Labels that nobody has judged outside the lesions: those of a real series."""
        return tuple(self.info.get("unknown", ()))

    @property
    def labels(self) -> Float32[np.ndarray, "label"]:
        """1 for each label that is true of the scan."""
        return _ones({lesion.label for lesion in self.lesions})


@dataclass(frozen=True, eq=False)
class Example:
    """What the near network learns from.

    Attributes:
        places: for each label and cell 1 (there), 0 (not there) or 255 (not judged).
    """

    codes: UInt8[np.ndarray, "z y x"]
    structures: UInt8[np.ndarray, "z h w"]
    places: UInt8[np.ndarray, "label d h2 w2"]


def load_sample(path: Path) -> Sample:
    """Read one file of the bank, cut to what the model looks at."""
    with np.load(path) as stored:
        codes, structures, voxels = stored["codes"], stored["structures"], stored["occ"]
        info = json.loads(bytes(stored["info"]).decode("utf-8"))
    z, y, x = focus(structures)
    start = np.array(info["start_mm"])[::-1] + np.array([0.0, y.start * GRID_MM[1], x.start * GRID_MM[2]])
    edge = start - np.array(GRID_MM) / 2
    cells = (slice(None), slice(y.start // CELL[1], y.stop // CELL[1]), slice(x.start // CELL[2], x.stop // CELL[2]))
    lesions = []
    for lesion, inside in zip(info["lesions"], voxels, strict=True):
        label = LABEL_OF_KIND.get(lesion["kind"])
        if label is not None:
            low, high = (np.array(corner)[::-1] - edge for corner in lesion["box_mm"])
            lesions.append(Lesion(label, np.concatenate([low, high]).astype(np.float32), inside[cells]))
    inner = structures[:, y.start // 2 : y.stop // 2, x.start // 2 : x.stop // 2]
    return Sample(codes[z, y, x], inner, tuple(lesions), info)


def load_scan(path: Path) -> Scan:
    """The whole scan of one file of the bank."""
    with np.load(path) as stored:
        codes, structures = stored["codes"], stored["structures"]
        start = json.loads(bytes(stored["info"]).decode("utf-8"))["start_mm"]
    origins = np.array(start) + np.arange(len(codes))[:, None] * np.array([0.0, 0.0, GRID_MM[0]])
    along = np.eye(3)
    return Scan(codes, structures, Grid(codes.shape, GRID_MM[1:], along[0], along[1], origins))


def save_sample(path: Path, scan: Scan, voxels: Sequence[UInt8[np.ndarray, "d h w"]], info: dict[str, Any]) -> None:
    """Write one file of the bank; ``voxels`` and ``info["lesions"]`` speak of the same lesions in the same order.

    CT numbers are not compressed, so that reading costs nothing; everything else is small.
    """
    counts = np.stack(voxels) if voxels else np.zeros((0, *scan.cells), np.uint8)
    text = np.frombuffer(json.dumps(info).encode("utf-8"), np.uint8)
    kept = {"codes": scan.codes, "structures": scan.structures, "occ": counts, "info": text}
    partial = path.with_suffix(".part")
    with zipfile.ZipFile(partial, "w") as archive:
        for name, array in kept.items():
            stream = io.BytesIO()
            np.save(stream, np.ascontiguousarray(array))
            how = zipfile.ZIP_STORED if name == "codes" else zipfile.ZIP_DEFLATED
            archive.writestr(f"{name}.npy", stream.getvalue(), how, compresslevel=1)
    partial.replace(path)


def labels_of(path: Path) -> set[str]:
    """The labels of the lesions in a file of the bank, without its voxels."""
    with np.load(path) as stored:
        info = json.loads(bytes(stored["info"]).decode("utf-8"))
    return _named_in(info)


def labels_in(info: dict[str, Any]) -> Float32[np.ndarray, "label"]:
    """1 for each label that is true of a patient whose ``info`` is given."""
    return _ones(_named_in(info))


def _named_in(info: dict[str, Any]) -> set[str]:
    """The labels of the lesions of a patient."""
    return {LABEL_OF_KIND[lesion["kind"]] for lesion in info["lesions"] if lesion["kind"] in LABEL_OF_KIND}


def _ones(true: set[str]) -> Float32[np.ndarray, "label"]:
    brought = {ALSO[label] for label in true if label in ALSO}
    return np.array([label in true | brought for label in LABELS], np.float32)


def cut_out(sample: Sample, centre: Int64[np.ndarray, "3"], size: tuple[int, int, int], rng: np.random.Generator) -> Example:
    """Cut ``size`` voxels round a cell and vary them by chance; beyond the scan there is air."""
    cells = [n // step for n, step in zip(size, CELL, strict=True)]
    first = [int(c) - n // 2 for c, n in zip(centre, cells, strict=True)]
    box: Box = tuple(slice(f, f + n) for f, n in zip(first, cells, strict=True))  # type: ignore[assignment]
    codes = _taken(sample.codes, _scaled(box, CELL))
    structures = _taken(sample.structures, _scaled(box, (2, 2, 2)))
    places = np.zeros((len(LABELS), *cells), np.uint8)
    for lesion in sample.lesions:
        part = _taken(lesion.voxels, box)
        full = part >= min(FULL_CELL, max(1, int(lesion.voxels.max()) // 2))
        for name in (lesion.label, *([ALSO[lesion.label]] if lesion.label in ALSO else [])):
            _mark(places[LABELS.index(name)], full, part > 0)
    for name in sample.unknown:
        places[LABELS.index(name)][places[LABELS.index(name)] == 0] = 255
    return _mirrored(Example(_varied(codes, rng), _faulty(structures, rng), places), rng)


def centre_of(sample: Sample, label: str | None, rng: np.random.Generator) -> Int64[np.ndarray, "3"]:
    """A cell of a lesion of that label, moved a little; any cell without one."""
    shape = np.array([n // step for n, step in zip(sample.codes.shape, CELL, strict=True)])
    lesions = [lesion for lesion in sample.lesions if lesion.label == label and lesion.voxels.any()]
    if not lesions:
        return np.asarray(rng.integers(0, shape))
    lesion = lesions[int(rng.integers(len(lesions)))]
    where = np.argwhere(lesion.voxels >= max(1, int(lesion.voxels.max()) // 2))
    return np.asarray(where[int(rng.integers(len(where)))] + rng.integers(-6, 7, 3))


def _scaled(box: Box, step: tuple[int, int, int]) -> Box:
    return tuple(slice(s.start * n, s.stop * n) for s, n in zip(box, step, strict=True))  # type: ignore[return-value]


def _taken(array: UInt8[np.ndarray, "a b c"], box: Box) -> UInt8[np.ndarray, "d e f"]:
    """The part of an array in a box that may reach beyond it, where it is 0."""
    out = np.zeros([s.stop - s.start for s in box], array.dtype)
    inside = [(max(0, s.start), min(n, s.stop)) for s, n in zip(box, array.shape, strict=True)]
    if all(a < b for a, b in inside):
        to = tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(inside, box, strict=True))
        out[to] = array[tuple(slice(a, b) for a, b in inside)]
    return out


def _mark(places: UInt8[np.ndarray, "d h w"], full: Bool[np.ndarray, "d h w"], touched: Bool[np.ndarray, "d h w"]) -> None:
    places[touched & ~full & (places == 0)] = 255
    places[full] = 1


def _mirrored(example: Example, rng: np.random.Generator) -> Example:
    """Left for right in every second one: the first layer knows no side."""
    if rng.random() < 0.5:
        return example
    mirrored = (np.ascontiguousarray(array[..., ::-1]) for array in (example.codes, example.structures, example.places))
    return Example(*mirrored)


def _varied(codes: UInt8[np.ndarray, "z y x"], rng: np.random.Generator) -> UInt8[np.ndarray, "z y x"]:
    """Other calibration, more noise, less sharpness, thicker slices."""
    hu = HU_OF_CODE[codes]
    if rng.random() < 0.25:
        hu[:, :, 1:-1] = hu[:, :, 1:-1] * 0.5 + 0.25 * (hu[:, :, 2:] + hu[:, :, :-2])
        hu[:, 1:-1] = hu[:, 1:-1] * 0.5 + 0.25 * (hu[:, 2:] + hu[:, :-2])
    if rng.random() < 0.15:
        even = hu.shape[0] // 2 * 2
        mean = (hu[0:even:2] + hu[1:even:2]) / 2
        hu[0:even:2], hu[1:even:2] = mean, mean
    if rng.random() < 0.4:
        noise = rng.standard_normal(hu.shape, dtype=np.float32)
        if rng.random() < 0.5:
            noise[:, :, 1:] = (noise[:, :, 1:] + noise[:, :, :-1]) * 0.7
        hu += noise * np.float32(rng.uniform(2, 20))
    hu *= np.float32(rng.uniform(0.98, 1.02))
    hu += np.float32(rng.uniform(-8, 8))
    return to_codes(hu)


def _faulty(structures: UInt8[np.ndarray, "z h w"], rng: np.random.Generator) -> UInt8[np.ndarray, "z h w"]:
    """The map as another segmenter would have it: shifted, without some structures, or not at all."""
    if rng.random() < 0.05:
        return np.zeros_like(structures)
    out = structures
    if rng.random() < 0.2:
        out = np.roll(out, tuple(int(k) for k in rng.integers(-1, 2, 3)), axis=(0, 1, 2))
    if rng.random() < 0.2:
        table = np.arange(len(STRUCTURES) + 1, dtype=np.uint8)
        table[1 + rng.permutation(len(STRUCTURES))[: int(rng.integers(1, 5))]] = 0
        out = table[out]
    return np.ascontiguousarray(out)
