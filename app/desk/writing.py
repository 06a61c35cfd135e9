"""What people do to a report: edit, go back, sign, add below, correct. Each is one version, or nothing.

    Desk, Person, report, expected version, key -> Saved

The key makes a request that is sent twice count once; a version that is not the expected one any more is refused.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from sqlalchemy import Connection

from app import kill
from app.desk.desk import Desk
from app.store import reports
from app.store.database import reading, transaction
from app.store.errors import NotAllowed
from app.store.people import MAY_SIGN, Person, require
from app.store.reports import Change, Saved, Version
from medomni.errors import BadInput
from medomni.reporting import edit
from medomni.reporting.second_look import Difference, second_look
from medomni.reporting.states import SIGNED
from medomni.types.edit import Edit, Insert, Writer
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.report import Origin, Report, ReportState, Sentence, Signature
from medomni.types.section import SectionName

TOLD_OTHERWISE = ("sentence_without_receipt",)
AS_DIFFERENCE = ("denied_but_found", "claimed_without_finding")
"""Warnings of the linter that a difference of the second look tells already, about the same label."""


@dataclass(frozen=True)
class Asked:
    """Which report a person means: its id, the version they look at, and the key of this request."""

    report_id: str
    expected: int
    key: str


@dataclass(frozen=True)
class OpenPoint:
    """What a person must look at before they sign; ``code`` is what a signature confirms.

    It is about a notice (a contradiction or a warning), a difference of the second look, or a sentence without proof.
    """

    code: str
    about: Notice | Difference | Sentence


def report_of(version: Version) -> Report:
    """The report of a stored version."""
    return _parsed(version.content)


@lru_cache(maxsize=32)
def _parsed(content: str) -> Report:
    """A version never changes, and most are looked at more than once: shown, then edited."""
    return Report.model_validate_json(content)


def current(desk: Desk, report_id: str, number: int | None = None) -> Version:
    """The newest version of a report, or that of a number, verified."""
    with reading(desk.engine) as tx:
        return reports.read(tx, report_id, number)


def change(desk: Desk, person: Person, asked: Asked, edits: tuple[Edit, ...]) -> Saved:
    """Save a report after edits.

    Raises:
        Stale: somebody else saved meanwhile.
        BadInput: an edit does not fit the report.
        NotAllowed: it is signed, or the person may not edit.
    """
    return _carry_out(desk, person, asked, f"change {_json(edits)}", lambda tx, report: (edit.apply(report, edits), None))


def go_back(desk: Desk, person: Person, asked: Asked, number: int) -> Saved:
    """Save the text of an earlier version as the newest: nothing is taken away, and it can be gone back on."""

    def work(tx: Connection, report: Report) -> tuple[Report, None]:
        earlier = report_of(reports.read(tx, asked.report_id, number))
        return earlier.model_copy(update={"state": report.state}), None

    return _carry_out(desk, person, asked, f"go back {number}", work)


def preview(desk: Desk, report_id: str, edits: tuple[Edit, ...]) -> Report:
    """Return what a report would be after edits; nothing is saved. A signed one is opened again for it."""
    report = report_of(current(desk, report_id))
    is_addendum = all(isinstance(one, Insert) and one.section is SectionName.ADDENDUM for one in edits)
    opened = edit.reopened(report) if report.state in SIGNED and not is_addendum else report
    return edit.apply(opened, edits)


def to_confirm(report: Report) -> tuple[OpenPoint, ...]:
    """What a person must look at before they sign a report, the most serious first."""
    of_level = {level: [notice for notice in report.notices if notice.level is level] for level in NoticeLevel}
    differing = second_look(report)
    labels = {one.label for one in differing}
    warned = [
        notice
        for notice in of_level[NoticeLevel.WARNING]
        if notice.code not in TOLD_OTHERWISE and not (notice.code in AS_DIFFERENCE and notice.fields.get("label") in labels)
    ]
    return (
        *(OpenPoint(f"unsafe:{notice.code}", notice) for notice in of_level[NoticeLevel.UNSAFE]),
        *(OpenPoint(one.code, one) for one in differing),
        *(OpenPoint(f"warned:{notice.code}:{notice.fields.get('label', '')}", notice) for notice in warned),
        *(
            OpenPoint(f"unproven:{name.value}:{index}", sentence)
            for name, section in report.sections.items()
            for index, sentence in enumerate(section.sentences)
            if sentence.receipt is None
        ),
    )


def sign(
    desk: Desk, person: Person, asked: Asked, state: ReportState, confirmed: frozenset[str], edits: tuple[Edit, ...] = ()
) -> Saved:
    """Sign a report as final, or a signed one again as amended or corrected after edits.

    Args:
        desk: where.
        person: a radiologist.
        asked: which report and version.
        state: what the report becomes.
        confirmed: the points of ``to_confirm`` that the person has looked at.
        edits: changes that become part of this version.

    Raises:
        BadInput: a point was not confirmed.
        NotAllowed: this person may not sign, or this state may not follow.
        Stale: somebody else saved meanwhile.
    """
    require(person, MAY_SIGN)

    def work(tx: Connection, report: Report) -> tuple[Report, ReportState]:
        is_again = state in (ReportState.AMENDED, ReportState.CORRECTED)
        if is_again and (report.state not in SIGNED or not edits):
            raise NotAllowed("there is nothing to amend or correct", remedy="sign first, then change what is wrong")
        text = edit.reopened(report) if is_again else report
        text = edit.apply(text, edits) if edits else text
        left = {point.code for point in to_confirm(text)} - confirmed
        if left:
            raise BadInput(
                "not everything was confirmed", found=f"{len(left)} points", remedy="look at each point and confirm it"
            )
        return edit.signed(text, _signature(person, state)), state

    return _carry_out(desk, person, asked, f"sign {state} {sorted(confirmed)} {_json(edits)}", work)


def append(desk: Desk, person: Person, asked: Asked, text: str, origin: Origin = Origin.TYPED) -> Saved:
    """Add an addendum below a signed report and sign it."""
    require(person, MAY_SIGN)

    def work(tx: Connection, report: Report) -> tuple[Report, ReportState]:
        if report.state not in SIGNED:
            raise NotAllowed("only a signed report gets an addendum", remedy="edit the report itself")
        below = report.sections.get(SectionName.ADDENDUM)
        writer: Writer = Origin.DICTATED if origin is Origin.DICTATED else Origin.TYPED
        at = len(below.sentences) if below else 0
        added = edit.apply(report, (Insert(section=SectionName.ADDENDUM, index=at, text=text, origin=writer),))
        return edit.signed(added, _signature(person, ReportState.APPENDED)), ReportState.APPENDED

    return _carry_out(desk, person, asked, f"append {origin} {text}", work)


def move(desk: Desk, person: Person, asked: Asked, state: ReportState) -> Saved:
    """Give a report a state without a signature: preliminary (read, not signed yet) or entered in error.

    Raises:
        NotAllowed: the state needs a signature, may not follow, or this person may not give it.
    """
    if state in SIGNED:
        raise NotAllowed("this state needs a signature", remedy="sign the report")
    return _carry_out(desk, person, asked, f"move {state}", lambda tx, report: (report, state))


def _carry_out(
    desk: Desk,
    person: Person,
    asked: Asked,
    what: str,
    work: Callable[[Connection, Report], tuple[Report, ReportState | None]],
) -> Saved:
    """Do a piece of work on the version a person looks at and save it; what was answered before is answered again."""
    with reading(desk.engine) as tx:  # a version never changes: nobody waits while its text is worked on
        told = reports.answered(tx, person, Change(asked.report_id, asked.expected, "", asked.key, None, what))
        if told is not None:
            return told
        before = reports.newest(tx, asked.report_id, asked.expected)
        report, state = work(tx, report_of(before))
        content = report.model_copy(update={"state": state or before.state}).model_dump_json()
    with transaction(desk.engine) as tx:
        reports.hold(tx, person, asked.report_id)
        saved = reports.save(tx, person, Change(asked.report_id, asked.expected, content, asked.key, state, what))
    kill.at("edit.saved")
    return saved


def _json(edits: tuple[Edit, ...]) -> str:
    return json.dumps([one.model_dump(mode="json") for one in edits], ensure_ascii=False, sort_keys=True)


def _signature(person: Person, state: ReportState) -> Signature:
    return Signature(name=person.name, role=person.role.value, at=datetime.now(UTC).replace(microsecond=0), state=state)
