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
    assert "names no patient" in done.err
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


TAMPERED = "No consolidation. Large left pneumothorax 99 mL."
FORMATS = ("text", "html", "fhir-r4")


def changed(draft, tmp_path, change):
    """A copy of the draft's report.json after ``change``."""
    report = json.loads((draft / "report.json").read_bytes())
    change(report)
    (tmp_path / "r.json").write_text(json.dumps(report), encoding="utf-8")
    return tmp_path / "r.json"


def with_impression(text):
    def change(report):
        report["sections"]["impression"]["sentences"][0]["text"] = text

    return change


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("text", [TAMPERED, "Large left pneumothorax 99 mL.", "No pleural effusion."])
def test_a_text_that_was_changed_against_its_findings_is_withheld(draft, medomni, tmp_path, to, text):
    report = changed(draft, tmp_path, with_impression(text))
    done = medomni("export", report, "--to", to, "--out", tmp_path / "out")
    assert (done.code, done.out, done.err.count("\n")) == (5, "", 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("state", ["preliminary", "final", "amended", "entered-in-error"])
def test_a_report_that_says_it_is_more_than_a_draft_is_refused(draft, medomni, tmp_path, to, state):
    report = changed(draft, tmp_path, lambda report: report.update(state=state))
    done = medomni("export", report, "--to", to, "--out", tmp_path / "out")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "no signature" in done.err
    assert not (tmp_path / "out").exists()


def test_an_unsafe_notice_in_the_file_counts_even_without_its_fields(draft, medomni, tmp_path):
    notice = {"code": "number_without_source", "level": "unsafe", "fields": {}}
    report = changed(draft, tmp_path, lambda report: report["notices"].append(notice))
    assert medomni("export", report, "--to", "text", "--out", tmp_path / "out").code == 5


def test_a_fact_that_no_history_can_hold_is_refused(draft, medomni, tmp_path):
    fact = {"concept": "nothing_known", "kind": "symptom", "start": 0, "end": 3}
    report = changed(draft, tmp_path, lambda report: report["context"].update(facts=[fact]))
    done = medomni("export", report, "--to", "text", "--out", tmp_path / "out")
    assert (done.code, done.err.count("\n")) == (3, 1)


def test_an_installed_exporter_is_accepted_and_an_unknown_one_told_which_there_are(draft, medomni, tmp_path, monkeypatch):
    from medomni.export import exporters

    done = medomni("export", draft / "report.json", "--to", "docx", "--out", tmp_path / "r")
    assert (done.code, "fhir-r4, html, pdf, text" in " ".join(done.err.split())) == (2, True)
    monkeypatch.setattr("medomni.plugins.names", lambda group: ("mine",))
    monkeypatch.setattr(exporters, "names", lambda group: ("mine",))
    monkeypatch.setattr(exporters, "load", lambda group, name: lambda report, study, options: report.state.encode())
    assert medomni("export", draft / "report.json", "--to", "mine", "--out", tmp_path / "r").code == 0
    assert (tmp_path / "r").read_bytes() == b"draft"


def test_target_and_file_are_needed(draft, medomni):
    assert medomni("export", draft / "report.json").code == 2
