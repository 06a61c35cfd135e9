import hashlib
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.hostile.conftest import shared_data
from tests.hostile.corpus import Verdict, builders, read_corpus, verdicts, write_corpus
from tests.hostile.product import REPOSITORY


def test_every_id_of_the_table_has_a_builder_and_every_builder_a_verdict():
    assert set(builders()) == set(verdicts())


def test_the_table_is_the_one_of_the_research(tmp_path: Path):
    table = shared_data("hostile").parents[1] / "research" / "hostile_inputs.md"
    if not table.is_file():
        pytest.skip("the research text is not there")
    section = table.read_text(encoding="utf-8").split("## 2")[1].split("\n## ")[0]
    stated = {}
    for names, letter in re.findall(r"^\|([a-z0-9_, ]+)\|([RWH])\|", section, re.MULTILINE):
        stated |= {name.strip(): Verdict(letter) for name in names.split(",")}
    assert len(stated) > 80
    assert stated == {name: verdict for name, (verdict, _) in verdicts().items()}


def test_one_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path):
    names = ["geo_missing_slice", "enc_rle", "res_deflate_bomb", "zip_slip", "nii_truncated", "mdl_adapter_nan"]
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    write_corpus(first, 7, names)
    write_corpus(again, 7, names)
    write_corpus(other, 8, names)
    assert digests(first) == digests(again)
    same = {path for path, digest in digests(first).items() if digests(other).get(path) == digest}
    assert not {path for path in same if "adapter_config" not in path}


def test_the_written_manifest_is_read_back(tmp_path: Path):
    written = write_corpus(tmp_path / "c", 3, ["geo_missing_slice", "zip_slip", "fhir_xxe"])
    assert read_corpus(tmp_path / "c") == {case.id: case for case in written}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_bombs_are_small_on_disk_and_cheap_to_write(tmp_path: Path):
    bombs = ["zip_bomb", "nii_gz_bomb", "res_deflate_bomb"]
    write = f"from tests.hostile.corpus import write_corpus\nwrite_corpus(Path({str(tmp_path / 'c')!r}), 3, {bombs})\n"
    code = f"from pathlib import Path\n{write}print(Path('/proc/self/status').read_text())"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert sum(path.stat().st_size for path in (tmp_path / "c").rglob("*") if path.is_file()) < 4 << 20
    assert int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1]) < 1500 << 10


def test_bombs_really_unpack(tmp_path: Path):
    write_corpus(tmp_path / "c", 4, ["zip_bomb", "nii_gz_bomb", "res_deflate_bomb"])
    packed = (tmp_path / "c" / "nii_gz_bomb" / "ct.nii.gz").read_bytes()
    assert inflated(packed, 31) == 352 + (300 << 20)
    archive = (tmp_path / "c" / "zip_bomb" / "study.zip").read_bytes()
    assert inflated(archive[30 + len("CT0.dcm") :], -15) >= 500 << 20
    data = (tmp_path / "c" / "res_deflate_bomb" / "CT000.dcm").read_bytes()
    assert inflated(data[144 + int.from_bytes(data[140:144], "little") :], -15) > 180 << 20


def inflated(packed: bytes, window: int) -> int:
    """Return how many bytes a deflate stream gives, without keeping them."""
    opened, count = zlib.decompressobj(window), 0
    while packed and not opened.eof:
        count += len(opened.decompress(packed, 16 << 20))
        packed = opened.unconsumed_tail
    assert opened.eof
    return count


def test_the_truth_is_what_a_plain_reader_finds_in_the_control(tmp_path: Path):
    import pydicom

    case = write_corpus(tmp_path / "c", 5, ["control_good_series"])[0]
    truth = np.load(tmp_path / "c" / case.truths[0].file)
    read = sorted(
        (pydicom.dcmread(path) for path in (tmp_path / "c" / case.id).iterdir()),
        key=lambda one: float(one.ImagePositionPatient[2]),
    )
    hu = np.stack([one.pixel_array.astype(int) * int(one.RescaleSlope) + int(one.RescaleIntercept) for one in read])
    np.testing.assert_array_equal(hu, truth["hu"])
    np.testing.assert_array_equal([one.ImagePositionPatient for one in read], truth["origins_mm"])
    nodule = truth["hu"][len(hu) // 2] > 0
    assert nodule[:, nodule.shape[1] * 2 // 3 : nodule.shape[1] * 3 // 4].any()


def test_writing_the_corpus_leaves_pydicom_as_it_was(tmp_path: Path):
    from pydicom import config

    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    write_corpus(tmp_path / "c", 1, ["geo_no_ipp"])
    assert (config.settings.writing_validation_mode, config.settings.reading_validation_mode) == before


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open") or sys.platform != "linux", reason="needs Linux")
