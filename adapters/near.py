"""Teaches the near network on cut-outs round lesions of the bank, hard labels more often, and on real series where there are any.

bank folder, recipe -> checkpoint with averaged weights
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from adapters.loop import Loop, Schedule, Told
from adapters.samples import Example, centre_of, cut_out, labels_of, load_sample
from medomni.model import checkpoint as checkpoints
from medomni.model.config import LABELS, OmniConfig
from medomni.model.vision import NearNetwork

ANYWHERE = 0.15
"""Share of cut-outs that lie anywhere."""
LEAST_CELLS = 20.0
"""Cells that the loss of a label is at least divided by: a lesion of few cells counts less, false ones do not count more."""
FOCUS = 1.5
"""Power that lets cells which are judged rightly weigh less (Lin et al., focal loss, 2017)."""
PLACES_WEIGHT = 3.0


@dataclass(frozen=True)
class NearRecipe(Schedule):
    """The settings of one training; the keys of ``recipes/near.toml``.

    Attributes:
        begins_with: folder of a trained model (``omni_folder.py``) whose near network learns on; "" for random weights.
        often: how often a label's lesions are drawn where that is not once.
        mixed_precision: whether products are made in bfloat16, which halves a step on processors that have it.
        real_folder: folder with real series, "" for none; their licences must allow it.
        real: name of each file there (``tar.xz`` or NIfTI), and the labels that nobody has judged in it.
        real_visits: how often each is drawn with diseases put into its lungs, the first time with none.
        real_share: share of cut-outs that are of them.
    """

    region: str
    bodies: int
    first_seed: int
    begins_with: str
    seed: int
    batch: int
    size: list[int]
    often: dict[str, float]
    mixed_precision: bool
    real_folder: str
    real: dict[str, list[str]]
    real_visits: int
    real_share: float

    def __post_init__(self) -> None:
        named = {*self.often, *(label for unknown in self.real.values() for label in unknown)}
        if not named <= set(LABELS):
            raise ValueError(f"no labels of the model: {', '.join(sorted(named - set(LABELS)))}")


@dataclass(frozen=True, eq=False)
class Batch:
    """Cut-outs and what is true at each of their cells."""

    codes: torch.Tensor
    structures: torch.Tensor
    places: torch.Tensor


class NearLearner(torch.nn.Module):
    """The near network with its loss."""

    def __init__(self, config: OmniConfig, mixed_precision: bool = False) -> None:
        super().__init__()
        self.near, self.mixed_precision = NearNetwork(config), mixed_precision

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Loss of the places."""
        with torch.autocast(batch.codes.device.type, torch.bfloat16, enabled=self.mixed_precision):
            near = self.near(batch.codes, batch.structures)
        return {"places": PLACES_WEIGHT * places_loss(near.cells.float(), batch.places)}


class CutOuts(Dataset[Example]):
    """Cut-out ``i`` of a training: what is random about it follows from the seed and ``i`` alone."""

    def __init__(self, files: Sequence[Path], recipe: NearRecipe, real: Sequence[Path] = ()) -> None:
        self.files, self.recipe, self.real = list(files), recipe, list(real)
        shares = np.array([recipe.often.get(label, 1.0) for label in LABELS])
        self.shares = shares / shares.sum()

    @cached_property
    def by_label(self) -> dict[str, list[Path]]:
        """The files that hold a lesion of each label."""
        found: dict[str, list[Path]] = {}
        for file in self.files:
            for label in labels_of(file):
                found.setdefault(label, []).append(file)
        return found

    def __len__(self) -> int:
        """Cut-outs of the whole training."""
        return self.recipe.steps * self.recipe.batch

    def __getitem__(self, index: int) -> Example:
        """One cut-out."""
        rng = np.random.default_rng([self.recipe.seed, index])
        if self.real and rng.random() < self.recipe.real_share:
            sample = load_sample(self.real[int(rng.integers(len(self.real)))])
            inside = [None, *(lesion.label for lesion in sample.lesions)]
            label = inside[int(rng.integers(len(inside)))]
        else:
            label = None if rng.random() < ANYWHERE else LABELS[int(rng.choice(len(LABELS), p=self.shares))]
            files = self.by_label.get(label, self.files) if label else self.files
            sample = load_sample(files[int(rng.integers(len(files)))])
        depth, rows, columns = self.recipe.size
        return cut_out(sample, centre_of(sample, label, rng), (depth, rows, columns), rng)

    def after(self, first: int) -> Iterator[Batch]:
        """The batches from ``first`` to the end."""
        batch = self.recipe.batch
        order = range(first * batch, len(self))
        yield from DataLoader(self, batch, sampler=order, num_workers=1, collate_fn=together, worker_init_fn=_use_one_thread)


def train(
    files: Sequence[Path], checkpoint: Path, recipe: NearRecipe, config: OmniConfig, told: Told, real: Sequence[Path] = ()
) -> None:
    """Train to the end, or go on from the checkpoint; ``real`` are the files of real series."""
    torch.manual_seed(recipe.seed)
    learner = NearLearner(config, recipe.mixed_precision)
    if recipe.begins_with and not checkpoint.exists():
        trained = checkpoints.load(Path(recipe.begins_with), ("vision",)).omni.vision.near
        learner.near.load_state_dict(trained.state_dict())
    learner.near = learner.near.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # faster on a CPU
    Loop(learner, recipe, checkpoint).run(CutOuts(files, recipe, real).after, learner.losses, told)


def _use_one_thread(_worker: int) -> None:
    """Leave the other cores to the network: a worker cuts beside it."""
    torch.set_num_threads(1)


def together(examples: Sequence[Example]) -> Batch:
    """Several cut-outs of one size as a batch."""
    return Batch(
        codes=torch.from_numpy(np.stack([one.codes for one in examples])),
        structures=torch.from_numpy(np.stack([one.structures for one in examples])),
        places=torch.from_numpy(np.stack([one.places for one in examples])),
    )


def places_loss(logits: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Focal cross-entropy of the judged cells, summed and divided by the cells that hold the label, mean over labels."""
    target = places.float()
    is_judged = target < 2
    target = target * is_judged
    share = torch.sigmoid(logits)
    right = torch.where(target > 0, share, 1 - share)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = entropy * (1 - right) ** FOCUS * is_judged
    return (loss.sum(dim=(0, 2, 3, 4)) / target.sum(dim=(0, 2, 3, 4)).clamp(min=LEAST_CELLS)).mean()
