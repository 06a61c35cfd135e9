import pytest

from app.atomic import new_file, new_folder
from medomni.errors import BadInput


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_folder_appears_only_when_all_is_written(tmp_path):
    with new_folder(tmp_path / "a" / "b", replace=False) as work:
        (work / "one").write_text("1")
        assert not (tmp_path / "a").exists()
    assert everything(tmp_path) == ["a", "a/b", "a/b/one"]


def test_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), new_folder(tmp_path / "a" / "b", replace=False) as work:
        (work / "one").write_text("1")
        raise RuntimeError
    assert everything(tmp_path) == []


def test_failure_leaves_an_existing_folder_as_it_was(tmp_path):
    (tmp_path / "report.json").write_text("old")
    with pytest.raises(RuntimeError), new_folder(tmp_path, replace=True) as work:
        (work / "report.json").write_text("new")
        raise RuntimeError
    assert everything(tmp_path) == ["report.json"]
    assert (tmp_path / "report.json").read_text() == "old"


def test_folder_with_files_needs_force(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(BadInput, match="already holds files"), new_folder(tmp_path, replace=False):
        pass


def test_force_replaces_only_files_of_the_same_name(tmp_path):
    (tmp_path / "mine").write_text("x")
    (tmp_path / "report.json").write_text("old")
    with new_folder(tmp_path, replace=True) as work:
        (work / "report.json").write_text("new")
    assert everything(tmp_path) == ["mine", "report.json"]
    assert (tmp_path / "report.json").read_text() == "new"


def test_draft_folder_is_private(tmp_path):
    with new_folder(tmp_path / "out", replace=False) as work:
        (work / "one").write_text("1")
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0


def test_folder_through_a_link_is_filled_where_it_lies(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with new_folder(tmp_path / "link", replace=False) as work:
        (work / "one").write_text("1")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "one").exists()


def test_file_in_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(BadInput, match="is a file"), new_folder(tmp_path / "out", replace=True):
        pass


def test_file_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), new_file(tmp_path / "seg.nii.gz", replace=False) as path:
        path.write_text("half")
        raise RuntimeError
    assert everything(tmp_path) == []
    with new_file(tmp_path / "deep" / "seg.nii.gz", replace=False) as path:
        path.write_text("whole")
    assert everything(tmp_path) == ["deep", "deep/seg.nii.gz"]


def test_existing_file_needs_force(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(BadInput, match="already there"), new_file(target, replace=False):
        pass
    with new_file(target, replace=True) as path:
        path.write_text("new")
    assert target.read_text() == "new"
