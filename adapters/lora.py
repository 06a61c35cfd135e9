"""Fits thin matrices beside some layers of a language model that stands still (LoRA by peft), on statements and their sentences.

    model, names of layers, recipe, lessons -> learner -> adapter folder (peft's files, a card)

Knows nothing about which model it is.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adapters.loop import Loop, Schedule, Told, averaged
from medomni.model.adapter import CARD
from medomni.model.adapter import CONFIG as ADAPTER_CONFIG
from medomni.model.adapter import WEIGHTS as ADAPTER_WEIGHTS
from medomni.model.prompt import AT_ONCE

if TYPE_CHECKING:
    from peft import PeftModel

NOT_LEARNED = -100
"""Target of a token that is given, not written."""

Facts = Mapping[str, str | int | float]
"""What a card says."""
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Ids, mask and targets (batch, word)."""


@dataclass(frozen=True)
class LoraRecipe(Schedule):
    """The settings of one training. ``labels`` are the findings that it words."""

    labels: Sequence[str]
    seed: int
    batch: int
    rank: int
    alpha: int
    gradient_checkpointing: bool

    def __post_init__(self) -> None:
        if len(self.labels) < AT_ONCE:
            raise ValueError(f"labels has {len(self.labels)} findings: name at least {AT_ONCE}")


class LoraLearner:
    """A language model with fresh thin matrices beside ``targets``; only these are learned, kept and averaged."""

    def __init__(self, model: Any, targets: Sequence[str], recipe: LoraRecipe) -> None:  # noqa: ANN401  (a class of transformers)
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(recipe.seed)
        how = LoraConfig(
            r=recipe.rank, lora_alpha=recipe.alpha, target_modules=list(targets), task_type="CAUSAL_LM", lora_dropout=0.0
        )
        self.model: PeftModel = get_peft_model(model, how)
        self.targets, self.recipe = sorted(targets), recipe
        if recipe.gradient_checkpointing:
            self.model.enable_input_require_grads()
            self.model.gradient_checkpointing_enable()
            self.model.train()  # transformers recomputes nothing in a model that is not being trained
        learned = {name: parameter for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        self.names = list(learned)
        self.thin = torch.nn.ParameterList(learned.values())

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Mean cross-entropy of the words of the answers."""
        ids, mask, targets = (part.to(self.thin[0].device) for part in batch)
        return {"words": self.model(input_ids=ids, attention_mask=mask, labels=targets).loss}

    def train(self, lessons: "Lessons", checkpoint: Path, told: Told) -> None:
        """Learn to the end, or go on from the checkpoint; the matrices are then the averaged ones."""
        Loop(self.thin, self.recipe, checkpoint, str(self.thin[0].device)).run(lessons.after, self.losses, told)
        self.thin.load_state_dict(averaged(checkpoint))

    def save(self, folder: Path, base: str, card: Facts) -> None:
        """Write peft's two files, which name the base, and the card."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": self.recipe.rank, "lora_alpha": self.recipe.alpha}
        config |= {"lora_dropout": 0.0, "bias": "none", "inference_mode": True}
        config |= {"target_modules": self.targets, "base_model_name_or_path": base}
        (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        named = zip(self.names, self.thin, strict=True)
        half = {name.replace(".default.", "."): value.detach().half().cpu().contiguous() for name, value in named}
        save_file(half, folder / ADAPTER_WEIGHTS, {"format": "pt"})
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in card.items()]
        (folder / CARD).write_text("\n".join(lines) + "\n", encoding="utf-8")


class Lessons(ABC):
    """Lesson ``n`` of a training follows from the seed and ``n`` alone; ``end`` is the id that ends an answer."""

    def __init__(self, recipe: LoraRecipe, end: int) -> None:
        self.recipe, self.end = recipe, end

    @abstractmethod
    def pair(self, rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """The ids of what is asked, and of an answer without its end."""

    def after(self, first: int) -> Iterator[Batch]:
        """The lessons from ``first`` to the end."""
        for number in range(first, self.recipe.steps):
            yield self.lesson(np.random.default_rng([self.recipe.seed, number]))

    def lesson(self, rng: np.random.Generator) -> Batch:
        """One batch; what is asked is not learned."""
        rows = []
        for _ in range(self.recipe.batch):
            asked, answer = self.pair(rng)
            said = [*answer, self.end]
            rows.append((asked + said, [NOT_LEARNED] * len(asked) + said))
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([row + [self.end] * (width - len(row)) for row, _ in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in rows])
        targets = torch.tensor([row + [NOT_LEARNED] * (width - len(row)) for _, row in rows])
        return ids, mask, targets
