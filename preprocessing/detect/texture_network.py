"""The network of lung textures: CT numbers of the lungs -> how likely each disease is at each place. Needs torch; import it late.

A U-Net on blocks of 1 x 2 x 2 voxels, each seen through two windows; diseases overlap, so each has its own channel with its own
probability. Written in plain torch, layer by layer that of MONAI's ``DynUNet``: importing MONAI takes longer than the network.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import load_file
from torch import nn

from preprocessing.detect.texture_kinds import BLOCK, KINDS

WINDOWS_HU = ((-1000.0, -500.0), (-1000.0, 250.0))
"""Lung and soft tissue; each becomes -1 to 1."""
FILTERS = (16, 32, 48)
LEAK = 0.01
"""Slope of the leaky rectifiers below 0."""
WEIGHTS = Path(__file__).parent / "shipped" / "texture" / "model.safetensors"


class TextureNetwork(nn.Module):
    """Logits of shape (batch, kind, z, y / 2, x / 2) for CT numbers of shape (batch, z, y, x)."""

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__()
        inputs = (len(WINDOWS_HU) * BLOCK**2, *FILTERS[:-1])
        self.down = nn.ModuleList(
            _two_convolutions(before, after, 1 if k == 0 else 2)
            for k, (before, after) in enumerate(zip(inputs, FILTERS, strict=True))
        )
        rising = list(zip(FILTERS[:0:-1], FILTERS[-2::-1], strict=True))
        self.rise = nn.ModuleList(nn.ConvTranspose3d(low, high, 2, 2, bias=False) for low, high in rising)
        self.join = nn.ModuleList(_two_convolutions(2 * high, high, 1) for _, high in rising)
        self.head = nn.Conv3d(FILTERS[0], len(KINDS), 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.kaiming_normal_(layer.weight, a=LEAK)

    def forward(self, hu: torch.Tensor) -> torch.Tensor:
        """See the class."""
        seen = torch.stack([_windowed(hu, low, high) for low, high in WINDOWS_HU], dim=1)  # (batch, window, z, y, x)
        corners = [seen[..., row::BLOCK, column::BLOCK] for row in range(BLOCK) for column in range(BLOCK)]
        x, kept = torch.cat(corners, dim=1), list[torch.Tensor]()
        for block in self.down:
            x = block(x)
            kept.append(x)
        x = kept.pop()
        for rise, join in zip(self.rise, self.join, strict=True):
            x = join(torch.cat([rise(x), kept.pop()], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits


def _two_convolutions(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, step in ((inputs, stride), (outputs, 1)):
        layers += [nn.Conv3d(before, outputs, 3, step, padding=1, bias=False), nn.InstanceNorm3d(outputs, affine=True)]
        layers.append(nn.LeakyReLU(LEAK, inplace=True))
    return nn.Sequential(*layers)


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
