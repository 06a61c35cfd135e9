import pytest

from medomni.errors import BadInput
from medomni.pipeline import study_key
from medomni.types.report import ReportState
from medomni.types.study import Identity
from preprocessing import prior
from preprocessing.prior import compare, days_between, is_same_patient
from tests import factories, reports


def identity(**fields):
    return Identity(study_instance_uid="1.2.3", series_instance_uid="1.2.4", **fields)


def studied(monkeypatch, earlier):
    """Let ``compare`` find ``earlier`` at any path."""
    monkeypatch.setattr(prior, "open_study", lambda path: earlier)


@pytest.mark.parametrize(
    ("earlier", "later", "days"),
    [
        ("20240101", "20240131", 30),
        ("20240301", "20240228", -2),
        ("20240101", "20240101", 0),
        ("", "20240101", None),
        ("20240101", "", None),
        ("20240231", "20240301", None),
        ("not a date", "20240301", None),
    ],
)
def test_days_are_counted_between_real_dates_only(earlier, later, days):
    assert days_between(earlier, later) == days


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"patient_id": "7"}, {"patient_id": "7"}, True),
        ({"patient_id": "7"}, {"patient_id": "8"}, False),
        ({"patient_id": "7"}, {}, None),
        ({}, {}, None),
        ({"patient_id": "7", "patient_id_issuer": "A"}, {"patient_id": "7", "patient_id_issuer": "B"}, None),
        (
            {"patient_name": "DOE^JANE", "birth_date": "19600101"},
            {"patient_name": "Doe^Jane^^", "birth_date": "19600101"},
            True,
        ),
        (
            {"patient_name": "DOE^JANE", "birth_date": "19600101"},
            {"patient_name": "DOE^JANE", "birth_date": "19610101"},
            False,
        ),
        ({"patient_name": "DOE^JANE"}, {"patient_name": "DOE^JANE"}, None),
    ],
)
def test_same_patient_is_told_only_from_what_both_state(one, other, same):
    assert is_same_patient(identity(**one), identity(**other)) is same


def test_the_same_study_is_no_prior(tmp_path, monkeypatch):
    study = factories.study()
    studied(monkeypatch, study)
    value, notices = compare(tmp_path, None, study)
    assert (value, [notice.code for notice in notices]) == (None, ["prior_is_this_study"])


def test_the_report_of_the_same_study_is_no_prior(tmp_path):
    study = factories.study()
    provenance = reports.report().provenance.model_copy(update={"study_key": study_key(study)})
    (tmp_path / "report.json").write_text(reports.report(provenance=provenance).model_dump_json())
    value, notices = compare(tmp_path / "report.json", None, study)
    assert (value, [notice.code for notice in notices]) == (None, ["prior_is_this_study"])


def test_report_that_is_none_is_refused_by_name(tmp_path):
    (tmp_path / "report.json").write_text('{"findings": []}')
    with pytest.raises(BadInput, match=r"^report\.json: is no report of MedOmni; \d+ fields"):
        compare(tmp_path / "report.json", None, factories.study())


def test_report_of_the_earlier_study_brings_its_findings(tmp_path, monkeypatch):
    earlier = factories.study(key="then")
    studied(monkeypatch, earlier)
    provenance = reports.report().provenance.model_copy(update={"study_key": study_key(earlier)})
    value, _ = compare(tmp_path, reports.report(provenance=provenance), factories.study())
    assert [finding.label for finding in value.findings][:3] == ["lung_opacity", "lung_nodule", "pleural_effusion"]


def test_report_of_another_study_than_the_earlier_one_is_refused(tmp_path, monkeypatch):
    studied(monkeypatch, factories.study(key="then"))
    with pytest.raises(BadInput, match="the earlier report is of another study"):
        compare(tmp_path, reports.report(), factories.study())


def test_a_report_alone_is_compared_with_a_warning(tmp_path):
    (tmp_path / "report.json").write_text(reports.report().model_dump_json())
    value, notices = compare(tmp_path / "report.json", None, factories.study())
    assert value.findings
    assert [notice.code for notice in notices] == ["prior_undated", "prior_patient_unknown"]


def test_a_report_entered_in_error_is_no_earlier_report(tmp_path, monkeypatch):
    wrong = reports.report(state=ReportState.ENTERED_IN_ERROR)
    (tmp_path / "report.json").write_text(wrong.model_dump_json())
    with pytest.raises(BadInput, match="entered in error"):
        compare(tmp_path / "report.json", None, factories.study())


def test_a_study_that_states_no_patient_is_compared_with_a_warning(tmp_path, monkeypatch):
    earlier = factories.study(key="then", identity=identity(), source_name="then")
    studied(monkeypatch, earlier)
    provenance = reports.report().provenance.model_copy(update={"study_key": study_key(earlier)})
    value, notices = compare(tmp_path, reports.report(provenance=provenance), factories.study())
    assert value.findings
    assert value.is_same_patient is None
    assert "prior_patient_unknown" in {notice.code for notice in notices}
