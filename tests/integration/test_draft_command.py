import hashlib
import json

import pytest

from medomni import pipeline
from medomni.export.fhir_check import check_bundle
from medomni.types.finding import Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.report import ReceiptKind, Report
from medomni.types.run import RunRecord
from tests.integration.bundles import FHIR, timeless

FILES = {"report.json", "report.txt", "report.html", "fhir-r4.json", "segmentation.nii.gz", "run.json"}
HISTORY = "72-year-old woman. Shortness of breath for 3 days."


@pytest.fixture
def drafted(medomni, study, tmp_path):
    out = tmp_path / "draft"
    done = medomni("draft", study, "--history", HISTORY, "--out", out)
    assert done.code == 0, done.err
    return out, done


def report_of(folder):
    return Report.model_validate_json((folder / "report.json").read_bytes())


def run_of(folder):
    return RunRecord.model_validate_json((folder / "run.json").read_bytes())


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_draft_leaves_exactly_its_six_files(drafted):
    out, done = drafted
    assert names(out) == FILES
    assert names(out.parent) == {"draft"}
    assert done.err == ""


def test_summary_shows_impression_and_files(drafted):
    out, done = drafted
    impression = report_of(out).sections["impression"]
    assert impression.sentences
    for sentence in impression.sentences:
        assert sentence.text in done.out
    assert str(out / "report.html") in done.out


def test_every_label_is_stated_and_every_sentence_has_a_receipt(drafted):
    report = report_of(drafted[0])
    assert len({finding.label for finding in report.findings}) >= 18
    assert all(sentence.receipt for section in report.sections.values() for sentence in section.sentences)


def test_placed_fluid_is_found_on_its_side_and_worded(drafted):
    report = report_of(drafted[0])
    seen = [f for f in report.findings if f.label == "pleural_effusion" and f.presence in (Presence.PRESENT, Presence.UNCERTAIN)]
    assert [finding.laterality for finding in seen] == ["right"]
    sentences = report.sections["impression"].sentences
    assert any("effusion" in sentence.text and "right" in sentence.text.lower() for sentence in sentences)


def test_history_is_proven_by_its_characters(drafted):
    sentences = report_of(drafted[0]).sections["indication"].sentences
    assert any(sentence.receipt.kind is ReceiptKind.HISTORY for sentence in sentences)


def test_bundle_passes_our_own_checker(drafted, medomni):
    out, _ = drafted
    assert check_bundle(json.loads((out / "fhir-r4.json").read_bytes())) == ()
    done = medomni("export", out / "fhir-r4.json", "--check")
    assert (done.code, done.out) == (0, "fhir-r4.json: no problem found\n")


def test_label_map_lies_on_the_grid_and_holds_the_lesion(drafted, medomni, study, tmp_path):
    import nibabel

    image = nibabel.load(drafted[0] / "segmentation.nii.gz")
    assert sorted(image.shape) == [60, 128, 128]
    labels = json.loads(medomni("segment", study, "--out", tmp_path / "s.nii.gz", "--json").out)["labels"]
    assert "pleural_effusion" in labels.values()
    assert {int(label) for label in labels} >= set(image.get_fdata().astype(int).ravel()) - {0}


def test_run_record_holds_cost_digests_and_counts(drafted):
    out, _ = drafted
    run = run_of(out)
    assert [stage.stage for stage in run.stages] == [
        "read",
        "assemble",
        "segment",
        "measure",
        "detect",
        "look",
        "compose",
        "word",
        "write",
    ]
    assert all(stage.peak_mib > 0 for stage in run.stages)
    assert sum(run.findings.values()) == len(report_of(out).findings)
    assert set(run.files) == FILES - {"run.json"}
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == digest for name, digest in run.files.items())


@pytest.mark.parametrize("cache_mib", [0, 1024])
def test_same_study_gives_the_same_bytes_worked_out_again_or_kept(drafted, medomni, study, tmp_path, monkeypatch, cache_mib):
    again = tmp_path / "again"
    monkeypatch.setenv("MEDOMNI_CACHE_MIB", str(cache_mib))
    medomni("draft", study, "--history", HISTORY, "--out", again)
    here, there = ({name: digest for name, digest in run_of(out).files.items() if name != FHIR} for out in (again, drafted[0]))
    assert here == there
    assert timeless(again / FHIR) == timeless(drafted[0] / FHIR)


def test_json_answer_is_one_object(medomni, study, tmp_path):
    done = medomni("draft", study, "--out", tmp_path / "d", "--json", "--quiet")
    answer = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert set(answer) == {"out", "impression", "notices", "run"}


def test_both_languages_state_the_same_facts(drafted, medomni, study, tmp_path):
    done = medomni("draft", study, "--history", HISTORY, "--lang", "zh", "--out", tmp_path / "zh")
    assert done.code == 0, done.err
    english, chinese = report_of(drafted[0]), report_of(tmp_path / "zh")
    assert chinese.findings == english.findings
    assert "胸腔积液" in (tmp_path / "zh" / "report.txt").read_text(encoding="utf-8")


def test_full_folder_needs_force(drafted, medomni, study):
    out, _ = drafted
    before = (out / "run.json").read_bytes()
    refused = medomni("draft", study, "--out", out)
    assert (refused.code, refused.out) == (3, "")
    assert (out / "run.json").read_bytes() == before
    assert medomni("draft", study, "--out", out, "--force").code == 0
    assert names(out) == FILES


def test_unsafe_draft_is_withheld_with_its_reason(medomni, study, tmp_path, monkeypatch):
    contradiction = Notice(code="prior_is_this_study", level=NoticeLevel.UNSAFE)
    monkeypatch.setattr(pipeline, "review", lambda draft: (contradiction,))
    done = medomni("draft", study, "--out", tmp_path / "d")
    assert (done.code, done.out) == (5, "")
    assert "this same study" in done.err
    assert list(tmp_path.iterdir()) == []


def test_earlier_study_is_compared_with_its_interval(medomni, study, normal_study, tmp_path):
    done = medomni("draft", study, "--prior", normal_study, "--out", tmp_path / "d")
    prior = report_of(tmp_path / "d").prior if done.code == 0 else None
    assert done.code in (0, 5)
    if prior is not None:
        assert (prior.kind, prior.days_before, prior.is_same_patient) == ("study", 184, False)


def test_earlier_report_is_compared_without_a_date(drafted, medomni, normal_study, tmp_path):
    done = medomni("draft", normal_study, "--prior", drafted[0] / "report.json", "--out", tmp_path / "d")
    assert done.code == 0, done.err
    report = report_of(tmp_path / "d")
    assert (report.prior.kind, report.prior.days_before) == ("report", None)
    assert "prior_undated" in {notice.code for notice in report.notices}


def test_study_given_as_its_own_prior_is_said(medomni, study, tmp_path):
    done = medomni("draft", study, "--prior", study, "--out", tmp_path / "d")
    assert done.code == 0, done.err
    assert "prior_is_this_study" in {notice.code for notice in report_of(tmp_path / "d").notices}


@pytest.mark.slow
def test_tracking_that_fails_costs_one_line_and_no_draft(medomni, study, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDOMNI_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    done = medomni("draft", study, "--out", tmp_path / "d", "--track")
    assert done.code == 0
    assert "not logged in MLflow" in done.err
    assert names(tmp_path / "d") == FILES
