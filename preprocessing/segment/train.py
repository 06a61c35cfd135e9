"""Trains the network of ``medomni-ct`` on training maps: ``python -m preprocessing.segment.train --maps DIR --out DIR``.

Each step draws a patch from one case by the step's own seed, so a run that was stopped goes on as if it had not been. The
average of the weights over time is what is shipped. On a GPU: mixed precision and, if asked for, recomputed activations.
"""

import argparse
import functools
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from medomni.recipe import recipe_of, share_of_rate
from preprocessing.segment.classes import BRIGHT_HU, BRIGHT_SHARE, CHANNELS, CLASSES, HU_PER_UNIT, SOFT_HU
from preprocessing.segment.network import VOXELS, BlockUNet, of_corners
from preprocessing.segment.training.loss import segmentation_loss
from preprocessing.segment.training.samples import Case, draw_patch, load_case

UNLIKELY = -3.0
"""Score with which a new class begins."""
LARGEST_GRADIENT = 5.0
"""Norm at which gradients are cut: single patches with few labels give outliers."""


@dataclass(frozen=True)
class Recipe:
    """The settings of one training; see ``training/medomni_ct.toml``. Shares are odds of the kinds of cases."""

    seed: int
    steps: int
    batch: int
    patch: list[int]
    learning_rate: float
    warm_up: int
    weight_decay: float
    average_decay: float
    dice_weight: float
    workers: int
    checkpoint_every: int
    filters: list[int]
    mixed_precision: bool
    share_atlas: float
    share_phantom: float
    share_real: float

    @property
    def network(self) -> dict[str, object]:
        """Arguments of ``BlockUNet``."""
        window = [value / HU_PER_UNIT for value in SOFT_HU]
        bright = [BRIGHT_HU / HU_PER_UNIT, BRIGHT_SHARE]
        return {"in_channels": 1, "out_channels": CHANNELS, "filters": self.filters, "window": window, "bright": bright}


def read_recipe(path: Path | None) -> Recipe:
    """Read a recipe; None means the shipped one."""
    return recipe_of(Recipe, "preprocessing.segment.training", "medomni_ct.toml", path)


class Patches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Patch ``i`` of a training: the case and everything random in it follow from the seed and ``i`` alone."""

    def __init__(self, cases: tuple[Case, ...], recipe: Recipe) -> None:
        self.cases, self.recipe = cases, recipe
        shares = {"atlas": recipe.share_atlas, "phantom": recipe.share_phantom, "real": recipe.share_real}
        counts = {kind: sum(case.kind == kind for case in cases) for kind in shares}
        odds = np.array([shares[case.kind] / counts[case.kind] for case in cases])
        self.odds = odds / odds.sum()

    def __len__(self) -> int:
        """Patches of the whole training."""
        return self.recipe.steps * self.recipe.batch

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Image (1, z, y, x) and target (z, y, x)."""
        rng = np.random.default_rng([self.recipe.seed, index])
        case = self.cases[int(rng.choice(len(self.cases), p=self.odds))]
        z, y, x = self.recipe.patch
        patch = draw_patch(case, (z, y, x), rng)
        return torch.from_numpy(patch.image)[None], torch.from_numpy(patch.target)


@dataclass(frozen=True)
class Machine:
    """Where and how a training runs: device, whether activations are computed twice, and an MLflow address ("" for none)."""

    device: str = "cpu"
    is_recomputing: bool = False
    tracking: str = ""


