"""What people did to a report, in words: who signed it and when, and which findings they rejected.

Knows nothing about formats. A report that was opened again holds the signatures of its earlier versions; none of them is
shown under the text that is being changed.
"""

from datetime import UTC, datetime

from medomni.errors import BadInput
from medomni.export.words import UNSIGNED, say
from medomni.reporting.cleaned import clean
from medomni.reporting.states import SIGNED
from medomni.types.finding import Finding, Presence
from medomni.types.report import Report, Signature, Verdict


def is_signed(report: Report) -> bool:
    """Whether the last signature, by somebody with a name, gave the report the state that it states."""
    last = report.signatures[-1] if report.signatures else None
    return report.state in SIGNED and last is not None and last.state is report.state and bool(clean(last.name))


def signatures(report: Report) -> tuple[Signature, ...]:
    """Return the signatures that stand under the text, in order of time; none under a draft."""
    return () if report.state in UNSIGNED else report.signatures


def signature_lines(report: Report) -> tuple[tuple[str, str], ...]:
    """Return (who signed in which role as what, when in UTC) of each signature."""
    return tuple((_line(one, report.language), f"{moment(one):%Y-%m-%d %H:%M} UTC") for one in signatures(report))


def moment(signature: Signature) -> datetime:
    """Return when a signature was given, in UTC.

    Raises:
        BadInput: the signature states no time zone, so that nobody knows the moment.
    """
    if signature.at.tzinfo is None:
        raise BadInput("a signature states no time zone", remedy="sign with the time and its zone")
    return signature.at.astimezone(UTC)


def is_rejected(finding: Finding, report: Report) -> bool:
    """Whether a person took back what the machine had found, and nobody has stated it since."""
    return report.verdicts.get(finding.id) is Verdict.REJECTED and finding.presence is Presence.ABSENT


def _line(signature: Signature, language: str) -> str:
    who, role = clean(signature.name), clean(signature.role)
    if role:
        who = say("signed_in_role", language, who=who, role=role)
    state = say(f"state_{signature.state}", language).lower()
    return say("signed_by", language, who=who, state=state)
