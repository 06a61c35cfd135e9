"""Fits a model of the Qwen-Omni classes by LoRA: thin matrices beside the queries and values of its language model.

    folder of the model, recipe -> adapter folder (peft's files, a card) for the drafter ``qwen-omni``

It learns statements and their sentences in the very form in which the drafter asks, without pictures, history and sound; what
sees and what hears stands still. The model is loaded as the drafter loads it, in the numbers in which its makers saved it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapters import lora, wordings
from adapters.loop import Told
from medomni.errors import BadInput
from medomni.model.adapter import TARGETS
from medomni.model.backends.instructions import instructions, question
from medomni.model.backends.qwen_inputs import END, QwenInputs
from medomni.model.backends.qwen_omni import QwenOmni

LANGUAGE = "language_model"
"""transformers' name of the part that is adapted; the one that hears has queries and values of the same names."""
README = "README.md"
ABOUT = """# {name}

A LoRA adapter (rank {rank}, queries and values of the language model) for a model of the Qwen-Omni classes. `card.toml` holds
the digest of that model. `adapter_config.json` names its folder as it was named at the training; `MEDOMNI_DRAFTER_MODEL` must
say the same.

**What it does.** Words statements of a CT report in the sentences of `medomni/data/wording_en.toml`. The guard reads each
sentence and replaces what is none of them.

**What it saw.** {steps} batches of {batch} prompts drawn by chance from that table (seed {seed}). Text only: no picture, no
sound, no history, no patient.

**Where it fails.** Not measured. It knows English only; what it does to answers with pictures or sound nobody has looked at.

{licence} for the matrices; the model has the licence of its makers. Not a medical device.
"""


@dataclass(frozen=True)
class QwenRecipe(lora.LoraRecipe):
    """The settings of one training; the keys of ``recipes/qwen_omni.toml``. ``model`` is a folder; "": that of the settings."""

    model: str


class QwenLearner(lora.LoraLearner):
    """The model of a drafter with fresh thin matrices beside ``targets_of`` it."""

    def __init__(self, drafter: QwenOmni, recipe: QwenRecipe) -> None:
        super().__init__(drafter.loaded, targets_of(drafter.loaded), recipe)


def targets_of(model: Any) -> list[str]:  # noqa: ANN401  (a class of transformers)
    """The full names of queries and values of each block of the language model; a shorter name would hit the other parts too.

    Raises:
        BadInput: there are none.
    """
    names = [name for name, _ in model.named_modules() if LANGUAGE in name.split(".") and name.split(".")[-1] in TARGETS]
    if not names:
        raise BadInput("the model has no layers that are adapted here", remedy="give a folder of Qwen2.5-Omni or Qwen3-Omni")
    return names


class Lessons(lora.Lessons):
    """What the drafter asks about statements drawn by chance, and answers."""

    def __init__(self, inputs: QwenInputs, recipe: QwenRecipe) -> None:
        super().__init__(recipe, inputs.id_of(END))
        self.inputs = inputs

    def pair(self, rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """See ``lora.Lessons``."""
        statements = wordings.draw(rng, self.recipe.labels)
        asked = self.inputs.of(instructions(), question(statements))["input_ids"][0].tolist()
        return asked, self.inputs.plain(wordings.answer(statements, rng))


def train(drafter: QwenOmni, checkpoint: Path, recipe: QwenRecipe, told: Told) -> QwenLearner:
    """Train to the end, or go on from the checkpoint; returns the learner with its averaged matrices.

    Raises:
        MissingPart: the model cannot be loaded.
    """
    learner = QwenLearner(drafter, recipe)
    learner.train(Lessons(drafter.inputs, recipe), checkpoint, told)
    return learner


def save(learner: QwenLearner, folder: Path, model: str, card: lora.Facts) -> None:
    """Write peft's two files, which name the model as the drafter does, the card, and what it says in words."""
    learner.save(folder, model, card)
    (folder / README).write_text(ABOUT.format(rank=learner.recipe.rank, **card), encoding="utf-8")
