"""What lies in the folder of the trained omni model, readable without torch.

``model.safetensors`` in half precision, ``config.json`` the sizes, ``tokenizer.json`` the words, ``answers.json`` for each label
its ``Answering``, ``README.md`` what the model saw, ``scores.toml`` how well it does.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

from medomni.errors import MissingPart
from medomni.model.boxes import Chance, Extent
from medomni.types.codes import Value
from medomni.types.opinion import Joint

SHIPPED = Path(__file__).parent / "shipped" / "omni"
"""The model that comes with MedOmni."""
WEIGHTS, CONFIG, ANSWERS, WORDS = "model.safetensors", "config.json", "answers.json", "tokenizer.json"
SCORES = "scores.toml"
IN_DRAFTS = ("vision", "text")
"""Modalities whose encoders a draft runs: of a dictation it reads the words, which a person can check."""
_ANSWERS = TypeAdapter(dict[str, "Answering"])


class Answering(Value):
    """How a label's logit becomes an answer; fitted on phantoms that no network learned from.

    Attributes:
        offset, slope: of the logistic curve over the model's logit.
        joint: the curve over the model's logit and that of a detector's probability.
        threshold: of the probability, where yes and no are wanted.
        extent: the cells that a box is drawn round.
        chance: how likely such a box is right.
    """

    offset: float
    slope: float
    joint: Joint
    threshold: float
    extent: Extent
    chance: Chance


def require(folder: Path) -> Path:
    """Return the folder.

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
    return folder


def answers_of(content: bytes) -> Mapping[str, Answering]:
    """Read ``answers.json``."""
    return _ANSWERS.validate_json(content)


def answers_json(answers: Mapping[str, Answering]) -> bytes:
    """What ``answers.json`` holds."""
    return _ANSWERS.dump_json(dict(answers), indent=1) + b"\n"


def digest_of(folder: Path) -> str:
    """A digest of everything that an answer follows from."""
    digest = hashlib.sha256()
    for name in (WEIGHTS, CONFIG, ANSWERS, WORDS):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()
