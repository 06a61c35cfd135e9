"""Sources: folders, archives and DICOMDIRs give regular files only, under caps, and nothing is written or waited for."""

import os
import struct
import zipfile

import numpy as np
import pytest
from pydicom.fileset import FileSet

from medomni.errors import BadInput
from preprocessing.assemble import read_volume
from preprocessing.dicom import open_study
from preprocessing.intake import sources
from preprocessing.intake.sources import SourceKind, list_source
from tests import ct_files
from tests.ct_files import codes, save, series

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # zipfile and pydicom warn about what is wrong on purpose


def packed(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return path


def packed_series(path, folder):
    return packed(path, [(f"study/{p.name}", p.read_bytes()) for p in sorted(save(folder, series()).iterdir())])


def fileset(folder):
    whole = FileSet()
    for data_set in series(StudyID="1", StudyTime="101010", SpecificCharacterSet="ISO_IR 100"):
        whole.add(data_set)
    whole.write(folder)
    return folder / "DICOMDIR"


def test_a_path_where_nothing_is_says_so(tmp_path):
    with pytest.raises(BadInput, match=r"^gone: not found"):
        open_study(tmp_path / "gone")


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(BadInput, match="no file in this folder; give a folder of CT slices"):
        open_study(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + b"x" * 500, b"<html>404</html>", b"\0" * 128 + b"DICM"])
def test_a_file_that_is_no_dicom_is_refused_by_name(tmp_path, data):
    path = tmp_path / "photo.dcm"
    path.write_bytes(data)
    for source in (path, tmp_path):
        with pytest.raises(BadInput, match=r"^photo\.dcm: not a CT study"):
            open_study(source)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_links_loops_and_pipes_are_left_out(tmp_path):
    folder, outside = save(tmp_path / "study", series()), tmp_path / "outside.dcm"
    outside.write_bytes(b"x")
    (folder / "loop").symlink_to(".")
    (folder / "link.dcm").symlink_to(outside)
    os.mkfifo(folder / "pipe.dcm")
    study = open_study(folder)
    assert study.grid.shape == ct_files.SHAPE
    assert [(n.code, n.fields["count"]) for n in study.notices] == [("special_files_left_out", "3")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_as_source_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="not a file or folder"):
        open_study(tmp_path / "pipe")


def test_folders_are_searched_only_so_deep(tmp_path):
    deep = tmp_path
    for k in range(sources.MAX_DEPTH + 2):
        deep = deep / str(k)
    save(deep, series())
    with pytest.raises(BadInput, match="no file in this folder"):
        open_study(tmp_path)


def test_the_order_of_items_does_not_depend_on_the_disk(tmp_path):
    for name in ("b", "a", "c/x", "c/a"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"1")
    assert [str(item.path.relative_to(tmp_path)) for item in list_source(tmp_path).items] == ["a", "b", "c/a", "c/x"]


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILES", 5)
    with pytest.raises(BadInput, match="too many files; more than 5"):
        open_study(save(tmp_path, series()))


def test_an_archive_is_read_in_memory_and_gives_the_same_study(tmp_path):
    archive = packed_series(tmp_path / "a.zip", tmp_path / "study")
    folder_study, study = open_study(tmp_path / "study"), open_study(archive)
    assert study.identity == folder_study.identity
    before = sorted(tmp_path.rglob("*"))
    np.testing.assert_array_equal(read_volume(archive).hu, ct_files.hu())
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_is_known_by_its_content(tmp_path):
    archive = packed_series(tmp_path / "study.dat", tmp_path / "study")
    assert list_source(archive).kind is SourceKind.ARCHIVE


@pytest.mark.parametrize("name", ["../../x.dcm", "/etc/x.dcm", "a/../../x", "C:\\x.dcm", "..\\x"])
def test_an_archive_that_points_outside_is_refused_whole(tmp_path, name):
    archive = packed(tmp_path / "a.zip", [("ok.dcm", b"1"), (name, b"x")])
    with pytest.raises(BadInput, match=r"^a\.zip: a member of the archive points outside it"):
        open_study(archive)


def test_an_archive_bomb_is_refused_before_it_is_unpacked(tmp_path):
    archive = packed(tmp_path / "a.zip", [("IM0.dcm", bytes(80 << 20))])
    with pytest.raises(BadInput, match="far too much"):
        open_study(archive)


def test_a_bomb_of_many_small_members_is_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", [(f"{k}.dcm", bytes(8 << 20)) for k in range(10)])
    with pytest.raises(BadInput, match="the archive unpacks to far too much"):
        open_study(archive)


