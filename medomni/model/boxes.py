"""Boxes of findings: each likely cell says how far the six faces of its lesion are; cells that agree become one box.

detail at a cell, label -> six distances in mm -> boxes (z, y, x in mm of the scan) with a score
"""

import torch
from torch import nn

from medomni.model.config import LABELS, OmniConfig
from medomni.model.scan import CELL_MM

SCALE_MM = 20.0
"""Distances are predicted in units of this."""
HIDDEN = 96


class BoxHead(nn.Module):
    """Six distances (low z, y, x, then high) in mm from the middle of a cell to the faces of its lesion's box."""

    def __init__(self, config: OmniConfig) -> None:
        super().__init__()
        self.name = nn.Embedding(len(LABELS), 16)
        self.read = nn.Sequential(
            nn.Linear(config.detail + 16, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 6)
        )

    def forward(self, detail: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(cell, 6) for the detail (cell, channel) and label (cell,) of each cell."""
        out: torch.Tensor = nn.functional.softplus(self.read(torch.cat([detail, self.name(labels)], dim=-1))) * SCALE_MM
        return out


def middles_mm(cells: torch.Tensor) -> torch.Tensor:
    """Middles of cells given by index (cell, 3), in mm from the outer edge of the scan."""
    return (cells + 0.5) * torch.tensor(CELL_MM, device=cells.device)


def overlap(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Intersection over union of boxes (..., 6) given as low (z, y, x), high (z, y, x)."""
    low, high = torch.maximum(one[..., :3], other[..., :3]), torch.minimum(one[..., 3:], other[..., 3:])
    both = (high - low).clamp(min=0).prod(dim=-1)
    return both / (_volume(one) + _volume(other) - both).clamp(min=1e-6)


def _volume(box: torch.Tensor) -> torch.Tensor:
    return (box[..., 3:] - box[..., :3]).clamp(min=0).prod(dim=-1)
