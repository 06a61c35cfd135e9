"""MONAI's ``DynUNet`` without the second name it gives to every layer: a state dict holds each tensor once.

The network is the same, layer by layer; what is left out is the tree of skip connections that MONAI keeps for TorchScript.
"""

from collections.abc import Sequence

import torch
from monai.networks.nets.dynunet import DynUNet


class UNet(DynUNet):
    """A ``DynUNet`` whose levels hold ``filters`` channels, each at half the resolution of the one before."""

    def __init__(self, in_channels: int, out_channels: int, filters: Sequence[int]) -> None:
        """Build with random weights; the first level works at the resolution of the input."""
        strides = [1] + [2] * (len(filters) - 1)
        super().__init__(
            spatial_dims=3,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=[3] * len(filters),
            strides=strides,
            upsample_kernel_size=strides[1:],
            filters=list(filters),
        )
        del self.skip_layers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of shape (batch, out_channels, z, y, x) for an input of shape (batch, in_channels, z, y, x)."""
        scores: torch.Tensor = self.output_block(self.features(x))
        return scores

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the last layer, a 1x1x1 convolution, reads."""
        x = self.input_block(x)
        skips = [x]
        for down in self.downsamples:
            x = down(x)
            skips.append(x)
        x = self.bottleneck(x)
        for up in self.upsamples:
            x = up(x, skips.pop())
        return x

    @property
    def last(self) -> torch.nn.Conv3d:
        """The last layer."""
        layer: torch.nn.Conv3d = self.output_block.conv.conv
        return layer
