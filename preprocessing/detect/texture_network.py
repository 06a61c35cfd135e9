"""The network of lung textures: CT numbers of the lungs -> how likely each disease is at each place. Needs torch; import it late.

A U-Net on blocks of 1 x 2 x 2 voxels, each seen through two windows; diseases overlap, so each has its own channel
with its own probability.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import load_file

from preprocessing.detect.texture_kinds import BLOCK, KINDS
from preprocessing.unet import UNet

WINDOWS_HU = ((-1000.0, -500.0), (-1000.0, 250.0))
"""Lung and soft tissue; each becomes -1 to 1."""
FILTERS = (16, 32, 48)
WEIGHTS = Path(__file__).parent / "shipped" / "texture" / "model.safetensors"


class TextureNetwork(torch.nn.Module):
    """Logits of shape (batch, kind, z, y / 2, x / 2) for CT numbers of shape (batch, z, y, x)."""

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__()
        self.unet = UNet(len(WINDOWS_HU) * BLOCK**2, len(KINDS), FILTERS)

    def forward(self, hu: torch.Tensor) -> torch.Tensor:
        """See the class."""
        seen = torch.stack([_windowed(hu, low, high) for low, high in WINDOWS_HU], dim=1)  # (batch, window, z, y, x)
        corners = [seen[..., row::BLOCK, column::BLOCK] for row in range(BLOCK) for column in range(BLOCK)]
        logits: torch.Tensor = self.unet(torch.cat(corners, dim=1))
        return logits


def _windowed(hu: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return (hu.clamp(low, high) - (low + high) / 2) / ((high - low) / 2)


@cache
def shipped_network() -> TextureNetwork:
    """The trained network of ``shipped/texture``, loaded once."""
    network = TextureNetwork()
    network.load_state_dict({name: value.float() for name, value in load_file(str(WEIGHTS)).items()})
    return network.eval()


def probabilities(hu: Float32[np.ndarray, "z y x"]) -> Float32[np.ndarray, "kind d h w"]:
    """Return the probability of each disease in each block of an image on the network's grid."""
    with torch.inference_mode():
        logits = shipped_network()(torch.from_numpy(hu)[None])[0]
        return np.asarray(torch.sigmoid(logits).numpy())
