"""Which state of a report may follow which, and which only a person brings about.

States are those of FHIR R4 ``DiagnosticReport.status``; a final report is never changed in place: what comes after it is amended,
corrected (it was wrong) or appended (it was not all), and the earlier version stays readable.
"""

from medomni.types.report import ReportState

_OPEN = (ReportState.DRAFT, ReportState.PRELIMINARY)
_AFTER_FINAL = (ReportState.AMENDED, ReportState.CORRECTED, ReportState.APPENDED)
FOLLOWS = {
    ReportState.DRAFT: (*_OPEN, ReportState.FINAL, ReportState.ENTERED_IN_ERROR),
    ReportState.PRELIMINARY: (ReportState.PRELIMINARY, ReportState.FINAL, ReportState.ENTERED_IN_ERROR),
    ReportState.FINAL: (*_AFTER_FINAL, ReportState.ENTERED_IN_ERROR),
    **dict.fromkeys(_AFTER_FINAL, (*_AFTER_FINAL, ReportState.ENTERED_IN_ERROR)),
    ReportState.ENTERED_IN_ERROR: (),
}
"""The states that may follow each state; a report taken back stays taken back."""
SIGNED = (ReportState.FINAL, *_AFTER_FINAL)
"""States that hold a person's signature."""


def may_follow(before: ReportState, after: ReportState) -> bool:
    """Whether a version in one state may be followed by one in another."""
    return after in FOLLOWS[before]
