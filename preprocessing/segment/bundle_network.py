"""Builds a bundle's network and loads its weights; runs no code that the bundle brings unless that was allowed."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from medomni.errors import BadInput
from preprocessing.segment.bundle_expression import Json

if TYPE_CHECKING:
    import torch


OWN_NETWORK = "preprocessing.segment.network.BlockUNet"
"""The one network outside MONAI that needs no trust: it is ours."""


def build_network(definition: Mapping[str, Json], trusted: Callable[[], object]) -> "torch.nn.Module":
    """Build a network of ``monai.networks.nets`` from plain arguments; anything else only when its code is trusted."""
    import torch

    target = str(definition.get("_target_", ""))
    arguments = {key: value for key, value in definition.items() if not key.startswith("_")}
    make = _network_of_monai(target)
    if make is None or not _is_plain(arguments):
        network = trusted()
        if isinstance(network, torch.nn.Module):
            return network
        raise BadInput(
            "the bundle's network is not one of MONAI's with plain settings",
            found=f"'{target[:80]}'" if target else "no network_def",
            remedy="allow its code with --trust-bundle, or export the network as models/model.ts",
        )
    try:
        return make(**arguments)
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise BadInput(
            "MONAI refuses the settings of the bundle's network",
            found=f"{target[:80]}: {type(error).__name__}",
            remedy="repair network_def",
        ) from None


def _network_of_monai(target: str) -> "Callable[..., torch.nn.Module] | None":
    """The class of ``monai.networks.nets`` that a target names, or None."""
    import torch
    from monai.networks import nets

    if target == OWN_NETWORK:
        from preprocessing.segment.network import BlockUNet

        return BlockUNet
    name = target.rsplit(".", 1)[-1]
    found = getattr(nets, name, None)
    is_ours = target == name or target.startswith("monai.networks.nets.")
    if is_ours and isinstance(found, type) and issubclass(found, torch.nn.Module):
        return found if found.__module__.startswith("monai.networks.") else None
    return None


def _is_plain(value: Json) -> bool:
    """Whether arguments are numbers, short words and lists, with no nested targets and nothing to fetch."""
    if isinstance(value, dict):
        return all(
            not str(key).startswith("_") and not ("pretrain" in str(key) and item) and _is_plain(item)
            for key, item in value.items()
        )
    if isinstance(value, list):
        return len(value) <= 64 and all(_is_plain(item) for item in value)
    if isinstance(value, str):
        return len(value) <= 64 and not any(mark in value for mark in ("/", "\\", "://", "$", "@"))
    return value is None or isinstance(value, bool) or abs(value) <= 8192


def load_torchscript(path: Path) -> "torch.nn.Module":
    """Load a TorchScript file: a program for tensors, which holds its own weights."""
    import torch

    try:
        loaded: torch.nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise BadInput(
            "the weights are no TorchScript", found=type(error).__name__, remedy="export them again", where=path.name
        ) from None
    return loaded


def read_state(path: Path) -> dict[str, "torch.Tensor"]:
    """Read named tensors from safetensors or, tensors only, from a pickle; all of them finite."""
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
            inner = next((loaded[key] for key in ("model", "state_dict", "network") if isinstance(loaded.get(key), dict)), loaded)
            state = {str(key): value for key, value in inner.items() if isinstance(value, torch.Tensor)}
    except (RuntimeError, ValueError, AttributeError, pickle.UnpicklingError, EOFError, MemoryError) as error:
        raise _bad_weights(path.name, type(error).__name__) from None
    except Exception as error:
        if type(error).__name__ == "SafetensorError":
            raise _bad_weights(path.name, "damaged safetensors") from None
        raise
    if not all(bool(torch.isfinite(value).all()) for value in state.values() if value.is_floating_point()):
        raise _bad_weights(path.name, "values that are not finite")
    return state


def load_state(network: "torch.nn.Module", state: dict[str, "torch.Tensor"], where: str) -> None:
    """Give a network its weights; every tensor must have its place and shape."""
    own = network.state_dict()
    missing, surplus = own.keys() - state.keys(), state.keys() - own.keys()
    unlike = sum(1 for key in own.keys() & state.keys() if own[key].shape != state[key].shape)
    if missing or surplus or unlike:
        raise _bad_weights(where, f"{len(missing)} tensors missing, {len(surplus)} surplus, {unlike} of another shape")
    network.load_state_dict(state)


def _bad_weights(where: str, found: str) -> BadInput:
    return BadInput(
        "the bundle's weights cannot be used", found=found, remedy="get the weights that belong to this bundle", where=where
    )
