"""The text encoder: history, dictation or a query, in English or Chinese, as tokens of the shared space.

ids of words (``words.py``) -> Transformer, both ways -> tokens, mask
"""

import torch
from torch import nn

from medomni.model.config import LABELS, OmniConfig
from medomni.model.words import PAD

SILENT = -8.0
"""Logit of a label at a word before anything is learned: the sum over some hundred words is still low."""


class Heard(nn.Module):
    """What a text asserts and denies of each label, word by word: (batch, label), 0 where nothing is said."""

    def __init__(self, config: OmniConfig) -> None:
        """Build with random weights that hear next to nothing."""
        super().__init__()
        self.asserts, self.denies = nn.Linear(config.width, len(LABELS)), nn.Linear(config.width, len(LABELS))
        for part in (self.asserts, self.denies):
            nn.init.constant_(part.bias, SILENT)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logit of each label from tokens (batch, word, width) and their mask."""
        hidden = (~mask)[..., None] * -1e4
        said, denied = (torch.logsumexp(part(tokens) + hidden, dim=1) for part in (self.asserts, self.denies))
        return nn.functional.softplus(said) - nn.functional.softplus(denied)


class TextEncoder(nn.Module):
    """Ids (batch, word) to tokens (batch, word, width) and their mask."""

    def __init__(self, config: OmniConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.word = nn.Embedding(config.vocabulary, config.width, padding_idx=PAD)
        self.place = nn.Embedding(config.longest_text, config.width)
        nn.init.normal_(self.place.weight, std=0.02)
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, 4 * config.width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.text_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See the class."""
        mask = ids != PAD
        x = self.word(ids) + self.place.weight[: ids.shape[1]]
        safe = mask | ~mask.any(dim=1, keepdim=True)  # attention over nothing is not a number
        return self.norm(self.layers(x, src_key_padding_mask=~safe)) * mask[..., None], mask
