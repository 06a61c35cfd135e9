"""Writes a trained network as a MONAI bundle folder: configuration, half-precision weights, model card.

The folder is what the ``monai-bundle`` door and ``medomni-ct`` read, and MONAI's own ``ConfigParser`` and ``verify_net_in_out``
where MedOmni is installed, whose network it may name:

    configs/metadata.json    who made it, on what, its labels and scores
    configs/inference.json   how to feed it, in MONAI's own transforms
    models/model.safetensors weights as float16, which halves the file
    docs/README.md           the model card
    LICENSE                  under which terms
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from preprocessing.segment.bundle_expression import Json

if TYPE_CHECKING:
    import torch

MAX_BYTES = 8 * 2**20
"""Largest bundle that may be shipped: 8 MiB."""
AXCODES = "SPL"
"""MONAI's word for working arrays: axes to head, back and left."""


@dataclass(frozen=True)
class BundleCard:
    """What a bundle says about itself.

    ``labels`` are the names of the network's channels, the background first. ``spacing_mm`` is the edge of a voxel of its
    grid. ``window_hu`` is clipped and scaled to ``input_range``. ``divisor`` is the product of the network's strides,
    ``window`` the voxels of a sliding window for readers that infer in parts. ``data`` names what it was trained on;
    ``scores`` maps a named measurement to its figure. ``readme`` is the model card (markdown).
    """

    name: str
    version: str
    description: str
    labels: tuple[str, ...]
    spacing_mm: float
    window_hu: tuple[float, float]
    divisor: int
    readme: str
    input_range: tuple[float, float] = (0.0, 1.0)
    window: tuple[int, int, int] = (96, 96, 96)
    data: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    authors: str = "The MedOmni authors"


def write_bundle(folder: Path, network: Mapping[str, Json], state: Mapping[str, "torch.Tensor"], card: BundleCard) -> None:
    """Write the bundle into a folder, over an earlier one of the same network.

    Args:
        folder: made when missing.
        network: the network's definition: ``_target_`` and plain settings, as MONAI's ``network_def``.
        state: the trained tensors; stored as ``half_precision`` gives them, so score those.
        card: everything else.

    Raises:
        ValueError: a tensor is not finite in half precision, or the bundle is larger than may be shipped.
    """
    weights = stored_weights(state)
    files = {
        "configs/metadata.json": _as_json(_metadata(card)),
        "configs/inference.json": _as_json(_inference(network, card)),
        "models/model.safetensors": weights,
        "docs/README.md": card.readme.encode(),
        "LICENSE": f"SPDX-License-Identifier: {card.licence}\n\nCopyright: {card.authors}\n".encode(),
    }
    size = sum(map(len, files.values()))
    if size > MAX_BYTES:
        raise ValueError(f"the bundle holds {size} bytes; {MAX_BYTES} may be shipped")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def stored_weights(state: Mapping[str, "torch.Tensor"]) -> bytes:
    """The file of a bundle's weights, ``models/model.safetensors``.

    Raises:
        ValueError: a tensor is not finite in half precision.
    """
    from safetensors.torch import save

    return save(half_precision(state), metadata={"format": "pt"})


def half_precision(state: Mapping[str, "torch.Tensor"]) -> "dict[str, torch.Tensor]":
    """The tensors as a bundle stores them: floating-point ones rounded to float16.

    Raises:
        ValueError: a value is not finite, or beyond float16 (65,504).
    """
    import torch

    stored = {}
    for name, value in state.items():
        kept = value.detach().cpu()
        kept = kept.to(torch.float16) if kept.is_floating_point() else kept
        if kept.is_floating_point() and not bool(torch.isfinite(kept).all()):
            raise ValueError(f"{name} holds a value that half precision cannot")
        stored[name] = kept.contiguous()
    return stored


def _metadata(card: BundleCard) -> dict[str, Json]:
    channels: dict[str, Json] = {str(channel): name for channel, name in enumerate(card.labels)}
    shape: list[Json] = [f"{card.divisor}*n"] * 3
    image: dict[str, Json] = {
        "type": "image",
        "format": "hounsfield",
        "modality": "CT",
        "num_channels": 1,
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": list(card.input_range),
        "is_patch_data": False,
        "channel_def": {"0": "image"},
    }
    labels: dict[str, Json] = {
        "type": "image",
        "format": "segmentation",
        "num_channels": len(card.labels),
        "spatial_shape": list(shape),
        "dtype": "float32",
        "value_range": [0, len(card.labels) - 1],
        "is_patch_data": False,
        "channel_def": channels,
    }
    return {
        "name": card.name,
        "version": card.version,
        "description": card.description,
        "task": "CT segmentation",
        "authors": card.authors,
        "license": card.licence,
        "copyright": card.authors,
        "data_source": "; ".join(card.data),
        "intended_use": "Research and drafting under a radiologist's eyes; not a medical device.",
        "eval_metrics": dict(card.scores),
        "monai_version": _version("monai"),
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "required_packages_version": {},
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": labels}},
    }


def _version(package: str) -> str:
    """The installed version that wrote the bundle, without the name of its build."""
    return version(package).split("+")[0]


def _inference(network: Mapping[str, Json], card: BundleCard) -> dict[str, Json]:
    low, high = card.window_hu
    scale: dict[str, Json] = {"_target_": "ScaleIntensityRanged", "keys": "image", "clip": True}
    scale |= {"a_min": low, "a_max": high, "b_min": card.input_range[0], "b_max": card.input_range[1]}
    steps: list[Json] = [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": AXCODES},
        {"_target_": "Spacingd", "keys": "image", "pixdim": [card.spacing_mm] * 3, "mode": "bilinear"},
        scale,
    ]
    window: dict[str, Json] = {"_target_": "SlidingWindowInferer", "roi_size": list(card.window), "sw_batch_size": 1}
    window |= {"overlap": 0.5, "mode": "gaussian"}
    return {
        "bundle_root": ".",
        "network_def": dict(network),
        "preprocessing": {"_target_": "Compose", "transforms": steps},
        "inferer": window,
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}],
        },
    }


def _as_json(table: dict[str, Json]) -> bytes:
    return (json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
