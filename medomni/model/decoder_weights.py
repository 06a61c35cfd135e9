"""The language model as it is kept: a folder with ``config.json``, ``decoder.safetensors`` and ``tokenizer.json``.

Matrices of the blocks in four bits, the table of words in eight, the rest as it is. Read by the graph that decodes and, as plain
numbers, by whoever trains an adapter.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32

from medomni.model.quantize import Int4, Int8Rows, to_int4, to_int8

WEIGHTS, CONFIG, TOKENIZER = "decoder.safetensors", "config.json", "tokenizer.json"
WORDS = "model.embed_tokens"


@dataclass(frozen=True)
class LlamaShape:
    """Sizes of the model, as ``config.json`` states them."""

    width: int
    inner: int
    layers: int
    heads: int
    shared_heads: int
    head: int
    epsilon: float
    theta: float
    vocabulary: int
    longest: int

    @staticmethod
    def read(folder: Path) -> "LlamaShape":
        """Read ``config.json``."""
        table: dict[str, Any] = json.loads((folder / CONFIG).read_text("utf-8"))
        return LlamaShape(
            width=table["hidden_size"],
            inner=table["intermediate_size"],
            layers=table["num_hidden_layers"],
            heads=table["num_attention_heads"],
            shared_heads=table["num_key_value_heads"],
            head=table["head_dim"],
            epsilon=table["rms_norm_eps"],
            theta=table["rope_theta"],
            vocabulary=table["vocab_size"],
            longest=table["max_position_embeddings"],
        )


class Stored(Protocol):
    """What is used of safetensors' ``safe_open``."""

    def get_tensor(self, name: str) -> np.ndarray:
        """One tensor."""
        ...

    def keys(self) -> list[str]:
        """The names of all tensors."""
        ...


class StoredWeights:
    """The tensors of a folder, read when they are asked for."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def plain(self, name: str) -> Float32[np.ndarray, "..."]:
        """A tensor that is kept as it is."""
        return np.asarray(self._stored.get_tensor(name), np.float32)

    def int4(self, name: str) -> Int4:
        """A matrix of a block."""
        return Int4(*(self._stored.get_tensor(f"{name}.{part}") for part in ("codes", "zeros", "scales")))

    def words(self) -> Int8Rows:
        """The table of words."""
        return Int8Rows(*(self._stored.get_tensor(f"{WORDS}.{part}") for part in ("codes", "scales")))

    def as_plain(self) -> Iterator[tuple[str, Float32[np.ndarray, "..."]]]:
        """Every tensor under transformers' name, in plain numbers."""
        yield f"{WORDS}.weight", self.words().values()
        for name in self._stored.keys():  # noqa: SIM118  (no mapping)
            stem, _, part = name.rpartition(".")
            if part == "codes" and stem != WORDS:
                yield f"{stem}.weight", self.int4(stem).values()
            elif part == "weight":
                yield name, self.plain(name)


def save(folder: Path, tensors: dict[str, Float32[np.ndarray, "..."]]) -> None:
    """Write plain tensors under transformers' names in the form in which they are kept."""
    from safetensors.numpy import save_file

    kept: dict[str, np.ndarray] = {}
    for name, values in tensors.items():
        stem = name.removesuffix(".weight")
        if stem == WORDS:
            rows = to_int8(values)
            kept |= {f"{stem}.codes": rows.codes, f"{stem}.scales": rows.scales}
        elif values.ndim == 2:
            small = to_int4(values)
            kept |= {f"{stem}.codes": small.codes, f"{stem}.zeros": small.zeros, f"{stem}.scales": small.scales}
        else:
            kept[name] = values.astype(np.float32)
    save_file(kept, folder / WEIGHTS)
