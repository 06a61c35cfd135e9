"""The trained omni model on disk: its sizes, weights in half precision, words, and how its logits become answers.

    Omni, answers, tokenizer -> folder -> Omni with the modalities that are asked for

``config.json`` holds the sizes, ``answers.json`` for each label its ``Answering``, ``README.md`` says what the model saw.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file

from medomni.errors import MissingPart
from medomni.model.boxes import Extent
from medomni.model.config import OmniConfig
from medomni.model.omni import Omni
from medomni.model.text import TextWords
from medomni.types.codes import Value

SHIPPED = Path(__file__).parent / "shipped" / "omni"
"""The model that comes with MedOmni."""
WEIGHTS, CONFIG, ANSWERS, WORDS = "model.safetensors", "config.json", "answers.json", "tokenizer.json"
VERSION = "1"
TRAINED = ("vision", "text")
"""Modalities whose encoders are trained and kept."""


class Answering(Value):
    """How a label's logit becomes an answer; fitted on phantoms that no network learned from.

    Attributes:
        offset, slope: of the logistic curve over the model's logit.
        joint: offset and weights of the curve over the model's logit and that of a detector's probability.
        threshold: of the probability, where yes and no are wanted.
        extent: the cells that a box is drawn round.
    """

    offset: float
    slope: float
    joint: tuple[float, float, float]
    threshold: float
    extent: Extent


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
    write_answers(answers, folder)
    if tokenizer != folder / WORDS:
        shutil.copyfile(tokenizer, folder / WORDS)


def write_answers(answers: Mapping[str, Answering], folder: Path) -> None:
    """Write how logits become answers."""
    rows = {label: one.model_dump(mode="json") for label, one in answers.items()}
    (folder / ANSWERS).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def load(folder: Path, modalities: Sequence[str]) -> Loaded:
    """Return the model with the encoders of these modalities alone, in full precision.

    Raises:
        MissingPart: the weights are not there.
    """
    if not (folder / WEIGHTS).is_file():
        raise MissingPart(
            "the omni model is not in this installation",
            found=f"no {WEIGHTS}",
            remedy="install MedOmni with its weights",
            where=folder.name,
        )
    config = OmniConfig(**json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    omni = Omni(config, modalities)
    wanted, stored = omni.state_dict(), load_file(folder / WEIGHTS)
    omni.load_state_dict({name: stored[name].to(value.dtype) for name, value in wanted.items()})
    if "vision" in modalities:
        omni.vision.near.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # faster on a CPU
    answers = TypeAdapter(dict[str, Answering]).validate_json((folder / ANSWERS).read_bytes())
    return Loaded(omni.eval(), TextWords(folder / WORDS, config.longest_text), answers, digest_of(folder))


def digest_of(folder: Path) -> str:
    """A digest of everything that an answer follows from."""
    digest = hashlib.sha256()
    for name in (WEIGHTS, CONFIG, ANSWERS, WORDS):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()
