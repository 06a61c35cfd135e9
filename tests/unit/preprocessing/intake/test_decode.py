"""Compressed pixels: exact for each lossless codec, and harmless when the data or the codec is not."""

import os
import signal
import time

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, JPEGLSNearLossless, RLELossless

from medomni.errors import BadInput, MissingPart
from preprocessing.assemble import assemble, read_volume
from preprocessing.dicom import open_study
from preprocessing.intake import codestream, decode
from preprocessing.intake.codestream import CutShort, Damaged, MissingCodec, frame_streams, single_stream
from tests import ct_files
from tests.ct_files import codes, enhanced, save, series

LOSSLESS = (JPEG2000Lossless, JPEGLSLossless, RLELossless)


VALUES = ct_files.hu((8, 36, 44))
"""JPEG 2000 encoders want at least 32 pixels a side."""


def compressed(syntax, values=VALUES, **options):
    data_sets = series(values)
    for data_set in data_sets:
        data_set.compress(syntax, generate_instance_uid=False, **options)
    return data_sets


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_codecs_give_the_same_hu(tmp_path, syntax):
    study = open_study(save(tmp_path, compressed(syntax)))
    assert not study.acquisition.is_lossy
    np.testing.assert_array_equal(assemble(study, lambda share: None).hu, VALUES)


def test_jpeg_lossless_gives_the_same_hu(tmp_path):
    gdcm = pytest.importorskip("gdcm")
    save(tmp_path, series())
    for path in tmp_path.iterdir():
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
    study = open_study(tmp_path)
    assert study.acquisition.transfer_syntax_uid == "1.2.840.10008.1.2.4.70"
    np.testing.assert_array_equal(assemble(study, lambda share: None).hu, ct_files.hu())


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_frames_of_a_compressed_enhanced_ct_come_out_in_their_order(tmp_path, syntax):
    whole = enhanced(series(VALUES)[::-1])
    whole.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(read_volume(save(tmp_path, [whole]) / "IM000.dcm").hu, VALUES)


def test_two_children_give_what_one_gives(tmp_path):
    values = ct_files.hu((decode.FRAMES_FOR_TWO + 3, 20, 24))
    np.testing.assert_array_equal(read_volume(save(tmp_path, compressed(RLELossless, values))).hu, values)


def test_near_lossless_is_named_and_stays_within_its_bound(tmp_path):
    study = open_study(save(tmp_path, compressed(JPEGLSNearLossless, jls_error=4)))
    assert study.acquisition.is_lossy
    assert codes(study) == {"lossy_source"}
    error = assemble(study, lambda share: None).hu.astype(int) - VALUES
    assert 0 < np.abs(error).max() <= 4


def test_earlier_lossy_compression_is_named(tmp_path):
    study = open_study(save(tmp_path, series(LossyImageCompression="01")))
    assert study.acquisition.is_lossy


