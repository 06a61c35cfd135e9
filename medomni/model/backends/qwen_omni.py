"""A drafter on a model of the Qwen-Omni classes: statements, the slices that prove them and the history in; sentences out.

Qwen2.5-Omni and Qwen3-Omni through transformers, from a local folder or a hub name; only the part that thinks is loaded, not the
one that speaks. An adapter is peft's. What it writes passes the same guard as every drafter's.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from medomni.errors import BadSettings, MissingPart
from medomni.model.backends.instructions import answers, instructions, question
from medomni.model.backends.key_slices import key_slices
from medomni.model.prompt import TOKENS_EACH, groups
from medomni.reporting.statement import Statement
from medomni.settings import Settings
from medomni.types.provenance import Part

if TYPE_CHECKING:
    import torch

    from medomni.pipeline import Shown

NAME = "qwen-omni"
CLASSES = {
    "qwen2_5_omni": "Qwen2_5OmniThinkerForConditionalGeneration",
    "qwen2_5_omni_thinker": "Qwen2_5OmniThinkerForConditionalGeneration",
    "qwen3_omni_moe": "Qwen3OmniMoeThinkerForConditionalGeneration",
    "qwen3_omni_moe_thinker": "Qwen3OmniMoeThinkerForConditionalGeneration",
}
"""transformers' class for each kind of model."""
LONGEST_HISTORY = 1000
"""Characters of the history that are shown."""


@dataclass(eq=False)
class QwenOmni:
    """The model of a folder or hub name; loaded when the first statement is worded."""

    model: str
    adapter: Path | None = None
    device: str = "cpu"
    name: str = NAME

    @property
    def parts(self) -> tuple[Part, ...]:
        """The model, and its adapter."""
        model = Part(role="drafter", name=f"{NAME} {Path(self.model).name}", version="not known")
        return (model, Part(role="adapter", name=self.adapter.name, version="not known")) if self.adapter else (model,)

    def check(self) -> None:
        """See ``medomni.pipeline.Checkable``; whether the files are on this machine, not whether they can be loaded."""
        if Path(self.model).is_dir():
            return
        try:
            from huggingface_hub import snapshot_download

            snapshot_download(self.model, local_files_only=True)
        except Exception as error:
            raise MissingPart(
                "the model is not on this machine",
                found=type(error).__name__,
                remedy="set MEDOMNI_DRAFTER_MODEL to a folder with its files; a draft tries to fetch a hub name",
                where=NAME,
            ) from error

    def word(self, statements: Sequence[Statement], language: str, shown: "Shown") -> list[str]:
        """See ``medomni.pipeline.Drafter``."""
        if language != "en":
            return []
        texts: list[str] = []
        for part in groups(statements):
            pictures = key_slices(shown.volume, shown.segmentation, part)
            texts += answers(self.ask(question(part), pictures, shown.history, TOKENS_EACH * len(part)), len(part))
        return texts

    def ask(self, text: str, pictures: Sequence[UInt8[np.ndarray, "h w"]], history: str, longest: int) -> str:
        """The model's answer to a question about pictures."""
        import torch

        inputs = self.inputs(text, pictures, history)
        with torch.inference_mode():
            out = self._loaded.generate(
                **inputs, max_new_tokens=longest, do_sample=False, eos_token_id=self._id("<|im_end|>"), pad_token_id=0
            )
        return str(self._words.decode(out[0, inputs["input_ids"].shape[1] :].tolist()))

    def inputs(self, text: str, pictures: Sequence[UInt8[np.ndarray, "h w"]], history: str) -> dict[str, "torch.Tensor"]:
        """What the model takes: words, places of the pictures, and the pictures."""
        import torch

        found: dict[str, torch.Tensor] = {}
        places = ""
        if len(pictures):
            from PIL import Image

            grey = [Image.fromarray(picture).convert("RGB") for picture in pictures]
            found = dict(self._pictures(images=grey, return_tensors="pt"))
            merge = self._pictures.merge_size**2
            counts = [int(grid.prod()) // merge for grid in found["image_grid_thw"]]
            places = "".join(f"<|vision_start|>{'<|image_pad|>' * count}<|vision_end|>" for count in counts)
        told = f"Clinical history, for context only: {history[:LONGEST_HISTORY]}\n" if history else ""
        prompt = (
            f"<|im_start|>system\n{instructions()}<|im_end|>\n<|im_start|>user\n{places}{told}{text}<|im_end|>\n"
            "<|im_start|>assistant\n"
        )
        ids = torch.tensor([self._words.encode(prompt).ids])
        found |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        return {name: value.to(self.device) for name, value in found.items()}

    @cached_property
    def folder(self) -> Path:
        """Where the files lie; a hub name is looked up in the local cache of the hub first.

        Raises:
            MissingPart: neither is there.
        """
        if Path(self.model).is_dir():
            return Path(self.model)
        try:
            from huggingface_hub import snapshot_download

            return Path(snapshot_download(self.model))
        except Exception as error:
            raise MissingPart(
                "the model is neither a folder nor to be had from the hub",
                found=type(error).__name__,
                remedy="set MEDOMNI_DRAFTER_MODEL to a folder with its files",
                where=NAME,
            ) from error

    @cached_property
    def _loaded(self) -> Any:  # noqa: ANN401  (a class of transformers)
        try:
            import transformers

            kind = json.loads((self.folder / "config.json").read_text("utf-8")).get("model_type")
            model = getattr(transformers, CLASSES[kind]).from_pretrained(self.folder, use_safetensors=True, dtype="auto")
            if self.adapter is not None:
                from peft import PeftModel

                model = PeftModel.from_pretrained(model, str(self.adapter))
        except (ImportError, OSError, KeyError, ValueError) as error:
            raise MissingPart(
                "the model cannot be loaded",
                found=f"{type(error).__name__}",
                remedy="install medomni[adapt], and give a folder of Qwen2.5-Omni or Qwen3-Omni with safetensors",
                where=NAME,
            ) from error
        return model.to(self.device).eval()

    @cached_property
    def _words(self) -> Any:  # noqa: ANN401  (a Tokenizer)
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    @cached_property
    def _pictures(self) -> Any:  # noqa: ANN401  (an image processor)
        from transformers import Qwen2VLImageProcessorPil

        return Qwen2VLImageProcessorPil.from_pretrained(self.folder)

    def _id(self, word: str) -> int:
        found = self._words.token_to_id(word)
        if found is None:
            raise MissingPart("the tokenizer lacks a word", found=word, remedy="give a folder of Qwen-Omni", where=NAME)
        return int(found)


def drafter(settings: Settings, adapter: Path | None) -> QwenOmni:
    """The drafter that the settings describe.

    Raises:
        BadSettings: no model is set.
    """
    if not settings.drafter_model:
        raise BadSettings("this drafter needs a model", remedy="set MEDOMNI_DRAFTER_MODEL to a folder or hub name", where=NAME)
    return QwenOmni(settings.drafter_model, adapter, settings.device)
