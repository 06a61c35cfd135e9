"""Turns a WAV file of dictation into samples, or refuses it and names the formats that work.

Only the RIFF container is read here, with every declared length checked against the bytes that are there. Knows
nothing about words: recognition comes later on its way.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float32

from medomni.errors import BadInput
from medomni.safety.bounded import open_regular

WORKING_FORMATS = "record WAV: PCM of 8 to 32 bits or float, 8 to 48 kHz, mono or stereo, at most 10 minutes"
SUFFIXES = (".wav", ".wave", ".mp3", ".m4a", ".mp4", ".ogg", ".opus", ".flac", ".webm", ".aac")
"""Endings of recordings, those that cannot be read among them: they are refused by what they are."""
LONGEST_SECONDS = 600
SAMPLE_RATES_HZ = (8_000, 48_000)
LARGEST_SAMPLE = 16.0
"""Float samples lie within 1; up to 24 dB above is a loud recording, more is no sound."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""Bytes 2 to 15 of every KSDATAFORMAT_SUBTYPE GUID (mmreg.h)."""

_OTHER_SOUND = {
    b"OggS": "an Ogg recording",
    b"fLaC": "a FLAC recording",
    b"ID3": "an MP3 recording",
    b"\x1a\x45\xdf\xa3": "a WebM recording",
    b"RF64": "an RF64 recording",
    b"RIFX": "a big-endian RIFX recording",
}
_BLOCK_FRAMES = 1 << 18
_MOST_CHUNKS = 1_000


@dataclass(frozen=True, eq=False)
class Recording:
    """Dictated sound. Samples are (channel, time), full scale at 1."""

    samples: Float32[np.ndarray, "channel time"]
    sample_rate_hz: int

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return float(self.samples.shape[1] / self.sample_rate_hz)


@dataclass(frozen=True)
class _Layout:
    """The ``fmt`` chunk: how the bytes of one frame make up samples."""

    is_float: bool
    channels: int
    sample_rate_hz: int
    bits: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * self.bits // 8


def read_wav(path: Path) -> Recording:
    """Return the samples of a WAV file.

    Raises:
        BadInput: the file is no such WAV, is damaged, too long, or holds no sound.
    """
    with open_regular(path) as file:
        try:
            layout, start, size = _find_sound(file)
            frames = _count_frames(layout, size)
            file.seek(start)
            samples = _decode(file, layout, frames)
        except BadInput as error:
            raise error.at(path.name) from None
    return Recording(samples, layout.sample_rate_hz)


def _find_sound(file: BinaryIO) -> tuple[_Layout, int, int]:
    """Walk the chunks; return the layout and the place and size of the sound."""
    file_bytes = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise BadInput("is no WAV recording", found=_name_content(head), remedy=WORKING_FORMATS)
    end = 8 + int.from_bytes(head[4:8], "little")
    if end > file_bytes:
        raise _cut_short(end, file_bytes)
    layout, sound = None, None
    for _ in range(_MOST_CHUNKS):
        chunk = file.read(8)
        if len(chunk) < 8 or file.tell() > end:
            break
        name, size = chunk[:4], int.from_bytes(chunk[4:], "little")
        start = file.tell()
        if start + size > end:
            raise _cut_short(start + size, end)
        if (name == b"fmt " and layout) or (name == b"data" and sound):
            raise BadInput("the WAV file says one thing twice", found="a repeated chunk", remedy=WORKING_FORMATS)
        if name == b"fmt ":
            layout = _read_layout(file.read(min(size, 64)))
        elif name == b"data":
            sound = (start, size)
        file.seek(start + size + size % 2)
    if layout is None or sound is None:
        missing = "no format chunk" if layout is None else "no sound chunk"
        raise BadInput("the WAV file is incomplete", found=missing, remedy=WORKING_FORMATS)
    return layout, *sound


def _read_layout(chunk: bytes) -> _Layout:
    if len(chunk) < 16:
        raise BadInput("the WAV format chunk is damaged", found=f"{len(chunk)} bytes", remedy=WORKING_FORMATS)
    kind, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if kind == _EXTENSIBLE and len(chunk) >= 40 and chunk[26:40] == _SUBFORMAT_TAIL:
        kind = int.from_bytes(chunk[24:26], "little")
    layout = _Layout(kind == _FLOAT, channels, rate, bits)
    if (kind == _PCM and bits in (8, 16, 24, 32)) or (kind == _FLOAT and bits in (32, 64)):
        if channels not in (1, 2):
            raise BadInput("the WAV has an unusual channel count", found=f"{channels}", remedy=WORKING_FORMATS)
        if not SAMPLE_RATES_HZ[0] <= rate <= SAMPLE_RATES_HZ[1]:
            raise BadInput("the sample rate cannot be used", found=f"{rate} Hz", remedy=WORKING_FORMATS)
        if frame_bytes != layout.frame_bytes:
            raise BadInput("the WAV format chunk contradicts itself", remedy=WORKING_FORMATS)
        return layout
    raise BadInput("the WAV encoding is not read", found=f"format {kind}, {bits} bits", remedy=WORKING_FORMATS)


def _count_frames(layout: _Layout, size: int) -> int:
    if size == 0:
        raise BadInput("nothing was recorded", found="0 samples", remedy="check the microphone and dictate again")
    if size % layout.frame_bytes:
        raise BadInput("the recording ends inside a sample", remedy="save it again")
    frames = size // layout.frame_bytes
    if frames > LONGEST_SECONDS * layout.sample_rate_hz:
        found = f"{frames // layout.sample_rate_hz} seconds"
        raise BadInput("the recording is too long", found=found, remedy=WORKING_FORMATS)
    return frames


def _decode(file: BinaryIO, layout: _Layout, frames: int) -> Float32[np.ndarray, "channel time"]:
    """Convert block by block, so that the peak memory is the result and little more."""
    samples = np.empty((layout.channels, frames), np.float32)
    for start in range(0, frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, frames - start)
        block = file.read(count * layout.frame_bytes)
        if len(block) != count * layout.frame_bytes:
            raise BadInput("the recording changed while it was read", remedy="try again when it is saved")
        samples[:, start : start + count] = _scale(block, layout).reshape(count, layout.channels).T
    peak = max(float(np.max(samples)), -float(np.min(samples)))
    if not peak <= LARGEST_SAMPLE:
        raise BadInput("the recording holds values that are no sound", remedy=WORKING_FORMATS)
    if peak == 0:
        raise BadInput("nothing was recorded", found="silence", remedy="check the microphone and dictate again")
    return samples


def _scale(block: bytes, layout: _Layout) -> Float32[np.ndarray, "sample"]:
    """Return the interleaved samples of one block with full scale at 1."""
    if layout.is_float:
        with np.errstate(over="ignore"):
            return np.frombuffer(block, f"<f{layout.bits // 8}").astype(np.float32)
    if layout.bits == 8:
        return (np.frombuffer(block, np.uint8).astype(np.float32) - 128) / 128
    if layout.bits == 24:
        wide = np.zeros((len(block) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(block, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return (np.frombuffer(block, f"<i{layout.bits // 8}") / 2.0 ** (layout.bits - 1)).astype(np.float32)


def _name_content(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head[4:8] == b"ftyp":
        return "an MP4 recording"
    return next((name for magic, name in _OTHER_SOUND.items() if head.startswith(magic)), "no RIFF WAVE header")


def _cut_short(declared: int, there: int) -> BadInput:
    found = f"the header promises {declared} bytes, {there} are there"
    return BadInput("the recording is cut short", found=found, remedy="save it again or record anew")
