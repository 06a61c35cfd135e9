"""Compares a study with an earlier one: how many days lie between them, and whether they show the same patient.

The earlier one is a CT study, whose header is read, or the report.json of one, which holds neither dates nor names.
What the earlier report states goes along; what became of it is told by ``medomni.reporting.follow_up``.
"""

from datetime import date
from pathlib import Path

from medomni.errors import BadInput
from medomni.export.report_file import read_report
from medomni.pipeline import study_key
from medomni.reporting.follow_up import comparable
from medomni.reporting.states import SIGNED
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.report import Prior, Report, ReportState
from medomni.types.study import Identity, Study
from preprocessing.dicom import open_study


def compare(prior: Path, report: Report | None, study: Study) -> tuple[Prior | None, tuple[Notice, ...]]:
    """Return what the study is compared with, and what about the comparison is not certain; a study is not its own prior.

    Args:
        prior: an earlier study, or its report.json.
        report: what was reported of an earlier study; of no other one.
        study: the one of now.

    Raises:
        BadInput: the earlier study or report cannot be read, or the report is of another study.
    """
    if prior.suffix.lower() == ".json":
        return _compare_report(read_report(prior), study)
    earlier = open_study(prior)
    if report is not None and report.provenance.study_key != study_key(earlier):
        raise BadInput(
            "the earlier report is of another study than the earlier study",
            remedy="give the report that was drafted from this study, or leave one of them out",
            where=prior.name,
        )
    if study_key(earlier) == study_key(study):
        return None, (_same_study(),)
    days = days_between(earlier.identity.study_date, study.identity.study_date)
    notices = (Notice(code="prior_undated", level=NoticeLevel.WARNING),) if days is None else ()
    value = Prior(kind="study", days_before=days, is_same_patient=is_same_patient(earlier.identity, study.identity))
    if report is None:
        return value, notices
    unknown = (_unknown_patient(),) if value.is_same_patient is None else ()
    return value.model_copy(update=_stated(report)), (*notices, *unknown)


def days_between(earlier: str, later: str) -> int | None:
    """Return the days from one DICOM date (YYYYMMDD) to another, negative when they are the other way round.

    >>> days_between("20240101", "20240131")
    30
    """
    try:
        return (date.fromisoformat(later) - date.fromisoformat(earlier)).days if earlier and later else None
    except ValueError:
        return None


def is_same_patient(one: Identity, other: Identity) -> bool | None:
    """Return whether two studies state the same patient; None when they do not state enough to tell.

    Identifiers count when both are stated under the same issuer; otherwise name and birth date together.
    """
    if one.patient_id and other.patient_id and one.patient_id_issuer == other.patient_id_issuer:
        return one.patient_id == other.patient_id
    if one.patient_name and other.patient_name and one.birth_date and other.birth_date:
        return (_plain(one.patient_name), one.birth_date) == (_plain(other.patient_name), other.birth_date)
    return None


def _compare_report(report: Report, study: Study) -> tuple[Prior | None, tuple[Notice, ...]]:
    """A report.json states no date and no patient, so both stay unknown and the draft says so."""
    if report.provenance.study_key == study_key(study):
        return None, (_same_study(),)
    undated = Notice(code="prior_undated", level=NoticeLevel.WARNING)
    return Prior(kind="report", **_stated(report)), (undated, _unknown_patient())


def _stated(report: Report) -> dict[str, object]:
    """What an earlier report says that can be compared.

    Raises:
        BadInput: it was entered in error.
    """
    if report.state is ReportState.ENTERED_IN_ERROR:
        raise BadInput("the earlier report was entered in error", remedy="give another report, or the earlier study alone")
    return {"findings": comparable(report.findings), "is_signed": report.state in SIGNED}


def _unknown_patient() -> Notice:
    return Notice(code="prior_patient_unknown", level=NoticeLevel.WARNING)


def _same_study() -> Notice:
    return Notice(code="prior_is_this_study", level=NoticeLevel.WARNING)


def _plain(name: str) -> str:
    """A patient name without the case and the empty parts that two machines write differently."""
    return " ".join(name.replace("^", " ").upper().split())