def train(maps: Path, out: Path, recipe: Recipe, machine: Machine, start_from: Path | None = None) -> Path:
    """Train to the end or go on from ``out/checkpoint.pt``; returns the checkpoint with the averaged weights."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    run = _Run(recipe, machine)
    first = run.go_on(checkpoint) if checkpoint.exists() else 0
    if not checkpoint.exists() and start_from is not None:
        run.start_from(start_from)
    cases = tuple(load_case(path) for path in sorted(maps.glob("*.npz")))
    sys.stderr.write(f"{len(cases)} maps, from step {first} of {recipe.steps}\n")
    patches = Patches(cases, recipe)
    order = range(first * recipe.batch, len(patches))
    ahead = 3 if recipe.workers else None
    loader = DataLoader(
        patches,
        batch_size=recipe.batch,
        sampler=order,
        num_workers=recipe.workers,
        prefetch_factor=ahead,
        worker_init_fn=_use_one_thread,
    )
    log = _Log(machine.tracking, recipe, first)
    for step, (image, target) in enumerate(loader, start=first):
        loss = run.step(image.to(machine.device), target.to(machine.device))
        log.add(step, loss, run.rate)
        if (step + 1) % recipe.checkpoint_every == 0 or step + 1 == recipe.steps:
            run.save(checkpoint, step + 1)
    log.close()
    return checkpoint


def _use_one_thread(_worker: int) -> None:
    """Leave the other cores to the network: a worker draws patches beside it."""
    torch.set_num_threads(1)


def averaged_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights that are shipped, of a checkpoint or of a bundle's ``model.safetensors``, as float32."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        stored = load_file(path)
    else:
        stored = torch.load(path, map_location="cpu", weights_only=True)["average"]
    return {name.removeprefix("module."): value.float() for name, value in stored.items() if name != "n_averaged"}


class _Run:
    """The network in training: its weights, their average, the optimiser and its schedule."""

    def __init__(self, recipe: Recipe, machine: Machine) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, machine.device
        self.network = BlockUNet(**recipe.network).to(machine.device)  # type: ignore[arg-type]
        if machine.is_recomputing:
            _recompute_activations(self.network)
        decay = torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average_decay)  # type: ignore[no-untyped-call]
        self.average = torch.optim.swa_utils.AveragedModel(self.network, multi_avg_fn=decay)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: share_of_rate(step, recipe.warm_up, recipe.steps)
        )
        self.parts: dict[str, Any] = {
            "network": self.network,
            "average": self.average,
            "optimiser": self.optimiser,
            "schedule": self.schedule,
        }

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimiser.param_groups[0]["lr"])

    def go_on(self, checkpoint: Path) -> int:
        """Take everything from a checkpoint; returns the number of steps done."""
        stored = torch.load(checkpoint, map_location=self.device, weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(stored[name])
        return int(stored["step"])

    def start_from(self, checkpoint: Path) -> None:
        """Take the averaged weights of another training, or those of a bundle (``model.safetensors``).

        Where that one knew fewer classes, the last ones of this network begin unlikely everywhere; where it saw no window, the
        window begins without a say.
        """
        weights, own = averaged_weights(checkpoint), self.network.state_dict()
        for name, value in weights.items():
            if value.shape != own[name].shape:
                begun = torch.full_like(own[name], UNLIKELY if value.ndim == 1 else 0.0)
                begun[tuple(slice(0, size) for size in value.shape)] = value
                weights[name] = begun
        self.network.load_state_dict(weights)

    def save(self, checkpoint: Path, steps_done: int) -> None:
        """Write everything; an earlier checkpoint stays until the new one is whole."""
        partial = checkpoint.with_suffix(".part")
        torch.save({**{name: part.state_dict() for name, part in self.parts.items()}, "step": steps_done}, partial)
        partial.replace(checkpoint)

    def step(self, image: torch.Tensor, target: torch.Tensor) -> float:
        """Learn from one batch; returns its loss.

        Two opposite voxels of each block are judged, others at each step: neighbours say nearly the same, and the last layer
        and the loss take a quarter of the time.
        """
        self.optimiser.zero_grad(set_to_none=True)
        corner = self.schedule.last_epoch % (VOXELS // 2)
        corners = (corner, VOXELS - 1 - corner)
        with torch.autocast(image.device.type, dtype=torch.bfloat16, enabled=self.recipe.mixed_precision):
            scores = self.network.scores_at(image, corners)
        loss = segmentation_loss(scores.float(), of_corners(target, corners), self.recipe.dice_weight)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        return float(loss.detach())


def _recompute_activations(network: torch.nn.Module) -> None:
    """Let every block drop its activations and compute them again in the backward pass."""
    from monai.networks.blocks.dynunet_block import UnetBasicBlock
    from torch.utils.checkpoint import checkpoint

    for module in network.modules():
        if isinstance(module, UnetBasicBlock):
            module.forward = functools.partial(checkpoint, module.forward, use_reentrant=False)  # type: ignore[method-assign]


class _Log:
    """Losses to stderr with the time left, and to MLflow when a tracking address is given."""

    def __init__(self, tracking: str, recipe: Recipe, first: int) -> None:
        self.recipe, self.first, self.start, self.losses = recipe, first, time.monotonic(), list[float]()
        self.run = None
        if tracking:
            import mlflow

            mlflow.set_tracking_uri(tracking)
            mlflow.set_experiment("medomni-ct")
            self.run = mlflow.start_run()
            mlflow.log_params({**{f.name: getattr(recipe, f.name) for f in fields(Recipe)}, "classes": len(CLASSES)})

    def add(self, step: int, loss: float, rate: float) -> None:
        self.losses.append(loss)
        if (step + 1) % 20 == 0:
            mean = float(np.mean(self.losses[-20:]))
            done = step + 1 - self.first
            left = (time.monotonic() - self.start) / done * (self.recipe.steps - step - 1)
            sys.stderr.write(f"step {step + 1} loss {mean:.4f} rate {rate:.5f} left {left / 60:.0f} min" + "\n")
            if self.run is not None:
                import mlflow

                mlflow.log_metrics({"loss": mean, "learning_rate": rate}, step=step + 1)

    def close(self) -> None:
        if self.run is not None:
            import mlflow

            mlflow.end_run()


def main() -> None:
    """The command line of this module."""
    summary = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m preprocessing.segment.train", description=summary)
    parser.add_argument("--maps", type=Path, required=True, help="maps made by python -m preprocessing.segment.training.bank")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints; a run that is there goes on")
    parser.add_argument("--recipe", type=Path, help="another recipe (TOML)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--recompute", action="store_true", help="save memory: compute activations twice")
    parser.add_argument("--tracking", default="", help="MLflow tracking URI")
    parser.add_argument("--start-from", type=Path, help="checkpoint or model.safetensors that a new run begins with")
    given = parser.parse_args()
    how = Machine(given.device, is_recomputing=given.recompute, tracking=given.tracking)
    sys.stdout.write(f"{train(given.maps, given.out, read_recipe(given.recipe), how, given.start_from)}\n")


if __name__ == "__main__":
    main()
