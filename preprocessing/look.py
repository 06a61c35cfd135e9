"""Volume + Segmentation + history -> Opinion: the trained omni model looks at a study.

A CT without a history builds no text encoder. Where the model sees a label is told in patient space: box, slice, structure, side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

from medomni.anatomy import LOBES
from medomni.model.scan import CELL, CELL_MM, GRID_MM, STRUCTURES, Scan
from medomni.types.finding import Evidence, Laterality
from medomni.types.opinion import LabelOpinion, Opinion, logistic
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Grid, Volume
from preprocessing.scan import to_scan

if TYPE_CHECKING:
    from medomni.model.boxes import Found
    from medomni.model.checkpoint import Loaded
    from medomni.model.omni import Answer
    from medomni.model.vision import Near

NAME = "medomni-omni"
WORTH_SHOWING = 0.05
"""Less likely labels get no place."""
LEAST_SHARE = 0.2
"""A lobe is named where at least this share of the likely cells lies in it."""
SOURCE = "omni"
"""Source of the evidence that the model gives."""


@dataclass
class OmniLook:
    """The stage: a model folder, loaded when a study comes. ``threads`` is how many CPU threads the networks may use."""

    folder: Path | None = None
    threads: int = 1
    _loaded: "dict[tuple[str, ...], Loaded]" = field(default_factory=dict)

    def __call__(self, volume: Volume, segmentation: Segmentation, history: str) -> Opinion:
        """Return what the model thinks.

        Raises:
            MissingPart: the weights are not there.
        """
        import torch

        torch.set_num_threads(self.threads)
        return self.opinion(to_scan(volume, segmentation).focused(), volume.grid, history)

    def opinion(self, scan: Scan, grid: Grid, history: str) -> Opinion:
        """The same of a scan that was made before; places are told on the study's grid."""
        import torch

        from medomni.model.config import LABELS
        from medomni.model.omni import Given

        model = self._model(("vision", "text") if history.strip() else ("vision",))
        with torch.inference_mode():
            seen, near = model.omni.see(*(torch.from_numpy(np.ascontiguousarray(a))[None] for a in (scan.codes, scan.structures)))
            image = model.omni(Given(seen))
            text = model.words.joined([[("history", history)]]) if history.strip() else None
            whole = image if text is None else model.omni(Given(seen, text))
            blind = model.omni.prior.detach() if text is None else model.omni(Given(text=text)).logits[0]
        return Opinion(
            labels=tuple(
                _opinion(label, number, image, whole, float(blind[number]), near, model, scan, grid)
                for number, label in enumerate(LABELS)
            ),
            given=("vision",) if text is None else ("vision", "text"),
            gates={f"{to}<-{of}": round(float(gate.mean()), 3) for (to, of), gate in whole.fused.gates.items()},
            importance=_importance(whole),
            model=NAME,
            digest=model.digest,
        )

    def _model(self, modalities: tuple[str, ...]) -> "Loaded":
        from medomni.model import checkpoint

        if modalities not in self._loaded:
            self._loaded[modalities] = checkpoint.load(self.folder or checkpoint.SHIPPED, modalities)
        return self._loaded[modalities]


def _opinion(
    label: str, number: int, image: "Answer", whole: "Answer", blind: float, near: "Near", model: "Loaded", scan: Scan, grid: Grid
) -> LabelOpinion:
    from medomni.model.boxes import found

    answer = model.answers[label]
    logit, alone = (float(one.logits[0, number]) for one in (whole, image))
    probability = logistic(answer.offset + answer.slope * logit)
    boxes = found(near.cells[0, number].numpy(), answer.extent) if probability >= WORTH_SHOWING else ()
    structures = _structures(boxes, scan)
    return LabelOpinion(
        label=label,
        logit=round(logit, 3),
        probability=probability,
        image_probability=logistic(answer.offset + answer.slope * alone),
        blind_probability=logistic(answer.offset + answer.slope * blind),
        threshold=answer.threshold,
        joint=answer.joint,
        evidence=tuple(evidence(box, scan, grid) for box in boxes),
        anatomy=structures,
        laterality=_laterality(structures) if grid.is_side_known else Laterality.UNKNOWN,
    )


def evidence(box: "Found", scan: Scan, grid: Grid) -> Evidence:
    """The proof of a box: its corners, its likeliest place and the study's slice there."""
    at_mm = (box.cells[0] + 0.5) * np.array(CELL_MM)
    place = scan.grid.to_world_mm(at_mm / np.array(GRID_MM) - 0.5)
    nearest = np.abs(grid.slice_positions_mm - float(place @ grid.normal)).argmin()
    corners = scan.box_mm(np.array(box.low), np.array(box.high))
    low, high = (tuple(round(value, 1) for value in corner) for corner in corners)
    return Evidence(
        slice_index=int(nearest),
        position_mm=tuple(round(float(value), 1) for value in place),
        box_mm=(low, high),
        source=SOURCE,
    )


def _structures(boxes: "tuple[Found, ...]", scan: Scan) -> tuple[str, ...]:
    """The lobes in which the likely cells lie."""
    if not boxes:
        return ()
    names = [name for lobes in LOBES.values() for name in lobes]
    inside = _labels_at(np.concatenate([box.cells for box in boxes]), scan)
    counts = {name: int((inside == STRUCTURES.index(name) + 1).sum()) for name in names}
    total = sum(counts.values())
    return tuple(name for name, count in counts.items() if count and count >= LEAST_SHARE * total)


def _labels_at(cells: Int64[np.ndarray, "n 3"], scan: Scan) -> "np.ndarray":
    """The labels of the blocks of some cells, (n * 8)."""
    blocks = [
        (CELL[0] * cells[:, 0] + z, CELL[1] // 2 * cells[:, 1] + y, CELL[2] // 2 * cells[:, 2] + x)
        for z in (0, 1)
        for y in (0, 1)
        for x in (0, 1)
    ]
    return np.concatenate([scan.structures[block] for block in blocks])


def _laterality(structures: tuple[str, ...]) -> Laterality:
    sides = {side for side in ("left", "right") if any(name.endswith(side) for name in structures)}
    if not sides:
        return Laterality.NONE
    return Laterality.BILATERAL if len(sides) == 2 else Laterality(sides.pop())


def _importance(answer: "Answer") -> Mapping[str, float]:
    from medomni.model.config import MODALITIES

    return {name: round(float(share), 3) for name, share in zip(MODALITIES, answer.fused.importance[0], strict=True)}
