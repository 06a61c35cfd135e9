"""The vision encoder: a 3D network for what is near, a Transformer for what is far, tokens for regions and for labels.

    codes, structures -> fine (2.5 mm) -> cells (5 mm) -> middle (10 mm) -> coarse (20 mm) -> regions + coarse places attend
    -> back to cells -> how likely each label is at each cell -> tokens

A cell of 5 x 6 x 6 mm is the place for which the network answers. The first layer runs in slabs, so memory stays bounded for
long scans and the result is the same.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from medomni.anatomy import LOBES
from medomni.model.config import LABELS, OmniConfig
from medomni.model.scan import CELL_MM, HU_OF_CODE, STRUCTURES

WINDOWS_HU = ((-1000.0, -400.0), (-150.0, 250.0), (100.0, 1300.0))
"""Lung, soft tissue, calcium and metal; each becomes -1 to 1."""
GROUPS = (
    (*LOBES["left"], *LOBES["right"]),
    ("airway",),
    ("heart",),
    ("aorta", "pulmonary_artery"),
    ("esophagus", "stomach"),
    ("vertebrae", "ribs"),
    ("liver", "spleen", "kidney_right", "kidney_left", "pancreas", "gallbladder"),
    ("pleural_effusion", "pericardial_effusion"),
    ("lung_opacity", "nodule", "lymph_node"),
)
"""Structures that the first layer tells apart; regions have a token each."""
LEAK = 0.01
"""Slope of the leaky rectifiers below 0."""
SLAB = 64
"""Slices of the first layer that are computed at once, even."""
FREQUENCIES = 4
"""Sines and cosines of a place along each axis."""
LONGEST_MM = 800.0
"""Wave length of the slowest of them."""
TOP_CELLS = (1, 4, 16, 64)
"""How many of a label's most likely cells are averaged in its evidence."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What the vision encoder makes of scans.

    Attributes:
        tokens: (batch, token, width): regions, labels, then the whole scan.
        mask: (batch, token), True where there is something.
        cells: (batch, label, z, y, x), logit of each label at each cell.
        detail: (batch, channel, z, y, x), from which boxes are read.
        evidence: (batch, label, statistic), means of the highest logits.
        guess: (batch, label), logit of each label from the CT alone.
    """

    tokens: torch.Tensor
    mask: torch.Tensor
    cells: torch.Tensor
    detail: torch.Tensor
    evidence: torch.Tensor
    guess: torch.Tensor


class VisionHybrid(nn.Module):
    """Scans of shape (batch, z, y, x) as codes, and their structures, to ``Seen``."""

    def __init__(self, config: OmniConfig) -> None:
        """Build with random weights."""
        super().__init__()
        c = self.config = config
        self.windows: torch.Tensor
        self.groups: torch.Tensor
        self.register_buffer("windows", _windows(), persistent=False)
        self.register_buffer("groups", _groups(), persistent=False)
        self.fine = nn.Conv3d(4 * len(WINDOWS_HU) + len(GROUPS), c.fine, (1, 3, 3), padding=(0, 1, 1))
        self.to_cells = nn.Conv3d(c.fine, c.cells, 3, 2, padding=1)
        self.cell_block = Residual(c.cells)
        self.to_middle = Step(c.cells, c.middle)
        self.middle_blocks = nn.Sequential(Residual(c.middle), Residual(c.middle))
        self.to_coarse = Step(c.middle, c.coarse)
        self.coarse_blocks = nn.Sequential(Residual(c.coarse), Residual(c.coarse))
        self.of_region = nn.Linear(c.cells + c.middle + 1, c.width)
        self.region_name = nn.Embedding(len(STRUCTURES), c.width)
        self.of_coarse = nn.Linear(c.coarse + 6 * FREQUENCIES, c.width)
        layer = nn.TransformerEncoderLayer(c.width, c.heads, 2 * c.width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.far = nn.TransformerEncoder(layer, c.global_layers, enable_nested_tensor=False)
        self.back_to_coarse = nn.Linear(c.width, c.coarse)
        self.back_to_middle = nn.Conv3d(c.coarse, c.middle, 1)
        self.middle_again = Residual(c.middle)
        self.back_to_cells = nn.Conv3d(c.middle, c.cells, 1)
        self.detail = nn.Sequential(
            nn.Conv3d(2 * c.cells, c.detail, 3, padding=1, bias=False),
            nn.InstanceNorm3d(c.detail, affine=True),
            nn.LeakyReLU(LEAK, inplace=True),
        )
        self.judge = nn.Conv3d(c.detail, len(LABELS), 1)
        assert self.judge.bias is not None  # noqa: S101  (a convolution with a bias)
        nn.init.constant_(self.judge.bias, -4.0)  # a label is rare at a place
        self.of_evidence = nn.Linear(c.detail + len(TOP_CELLS), c.width)
        self.label_name = nn.Embedding(len(LABELS), c.width)
        self.guess = nn.Linear(2 * c.width, 1)
        self.whole = nn.Parameter(torch.randn(c.global_tokens, c.width) * 0.02)
        self.of_whole = nn.MultiheadAttention(c.width, c.heads, batch_first=True)

    def forward(self, codes: torch.Tensor, structures: torch.Tensor) -> Seen:
        """See the class; ``codes`` uint8 (batch, z, y, x), ``structures`` uint8 (batch, z, y / 2, x / 2)."""
        cells = self.cell_block(self.first(codes, structures))  # (batch, channel, z, y, x) of 5 x 6 x 6 mm
        middle = self.middle_blocks(self.to_middle(cells))
        coarse = self.coarse_blocks(self.to_coarse(middle))
        shares, is_there = region_shares(structures, cells.shape[2:])
        regions = self.regions(cells, middle, shares)  # (batch, structure, width)
        pairs = [min(2, count) for count in coarse.shape[2:]]
        wide = nn.functional.avg_pool3d(coarse, pairs, ceil_mode=True)  # places of 40 mm
        places = self.of_coarse(torch.cat([wide, positions(wide)], dim=1).flatten(2).transpose(1, 2))
        known = torch.cat([is_there, torch.ones(places.shape[:2], dtype=torch.bool, device=places.device)], dim=1)
        far = self.far(torch.cat([regions, places], dim=1), src_key_padding_mask=~known)
        regions, places = far.split([regions.shape[1], places.shape[1]], dim=1)
        wide = self.back_to_coarse(places).transpose(1, 2).reshape(wide.shape)
        coarse = coarse + resized(wide, coarse)
        middle = self.middle_again(middle + resized(self.back_to_middle(coarse), middle))
        detail = self.detail(torch.cat([cells, resized(self.back_to_cells(middle), cells)], dim=1))
        logits = self.judge(detail)  # (batch, label, z, y, x)
        evidence, labels = self.labels(logits, detail)
        whole, _ = self.of_whole(self.whole.expand(len(codes), -1, -1), far, far, key_padding_mask=~known, need_weights=False)
        tokens = torch.cat([regions, labels, whole], dim=1)
        always = torch.ones(len(codes), labels.shape[1] + whole.shape[1], dtype=torch.bool, device=tokens.device)
        around, _ = self.of_whole(labels, far, far, key_padding_mask=~known, need_weights=False)
        guess = self.guess(torch.cat([labels, around], dim=-1)).squeeze(-1)
        return Seen(tokens, torch.cat([is_there, always], dim=1), logits, detail, evidence, guess)

    def first(self, codes: torch.Tensor, structures: torch.Tensor) -> torch.Tensor:
        """Cells of shape (batch, channel, z, y, x), computed slab by slab with one slice of overlap."""
        parts = []
        depth = codes.shape[1]
        for start in range(0, depth, SLAB):
            low, high = max(0, start - 2), min(depth, start + SLAB + 2)
            fine = _leaky(self.fine(self.view(codes[:, low:high], structures[:, low:high])))
            slab = _leaky(self.to_cells(fine))
            first = (start - low) // 2
            parts.append(slab[:, :, first : first + (min(start + SLAB, depth) - start) // 2])
        return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]

    def view(self, codes: torch.Tensor, structures: torch.Tensor) -> torch.Tensor:
        """Windowed CT numbers of the four voxels of each block and the structure it lies in: (batch, channel, z, h, w)."""
        seen = nn.functional.embedding(codes.int(), self.windows)  # (batch, z, y, x, window)
        corners = [seen[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
        inside = nn.functional.embedding(structures.int(), self.groups)
        return torch.cat([*corners, inside], dim=-1).permute(0, 4, 1, 2, 3)

    def regions(self, cells: torch.Tensor, middle: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """One token for each structure: the mean of what is seen inside it, and its size."""
        volume = shares.sum(dim=(2, 3, 4))  # (batch, structure), in cells
        near = torch.einsum("brzyx,bczyx->brc", shares, cells) / volume.clamp(min=0.5)[..., None]
        wide = nn.functional.interpolate(shares, size=middle.shape[2:], mode="area")
        total = wide.sum(dim=(2, 3, 4)).clamp(min=0.05)[..., None]
        around = torch.einsum("brzyx,bczyx->brc", wide, middle) / total
        size = torch.log1p(volume)[..., None] / 5.0
        tokens: torch.Tensor = self.of_region(torch.cat([near, around, size], dim=-1)) + self.region_name.weight
        return tokens

    def labels(self, logits: torch.Tensor, detail: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Evidence (batch, label, statistic) and one token for each label: what its most likely cells look like."""
        flat = logits.flatten(2)
        most = min(max(TOP_CELLS), flat.shape[2])
        top, where = flat.topk(most, dim=2)
        evidence = torch.stack([top[..., :count].mean(dim=-1) for count in TOP_CELLS], dim=-1)
        chosen = detail.flatten(2)[:, None].expand(-1, flat.shape[1], -1, -1)
        chosen = chosen.gather(3, where[:, :, None].expand(-1, -1, detail.shape[1], -1))  # (batch, label, channel, cell)
        look = (chosen * top.softmax(dim=-1)[:, :, None]).sum(dim=-1)
        return evidence, self.of_evidence(torch.cat([look, evidence / 4.0], dim=-1)) + self.label_name.weight