def test_a_member_never_gives_more_than_it_declares(tmp_path):
    archive = packed(tmp_path / "a.zip", [("IM0.dcm", bytes(90 << 20))])
    data = bytearray(archive.read_bytes())
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = data.rindex(signature) + at
        data[start : start + 4] = struct.pack("<I", 1000)
    archive.write_bytes(data)
    with pytest.raises(BadInput, match=r"^IM0\.dcm: (not a CT study|cannot be read)"):
        open_study(archive)


def test_too_many_members_are_refused_before_they_are_listed(tmp_path):
    archive = packed(tmp_path / "a.zip", [(f"d/{k}", b"") for k in range(sources.MAX_FILES + 1)], zipfile.ZIP_STORED)
    with pytest.raises(BadInput, match="too many files"):
        open_study(archive)


def test_an_archive_in_an_archive_is_not_opened(tmp_path):
    inner = packed_series(tmp_path / "inner.zip", tmp_path / "study")
    outer = packed(tmp_path / "outer.zip", [("inner.zip", inner.read_bytes())])
    with pytest.raises(BadInput, match=r"^inner\.zip: not a CT study"):
        open_study(outer)


@pytest.mark.parametrize("cut", [1, 60, 300, 3000])
def test_a_cut_archive_is_refused(tmp_path, cut):
    archive = packed_series(tmp_path / "a.zip", tmp_path / "study")
    archive.write_bytes(archive.read_bytes()[:-cut])
    with pytest.raises(BadInput, match=r"^a\.zip: the archive is (cut short|damaged); upload or copy it again"):
        open_study(archive)


def test_an_encrypted_archive_is_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", [("IM0.dcm", b"1")])
    data = bytearray(archive.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(BadInput, match="encrypted"):
        open_study(archive)


def test_a_damaged_member_is_named(tmp_path):
    folder = save(tmp_path / "study", series())
    archive = packed(tmp_path / "a.zip", [(p.name, p.read_bytes()) for p in sorted(folder.iterdir())], zipfile.ZIP_STORED)
    study = open_study(archive)
    data = bytearray(archive.read_bytes())
    at = data.index((folder / "IM005.dcm").read_bytes()[-50:])
    data[at] ^= 0xFF
    archive.write_bytes(data)
    from preprocessing.assemble import assemble

    with pytest.raises(BadInput, match=r"^IM005\.dcm: cannot be read; BadZipFile"):
        assemble(study, lambda share: None)


def test_an_archive_with_nothing_in_it_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no CT images; nothing in it"):
        open_study(packed(tmp_path / "a.zip", []))


def test_a_dicomdir_gives_its_files(tmp_path):
    path = fileset(tmp_path)
    np.testing.assert_array_equal(read_volume(path).hu, ct_files.hu())
    study = open_study(tmp_path)
    assert study.grid.shape == ct_files.SHAPE
    assert codes(study) == set()


@pytest.mark.parametrize("way", ["..\\..\\..\\..\\..\\..\\etc\\hostname", "\\etc\\hostname\\x\\x\\x\\x\\x\\x\\x\\x\\"])
def test_a_dicomdir_that_points_outside_is_refused(tmp_path, way):
    path = fileset(tmp_path)
    data = path.read_bytes()
    old = b"PT000000\\ST000000\\SE000000\\IM000003"
    at = data.index(old)
    path.write_bytes(data[:at] + way.encode().ljust(len(old))[: len(old)] + data[at + len(old) :])
    for source in (path, tmp_path):
        with pytest.raises(BadInput, match=r"^DICOMDIR: the DICOMDIR points outside its folder"):
            open_study(source)


def test_a_dicomdir_whose_file_is_a_link_outwards_is_refused(tmp_path):
    path = fileset(tmp_path / "disc")
    target = next(p for p in (tmp_path / "disc").rglob("IM*") if p.is_file())
    moved = target.rename(tmp_path / "outside.dcm")
    target.symlink_to(moved)
    with pytest.raises(BadInput, match="points outside its folder"):
        open_study(path)


def test_a_damaged_dicomdir_is_refused_but_does_no_harm_beside_the_images(tmp_path):
    path = fileset(tmp_path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(BadInput, match="DICOMDIR"):
        open_study(path)
    assert open_study(tmp_path).grid.shape == ct_files.SHAPE


def test_one_slice_alone_asks_for_the_series(tmp_path):
    with pytest.raises(BadInput, match=r"^IM000\.dcm: too few slices; 1 slice; need at least 3 slices"):
        open_study(save(tmp_path, series()) / "IM000.dcm")


def test_names_from_the_disk_are_safe_to_show():
    assert sources.shown("a\nb\x1b[31m\udcff\u202ec") == "a?b?[31m??c"
    assert len(sources.shown("x" * 300)) == 80
