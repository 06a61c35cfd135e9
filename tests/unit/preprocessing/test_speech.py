import os
import resource
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from medomni.errors import BadInput
from preprocessing.speech import read_wav

RATE = 16_000
TONE = (0.5 * np.sin(np.arange(1600) * 0.3)).astype(np.float64)
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def fmt(kind=1, channels=1, rate=RATE, bits=16, block=None) -> bytes:
    block = channels * bits // 8 if block is None else block
    return struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, bits)


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def encode(samples: np.ndarray, bits: int, *, is_float: bool = False) -> bytes:
    if is_float:
        return samples.astype(f"<f{bits // 8}").tobytes()
    if bits == 8:
        return np.round(samples * 128 + 128).clip(0, 255).astype("u1").tobytes()
    whole = np.round(samples * 2.0 ** (bits - 1)).astype("<i8")
    return whole[:, None].view("u1").reshape(len(samples), 8)[:, : bits // 8].tobytes()


def refusal(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "d.wav"
    path.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        read_wav(path)
    assert str(caught.value).startswith("d.wav: ")
    return str(caught.value)


@pytest.mark.parametrize(("bits", "is_float"), [(8, 0), (16, 0), (24, 0), (32, 0), (32, 1), (64, 1)])
@pytest.mark.parametrize("is_extensible", [False, True])
def test_every_named_encoding_gives_the_samples(tmp_path: Path, bits: int, is_float: int, is_extensible: bool):
    kind = 3 if is_float else 1
    layout = fmt(kind, bits=bits)
    if is_extensible:
        layout = fmt(0xFFFE, bits=bits) + struct.pack("<HHIH", 22, bits, 4, kind) + GUID_TAIL
    path = tmp_path / "d.wav"
    sound = chunk(b"data", encode(TONE, bits, is_float=bool(is_float)))
    path.write_bytes(riff(chunk(b"LIST", b"odd"), chunk(b"fmt ", layout), chunk(b"fact", b"1234"), sound))
    recording = read_wav(path)
    assert recording.samples.dtype == np.float32
    assert recording.samples.shape == (1, 1600)
    assert recording.seconds == 0.1
    np.testing.assert_allclose(recording.samples[0], TONE, atol=1 / 128 if bits == 8 else 1 / 32768)


def test_stereo_of_the_standard_library_keeps_its_channels(tmp_path: Path):
    left, right = np.arange(-50, 50, dtype="<i2") * 300, np.arange(50, -50, -1, dtype="<i2") * 200
    with wave.open(str(tmp_path / "d.wav"), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(44_100)
        out.writeframes(np.stack([left, right], axis=1).tobytes())
    recording = read_wav(tmp_path / "d.wav")
    assert recording.sample_rate_hz == 44_100
    np.testing.assert_array_equal(recording.samples * 32768, np.stack([left, right]))


def test_full_scale_is_one_at_every_depth(tmp_path: Path):
    for bits in (8, 16, 24, 32):
        lowest = b"\0" if bits == 8 else (b"\0" * (bits // 8 - 1) + b"\x80")
        (tmp_path / "d.wav").write_bytes(riff(chunk(b"fmt ", fmt(bits=bits)), chunk(b"data", lowest)))
        assert read_wav(tmp_path / "d.wav").samples.tolist() == [[-1.0]]


def test_no_samples_and_silence_were_not_recorded(tmp_path: Path):
    for bits, body in ((16, b""), (16, b"\0" * 200), (8, b"\x80" * 100)):
        line = refusal(tmp_path, riff(chunk(b"fmt ", fmt(bits=bits)), chunk(b"data", body)))
        assert "nothing was recorded" in line


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"RIFF",
        b"OggS" + b"\0" * 40,
        b"ID3\x03" + b"\0" * 40,
        b"\0\0\0\x20ftypM4A ",
        b"fLaC\0",
        b"plain text, no sound",
    ],
)
def test_other_formats_are_refused_naming_those_that_work(tmp_path: Path, head: bytes):
    assert "record WAV: PCM" in refusal(tmp_path, head)


@pytest.mark.parametrize(
    "layout",
    [
        {"channels": 0},
        {"channels": 3},
        {"rate": 7_999},
        {"rate": 48_001},
        {"rate": 0},
        {"bits": 0},
        {"bits": 12},
        {"kind": 2, "bits": 4},
        {"kind": 0x55},
        {"kind": 3, "bits": 16},
        {"kind": 0xFFFE},
        {"block": 1},
        {"block": 0},
    ],
)
def test_layout_out_of_range_is_refused_naming_what_works(tmp_path: Path, layout: dict):
    assert "record WAV" in refusal(tmp_path, riff(chunk(b"fmt ", fmt(**layout)), chunk(b"data", b"\1" * 96)))


def test_lengths_that_lie_are_refused(tmp_path: Path):
    layout, sound = chunk(b"fmt ", fmt()), encode(TONE, 16)
    for size in (len(sound) + 2, 0xFFFFFFFF, 1 << 31):
        assert "cut short" in refusal(tmp_path, riff(layout, chunk(b"data", sound, size)))
        assert "cut short" in refusal(tmp_path, riff(layout, chunk(b"data", sound), size=min(size + 1000, 0xFFFFFFFF)))
    assert "cut short" in refusal(tmp_path, riff(layout, chunk(b"data", sound), size=len(sound)))
    assert "inside a sample" in refusal(tmp_path, riff(layout, chunk(b"data", sound[:-1])))
    assert "damaged" in refusal(tmp_path, riff(chunk(b"fmt ", b"\1\0"), chunk(b"data", sound)))


def test_missing_and_repeated_chunks_are_refused(tmp_path: Path):
    layout, sound = chunk(b"fmt ", fmt()), chunk(b"data", encode(TONE, 16))
    assert "incomplete" in refusal(tmp_path, riff(layout))
    assert "incomplete" in refusal(tmp_path, riff(sound))
    assert "twice" in refusal(tmp_path, riff(layout, layout, sound))
    assert "twice" in refusal(tmp_path, riff(layout, sound, sound))


def test_bytes_after_the_recording_are_left_alone(tmp_path: Path):
    (tmp_path / "d.wav").write_bytes(riff(chunk(b"fmt ", fmt()), chunk(b"data", encode(TONE, 16))) + b"tail")
    assert read_wav(tmp_path / "d.wav").samples.shape == (1, 1600)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -17.0])
def test_float_values_that_are_no_sound_are_refused(tmp_path: Path, value: float):
    samples = TONE.copy()
    samples[700] = value
    sound = chunk(b"data", encode(samples, 32, is_float=True))
    assert "no sound" in refusal(tmp_path, riff(chunk(b"fmt ", fmt(3, bits=32)), sound))


def test_more_than_ten_minutes_is_refused_before_it_is_read(tmp_path: Path):
    size = 2 * 8_000 * 601
    head = riff(chunk(b"fmt ", fmt(rate=8_000)), chunk(b"data", b"", size), size=36 + size)
    path = tmp_path / "d.wav"
    path.write_bytes(head)
    os.truncate(path, len(head) + size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadInput, match="too long"):
        read_wav(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10


def test_a_thousand_empty_chunks_end(tmp_path: Path):
    assert "incomplete" in refusal(tmp_path, riff(*[chunk(b"junk", b"")] * 5000))


def test_pipe_and_folder_are_refused_without_blocking(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", tmp_path):
        with pytest.raises(BadInput, match="regular file"):
            read_wav(path)
