"""The trained omni model, to and from its folder (``omni_folder.py``).

Omni, answers, tokenizer -> folder -> Omni with the modalities that are asked for
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from medomni.model.config import OmniConfig
from medomni.model.omni import Omni
from medomni.model.omni_folder import ANSWERS, CONFIG, WEIGHTS, WORDS, Answering, answers_json, answers_of, digest_of, require
from medomni.model.words import TextWords


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model ready to run, with its words, its answers and the digest of all of them."""

    omni: Omni
    words: TextWords
    answers: Mapping[str, Answering]
    digest: str


def save(omni: Omni, answers: Mapping[str, Answering], tokenizer: Path, folder: Path) -> None:
    """Write the model to a folder that is there."""
    halves = {name: value.half() if value.is_floating_point() else value for name, value in omni.state_dict().items()}
    save_file({name: value.contiguous() for name, value in halves.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(asdict(omni.config), indent=1) + "\n", encoding="utf-8")
    (folder / ANSWERS).write_bytes(answers_json(answers))
    if tokenizer != folder / WORDS:
        shutil.copyfile(tokenizer, folder / WORDS)


def load(folder: Path, modalities: Sequence[str]) -> Loaded:
    """Return the model with the encoders of these modalities alone, in full precision.

    Raises:
        MissingPart: the weights are not there.
    """
    stored = load_file(require(folder) / WEIGHTS)
    config = OmniConfig(**json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    omni = Omni(config, modalities)
    omni.load_state_dict({name: stored[name].to(value.dtype) for name, value in omni.state_dict().items()})
    if "vision" in modalities:
        omni.vision.near.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # faster on a CPU
    words = TextWords((folder / WORDS).read_text(encoding="utf-8"), config.longest_text)
    return Loaded(omni.eval(), words, answers_of((folder / ANSWERS).read_bytes()), digest_of(folder))
