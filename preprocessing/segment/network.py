"""The network of ``medomni-ct``: MONAI's residual U-Net on half the grid, with a light top on the whole grid.

Most of the work of a U-Net lies in its first level. Here that level has few features and only the last layer, a 1x1x1
convolution, knows of the classes: a third of the time of the same U-Net with a channel per class throughout.
"""

from collections.abc import Sequence

import torch
from monai.networks.nets.unet import UNet


class CoarseUNet(torch.nn.Module):
    """A MONAI ``UNet`` that ends in ``features`` channels, and a linear head to ``out_channels`` classes.

    Every spatial size of the input must be a multiple of the product of ``strides``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, features: int, channels: Sequence[int], strides: Sequence[int]
    ) -> None:
        super().__init__()
        self.unet = UNet(
            spatial_dims=3,
            in_channels=in_channels,
            out_channels=features,
            channels=channels,
            strides=strides,
            num_res_units=1,
            norm="instance",
        )
        self.bend = torch.nn.PReLU()
        self.head = torch.nn.Conv3d(features, out_channels, kernel_size=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores of shape (batch, class, z, y, x) for an image of shape (batch, 1, z, y, x)."""
        scores: torch.Tensor = self.head(self.features(image))
        return scores

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """What the head reads, at every voxel; a training may ask the head for some of them only."""
        features: torch.Tensor = self.bend(self.unet(image))
        return features
