"""Volume + Segmentation + what is told -> Opinion: the trained omni model looks at a study.

    Volume, Segmentation -> Sighted    what costs, and what no text has a say in: it may be kept
    Sighted, what is told -> Opinion

A CT without a word builds no text encoder. Where the model sees a label is told in patient space: box, slice, structure, side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from medomni.anatomy import LOBES
from medomni.model.boxes import Found, found, needed
from medomni.model.config import LABELS
from medomni.model.omni_folder import SHIPPED, Answering
from medomni.model.omni_runtime import Raw, Runtime, Viewed, open_runtime
from medomni.model.scan import CELL, CELL_MM, GRID_MM, STRUCTURES, box_mm
from medomni.types.dictation import Told
from medomni.types.finding import Evidence, Laterality
from medomni.types.opinion import LabelOpinion, Opinion, logistic
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Grid, Volume
from preprocessing.scan import to_scan

NAME = "medomni-omni"
WORTH_SHOWING = 0.05
"""Less likely labels get no place."""
LEAST_CHANCE = 0.1
"""Less likely places are not told: about one wrong place a phantom is left."""
LEAST_SHARE = 0.2
"""A lobe is named where at least this share of the likely cells lies in it."""
SOURCE = "omni"
"""Source of the evidence that the model gives."""


@dataclass(frozen=True, eq=False)
class Sighted:
    """What the model sees of a study before it is told anything.

    Attributes:
        viewed: what the near network makes of it; cells that no box needs may be -infinity.
        structures, grid: those of the scan it saw.
    """

    viewed: Viewed
    structures: UInt8[np.ndarray, "z h w"]
    grid: Grid


@dataclass(frozen=True)
class OmniLook:
    """The stage.

    Attributes:
        model: folder of the model, or a packed one; the shipped one by default.
        threads: CPU threads of the networks; a second one saves a third of the time and costs twice the CPU, waiting.
    """

    model: Path = SHIPPED
    threads: int = 1

    @cached_property
    def runtime(self) -> Runtime:
        """What runs the model."""
        return open_runtime(self.model, self.threads)

    @property
    def digest(self) -> str:
        """A digest of the model."""
        return self.runtime.digest

    def __call__(self, volume: Volume, segmentation: Segmentation, told: Told) -> Opinion:
        """Return what the model thinks.

        Raises:
            MissingPart: the weights are not there.
        """
        return self.think(self.see(volume, segmentation), volume.grid, segmentation, told)

    def see(self, volume: Volume, segmentation: Segmentation) -> Sighted:
        """Return what the model sees, whatever is told.

        Raises:
            MissingPart: the weights are not there.
        """
        scan = to_scan(volume, segmentation).focused()
        viewed = self.runtime.see(scan.codes, scan.structures)
        cells = [needed(viewed.cells[number], self.runtime.answers[label].extent) for number, label in enumerate(LABELS)]
        return Sighted(replace(viewed, cells=np.stack(cells)), scan.structures, scan.grid)

    def think(self, sighted: Sighted, grid: Grid, segmentation: Segmentation, told: Told) -> Opinion:
        """Return what the model thinks of what it saw of a study on this grid, given what is told.

        Raises:
            MissingPart: the weights are not there.
        """
        raw = self.runtime.answer(sighted.viewed, told.texts)
        opinion = opinion_of(raw, sighted, self.runtime.answers, grid, self.runtime.digest)
        if any(segmentation.has(lobe) for lobes in LOBES.values() for lobe in lobes):
            return opinion
        known: dict[str, object] = {"anatomy": ()}  # whole lungs have sides only, and one mask of both has none
        known |= {"laterality": Laterality.UNKNOWN} if segmentation.has("lung") else {}
        return opinion.model_copy(update={"labels": tuple(label.model_copy(update=known) for label in opinion.labels)})


def opinion_of(raw: Raw, sighted: Sighted, answers: Mapping[str, Answering], grid: Grid, digest: str) -> Opinion:
    """What came out of the model for a scan as an opinion; places are told on the study's grid."""
    return Opinion(
        labels=tuple(_opinion(number, raw, answers[label], sighted, grid) for number, label in enumerate(LABELS)),
        given=tuple(name for name, share in raw.importance.items() if share > 0),
        gates=dict(raw.gates),
        importance=dict(raw.importance),
        model=NAME,
        digest=digest,
        cut=raw.cut,
    )


