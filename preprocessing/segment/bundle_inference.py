"""Runs MONAI's sliding window over a prepared image, block by block, and keeps only the winning channel of each voxel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Int16

from medomni.errors import BadInput
from preprocessing.segment.bundle_config import BundlePlan

if TYPE_CHECKING:
    import torch

LOGITS_MIB = 1024
"""Most memory that class scores may take at once; larger volumes are inferred in blocks."""


def infer(
    network: "torch.nn.Module",
    image: Float32[np.ndarray, "i j k"],
    plan: BundlePlan,
    device: str,
    progress: Callable[[float], None],
) -> Int16[np.ndarray, "i j k"]:
    """Return 1 + the winning channel of each voxel, 0 where no named channel wins."""
    import torch
    from monai.inferers.utils import sliding_window_inference

    blocks = _blocks(image.shape, plan)
    windows = sum(_window_count([stop - start for start, stop in block.outer], plan) for block in blocks)
    done = 0

    def watched(patch: "torch.Tensor") -> "torch.Tensor":
        nonlocal done
        scores = _first_tensor(network(patch))
        done += patch.shape[0]
        progress(min(1.0, done / windows))
        return scores

    winner = np.zeros(image.shape, dtype=np.int16)
    with torch.inference_mode():
        for block in blocks:
            part = torch.from_numpy(image[block.outer_slices])[None, None].to(device)
            scores = sliding_window_inference(
                part, plan.roi_size, 1, watched, overlap=plan.overlap, mode=plan.blend, padding_mode=plan.padding
            )
            winner[block.slices] = _winner(scores[0], plan)[block.inner_slices]
    return winner


def _winner(scores: "torch.Tensor", plan: BundlePlan) -> Int16[np.ndarray, "i j k"]:
    """1 + the channel of each voxel: the largest score, or with sigmoid outputs the largest of those above one half."""
    if scores.ndim != 4 or scores.shape[0] <= max(plan.channels):
        raise BadInput(
            "the bundle's network does not give the labels that its metadata names",
            found=f"{scores.shape[0]} channels for label {max(plan.channels)}",
            remedy="repair channel_def in configs/metadata.json",
        )
    if not plan.has_sigmoid:
        best = scores.argmax(dim=0).cpu().numpy().astype(np.int16)
        return np.where(np.isin(best, list(plan.channels)), best + np.int16(1), np.int16(0))
    wanted = sorted(plan.channels)
    best_score, place = scores[wanted].max(dim=0)
    channel = np.array(wanted, dtype=np.int16)[place.cpu().numpy()]
    return np.where((best_score > 0).cpu().numpy(), channel + np.int16(1), np.int16(0))


@dataclass(frozen=True)
class _Block:
    """One part of the working volume: what is kept of it, and the larger part that is inferred for it."""

    kept: tuple[tuple[int, int], ...]
    outer: tuple[tuple[int, int], ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        return tuple(slice(*ends) for ends in self.kept)

    @property
    def outer_slices(self) -> tuple[slice, ...]:
        return tuple(slice(*ends) for ends in self.outer)

    @property
    def inner_slices(self) -> tuple[slice, ...]:
        return tuple(slice(k[0] - o[0], k[1] - o[0]) for k, o in zip(self.kept, self.outer, strict=True))


def _blocks(shape: tuple[int, ...], plan: BundlePlan) -> tuple[_Block, ...]:
    """Cut the volume so that the scores of one block, with a margin of a quarter window, stay under ``LOGITS_MIB``."""
    limit = LOGITS_MIB * 2**20 / 4 / (max(plan.channels) + 1)
    parts = [1, 1, 1]
    margins = [size // 4 for size in plan.roi_size]

    def size(axis: int) -> int:
        return min(shape[axis], ceil(shape[axis] / parts[axis]) + (2 * margins[axis] if parts[axis] > 1 else 0))

    while size(0) * size(1) * size(2) > limit:
        axis = max(range(3), key=lambda a: ceil(shape[a] / parts[a]) / plan.roi_size[a])
        if ceil(shape[axis] / parts[axis]) <= max(1, plan.roi_size[axis] // 2):
            break
        parts[axis] += 1
    cuts = [np.linspace(0, shape[axis], parts[axis] + 1).astype(int) for axis in range(3)]
    spans = [[(int(a), int(b)) for a, b in pairwise(cut)] for cut in cuts]
    return tuple(
        _Block(kept, tuple((max(0, a - m), min(n, b + m)) for (a, b), m, n in zip(kept, margins, shape, strict=True)))
        for kept in product(*spans)
    )


def _window_count(shape: list[int], plan: BundlePlan) -> int:
    """How many windows MONAI's sliding window visits (its scan interval is window x (1 - overlap))."""
    count = 1
    for length, window in zip(shape, plan.roi_size, strict=True):
        interval = max(1, int(window * (1 - plan.overlap))) if window < length else window
        count *= max(1, ceil(max(length - window, 0) / interval) + 1)
    return count


def _first_tensor(result: object) -> "torch.Tensor":
    """The scores themselves, when a network returns several results (deep supervision) or a table."""
    import torch

    while not isinstance(result, torch.Tensor):
        if isinstance(result, Mapping) and result:
            result = result.get("pred", next(iter(result.values())))
        elif isinstance(result, list | tuple) and result:
            result = result[0]
        else:
            raise BadInput(
                "the bundle's network gives no scores", found=type(result).__name__, remedy="use a segmentation bundle"
            )
    return result
