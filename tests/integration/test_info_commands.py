import json

import pytest


def test_info_lists_series_and_the_chosen_one(medomni, study):
    facts = json.loads(medomni("info", study, "--json").out)
    assert [series["is_chosen"] for series in facts["series"]] == [True]
    assert facts["geometry"]["slices_rows_columns"] == [60, 128, 128]
    assert facts["patient"]["patient_id"] == "stated"


def test_doctor_finds_this_installation_well(medomni):
    done = medomni("doctor", "--json")
    assert done.code == 0, done.out
    assert {line["part"] for line in json.loads(done.out)["checks"]} >= {"python", "torch build", "name app", "codec JPEG-LS"}


def test_phantom_is_a_study_that_can_be_opened(medomni, tmp_path):
    done = medomni("phantom", "--count", 1, "--seed", 3, "--out", tmp_path / "p", "--json")
    assert done.code == 0, done.err
    (case,) = json.loads(done.out)["cases"]
    assert json.loads(medomni("info", f"{case}/dicom", "--json").out)["series"][0]["modality"] == "CT"
    again = medomni("phantom", "--seed", 3, "--out", tmp_path / "p")
    assert (again.code, sorted(path.name for path in (tmp_path / "p").iterdir())) == (3, ["case-0003", "gallery.html"])


def test_phantom_refuses_unknown_regions_and_languages(medomni, tmp_path):
    assert medomni("phantom", "--region", "head", "--out", tmp_path / "p").code == 2
    assert medomni("phantom", "--lang", "fr", "--out", tmp_path / "p").code == 2
    assert not (tmp_path / "p").exists()


@pytest.mark.slow
def test_phantoms_do_not_depend_on_the_number_of_processes(medomni, tmp_path):
    for jobs in (1, 2):
        done = medomni("phantom", "--count", 2, "--seed", 8, "--region", "abdomen", "--jobs", jobs, "--out", tmp_path / str(jobs))
        assert done.code == 0, done.err
    one, two = (
        {path.relative_to(tmp_path / jobs): path.read_bytes() for path in (tmp_path / jobs).rglob("*") if path.is_file()}
        for jobs in ("1", "2")
    )
    assert one == two
