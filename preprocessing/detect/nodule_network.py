"""The nodule network: two patches around a candidate -> the logit that it is a nodule. Needs torch; import it late.

Small enough (some 130 000 weights) that 300 candidates take about half a CPU-second.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from safetensors.torch import load_file
from torch import Tensor, nn

from preprocessing.detect.nodule_patches import EDGE, Patches

WIDTHS = (16, 32, 48)
WEIGHTS = Path(__file__).parent / "shipped" / "nodule" / "model.safetensors"
BATCH = 64
"""Candidates per pass: their maps stay in some 60 MB."""


class NoduleNetwork(nn.Module):
    """Four 3D convolutions over both patches; the middle of the last map counts apart from the whole of it."""

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__()
        first, second, third = WIDTHS
        self.stem = _convolution(2, first, edge=5, stride=2)
        self.middle = _convolution(first, second)
        self.deep = nn.Sequential(_convolution(second, third), _convolution(third, third))
        self.head = nn.Sequential(nn.Linear(3 * third, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1))

    def forward(self, patches: Tensor) -> Tensor:
        """Return one logit for each pair of patches."""
        x = self.stem(patches)  # (batch, 16, 12, 12, 12)
        x = nn.functional.max_pool3d(self.middle(x), 2)  # (batch, 32, 6, 6, 6)
        x = self.deep(x)  # (batch, 48, 6, 6, 6)
        at = EDGE // 8 - 1
        centre = x[:, :, at : at + 2, at : at + 2, at : at + 2].mean(dim=(2, 3, 4))
        pooled = torch.cat([centre, x.mean(dim=(2, 3, 4)), x.amax(dim=(2, 3, 4))], dim=1)  # (batch, 144)
        return self.head(pooled)[:, 0]  # type: ignore[no-any-return]


def _convolution(inputs: int, outputs: int, edge: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv3d(inputs, outputs, edge, stride, padding=edge // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm3d(outputs), nn.ReLU())


@cache
def shipped_network() -> NoduleNetwork:
    """The trained network of ``shipped/nodule``, loaded once."""
    network = NoduleNetwork()
    network.load_state_dict(load_file(str(WEIGHTS)), strict=False)
    return network.eval()


def nodule_logits(patches: Patches) -> Float64[np.ndarray, "n"]:
    """Return the logit of each pair of patches."""
    network, found = shipped_network(), []
    with torch.inference_mode():
        for first in range(0, len(patches), BATCH):
            found.append(network(torch.from_numpy(patches[first : first + BATCH])).numpy())
    return np.concatenate(found).astype(np.float64) if found else np.zeros(0)
