"""What a model of the Qwen-Omni classes is given: words, pictures and a sound -> ids with places, patches and frames.

The words that stand round a picture or a sound are those of the makers' tokenizers and differ from kind to kind. A text is taken
as plain text: what looks like such a word in a history is none. Knows nothing about statements or the model itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, UInt8

from medomni.errors import MissingPart
from medomni.types.dictation import Told

if TYPE_CHECKING:
    import torch

START, END = "<|im_start|>", "<|im_end|>"
TOKENIZER = "tokenizer.json"
LONGEST_TEXT = 1000
"""Characters of the history, and of the dictation, that are shown."""
LONGEST_SOUND_S = 120
"""Seconds of the dictation that are heard; each takes 13 or 25 places."""
HEADS = {"history": "Clinical history", "dictation": "What was dictated"}


def _places_25(frames: int) -> int:
    """Places of a sound of so many frames of 10 ms: two halvings (transformers, ``Qwen2_5OmniAudioEncoder``)."""
    return ((frames - 1) // 2 + 1 - 2) // 2 + 1


def _places_3(frames: int) -> int:
    """Places of a sound of so many frames of 10 ms: 13 a second, the rest halved thrice (``Qwen3OmniMoeAudioEncoder``)."""
    seconds, rest = divmod(frames, 100)
    for _ in range(3):
        rest = (rest + 1) // 2
    return seconds * 13 + rest


@dataclass(frozen=True)
class Kind:
    """One kind of model.

    Attributes:
        model: transformers' class of the part that thinks.
        picture: what stands before, in the place of, and after a picture.
        sound: the same for a sound.
        places: places that a sound of so many frames takes.
    """

    model: str
    picture: tuple[str, str, str]
    sound: tuple[str, str, str]
    places: Callable[[int], int]


QWEN_25 = Kind(
    "Qwen2_5OmniThinkerForConditionalGeneration",
    ("<|vision_bos|>", "<|IMAGE|>", "<|vision_eos|>"),
    ("<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"),
    _places_25,
)
QWEN_3 = Kind(
    "Qwen3OmniMoeThinkerForConditionalGeneration",
    ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>"),
    ("<|audio_start|>", "<|audio_pad|>", "<|audio_end|>"),
    _places_3,
)
KINDS = {
    "qwen2_5_omni": QWEN_25,
    "qwen2_5_omni_thinker": QWEN_25,
    "qwen3_omni_moe": QWEN_3,
    "qwen3_omni_moe_thinker": QWEN_3,
}
"""Kinds by ``model_type`` of ``config.json``: of the whole model, and of the part that thinks saved alone."""


@dataclass(frozen=True, eq=False)
class QwenInputs:
    """Tokenizer, image processor and feature extractor of a folder."""

    folder: Path
    kind: Kind

    def of(
        self,
        system: str,
        text: str,
        pictures: Sequence[UInt8[np.ndarray, "h w"]] = (),
        told: Told | None = None,
        sound: Float32[np.ndarray, " time"] | None = None,
    ) -> dict[str, "torch.Tensor"]:
        """What the model takes for one turn, up to where its answer begins; the sound is mono, 16 kHz."""
        import torch

        found, seen = self._seen(pictures) if len(pictures) else ({}, [])
        if sound is not None and len(sound):
            frames, spoken = self._heard(sound)
            found |= frames
            seen += spoken
        texts = told.texts if told else ()
        context = "".join(f"{HEADS[kind]}, for context only: {words[:LONGEST_TEXT]}\n" for kind, words in texts)
        turn, over = self.id_of(START), [self.id_of(END), *self.plain("\n")]
        row = [turn, *self.plain(f"system\n{system}"), *over]
        row += [turn, *self.plain("user\n"), *seen, *self.plain(context + text), *over]
        row += [turn, *self.plain("assistant\n")]
        ids = torch.tensor([row])
        return found | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def plain(self, text: str) -> list[int]:
        """The ids of a text, none of which is one of the words that have a meaning to the model."""
        return list(self.words.encode(text).ids)

    def id_of(self, word: str) -> int:
        """The id of a word that has a meaning to the model.

        Raises:
            MissingPart: the tokenizer lacks it.
        """
        found = self.words.token_to_id(word)
        if found is None:
            remedy = "give a folder of Qwen2.5-Omni or Qwen3-Omni as its makers saved it"
            raise MissingPart("the tokenizer lacks a word", found=word, remedy=remedy, where=self.folder.name)
        return int(found)

    @cached_property
    def words(self) -> Any:  # noqa: ANN401  (a Tokenizer)
        """The tokenizer; that of Qwen3-Omni is made of vocabulary and merges, as its makers give it."""
        from tokenizers import Tokenizer

        if (self.folder / TOKENIZER).is_file():
            found = Tokenizer.from_file(str(self.folder / TOKENIZER))
        else:
            from transformers import AutoTokenizer

            found = AutoTokenizer.from_pretrained(self.folder).backend_tokenizer
        found.encode_special_tokens = True
        return found

    @cached_property
    def _pictures(self) -> Any:  # noqa: ANN401  (an image processor)
        from transformers import Qwen2VLImageProcessorPil

        return Qwen2VLImageProcessorPil.from_pretrained(self.folder)

    @cached_property
    def _sounds(self) -> Any:  # noqa: ANN401  (a feature extractor)
        from transformers import WhisperFeatureExtractor

        return WhisperFeatureExtractor.from_pretrained(self.folder)

    def _seen(self, pictures: Sequence[UInt8[np.ndarray, "h w"]]) -> tuple[dict[str, "torch.Tensor"], list[int]]:
        """The patches of pictures, and the ids of their places."""
        from PIL import Image

        found = dict(self._pictures(images=[Image.fromarray(one).convert("RGB") for one in pictures], return_tensors="pt"))
        counts = [int(grid.prod()) // self._pictures.merge_size**2 for grid in found["image_grid_thw"]]
        before, place, after = map(self.id_of, self.kind.picture)
        return found, [number for count in counts for number in (before, *[place] * count, after)]

    def _heard(self, sound: Float32[np.ndarray, " time"]) -> tuple[dict[str, "torch.Tensor"], list[int]]:
        """The frames of a sound, and the ids of their places."""
        from medomni.model.audio import RATE_HZ

        made = self._sounds(
            [sound[: LONGEST_SOUND_S * RATE_HZ]],
            sampling_rate=RATE_HZ,
            padding="longest",
            truncation=False,
            return_attention_mask=True,
            return_tensors="pt",
        )
        mask = made["attention_mask"]
        before, place, after = map(self.id_of, self.kind.sound)
        places = [place] * self.kind.places(int(mask.sum()))
        return {"input_features": made["input_features"], "feature_attention_mask": mask}, [before, *places, after]
