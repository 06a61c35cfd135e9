"""Texts of a patient as the words of a vocabulary: byte-level, so that any text in any language can be read.

text -> ids. Clinical codes are read as the terms they stand for. Knows nothing about networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from medomni.reporting.coded import spelled_out

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

PAD = 0
"""Id of what fills up shorter texts."""
SPECIAL = ("<pad>", "<history>", "<dictation>", "<query>")
"""The first words of the vocabulary; a text begins with what it is."""


@dataclass(frozen=True)
class TextWords:
    """Splits texts into words. ``vocabulary`` is the content of a tokenizer file, ``longest`` the most words of a patient."""

    vocabulary: str
    longest: int

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.vocabulary)

    def ids(self, texts: Sequence[tuple[str, str]]) -> list[int]:
        """Ids of the texts of a patient, one after the other, at most ``longest``.

        A text is (kind, words), the kind history, dictation or query. What is said of the images has room first: a long history
        is cut before a dictation is.
        """
        rows = self._rows(texts)
        return [word for row, room in zip(rows, self._rooms(texts, rows), strict=True) for word in row[:room]]

    def cut(self, texts: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """The kinds of text whose end is not read."""
        rows = self._rows(texts)
        return tuple(kind for (kind, _), row, room in zip(texts, rows, self._rooms(texts, rows), strict=True) if room < len(row))

    def _rows(self, texts: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Ids of each text as a whole."""
        return [[SPECIAL.index(f"<{kind}>"), *self._tokenizer.encode(spelled_out(text)).ids] for kind, text in texts]

    def _rooms(self, texts: Sequence[tuple[str, str]], rows: Sequence[list[int]]) -> list[int]:
        """How many ids of each text there is room for."""
        left, rooms = self.longest, [0] * len(rows)
        for number in sorted(range(len(rows)), key=lambda number: texts[number][0] == "history"):
            rooms[number] = min(left, len(rows[number]))
            left -= rooms[number]
        return rooms

    def joined(self, patients: Sequence[Sequence[tuple[str, str]]]) -> "torch.Tensor":
        """Ids (batch, word) of several patients, ``PAD`` at the end of shorter rows; a row of it where there is no text."""
        import torch

        rows = [self.ids(texts) for texts in patients]
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
