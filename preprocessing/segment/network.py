"""The network of ``medomni-ct``: MONAI's ``DynUNet`` on blocks of 2 x 2 x 2 voxels.

The eight CT numbers of a block are eight channels of one voxel twice as large, so nothing of the image is lost, and all
convolutions run on an eighth of the voxels; the last, 1x1x1, scores the classes of all eight voxels of the block at once. Beside
the whole range of CT numbers the network may see a narrow window of it stretched, where fluid and airless lung lie apart.
"""

from collections.abc import Sequence

import torch
from monai.networks.nets.dynunet import DynUNet
from monai.networks.utils import pixelshuffle, pixelunshuffle

BLOCK = 2
"""Voxels along an edge of a block."""
VOXELS = BLOCK**3
"""Voxels of a block."""
STRETCHED = 5.0
"""What a window is stretched to: about the reach of the whole range, in units of the input."""


class UNet(DynUNet):
    """A ``DynUNet`` whose levels hold ``filters`` channels, each at half the resolution of the one before.

    MONAI keeps a tree of skip connections for TorchScript that gives every layer a second name; without it a state dict holds
    each tensor once.
    """

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


class BlockUNet(torch.nn.Module):
    """A U-Net on blocks; its levels hold ``filters`` channels, each at half the resolution of the one before.

    Every spatial size of the input must be a multiple of ``divisor_of(filters)``. ``window`` holds the lowest and the highest
    value of a part of the input's range that is shown once more, stretched; empty for none. ``bright`` holds a value and the
    share of what lies above it that counts: with little of it, blood looks the same whatever contrast is in it; empty for all.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        filters: Sequence[int],
        window: Sequence[float] = (),
        bright: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.window, self.bright = tuple(window), tuple(bright)
        self.unet = UNet((2 if self.window else 1) * in_channels * VOXELS, out_channels * VOXELS, filters)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores of shape (batch, class, z, y, x) for an image of shape (batch, 1, z, y, x)."""
        return pixelshuffle(self.unet(self._blocks(image)), 3, BLOCK)

    def _blocks(self, image: torch.Tensor) -> torch.Tensor:
        """The voxels of each block as channels, those of the window after those of the whole range."""
        if self.bright:
            value, share = self.bright
            image = image.clamp(max=value) + share * (image - value).clamp(min=0)
        if self.window:
            low, high = self.window
            image = torch.cat([image, (image.clamp(low, high) - low) * (STRETCHED / (high - low))], dim=1)
        blocks: torch.Tensor = pixelunshuffle(image, 3, BLOCK)
        return blocks

    def scores_at(self, image: torch.Tensor, corners: Sequence[int]) -> torch.Tensor:
        """Scores of some voxels of each block only, as a batch: those that ``of_corners`` picks. The rest costs nothing."""
        features = self.unet.features(self._blocks(image))
        weight, bias = self.unet.last.weight, self.unet.last.bias
        assert bias is not None  # noqa: S101  (MONAI's last layer has one)
        parts = [torch.nn.functional.conv3d(features, weight[k::VOXELS], bias[k::VOXELS]) for k in corners]
        return torch.cat(parts)


def of_corners(voxels: torch.Tensor, corners: Sequence[int]) -> torch.Tensor:
    """Of (batch, z, y, x): the voxels with these numbers in their block, 0 to 7, one number after the other in the batch."""
    return torch.cat([voxels[:, k // 4 :: BLOCK, k // 2 % 2 :: BLOCK, k % 2 :: BLOCK] for k in corners])


def divisor_of(filters: Sequence[int]) -> int:
    """What the sides of an image must be multiples of."""
    return int(BLOCK ** len(filters))
