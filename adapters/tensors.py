"""Turns a safetensors file into a checked table of its tensors, and holds their values to finite numbers.

The format: 8 bytes little-endian header length, a JSON header, then the data that the header's offsets must cover
without gap or overlap (https://github.com/huggingface/safetensors, "Format"). Knows nothing about LoRA.
"""

import math
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np

from medomni.errors import BadInput
from medomni.export.strict_json import JsonLimits, parse_json

HEADER_LIMITS = JsonLimits(size_bytes=4 << 20, depth=4, parts=600_000)
LARGEST_WEIGHT = 1e4
"""Trained LoRA weights lie below 10; a value beyond this bound is damage."""

_REMEDY = "save the adapter again as safetensors"
_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_MOST_DIMENSIONS = 5
_BLOCK_BYTES = 8 << 20


class Digest(Protocol):
    """A running hash."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""
        ...


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of the header: where its bytes lie, counted from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def read_tensor_table(file: BinaryIO, digest: Digest) -> tuple[TensorEntry, ...]:
    """Return the tensors in the order of their bytes; the file is left at the first of them.

    Raises:
        BadInput: the header is too long, no strict JSON, or does not describe exactly the bytes that are there.
    """
    file_bytes = file.seek(0, 2)
    file.seek(0)
    length_bytes = file.read(8)
    if length_bytes[:1] == b"\x80" or length_bytes[:2] == b"PK":
        raise BadInput("is a pickle under another name", found="it can run code when it is loaded", remedy=_REMEDY)
    length = int.from_bytes(length_bytes, "little")
    if len(length_bytes) < 8 or not 2 <= length <= min(HEADER_LIMITS.size_bytes, file_bytes - 8):
        found = f"{length} bytes in a file of {file_bytes}"
        raise BadInput("the safetensors header has an impossible length", found=found, remedy=_REMEDY)
    head = file.read(length)
    digest.update(length_bytes)
    digest.update(head)
    header = parse_json(head, "", HEADER_LIMITS)
    if not isinstance(header, dict):
        raise BadInput("the safetensors header is no table", remedy=_REMEDY)
    entries = [_read_entry(name, value) for name, value in header.items() if name != "__metadata__"]
    table = tuple(sorted(entries, key=lambda entry: (entry.start, entry.end)))
    if not table:
        raise BadInput("the safetensors file holds no tensor", remedy=_REMEDY)
    expected = 0
    for entry in table:
        if entry.start != expected:
            raise BadInput("safetensors offsets overlap or leave a gap", found=f"at byte {expected}", remedy=_REMEDY)
        expected = entry.end
    if expected != file_bytes - 8 - length:
        found = f"{expected} bytes are described, {file_bytes - 8 - length} are there"
        raise BadInput("the safetensors file is cut short or too long", found=found, remedy=_REMEDY)
    return table


def check_values(file: BinaryIO, table: tuple[TensorEntry, ...], digest: Digest) -> None:
    """Read every value once, block by block, from where the file stands.

    Raises:
        BadInput: a value is NaN, infinite or beyond ``LARGEST_WEIGHT``.
    """
    for entry in table:
        left = entry.end - entry.start
        while left:
            block = file.read(min(left, _BLOCK_BYTES))
            if not block or len(block) % _ITEM_BYTES[entry.dtype]:
                raise BadInput("the safetensors file changed while it was read", remedy="try again when it is saved")
            digest.update(block)
            left -= len(block)
            if not _largest(block, entry.dtype) <= LARGEST_WEIGHT:
                raise BadInput(
                    "the adapter holds weights that are no usable numbers",
                    found="NaN, infinite or huge",
                    remedy="train it again",
                )


def _read_entry(name: str, value: object) -> TensorEntry:
    """Return one entry whose dtype, shape and offsets agree."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise BadInput("a safetensors entry is damaged", remedy=_REMEDY)
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise BadInput("a tensor is not F32, F16 or BF16", remedy=_REMEDY)
    if not _is_counts(shape) or not _is_counts(offsets) or not 1 <= len(shape) <= _MOST_DIMENSIONS or len(offsets) != 2:
        raise BadInput("a safetensors entry is damaged", remedy=_REMEDY)
    start, end = offsets
    if 0 in shape or end - start != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise BadInput("a tensor's shape does not fit its bytes", remedy=_REMEDY)
    return TensorEntry(name, dtype, tuple(shape), start, end)


def _is_counts(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _largest(block: bytes, dtype: str) -> float:
    """Return the largest absolute value, NaN when one is there."""
    if dtype == "BF16":
        wide = np.frombuffer(block, "<u2").astype("<u4") << 16
        return float(np.max(np.abs(wide.view("<f4"))))
    return float(np.max(np.abs(np.frombuffer(block, "<f4" if dtype == "F32" else "<f2"))))
