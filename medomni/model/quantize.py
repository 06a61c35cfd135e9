"""Weights in four or eight bits, and back: what the language model is kept and run with.

    float32 (out, in) -> Int4 (groups of 32 along the input) | Int8 (rows)

The model is trained and run on the same quantised values, so that no step of the way loses anything that was not lost here.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16, Float32, Int8, UInt8

GROUP = 32
"""Weights that share a scale and a zero, as in GGUF's own four-bit kinds."""
_SHRINKS = (1.0, 0.95, 0.9, 0.85)
"""Shares of the range that are tried: a little clipping may lose less than coarse steps."""


@dataclass(frozen=True, eq=False)
class Int4:
    """(code - zero) * scale for each group of ``GROUP`` weights of a row; two codes a byte, the first in the low half."""

    codes: UInt8[np.ndarray, "half"]
    zeros: UInt8[np.ndarray, "out group"]
    scales: Float16[np.ndarray, "out group"]

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in)."""
        return self.scales.shape[0], self.scales.shape[1] * GROUP

    def values(self) -> Float32[np.ndarray, "out in"]:
        """The weights."""
        codes = np.stack([self.codes & 15, self.codes >> 4], axis=-1).reshape(*self.scales.shape, GROUP).astype(np.float32)
        return np.asarray(((codes - self.zeros[..., None]) * self.scales[..., None].astype(np.float32)).reshape(self.shape))


@dataclass(frozen=True, eq=False)
class Int8Rows:
    """code * scale for each row."""

    codes: Int8[np.ndarray, "out in"]
    scales: Float32[np.ndarray, "out 1"]

    def values(self) -> Float32[np.ndarray, "out in"]:
        """The weights."""
        return np.asarray(self.codes.astype(np.float32) * self.scales)


def to_int4(values: Float32[np.ndarray, "out in"]) -> Int4:
    """Return the four-bit form of least squared error among a few ranges for each group; rows must hold whole groups."""
    rows, columns = values.shape
    grouped = values.reshape(rows, columns // GROUP, GROUP)
    low, high = np.minimum(grouped.min(axis=-1), 0.0), np.maximum(grouped.max(axis=-1), 0.0)
    best = (np.full(low.shape, np.inf), np.zeros_like(grouped), np.zeros_like(low), np.zeros_like(low))
    for shrink in _SHRINKS:
        scale = np.maximum((high - low) * shrink / 15.0, 1e-7).astype(np.float16).astype(np.float32)
        zero = np.clip(np.rint(-low * shrink / scale), 0, 15)
        code = np.clip(np.rint(grouped / scale[..., None]) + zero[..., None], 0, 15)
        error = np.square((code - zero[..., None]) * scale[..., None] - grouped).sum(axis=-1)
        is_better = error < best[0]
        wide = is_better[..., None]
        best = (
            np.where(is_better, error, best[0]),
            np.where(wide, code, best[1]),
            np.where(is_better, zero, best[2]),
            np.where(is_better, scale, best[3]),
        )
    _, code, zero, scale = best
    flat = code.astype(np.uint8).ravel()
    return Int4(flat[0::2] | flat[1::2] << 4, zero.astype(np.uint8), scale.astype(np.float16))


def to_int8(values: Float32[np.ndarray, "out in"]) -> Int8Rows:
    """Return the eight-bit form, symmetric about 0."""
    scales = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / np.float32(127.0)
    return Int8Rows(np.rint(values / scales).astype(np.int8), scales)


def joined(parts: list[Int4]) -> Int4:
    """Several matrices over the same input as one, rows after rows."""
    return Int4(
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.zeros for part in parts]),
        np.concatenate([part.scales for part in parts]),
    )
