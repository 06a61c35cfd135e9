"""A drafter on a model of the Qwen-Omni classes: statements, the slices that prove them and what is told in; sentences out.

Qwen2.5-Omni and Qwen3-Omni through transformers, from a local folder or a hub name; only the part that thinks is loaded, not the
one that speaks. An adapter is peft's. What it writes passes the same guard as every drafter's.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medomni.cache import Cache
from medomni.errors import BadSettings, MissingPart
from medomni.model.backends.digests import digests_in, folder_digest
from medomni.model.backends.instructions import answers, instructions, question
from medomni.model.backends.key_slices import key_slices
from medomni.model.backends.qwen_inputs import END, KINDS, QwenInputs
from medomni.model.prompt import TOKENS_EACH, groups
from medomni.reporting.statement import Statement
from medomni.settings import Settings
from medomni.types.provenance import Part

if TYPE_CHECKING:
    import torch

    from medomni.pipeline import Shown

NAME = "qwen-omni"


@dataclass(eq=False)
class QwenOmni:
    """The model of a folder or hub name; loaded when the first statement is worded. ``digests`` keeps those of its files."""

    model: str
    adapter: Path | None = None
    device: str = "cpu"
    digests: Cache = field(default=Cache(Path(), 0))
    name: str = NAME

    @property
    def parts(self) -> tuple[Part, ...]:
        """The model, and its adapter, with the digests of their files."""
        digest = folder_digest(self.folder, self.digests)
        model = Part(role="drafter", name=f"{NAME} {Path(self.model).name}", version=digest[:12], digest=digest)
        if self.adapter is None:
            return (model,)
        digest = folder_digest(self.adapter, self.digests)
        return model, Part(role="adapter", name=self.adapter.name, version=digest[:12], digest=digest)

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
        try:
            for part in groups(statements):
                pictures = key_slices(shown.volume, shown.segmentation, part)
                inputs = self.inputs.of(instructions(), question(part), pictures, shown.told, shown.sound)
                texts += answers(self.answer(inputs, TOKENS_EACH * len(part)), len(part))
        except MissingPart:
            raise
        except Exception as error:  # what transformers and torch raise has no common class; want of memory is among it
            raise MissingPart(
                "the model fails at its work",
                found=type(error).__name__,
                remedy="give the folder as its makers saved it, a smaller model or a device with more memory",
                where=NAME,
            ) from error
        return texts

    def answer(self, inputs: "dict[str, torch.Tensor]", longest: int) -> str:
        """The model's answer to what it is given, of at most so many tokens."""
        import torch

        given = {name: value.to(self.device) for name, value in inputs.items()}
        with torch.inference_mode():
            out = self.loaded.generate(
                **given, max_new_tokens=longest, do_sample=False, eos_token_id=self.inputs.id_of(END), pad_token_id=0
            )
        return str(self.inputs.words.decode(out[0, given["input_ids"].shape[1] :].tolist()))

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
    def inputs(self) -> QwenInputs:
        """What turns words, pictures and sound into what the model takes.

        Raises:
            MissingPart: the folder holds another kind of model.
        """
        try:
            return QwenInputs(self.folder, KINDS[json.loads((self.folder / "config.json").read_text("utf-8"))["model_type"]])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise _unloaded(error) from error

    @cached_property
    def loaded(self) -> Any:  # noqa: ANN401  (a class of transformers)
        """The model with its adapter.

        Raises:
            MissingPart: it cannot be loaded.
        """
        try:
            import transformers

            kind = getattr(transformers, self.inputs.kind.model)
            model, report = kind.from_pretrained(self.folder, use_safetensors=True, dtype="auto", output_loading_info=True)
            if report["missing_keys"]:  # transformers would put noise in their place
                raise ValueError(f"{len(report['missing_keys'])} weights are missing")
            if self.adapter is not None:
                from peft import PeftModel

                model = PeftModel.from_pretrained(model, str(self.adapter))
            return model.to(self.device).eval()
        except MissingPart:
            raise
        except Exception as error:  # what transformers, safetensors, peft and torch raise has no common class
            raise _unloaded(error) from error


def _unloaded(error: Exception) -> MissingPart:
    return MissingPart(
        "the model cannot be loaded",
        found=type(error).__name__,
        remedy="install medomni[adapt], and give a folder of Qwen2.5-Omni or Qwen3-Omni with safetensors",
        where=NAME,
    )


def drafter(settings: Settings, adapter: Path | None) -> QwenOmni:
    """The drafter that the settings describe.

    Raises:
        BadSettings: no model is set.
    """
    if not settings.drafter_model:
        raise BadSettings("this drafter needs a model", remedy="set MEDOMNI_DRAFTER_MODEL to a folder or hub name", where=NAME)
    return QwenOmni(settings.drafter_model, adapter, settings.device, digests_in(settings.home))
