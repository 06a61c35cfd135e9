import os

from medomni.model.backends import digests


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def test_digest_follows_what_makes_the_model_and_nothing_else(tmp_path):
    kept = digests.digests_in(tmp_path / "home")
    one = write(tmp_path / "one", config_json=b"{}", model_safetensors=b"1", README_md=b"a")
    same = write(tmp_path / "same", config_json=b"{}", model_safetensors=b"1", README_md=b"b")
    for changes in ({"model_safetensors": b"2"}, {"config_json": b"[]"}, {"merges_txt": b""}):
        other = write(tmp_path / next(iter(changes)), **({"config_json": b"{}", "model_safetensors": b"1"} | changes))
        assert digests.folder_digest(other, kept) != digests.folder_digest(one, kept)
    assert digests.folder_digest(one, kept) == digests.folder_digest(same, kept)


def test_file_is_read_once_and_again_when_it_changed(tmp_path):
    kept = digests.digests_in(tmp_path / "home")
    folder = write(tmp_path / "model", model_safetensors=b"1234")
    first, known = digests.folder_digest(folder, kept), (folder / "model.safetensors").stat()
    write(folder, model_safetensors=b"4321")
    os.utime(folder / "model.safetensors", ns=(known.st_atime_ns, known.st_mtime_ns))
    assert digests.folder_digest(folder, kept) == first
    os.utime(folder / "model.safetensors", ns=(known.st_atime_ns, known.st_mtime_ns + 1))
    assert digests.folder_digest(folder, kept) != first


def test_link_of_a_hub_counts_as_the_file_it_names(tmp_path):
    kept = digests.digests_in(tmp_path / "home")
    plain = write(tmp_path / "plain", model_safetensors=b"1")
    linked = write(tmp_path / "linked")
    (linked / "model.safetensors").symlink_to(plain / "model.safetensors")
    assert digests.folder_digest(linked, kept) == digests.folder_digest(plain, kept)
