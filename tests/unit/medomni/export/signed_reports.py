"""Reports as they leave the desk: edited, signed, amended, with an addendum, taken back."""

from datetime import UTC, datetime, timedelta, timezone

from medomni.reporting.edit import apply, signed
from medomni.types.edit import Insert, Judge, Reword
from medomni.types.report import Origin, ReportState, Signature, Verdict
from medomni.types.section import SectionName
from tests import reports

ROSSI, SATO = "Dr. Ana Rossi", "Dr. Ken Sato"
BEIJING = timezone(timedelta(hours=8))
ADDENDUM = "Compared with the outside study of May: unchanged."


def by(name=ROSSI, state=ReportState.FINAL, at=datetime(2024, 1, 2, 18, 30, tzinfo=BEIJING), role="radiologist"):
    """One signature; 18:30 in Beijing is 10:30 UTC."""
    return Signature(name=name, role=role, at=at, state=state)


def edited(language="en"):
    """An ordinary report, one sentence reworded by hand, one dictated, one finding rejected, one accepted."""
    words = reports.WORDS[language]
    return apply(
        reports.report(language),
        [
            Reword(section=SectionName.FINDINGS, index=0, text=words["opacity"].replace("120 mL", "120 mL, solid")),
            Insert(section=SectionName.IMPRESSION, index=9, text="Control in 6 weeks.", origin=Origin.DICTATED),
            Judge(finding_id="lung_nodule-1", verdict=Verdict.REJECTED),
            Judge(finding_id="lymphadenopathy", verdict=Verdict.ACCEPTED),
        ],
    )


def final(language="en"):
    """The edited report, signed."""
    return signed(edited(language), by())


def later(state, of=None, name=SATO, days=1):
    """The next signed version of a signed report; an appended one holds an addendum."""
    report = of or final()
    if state is ReportState.APPENDED:
        report = apply(report, [Insert(section=SectionName.ADDENDUM, index=99, text=ADDENDUM)])
    return signed(report, by(name, state, datetime(2024, 1, 2 + days, 9, 5, tzinfo=UTC)))
