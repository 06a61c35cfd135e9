"""Fits the decoder by LoRA: the kept model stands still, thin matrices beside its queries and values learn to word statements.

    kept decoder, recipe -> adapter folder (peft's files) and the same in the form of the graph

Trained in torch through transformers and peft on exactly the values that the graph runs with.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adapters import wordings
from adapters.loop import Loop, Schedule, Told, averaged
from medomni.model.adapter import BASE, CARD, TARGETS
from medomni.model.adapter import CONFIG as ADAPTER_CONFIG
from medomni.model.adapter import WEIGHTS as ADAPTER_WEIGHTS
from medomni.model.decoder_weights import CONFIG, TOKENIZER, WEIGHTS, StoredWeights
from medomni.model.prompt import AT_ONCE

if TYPE_CHECKING:
    from peft import PeftModel

NOT_LEARNED = -100
"""Target of a token that is given, not written."""


@dataclass(frozen=True)
class DecoderRecipe(Schedule):
    """The settings of one training; the keys of ``recipes/chest_ct.toml``. ``labels`` are the findings that it words."""

    labels: Sequence[str]
    seed: int
    batch: int
    rank: int
    alpha: int
    gradient_checkpointing: bool

    def __post_init__(self) -> None:
        if len(self.labels) < AT_ONCE:
            raise ValueError(f"labels has {len(self.labels)} findings: name at least {AT_ONCE}")


class DecoderLearner(torch.nn.Module):
    """The language model with LoRA; only the thin matrices are kept and averaged."""

    def __init__(self, folder: Path, recipe: DecoderRecipe) -> None:
        super().__init__()
        model = with_lora(plain_model(folder), recipe)
        if recipe.gradient_checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable()
        self._model = [model]  # in a list: torch shall not take the standing weights for part of what is kept
        names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.names = names
        self.thin = torch.nn.ParameterList([dict(model.named_parameters())[name] for name in names])

    @property
    def model(self) -> "PeftModel":
        """The model with its adapter."""
        return self._model[0]

    def losses(self, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Mean cross-entropy of the words of the answers."""
        ids, mask, targets = batch
        return {"words": self.model(input_ids=ids, attention_mask=mask, labels=targets).loss}


def plain_model(folder: Path) -> Any:  # noqa: ANN401  (transformers' LlamaForCausalLM)
    """The kept model in float32, as transformers' module."""
    from safetensors import safe_open
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**json.loads((folder / CONFIG).read_text("utf-8"))))
    stored = StoredWeights(safe_open(folder / WEIGHTS, "np"))
    model.load_state_dict({name: torch.from_numpy(values) for name, values in stored.as_plain()}, strict=False)
    return model.eval()  # type: ignore[no-untyped-call]


def with_lora(model: Any, recipe: DecoderRecipe) -> "PeftModel":  # noqa: ANN401
    """The model with fresh thin matrices beside ``TARGETS``."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(recipe.seed)
    how = LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, target_modules=list(TARGETS), task_type="CAUSAL_LM", lora_dropout=0.0
    )
    return get_peft_model(model, how)


class Lessons:
    """Lesson ``n`` of a training follows from the seed and ``n`` alone."""

    def __init__(self, folder: Path, recipe: DecoderRecipe) -> None:
        from tokenizers import Tokenizer

        self.words: Tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self.end = int(json.loads((folder / CONFIG).read_text("utf-8"))["eos_token_id"])
        self.recipe = recipe

    def after(self, first: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """The lessons from ``first`` to the end."""
        for number in range(first, self.recipe.steps):
            yield self.lesson(np.random.default_rng([self.recipe.seed, number]))

    def lesson(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ids, mask and targets (batch, word); prompts are not learned."""
        rows = []
        for _ in range(self.recipe.batch):
            prompt, answer = wordings.pair(rng, self.recipe.labels)
            asked, said = self.words.encode(prompt).ids, [*self.words.encode(answer).ids, self.end]
            rows.append((asked + said, [NOT_LEARNED] * len(asked) + said))
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([row + [self.end] * (width - len(row)) for row, _ in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in rows])
        targets = torch.tensor([row + [NOT_LEARNED] * (width - len(row)) for _, row in rows])
        return ids, mask, targets


def train(folder: Path, checkpoint: Path, recipe: DecoderRecipe, told: Told) -> DecoderLearner:
    """Train to the end, or go on from the checkpoint; returns the learner with its averaged matrices."""
    learner, lessons = DecoderLearner(folder, recipe), Lessons(folder, recipe)
    Loop(learner, recipe, checkpoint).run(lessons.after, learner.losses, told)
    learner.load_state_dict(averaged(checkpoint))
    return learner


def save(learner: DecoderLearner, folder: Path, name: str, base: str, facts: Mapping[str, str | int | float]) -> None:
    """Write peft's two files and the card of a learner: what it is fitted to and how, and what was measured."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    learner.model.peft_config["default"].inference_mode = True
    learner.model.save_pretrained(str(folder), safe_serialization=True)
    config = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
    kept = {key: config[key] for key in ("peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "bias", "inference_mode")}
    kept |= {"target_modules": sorted(config["target_modules"]), "base_model_name_or_path": BASE}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    named = zip(learner.names, learner.thin, strict=True)
    half = {key.replace(".default.", "."): value.detach().half().contiguous() for key, value in named}
    save_file(half, folder / ADAPTER_WEIGHTS, {"format": "pt"})
    card = {"name": name, "base": base, **facts}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in card.items()]
    (folder / CARD).write_text("\n".join(lines) + "\n", encoding="utf-8")
