"""Turns an adapter folder from outside into a checked summary, or refuses it, before any library loads it.

An adapter is ``adapter_config.json`` and ``adapter_model.safetensors`` (peft's names), and texts beside them that no
program reads. Nothing is unpickled, imported or allocated by a declared size. Knows nothing about models.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from adapters.tensors import TensorEntry, check_values, read_tensor_table
from medomni.errors import BadInput
from medomni.export.strict_json import JsonLimits, parse_json
from medomni.safety.bounded import open_regular, read_regular
from medomni.types.codes import Value

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TEXTS_BESIDE = ("README.md", "LICENSE", "LICENSE.txt", "NOTICE", "card.toml")
SAFETENSORS_REMEDY = "save it again with peft's save_pretrained(folder, safe_serialization=True)"

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".msgpack", ".h5")
_CONFIG_LIMITS = JsonLimits(size_bytes=64 << 10, depth=8, parts=20_000)
_MOST_FILES = 16
_LARGEST_RANK = 1024

_STATED = {"peft_type", "base_model_name_or_path", "r", "lora_alpha", "target_modules", "modules_to_save"}
_HARMLESS = {"task_type": str, "peft_version": str, "revision": str, "inference_mode": bool, "lora_dropout": float}
_HARMLESS |= {"fan_in_fan_out": bool, "use_rslora": bool, "ensure_weight_tying": bool, "qalora_group_size": int}
_ONLY: dict[str, tuple[object, ...]] = {
    "bias": ("none",),
    "init_lora_weights": (True, "gaussian"),
    "megatron_core": ("megatron.core",),
}
"""Keys with the values that run no further code; every key in no list must be empty."""


class AdapterSummary(Value):
    """What a checked LoRA adapter is. ``sha256`` covers both files: load only what still has it."""

    base: str
    rank: int = Field(ge=1)
    alpha: float = Field(gt=0)
    target_modules: tuple[str, ...] = Field(min_length=1)
    tensors: int = Field(ge=1)
    parameters: int = Field(ge=1)
    size_bytes: int = Field(ge=1)
    sha256: str


def check_adapter(folder: Path, base: str) -> AdapterSummary:
    """Return the summary of the LoRA adapter in ``folder``, made for the model named ``base``.

    Raises:
        BadInput: the folder holds anything but a LoRA adapter of finite weights for that base.
    """
    _check_files(folder)
    config_bytes = read_regular(folder / CONFIG, _CONFIG_LIMITS.size_bytes)
    config = parse_json(config_bytes, CONFIG, _CONFIG_LIMITS)
    digest = hashlib.sha256(config_bytes)
    try:
        if not isinstance(config, dict):
            raise BadInput("is no adapter configuration", remedy="train the adapter with peft")
        _check_kind(config, base)
        rank, alpha = _check_size(config)
        modules = _module_names(config, "target_modules")
        saved = _module_names(config, "modules_to_save") if config.get("modules_to_save") else ()
        _check_other_keys(config)
    except BadInput as error:
        raise error.at(CONFIG) from None
    with open_regular(folder / WEIGHTS) as file:
        try:
            table = read_tensor_table(file, digest)
            _check_names(table, modules, saved, rank)
            check_values(file, table, digest)
        except BadInput as error:
            raise error.at(WEIGHTS) from None
        size_bytes = file.tell()
    return AdapterSummary(
        base=base,
        rank=rank,
        alpha=alpha,
        target_modules=modules,
        tensors=len(table),
        parameters=sum(entry.count for entry in table),
        size_bytes=size_bytes,
        sha256=digest.hexdigest(),
    )


def _check_files(folder: Path) -> None:
    """Refuse every file that is not one of the two and no plain text beside them."""
    where = folder.name
    if not folder.is_dir():
        raise BadInput("is no adapter folder", remedy=f"name the folder that holds {CONFIG}", where=where)
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry, _ in zip(entries, range(_MOST_FILES + 1), strict=False))
    if len(names) > _MOST_FILES:
        raise BadInput("the adapter folder holds too many files", remedy="name the adapter's own folder", where=where)
    for name in names:
        path = folder / name
        if path.suffix.lower() in _PICKLES:
            found = f"a {path.suffix.lower()} file can run code when it is loaded"
            raise BadInput("only safetensors weights are read", found=found, remedy=SAFETENSORS_REMEDY, where=where)
        if name not in (CONFIG, WEIGHTS, *TEXTS_BESIDE) or path.is_symlink() or not path.is_file():
            found = f"{_plain(name)} is none of its files"
            raise BadInput("the folder is no plain adapter", found=found, remedy="remove what is not needed", where=where)
    for name in (CONFIG, WEIGHTS):
        if name not in names:
            raise BadInput("the adapter is incomplete", found=f"no {name}", remedy=SAFETENSORS_REMEDY, where=where)


def _check_kind(config: dict[str, object], base: str) -> None:
    stated = config.get("base_model_name_or_path")
    if stated != base:
        found = f"made for {_plain(stated)}, the base here is {_plain(base)}"
        raise BadInput("the adapter fits another base model", found=found, remedy="give an adapter of this base")
    if config.get("peft_type") != "LORA":
        found = f"peft_type {_plain(config.get('peft_type'))}"
        raise BadInput("only LoRA adapters are read", found=found, remedy="train a LoRA adapter")


def _check_size(config: dict[str, object]) -> tuple[int, float]:
    rank, alpha = config.get("r"), config.get("lora_alpha", 8)
    if type(rank) is not int or not 1 <= rank <= _LARGEST_RANK:
        raise BadInput("the rank r of the adapter is wrong", remedy=f"give a whole number from 1 to {_LARGEST_RANK}")
    if type(alpha) not in (int, float) or not 0 < float(str(alpha)) <= 1e4:
        raise BadInput("lora_alpha of the adapter is wrong", remedy="give a number above 0, at most 10000")
    return rank, float(str(alpha))


def _module_names(config: dict[str, object], key: str) -> tuple[str, ...]:
    """Return a list of plain module names; peft would take one string as a regular expression."""
    names = config.get(key)
    if not isinstance(names, list) or not 1 <= len(names) <= 1000 or not all(map(_is_module_name, names)):
        remedy = "list plain module names, as q_proj or layers.0.q_proj"
        raise BadInput(f"{key} holds something that is no module name", remedy=remedy)
    return tuple(sorted(set(names)))


def _check_other_keys(config: dict[str, object]) -> None:
    """Refuse every option that could import, match or build something else."""
    for key, value in config.items():
        if key in _STATED or value in (None, False) or value in ({}, [], ""):
            continue
        if key in _HARMLESS and isinstance(value, (_HARMLESS[key], int)) and len(str(value)) <= 100:
            continue
        if key in _ONLY and value in _ONLY[key]:
            continue
        raise BadInput("an adapter option is not read", found=_plain(key), remedy="save a plain LoRA adapter without it")


def _check_names(table: tuple[TensorEntry, ...], modules: tuple[str, ...], saved: tuple[str, ...], rank: int) -> None:
    """Hold every tensor to the modules and the rank that the configuration states, and A to B."""
    lora = {}
    for entry in table:
        module, part = _lora_part(entry.name)
        if not part and any(_is_below(entry.name, name) for name in saved):
            continue
        if not part or not any(module == name or module.endswith(f".{name}") for name in modules):
            found = _plain(entry.name)
            raise BadInput("a tensor belongs to no target module", found=found, remedy="train the adapter again")
        inner = entry.shape[0] if part.endswith("A") else entry.shape[-1]
        if len(entry.shape) < 2 or inner != rank:
            raise BadInput("a tensor does not fit the rank", found=f"{inner}, r is {rank}", remedy="save it again")
        lora[module, part] = entry
    half = [module for module, part in lora if (module, part[:-1] + "BA"[part[-1] == "B"]) not in lora]
    if half:
        raise BadInput("the adapter is half written", found=f"{len(half)} modules lack A or B", remedy="save it again")


def _lora_part(name: str) -> tuple[str, str]:
    """Return module and LoRA part (``lora_A``, ``lora_embedding_B``...); the part is "" for any other tensor."""
    for part in ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"):
        module, found, rest = name.partition(f".{part}")
        if found and rest in ("", ".weight", ".default.weight"):
            return module, part
    return name, ""


def _is_below(tensor: str, module: str) -> bool:
    return f".{module}." in f".{tensor}"


def _is_module_name(name: object) -> bool:
    return isinstance(name, str) and len(name) <= 200 and all(_is_word(word) for word in name.split("."))


def _is_word(word: str) -> bool:
    return word.isascii() and bool(word) and word.replace("_", "a").isalnum()


def _plain(text: object) -> str:
    """Return hostile text as at most 60 harmless characters."""
    return "".join(_plain_characters(str(text)[:60])) or "nothing"


def _plain_characters(text: str) -> Iterator[str]:
    return (character if character.isascii() and (character.isalnum() or character in "._/-") else "?" for character in text)
