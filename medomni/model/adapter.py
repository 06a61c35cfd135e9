"""A LoRA adapter folder in peft's form -> the thin matrices that the decoder's graph takes.

    adapter_config.json, adapter_model.safetensors, card.toml -> Adapter

The folder is checked before (``adapters/check.py``); here it is read as numbers and held to its base. Needs no torch.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from medomni.errors import BadInput
from medomni.model.decoder_graph import RANK
from medomni.model.decoder_weights import LlamaShape
from medomni.model.weights import entry, sha256_of

CONFIG, WEIGHTS, CARD = "adapter_config.json", "adapter_model.safetensors", "card.toml"
BASE = "medomni-base"
"""Name under which an adapter states its base; its card holds the digest."""
TARGETS = ("q_proj", "v_proj")
"""Matrices of a block that an adapter changes; queries and values, after Hu et al., LoRA, 2021."""
FORM = "int4-32"
"""How the base is kept (``quantize.py``): an adapter is fitted to exactly these values."""

Thin = tuple[Float32[np.ndarray, "rank width"], Float32[np.ndarray, "rows rank"]]
"""What is added to a block: up @ down."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA adapter in the form in which the graph takes it: for each block its two thin matrices, and a digest."""

    digest: str
    blocks: Mapping[int, Thin]
    name: str = ""


def base_identity() -> str:
    """What an adapter's card states as its base: the digest of the language model that is pulled, and how it is kept."""
    return f"{entry('decoder').files[0].sha256}/{FORM}"


def load(folder: Path, shape: LlamaShape, base: str) -> Adapter:
    """Return the adapter of a folder.

    Raises:
        BadInput: it was fitted to another base, or is too wide.
    """
    from safetensors.numpy import load_file

    card = card_of(folder)
    if card.get("base") != base:
        raise BadInput(
            "the adapter was fitted to another language model", remedy="give one that was fitted to this base", where=folder.name
        )
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    if config.get("use_rslora") or config.get("fan_in_fan_out"):
        raise BadInput("the adapter scales or lays out its matrices in another way", remedy="fit a plain one", where=folder.name)
    blocks = blocks_of(load_file(folder / WEIGHTS), float(config.get("lora_alpha", 8)), int(config["r"]), shape)
    return Adapter(sha256_of(folder / WEIGHTS), blocks, str(card.get("name", folder.name)))


def card_of(folder: Path) -> dict[str, object]:
    """The card of an adapter; empty without one.

    Raises:
        BadInput: the card is no TOML.
    """
    if not (folder / CARD).is_file():
        return {}
    try:
        return tomllib.loads((folder / CARD).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput("the card of the adapter is no TOML", remedy="save the adapter again", where=folder.name) from error


def blocks_of(tensors: Mapping[str, np.ndarray], alpha: float, rank: int, shape: LlamaShape) -> dict[int, Thin]:
    """The matrices under peft's names as (down, up) for each block; queries and values stacked are one pair of twice the rank.

    Raises:
        BadInput: the adapter is wider than the graph's room for it, or changes other layers.
    """
    most = RANK // len(TARGETS)
    if rank > most:
        raise BadInput("the adapter is too wide", found=f"rank {rank}", remedy=f"fit one of rank {most} at most")
    height = (shape.heads + 2 * shape.shared_heads) * shape.head
    first = {"q_proj": 0, "v_proj": (shape.heads + shape.shared_heads) * shape.head}
    blocks, known = dict[int, Thin](), set[str]()
    for layer in range(shape.layers):
        down, up = np.zeros((RANK, shape.width), np.float32), np.zeros((height, RANK), np.float32)
        for place, target in enumerate(TARGETS):
            stem = f"base_model.model.model.layers.{layer}.self_attn.{target}"
            names = (f"{stem}.lora_A.weight", f"{stem}.lora_B.weight")
            if names[0] in tensors and names[1] in tensors:
                tall = (shape.heads if target == "q_proj" else shape.shared_heads) * shape.head
                if tensors[names[0]].shape != (rank, shape.width) or tensors[names[1]].shape != (tall, rank):
                    raise BadInput("a matrix of the adapter has the wrong size", found=target, remedy="fit it to this base")
                thin, added = slice(place * rank, (place + 1) * rank), tensors[names[1]].astype(np.float32) * (alpha / rank)
                down[thin] = tensors[names[0]]
                up[first[target] : first[target] + len(added), thin] = added
                known.update(names)
        blocks[layer] = (down, up)
    if set(tensors) - known:
        raise BadInput("the adapter changes layers that are not adapted here", remedy=f"fit one of {', '.join(TARGETS)}")
    return blocks
