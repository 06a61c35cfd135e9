"""Fits the decoder by LoRA: the kept model stands still, thin matrices beside its queries and values learn to word statements.

    kept decoder, recipe -> adapter folder (peft's files) and the same in the form of the graph

Trained in torch through transformers and peft on exactly the values that the graph runs with.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters import lora, wordings
from adapters.loop import Told
from medomni.model.adapter import BASE, TARGETS
from medomni.model.decoder_weights import CONFIG, TOKENIZER, WEIGHTS, StoredWeights


@dataclass(frozen=True)
class DecoderRecipe(lora.LoraRecipe):
    """The settings of one training; the keys of ``recipes/chest_ct.toml``."""


class DecoderLearner(lora.LoraLearner):
    """The kept model with fresh thin matrices beside ``TARGETS``."""

    def __init__(self, folder: Path, recipe: DecoderRecipe) -> None:
        super().__init__(plain_model(folder), TARGETS, recipe)


def plain_model(folder: Path) -> Any:  # noqa: ANN401  (transformers' LlamaForCausalLM)
    """The kept model in float32, as transformers' module."""
    from safetensors import safe_open
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**json.loads((folder / CONFIG).read_text("utf-8"))))
    stored = StoredWeights(safe_open(folder / WEIGHTS, "np"))
    model.load_state_dict({name: torch.from_numpy(values) for name, values in stored.as_plain()}, strict=False)
    return model.eval()  # type: ignore[no-untyped-call]


class Lessons(lora.Lessons):
    """Prompts of the embedded drafter, and answers."""

    def __init__(self, folder: Path, recipe: DecoderRecipe) -> None:
        from tokenizers import Tokenizer

        super().__init__(recipe, int(json.loads((folder / CONFIG).read_text("utf-8"))["eos_token_id"]))
        self.words: Tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))

    def pair(self, rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """See ``lora.Lessons``."""
        prompt, answer = wordings.pair(rng, self.recipe.labels)
        return self.words.encode(prompt).ids, self.words.encode(answer).ids


def train(folder: Path, checkpoint: Path, recipe: DecoderRecipe, told: Told) -> DecoderLearner:
    """Train to the end, or go on from the checkpoint; returns the learner with its averaged matrices."""
    learner = DecoderLearner(folder, recipe)
    learner.train(Lessons(folder, recipe), checkpoint, told)
    return learner


def save(learner: DecoderLearner, folder: Path, name: str, base: str, facts: lora.Facts) -> None:
    """Write peft's two files and the card of a learner: what it is fitted to and how, and what was measured."""
    learner.save(folder, BASE, {"name": name, "base": base, **facts})
