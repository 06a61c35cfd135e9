"""assemble: stored words become exactly the HU they stand for, whatever the encoding."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from medomni.errors import BadInput
from medomni.types.study import PixelLayout
from preprocessing.assemble import assemble, read_packed, read_volume, to_hu
from preprocessing.dicom import open_study
from tests import ct_files
from tests.ct_files import enhanced, save, series

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # some files are wrong on purpose


def test_plain_slices_give_their_hu_in_int16(tmp_path):
    volume = read_volume(save(tmp_path, series()))
    assert volume.hu.dtype == np.int16
    np.testing.assert_array_equal(volume.hu, ct_files.hu())


def test_series_in_a_tar_archive_reads_like_its_folder(tmp_path):
    folder, archive = save(tmp_path / "series", series()), tmp_path / "series.tar.xz"
    with tarfile.open(archive, "w:xz") as packed:
        packed.add(folder, arcname="series")
    np.testing.assert_array_equal(read_packed(archive).hu, read_volume(folder).hu)


def test_progress_rises_to_one(tmp_path):
    told = []
    assemble(open_study(save(tmp_path, series())), told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_rescale_is_taken_from_each_slice(tmp_path):
    data_sets = series()
    for k, data_set in enumerate(data_sets):
        data_set.RescaleIntercept = -1024 + 10 * k
        ct_files.store(data_set, ct_files.words(data_set) - 10 * k)
    np.testing.assert_array_equal(read_volume(save(tmp_path, data_sets)).hu, ct_files.hu())


def test_a_rescale_with_a_fraction_gives_float32(tmp_path):
    volume = read_volume(save(tmp_path, series(RescaleSlope="0.5", RescaleIntercept="-1000.25")))
    assert volume.hu.dtype == np.float32
    np.testing.assert_allclose(volume.hu, np.maximum((ct_files.hu() + 1024.0) * 0.5 - 1000.25, -1024), atol=1e-4)


def test_implicit_little_endian(tmp_path):
    data_sets = series()
    for data_set in data_sets:
        data_set.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    np.testing.assert_array_equal(read_volume(save(tmp_path, data_sets)).hu, ct_files.hu())


def test_explicit_big_endian(tmp_path):
    data_sets = series()
    for data_set in data_sets:
        words = ct_files.words(data_set)
        data_set.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ct_files.store(data_set, words, ">i2")
    folder = save(tmp_path, data_sets, implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(read_volume(folder).hu, ct_files.hu())


def test_deflated(tmp_path):
    data_sets = series()
    for data_set in data_sets:
        data_set.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    np.testing.assert_array_equal(read_volume(save(tmp_path, data_sets)).hu, ct_files.hu())


def test_a_deflate_bomb_is_refused(tmp_path):
    data_set = series()[0]
    data_set.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data_set.add_new(0x00090010, "LO", "BOMB")
    data_set.add_new(0x00091001, "OB", b"\0" * (60 << 20))
    with pytest.raises(BadInput, match="unpacks to far too much"):
        read_volume(save(tmp_path, [data_set]))


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_no_preamble_and_no_meta(tmp_path, syntax):
    data_sets = series()
    for data_set in data_sets:
        if syntax == "implicit":
            data_set.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    save(tmp_path, data_sets)
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        path.write_bytes(data[144 + int.from_bytes(data[140:144], "little") :])
        path.rename(path.with_suffix(""))
    np.testing.assert_array_equal(read_volume(tmp_path).hu, ct_files.hu())


def test_a_header_that_lies_about_its_encoding_is_read_through_pydicom(tmp_path):
    data_sets = series()
    for data_set in data_sets:
        data_set.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    save(tmp_path, data_sets)
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        at = data.index(b"1.2.840.10008.1.2\0")
        start = 144 + int.from_bytes(data[140:144], "little")
        head = data[:at] + b"1.2.840.10008.1.2.1\0" + data[at + 18 : start]
        head = head[: at - 2] + b"\x14\0" + head[at:]
        path.write_bytes(head + data[start:])
    np.testing.assert_array_equal(read_volume(tmp_path).hu, ct_files.hu())


def test_bits_above_bits_stored_are_dropped(tmp_path):
    data_sets = series(BitsStored=12, HighBit=11, PixelRepresentation=0)
    for data_set in data_sets:
        ct_files.store(data_set, ct_files.words(data_set) & 0xFFF | 0x9000, "<u2")
    np.testing.assert_array_equal(read_volume(save(tmp_path, data_sets)).hu, ct_files.hu())


def test_the_sign_is_extended_from_bits_stored(tmp_path):
    data_sets = series(BitsStored=12, HighBit=11, RescaleIntercept=0)
    for data_set in data_sets:
        ct_files.store(data_set, (ct_files.words(data_set) - 1024) & 0xFFF, "<u2")
    np.testing.assert_array_equal(read_volume(save(tmp_path, data_sets)).hu, ct_files.hu())


def test_values_below_air_become_air_with_or_without_a_padding_tag(tmp_path):
    for name, attributes in {"a": {}, "b": {"PixelPaddingValue": -2000}}.items():
        data_sets = series(**attributes)
        for data_set in data_sets:
            words = ct_files.words(data_set).copy()
            words[:4] = -2000
            ct_files.store(data_set, words)
        volume = read_volume(save(tmp_path / name, data_sets))
        assert (volume.hu[:, :4] == -1024).all()
        np.testing.assert_array_equal(volume.hu[:, 4:], ct_files.hu()[:, 4:])


def test_padding_above_tissue_becomes_air_everywhere(tmp_path):
    data_sets = series(PixelPaddingValue=30000, PixelPaddingRangeLimit=31000)
    for data_set in data_sets:
        words = ct_files.words(data_set).copy()
        words[5, 5:9] = (30000, 30500, 31000, 29999)
        ct_files.store(data_set, words)
    assert read_volume(save(tmp_path, data_sets)).hu[3, 5, 5:9].tolist() == [-1024, -1024, -1024, 28975]


def test_a_padding_value_that_tissue_can_have_counts_only_at_the_edge(tmp_path):
    data_sets = series(PixelPaddingValue=1060)
    for data_set in data_sets:
        words = np.full((20, 24), 1100)
        words[:, :3] = 1060
        words[10, 10] = 1060
        ct_files.store(data_set, words)
    hu = read_volume(save(tmp_path, data_sets)).hu
    assert (hu[:, :, :3] == -1024).all()
    assert (hu[:, 10, 10] == 36).all()


def test_monochrome1_changes_the_display_and_not_the_hu(tmp_path):
    volume = read_volume(save(tmp_path, series(PhotometricInterpretation="MONOCHROME1")))
    np.testing.assert_array_equal(volume.hu, ct_files.hu())


@pytest.mark.parametrize("is_signed", [True, False])
@pytest.mark.parametrize(
    ("slope", "intercept"), [(1, -1024), (1, 0), (2, -2048), (3, 500), (1, -8192), (1, 16384), (100, -16384)]
)
@pytest.mark.parametrize("bits", [9, 12, 15, 16])
def test_every_stored_word_gets_its_hu_or_the_nearest_bound(is_signed, slope, intercept, bits):
    layout = PixelLayout("1.2.840.10008.1.2.1", bits, is_signed, float(slope), float(intercept))
    words = np.arange(65536, dtype=np.uint16).view(np.int16).reshape(256, 256).copy()
    plain = words.view(np.uint16).astype(np.int64) & ((1 << bits) - 1)
    if is_signed:
        plain = np.where(plain >= 1 << (bits - 1), plain - (1 << bits), plain)
    to_hu(words, layout, words)
    expected = plain * slope + intercept
    highest = (32767 - intercept) // slope * slope + intercept
    lowest = -((1024 + intercept) // slope) * slope + intercept
    np.testing.assert_array_equal(words, np.where(expected < -1024, lowest, np.minimum(expected, highest)))


def test_a_file_cut_after_opening_is_refused(tmp_path):
    study = open_study(save(tmp_path, series()))
    path = tmp_path / "IM006.dcm"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(BadInput, match=r"^IM006\.dcm: the file is cut short"):
        assemble(study, lambda share: None)


def test_a_file_removed_after_opening_is_refused(tmp_path):
    study = open_study(save(tmp_path, series()))
    (tmp_path / "IM001.dcm").unlink()
    with pytest.raises(BadInput, match=r"^IM001\.dcm: cannot be read"):
        assemble(study, lambda share: None)


@pytest.mark.parametrize("syntax", ["plain", "deflated"])
def test_enhanced_ct_takes_geometry_and_rescale_from_its_groups(tmp_path, syntax):
    data_sets = series()
    for k, data_set in enumerate(data_sets):
        data_set.RescaleIntercept = -1024 + k
        ct_files.store(data_set, ct_files.words(data_set) - k)
    whole = enhanced(data_sets[::-1])
    if syntax == "deflated":
        whole.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    save(tmp_path, [whole])
    study = open_study(tmp_path / "IM000.dcm")
    assert len({frame.sop_instance_uid for frame in study.frames}) == 1
    assert [frame.frame_index for frame in study.frames] == list(range(7, -1, -1))
    np.testing.assert_allclose(study.grid.slice_origins_mm[:, 2], ct_files.STEP_MM * np.arange(8))
    np.testing.assert_array_equal(assemble(study, lambda share: None).hu, ct_files.hu())


@pytest.mark.parametrize("frames", [-1, 0, 7, 2147483647])
def test_enhanced_ct_with_a_wrong_number_of_frames_is_refused(tmp_path, frames):
    with pytest.raises(BadInput, match="NumberOfFrames"):
        open_study(save(tmp_path, [enhanced(series(), NumberOfFrames=frames)]))


@pytest.mark.parametrize("name", ["chest-tcia-rider-pilot", "chest-covid-ct-md-p001"])
def test_real_series_give_the_values_that_pydicom_gives(tmp_path, name):

    from pydicom import dcmread

    data = Path(os.environ.get("MEDOMNI_DATA") or Path(__file__).parents[4] / "shared" / "data")
    archive = data / "ct" / f"{name}.tar.xz"
    if not archive.exists():
        pytest.skip("the real CT data is not here")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    folder = next(path.parent for path in tmp_path.rglob("*.dcm"))
    data_sets = [dcmread(path) for path in folder.glob("*.dcm")]
    data_sets.sort(key=lambda d: float(d.ImagePositionPatient[2]))
    volume = read_volume(folder)
    assert volume.grid.shape[0] == len(data_sets)
    for k in (0, len(data_sets) // 2, len(data_sets) - 1):
        expected = data_sets[k].pixel_array.astype(int) * int(data_sets[k].RescaleSlope) + int(data_sets[k].RescaleIntercept)
        np.testing.assert_array_equal(volume.hu[k], np.maximum(expected, -1024))
