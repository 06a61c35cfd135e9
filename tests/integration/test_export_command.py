import json

import pytest

from tests.integration.bundles import timeless


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export") / "draft"


@pytest.fixture
def draft(folder, medomni, study):
    if not folder.exists():
        assert medomni("draft", study, "--out", folder).code == 0
    return folder


def test_text_again_is_the_text_of_the_draft(draft, medomni, tmp_path):
    done = medomni("export", draft / "report.json", "--to", "text", "--out", tmp_path / "r.txt")
    assert done.code == 0
    assert (tmp_path / "r.txt").read_bytes() == (draft / "report.txt").read_bytes()


def test_fhir_with_its_study_is_the_bundle_of_the_draft(draft, medomni, study, tmp_path):
    done = medomni("export", draft / "report.json", "--to", "fhir-r4", "--study", study, "--out", tmp_path / "b.json")
    assert (done.code, done.err) == (0, "")
    assert timeless(tmp_path / "b.json") == timeless(draft / "fhir-r4.json")


def test_fhir_without_its_study_names_no_patient_and_says_so(draft, medomni, tmp_path):
    done = medomni("export", draft / "report.json", "--to", "fhir-r4", "--out", tmp_path / "b.json")
    assert done.code == 0
    assert "--study" in done.err
    assert "PHANTOM-" not in (tmp_path / "b.json").read_text(encoding="utf-8")
    assert medomni("export", tmp_path / "b.json", "--check").code == 0


def test_another_study_is_refused(draft, medomni, normal_study, tmp_path):
    done = medomni("export", draft / "report.json", "--to", "fhir-r4", "--study", normal_study, "--out", tmp_path / "b")
    assert done.code == 3
    assert "not the one of the report" in done.err
    assert list(tmp_path.iterdir()) == []


def test_html_is_written(draft, medomni, tmp_path):
    assert medomni("export", draft / "report.json", "--to", "html", "--out", tmp_path / "r.html").code == 0
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_checker_lists_what_is_wrong(draft, medomni, tmp_path):
    bundle = json.loads((draft / "fhir-r4.json").read_bytes())
    bundle["entry"][-1]["fullUrl"] = bundle["entry"][0]["fullUrl"]
    (tmp_path / "b.json").write_text(json.dumps(bundle), encoding="utf-8")
    done = medomni("export", tmp_path / "b.json", "--check", "--json")
    assert done.code == 3
    assert json.loads(done.out)["problems"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"resourceType": "Bundle"}', "<xml/>", "[" * 100_000])
def test_report_that_is_none_is_one_line(medomni, tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    done = medomni("export", tmp_path / "r.json", "--to", "text", "--out", tmp_path / "r.txt")
    assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)
    assert not (tmp_path / "r.txt").exists()


def test_target_and_file_are_needed(draft, medomni):
    assert medomni("export", draft / "report.json").code == 2