def test_an_unknown_compression_is_refused(tmp_path):
    data_sets = series()
    for data_set in data_sets:
        data_set.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
        data_set.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.51"
    with pytest.raises(BadInput, match="compression is not supported"):
        open_study(save(tmp_path, data_sets))


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_cut_fragment_is_refused_and_named(tmp_path, syntax):
    save(tmp_path, compressed(syntax))
    path = tmp_path / "IM003.dcm"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadInput, match=r"^IM003\.dcm: the file is cut short"):
        read_volume(tmp_path)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_stream_without_its_end_is_refused(tmp_path, syntax):
    data_sets = compressed(syntax)
    whole = single_stream(data_sets[2].PixelData)[0]
    data_sets[2].PixelData = encapsulate([whole[: len(whole) // 2 & ~1]])
    with pytest.raises(BadInput, match=r"^IM002\.dcm: the file is cut short"):
        read_volume(save(tmp_path, data_sets))


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_noise_instead_of_a_stream_is_refused(tmp_path, syntax):
    data_sets = compressed(syntax)
    data_sets[1].PixelData = encapsulate([np.random.default_rng(0).bytes(2000) + b"\xff\xd9"])
    with pytest.raises(BadInput, match=r"^IM001\.dcm: the pixels cannot be decoded"):
        read_volume(save(tmp_path, data_sets))


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_stream_of_another_size_is_refused(tmp_path, syntax):
    data_sets = compressed(syntax)
    data_sets[1].PixelData = compressed(syntax, ct_files.hu((1, 34, 44)))[0].PixelData
    with pytest.raises(BadInput, match=r"^IM001\.dcm: the pixels cannot be decoded"):
        read_volume(save(tmp_path, data_sets))


def test_sizes_that_only_a_bomb_has_are_refused_before_any_memory_is_taken(tmp_path):
    data_sets = compressed(RLELossless)
    for data_set in data_sets:
        data_set.Rows = data_set.Columns = 8000
    with pytest.raises(BadInput, match="far too little data"):
        read_volume(save(tmp_path, data_sets))


class Killed:
    """A codec that dies of a signal, as native ones do."""

    def __call__(self, stream, layout, rows, columns):
        os.kill(os.getpid(), signal.SIGSEGV)


class Greedy:
    """A codec that takes more memory than its process may."""

    def __call__(self, stream, layout, rows, columns):
        return bytes(decode.MEMORY_FREE + (1 << 30))


class Endless:
    """A codec that never comes to an end."""

    def __call__(self, stream, layout, rows, columns):
        while True:
            pass


class Asleep:
    """A codec that hangs without using the processor."""

    def __call__(self, stream, layout, rows, columns):
        time.sleep(60)


class Absent:
    """A codec whose package is not installed."""

    def __call__(self, stream, layout, rows, columns):
        raise ImportError


@pytest.mark.skipif(os.name != "posix", reason="the codec is replaced through fork")
@pytest.mark.parametrize(
    ("codec", "error", "says"),
    [
        (Killed(), BadInput, "stopped by signal 11"),
        (Greedy(), BadInput, "too much memory"),
        (Endless(), BadInput, "stopped by signal"),
        (Asleep(), BadInput, "took too long"),
        (Absent(), MissingPart, "no codec"),
    ],
)
def test_a_codec_that_fails_is_a_refusal_that_names_the_file(tmp_path, monkeypatch, codec, error, says):
    monkeypatch.setattr(codestream, "_CODECS", ((frozenset({RLELossless}), codec),))
    if isinstance(codec, Asleep):
        monkeypatch.setattr(decode, "SILENCE_SECONDS", 1.0)
    study = open_study(save(tmp_path, compressed(RLELossless)))
    with pytest.raises(error, match=says) as caught:
        assemble(study, lambda share: None)
    assert str(caught.value).startswith("IM000.dcm: ")


def test_where_processes_cannot_be_forked_the_result_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "_can_fork", lambda: False)
    np.testing.assert_array_equal(read_volume(save(tmp_path, compressed(RLELossless))).hu, VALUES)


def test_fragments_of_one_frame_are_joined():
    value = encapsulate([b"abcdefgh" * 4], fragments_per_frame=4)
    assert single_stream(value) == [b"abcdefgh" * 4]


@pytest.mark.parametrize("has_table", [True, False])
def test_frames_are_matched_with_their_fragments(has_table):
    frames = [b"one..." * 2, b"two...", b"three!" * 3]
    assert frame_streams(encapsulate(frames, has_bot=has_table)) == frames


def test_fragments_spread_over_frames_follow_the_offset_table():
    frames = [b"0123456789abcdef", b"ghijklmnopqrstuv"]
    assert frame_streams(encapsulate(frames, fragments_per_frame=2)) == frames


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 0x1000])
def test_a_fragment_length_that_lies_is_caught(length):
    value = bytearray(encapsulate([b"\xff\xd8" + b"x" * 60 + b"\xff\xd9"]))
    at = value.rindex(b"\xfe\xff\x00\xe0") + 4
    value[at : at + 4] = length.to_bytes(4, "little")
    with pytest.raises(CutShort):
        single_stream(bytes(value))


def test_bytes_that_are_no_fragments_are_damaged():
    with pytest.raises(Damaged):
        single_stream(b"\x01\x02\x03\x04\x05\x06\x07\x08\x09")


def test_a_missing_codec_is_told_apart_from_damage(monkeypatch):
    monkeypatch.setattr(codestream, "_CODECS", ((frozenset({RLELossless}), Absent()),))
    layout = open_layout()
    with pytest.raises(MissingCodec):
        codestream.decode(b"", layout, 2, 2)


def open_layout():
    from medomni.types.study import PixelLayout

    return PixelLayout(str(RLELossless), 16, True, 1.0, 0.0)