@dataclass(frozen=True, eq=False)
class _Placed:
    """A box, how likely it is right, and the lobes it lies in."""

    box: Found
    chance: float
    lobes: tuple[str, ...]


def _opinion(number: int, raw: Raw, answer: Answering, sighted: Sighted, grid: Grid) -> LabelOpinion:
    def calibrated(logits: Float32[np.ndarray, "label"]) -> float:
        return logistic(answer.offset + answer.slope * float(logits[number]))

    probability, seen = calibrated(raw.whole), calibrated(raw.image)
    is_shown = max(probability, seen) >= WORTH_SHOWING  # a history must not take the place of what the CT shows
    boxes = found(sighted.viewed.cells[number], answer.extent) if is_shown else ()
    placed = [_Placed(box, answer.chance.of(box.score, float(raw.image[number])), _lobes(box, sighted)) for box in boxes]
    placed = [one for one in placed if one.chance >= LEAST_CHANCE]
    if any(one.lobes for one in placed):  # what lies elsewhere has no side and would stand under that of the others
        placed = [one for one in placed if one.lobes]
    structures = tuple(dict.fromkeys(name for one in placed for name in one.lobes))
    return LabelOpinion(
        label=LABELS[number],
        logit=round(float(raw.whole[number]), 3),
        image_logit=round(float(raw.image[number]), 3),
        probability=probability,
        image_probability=seen,
        blind_probability=calibrated(raw.blind),
        threshold=answer.threshold,
        joint=answer.joint,
        evidence=tuple(evidence(one.box, _seen_at(one.box, one.lobes, sighted), sighted.grid, grid) for one in placed),
        chances=tuple(one.chance for one in placed),
        anatomy=structures,
        laterality=_laterality(structures) if grid.is_side_known else Laterality.UNKNOWN,
    )


def evidence(box: Found, cell: Int64[np.ndarray, "3"], on: Grid, grid: Grid) -> Evidence:
    """The proof of a box: its corners, its likeliest cell and the study's slice there; ``on`` is the grid of the scan."""
    at_mm = (cell + 0.5) * np.array(CELL_MM)
    place = on.to_world_mm(at_mm / np.array(GRID_MM) - 0.5)
    nearest = np.abs(grid.slice_positions_mm - float(place @ grid.normal)).argmin()
    corners = box_mm(on, np.array(box.low), np.array(box.high))
    low, high = (tuple(round(value, 1) for value in corner) for corner in corners)
    return Evidence(
        slice_index=int(nearest),
        position_mm=tuple(round(float(value), 1) for value in place),
        box_mm=(low, high),
        source=SOURCE,
    )


def _lobes(box: Found, sighted: Sighted) -> tuple[str, ...]:
    """The lobes in which the likely cells of a box lie; none where they lie elsewhere."""
    inside = _labels_at(box.cells, sighted)
    counts = {name: int((inside == STRUCTURES.index(name) + 1).sum()) for lobes in LOBES.values() for name in lobes}
    return tuple(name for name, count in counts.items() if count and count >= LEAST_SHARE * sum(counts.values()))


def _seen_at(box: Found, lobes: tuple[str, ...], sighted: Sighted) -> Int64[np.ndarray, "3"]:
    """The likeliest cell of a box that lies in its lobes, where it has any."""
    labels = [STRUCTURES.index(name) + 1 for name in lobes]
    inside = np.isin(_labels_at(box.cells, sighted).reshape(-1, len(box.cells)), labels).any(axis=0)
    return np.asarray(box.cells[int(inside.argmax()) if inside.any() else 0])


def _labels_at(cells: Int64[np.ndarray, "n 3"], sighted: Sighted) -> "np.ndarray":
    """The labels of the blocks of some cells, (n * 8)."""
    blocks = [
        (CELL[0] * cells[:, 0] + z, CELL[1] // 2 * cells[:, 1] + y, CELL[2] // 2 * cells[:, 2] + x)
        for z in (0, 1)
        for y in (0, 1)
        for x in (0, 1)
    ]
    return np.concatenate([sighted.structures[block] for block in blocks])


def _laterality(structures: tuple[str, ...]) -> Laterality:
    return Laterality.of(side for side in ("left", "right") if any(name.endswith(side) for name in structures))
