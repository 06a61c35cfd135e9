"""The loop that our trainings share: average of the weights, checkpoints to go on from, losses for a person and MLflow.

    Learner (parameters, loss of a step) + Schedule -> checkpoint with the averaged weights

Step ``n`` depends on the recipe's seed and ``n`` alone, so a run that was stopped goes on as if it had not been.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from medomni.recipe import share_of_rate

LARGEST_GRADIENT = 5.0
"""Norm at which gradients are cut."""
TOLD_EVERY = 20
"""Steps between two lines for a person."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast is learned: what the recipes of all trainings begin with.

    Attributes:
        steps: in all.
        learning_rate: at its highest.
        warm_up: steps until then.
        weight_decay: of AdamW.
        average_decay: of the moving average of the weights, which is what is kept.
        checkpoint_every: steps.
    """

    steps: int
    learning_rate: float
    warm_up: int
    weight_decay: float
    average_decay: float
    checkpoint_every: int


class Loop:
    """One training of a module."""

    def __init__(self, module: torch.nn.Module, schedule: Schedule, checkpoint: Path, device: str = "cpu") -> None:
        self.module, self.schedule, self.checkpoint, self.device = module.to(device), schedule, checkpoint, device
        learned = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        decay = torch.optim.swa_utils.get_ema_multi_avg_fn(schedule.average_decay)  # type: ignore[no-untyped-call]
        self.average = torch.optim.swa_utils.AveragedModel(self.module, multi_avg_fn=decay, use_buffers=True)
        self.optimiser = torch.optim.AdamW(learned, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
        self.rate = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: share_of_rate(step, schedule.warm_up, schedule.steps)
        )
        self._parts: dict[str, Any] = {
            "module": self.module,
            "average": self.average,
            "optimiser": self.optimiser,
            "rate": self.rate,
        }

    def _steps_done(self) -> int:
        """Take everything from the checkpoint, if there is one; returns the number of steps done."""
        if not self.checkpoint.exists():
            return 0
        stored = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        for name, part in self._parts.items():
            part.load_state_dict(stored[name])
        return int(stored["step"])

    def run(
        self,
        batches_after: Callable[[int], Iterable[Any]],
        loss_of: Callable[[Any], Mapping[str, torch.Tensor]],
        told: "Told",
    ) -> None:
        """Go on from the checkpoint to the end.

        Args:
            batches_after: the batches from a step on; it is given the number of steps done.
            loss_of: the losses of a batch, whose sum is learned from.
            told: who is told of them.

        Raises:
            FloatingPointError: a gradient is no number; the checkpoint before it stays.
        """
        first = self._steps_done()
        self.module.train()
        for step, batch in enumerate(batches_after(first), start=first):
            losses = loss_of(batch)
            total = torch.stack(list(losses.values())).sum()
            total.backward()  # type: ignore[no-untyped-call]
            length = torch.nn.utils.clip_grad_norm_(self.module.parameters(), LARGEST_GRADIENT)
            if not length.isfinite():
                raise FloatingPointError(f"step {step}: the gradient is no number; go on from the checkpoint with a lower rate")
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
            self.rate.step()
            self.average.update_parameters(self.module)
            told.add(step, {name: float(loss.detach()) for name, loss in losses.items()}, self.schedule.steps, first)
            if (step + 1) % self.schedule.checkpoint_every == 0 or step + 1 == self.schedule.steps:
                self.save(step + 1)

    def save(self, steps_done: int) -> None:
        """Write everything; an earlier checkpoint stays until the new one is whole."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_suffix(".part")
        torch.save({**{name: part.state_dict() for name, part in self._parts.items()}, "step": steps_done}, partial)
        partial.replace(self.checkpoint)


def averaged(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of a checkpoint."""
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)["average"]
    return {name.removeprefix("module."): value for name, value in stored.items() if name != "n_averaged"}


class Told:
    """Losses to stderr with the time left, and to MLflow where a store is given."""

    def __init__(self, title: str, tracking_uri: str = "", settings: Mapping[str, object] | None = None) -> None:
        self.title, self.uri, self.settings = title, tracking_uri, dict(settings or {})
        self.start, self.recent = time.monotonic(), list[Mapping[str, float]]()

    def __enter__(self) -> Self:
        if self.uri:
            import mlflow

            mlflow.set_tracking_uri(self.uri)
            mlflow.set_experiment("medomni-adapt")
            mlflow.start_run(run_name=self.title)
            mlflow.log_params(self.settings)
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self.uri:
            import mlflow

            mlflow.end_run("FAILED" if kind else "FINISHED")

    def note(self, **facts: str) -> None:
        """Take facts that are known at the end."""
        if self.uri:
            import mlflow

            mlflow.log_params(facts)

    def add(self, step: int, losses: Mapping[str, float], steps: int, first: int) -> None:
        """Take the losses of a step."""
        self.recent.append(losses)
        if (step + 1) % TOLD_EVERY:
            return
        names = dict.fromkeys(name for one in self.recent for name in one)  # not every step has every loss
        means = {name: float(np.mean([one[name] for one in self.recent if name in one])) for name in names}
        self.recent.clear()
        left_min = (time.monotonic() - self.start) / (step + 1 - first) * (steps - step - 1) / 60
        told = " ".join(f"{name} {value:.4f}" for name, value in means.items())
        sys.stderr.write(f"{self.title} step {step + 1} of {steps}: {told}; {left_min:.0f} min left\n")
        if self.uri:
            import mlflow

            mlflow.log_metrics(means, step=step + 1)
