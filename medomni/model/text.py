"""The text encoder: history, dictation or a query, in English, Chinese or codes, as tokens of the shared space.

    text -> byte-level words -> Transformer, both ways -> tokens, mask

Every byte has a word of its own, so any text can be read. Codes (ICD-10, LOINC, RadLex, SNOMED CT) are text like any other.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from medomni.model.config import OmniConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD = 0
"""Id of what fills up shorter texts."""
SPECIAL = ("<pad>", "<history>", "<dictation>", "<query>")
"""The first words of the vocabulary; a text begins with what it is."""


class TextWords:
    """Splits texts into the words of a vocabulary file."""

    def __init__(self, file: Path, longest: int) -> None:
        self.file, self.longest = file, longest

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.file))

    def joined(self, texts: Sequence[Sequence[tuple[str, str]]]) -> torch.Tensor:
        """Ids (batch, word) of the texts of each patient one after the other, ``PAD`` at the end of shorter rows.

        A text is (kind, words), the kind history, dictation or query. A row that is longer than ``longest`` is cut; a patient
        without a text has a row of ``PAD``.
        """
        rows = []
        for patient in texts:
            row: list[int] = []
            for kind, text in patient:
                row += [SPECIAL.index(f"<{kind}>"), *self._tokenizer.encode(text).ids]
            rows.append(row[: self.longest])
        width = max(1, *(len(row) for row in rows))
        return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


def learn_words(texts: Sequence[str], size: int, file: Path) -> None:
    """Write a byte-level vocabulary of ``size`` words that fits the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(file))


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