def _windows() -> torch.Tensor:
    """What each code looks like in each window, (code, window)."""
    hu = torch.from_numpy(HU_OF_CODE)
    return torch.stack([(hu.clamp(low, high) - (low + high) / 2) / ((high - low) / 2) for low, high in WINDOWS_HU], dim=1)


def _groups() -> torch.Tensor:
    """Which group each label of a structure belongs to, (label, group)."""
    table = torch.zeros(len(STRUCTURES) + 1, len(GROUPS))
    for channel, names in enumerate(GROUPS):
        table[[STRUCTURES.index(name) + 1 for name in names], channel] = 1.0
    return table


def _leaky(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.leaky_relu(x, LEAK, inplace=True)


class Residual(nn.Module):
    """Two convolutions beside a way round them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.two = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.norm_one = nn.InstanceNorm3d(channels, affine=True)
        self.norm_two = nn.InstanceNorm3d(channels, affine=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape out as in."""
        inner = _leaky(self.norm_one(self.one(x)))
        out: torch.Tensor = _leaky(x + self.norm_two(self.two(inner)))
        return out


class Step(nn.Module):
    """One level down: half the resolution, rounded up."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(before, after, 3, 2, padding=1, bias=False)
        self.norm = nn.InstanceNorm3d(after, affine=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, before, z, y, x) to (batch, after, z / 2, y / 2, x / 2)."""
        out: torch.Tensor = _leaky(self.norm(self.convolution(x)))
        return out


def region_shares(structures: torch.Tensor, cells: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Share of each cell that each structure fills, (batch, structure, z, y, x), and which structures are there at all."""
    blocks = [structures[:, k::2, row::2, column::2] for k in (0, 1) for row in (0, 1) for column in (0, 1)]
    shares = torch.zeros(len(structures), len(STRUCTURES) + 1, *cells, device=structures.device)
    one = torch.full((), 1 / len(blocks), device=structures.device)
    for block in blocks:
        shares.scatter_add_(1, block.long()[:, None], one.expand(len(block), 1, *cells))
    shares = shares[:, 1:]
    return shares, shares.flatten(2).sum(dim=2) > 0


def positions(x: torch.Tensor) -> torch.Tensor:
    """Sines and cosines of each place's distance in mm from the middle of the scan: (batch, 6 * FREQUENCIES, z, y, x)."""
    waves = []
    step = [8 * edge for edge in CELL_MM]
    for axis, (count, edge) in enumerate(zip(x.shape[2:], step, strict=True)):
        mm = (torch.arange(count, device=x.device) - (count - 1) / 2) * edge
        shape = [1, 1, 1]
        shape[axis] = count
        for power in range(FREQUENCIES):
            angle = mm * (2 * math.pi * 2**power / LONGEST_MM)
            waves += [torch.sin(angle).reshape(shape), torch.cos(angle).reshape(shape)]
    return torch.stack([wave.expand(x.shape[2:]) for wave in waves]).expand(len(x), -1, -1, -1, -1)


def resized(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Spread over the places of ``like``, each value to its block."""
    return nn.functional.interpolate(x, size=like.shape[2:], mode="nearest")
