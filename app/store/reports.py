"""Reports and their versions: every saved text stays, signed ones are what was signed, and nobody overwrites anybody.

    transaction, person, Change -> next version + row of the audit, both or neither

A change names the version that it was made from; when another is there by now it is refused. A change whose key was answered
before is answered again and not carried out twice. The hash of a version binds text, state and author; every read verifies it.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, update

from app import kill
from app.store import audit
from app.store.errors import NotAllowed, NotThere, Stale, Tampered
from app.store.people import MAY_EDIT, MAY_SIGN, Person, Role, require
from app.store.tables import answers, reports, versions
from medomni.reporting.states import SIGNED, may_follow
from medomni.types.report import ReportState

HOLD_S = 900.0
"""How long a report stays held after the last sign of its holder."""
_ACTIONS = {ReportState.ENTERED_IN_ERROR: audit.Action.TAKEN_BACK, **dict.fromkeys(SIGNED, audit.Action.SIGNED)}


@dataclass(frozen=True)
class Version:
    """One saved text of a report; ``content`` is its JSON."""

    report_id: str
    number: int
    state: ReportState
    content: str
    sha256: str
    author_id: str
    saved_at: float


@dataclass(frozen=True)
class Change:
    """What a person wants saved.

    Attributes:
        expected: number of the version that was changed.
        content: the whole text, as JSON.
        key: of this request; the same key with the same request is carried out once.
        state: the state that the report shall have then; None leaves it.
        request: what was asked for, where the text follows from it and from the moment; else the text is the request.
    """

    report_id: str
    expected: int
    content: str
    key: str
    state: ReportState | None = None
    request: str = ""


@dataclass(frozen=True)
class Saved:
    """What a person is told of a save."""

    report_id: str
    number: int
    state: ReportState
    sha256: str


def begin(tx: Connection, machine: Person, study_id: str, content: str) -> Saved:
    """Keep a draft as the first version of its study's report; a study that has a report keeps that one."""
    require(machine, (Role.MACHINE,))
    row = tx.execute(select(reports).where(reports.c.study_id == study_id)).first()
    if row is not None:
        version = read(tx, row.id)
        return Saved(row.id, version.number, version.state, version.sha256)
    made = secrets.token_hex(16)
    tx.execute(reports.insert().values(id=made, study_id=study_id, number=0, state=ReportState.DRAFT.value, held_until=0.0))
    return _add(tx, machine, made, 0, ReportState.DRAFT, content, audit.Action.DRAFTED)


def save(tx: Connection, person: Person, change: Change) -> Saved:
    """Save a change as the next version; a state that signs or takes back needs a radiologist.

    Raises:
        Stale: another version is there by now.
        NotAllowed: the report is signed, this state may not follow, or the person may not do that.
    """
    is_open = change.state in (None, ReportState.PRELIMINARY)
    require(person, MAY_EDIT if is_open else MAY_SIGN)

    def work() -> Saved:
        before = _head(tx, change.report_id, change.expected)
        state = change.state or before
        if not may_follow(before, state) or (change.state is None and before in SIGNED):
            raise NotAllowed(
                f"a report that is {before.value} cannot become {state.value}",
                remedy="amend, correct or append to a signed report",
            )
        action = _ACTIONS.get(state, audit.Action.SAVED)
        return _add(tx, person, change.report_id, change.expected, state, change.content, action)

    return _once(tx, person, change, work)


def answered(tx: Connection, person: Person, change: Change) -> Saved | None:
    """What a person was told when they sent the same request before; None where they did not.

    Raises:
        NotAllowed: the key belongs to another request.
    """
    row = tx.execute(select(answers).where(answers.c.person_id == person.id, answers.c.key == change.key)).first()
    if row is None:
        return None
    if row.asked_sha256 != _asked(change):
        raise NotAllowed("this key belongs to another request", remedy="send a new key with each new request")
    told = json.loads(row.answer)
    return Saved(told["report_id"], told["number"], ReportState(told["state"]), told["sha256"])


def read(tx: Connection, report_id: str, number: int | None = None) -> Version:
    """Return a version, the newest without a number, after its hash was verified.

    Raises:
        NotThere: there is none.
        Tampered: its hash does not fit.
    """
    newest = select(versions).where(versions.c.report_id == report_id).order_by(versions.c.number.desc()).limit(1)
    row = tx.execute(newest if number is None else newest.where(versions.c.number == number)).first()
    if row is None:
        raise NotThere("there is no such report or version", remedy="look at the list again")
    return _verified(row)


def of_study(tx: Connection, study_id: str) -> str:
    """The id of a study's report, "" while there is none."""
    return str(tx.execute(select(reports.c.id).where(reports.c.study_id == study_id)).scalar_one_or_none() or "")


def study_of(tx: Connection, report_id: str) -> str:
    """The id of a report's study."""
    return str(_row(tx, report_id).study_id)


def newest(tx: Connection, report_id: str, expected: int) -> Version:
    """The newest version of a report, which must be the expected one.

    Raises:
        Stale: another is there.
    """
    _head(tx, report_id, expected)
    return read(tx, report_id, expected)


def history(tx: Connection, report_id: str) -> list[Version]:
    """All versions, oldest first, each verified."""
    rows = tx.execute(select(versions).where(versions.c.report_id == report_id).order_by(versions.c.number))
    return [_verified(row) for row in rows.all()]


def hold(tx: Connection, person: Person, report_id: str, now: float | None = None) -> str:
    """Hold a report for a person, or keep it held; returns the id of who holds it: another, where somebody was first."""
    now = time.time() if now is None else now
    row = _row(tx, report_id)
    if row.held_by not in (None, person.id) and row.held_until >= now:
        return str(row.held_by)
    tx.execute(update(reports).where(reports.c.id == report_id).values(held_by=person.id, held_until=now + HOLD_S))
    return person.id


def holder(tx: Connection, report_id: str, now: float | None = None) -> str:
    """The id of the person who holds a report, "" where nobody does."""
    row = _row(tx, report_id)
    return str(row.held_by) if row.held_by and row.held_until >= (time.time() if now is None else now) else ""


def let_go(tx: Connection, person: Person, report_id: str) -> None:
    """Let go of a report that a person holds."""
    its = (reports.c.id == report_id) & (reports.c.held_by == person.id)
    tx.execute(update(reports).where(its).values(held_until=0.0))


def _row(tx: Connection, report_id: str) -> "Row[Any]":
    row = tx.execute(select(reports).where(reports.c.id == report_id)).first()
    if row is None:
        raise NotThere("there is no such report", remedy="look at the list again")
    return row


def _head(tx: Connection, report_id: str, expected: int) -> ReportState:
    """The state of a report whose newest version is the expected one."""
    row = _row(tx, report_id)
    if row.number != expected:
        raise Stale(row.number)
    return ReportState(row.state)


def _add(
    tx: Connection, person: Person, report_id: str, before: int, state: ReportState, content: str, action: audit.Action
) -> Saved:
    json.loads(content)  # whatever is stored can be read again
    number = before + 1
    sha256 = _hash_of(report_id, number, state.value, content, person.id)
    told = audit.note(tx, person.id, action, report_id, {"version": number, "state": state.value, "sha256": sha256})
    kill.at("version.told")
    tx.execute(
        versions.insert().values(
            report_id=report_id,
            number=number,
            state=state.value,
            content=content,
            sha256=sha256,
            author_id=person.id,
            saved_at=time.time(),
            audit_number=told,
        )
    )
    tx.execute(update(reports).where(reports.c.id == report_id).values(number=number, state=state.value))
    return Saved(report_id, number, state, sha256)


def _once(tx: Connection, person: Person, change: Change, work: Callable[[], Saved]) -> Saved:
    """The answer to a change, from before where its key was answered already."""
    told = answered(tx, person, change)
    if told is not None:
        return told
    saved = work()
    kept = {"asked_sha256": _asked(change), "answer": json.dumps(asdict(saved)), "answered_at": time.time()}
    tx.execute(answers.insert().values(person_id=person.id, key=change.key, **kept))
    return saved


def _asked(change: Change) -> str:
    asked = [change.report_id, change.expected, change.key, change.request or [change.state, change.content]]
    return hashlib.sha256(json.dumps(asked).encode("utf-8")).hexdigest()


def _hash_of(report_id: str, number: int, state: str, content: str, author_id: str) -> str:
    bound = json.dumps([report_id, number, state, content, author_id], ensure_ascii=False)
    return hashlib.sha256(bound.encode("utf-8")).hexdigest()


def _verified(row: "Row[Any]") -> Version:
    if _hash_of(row.report_id, row.number, row.state, row.content, row.author_id) != row.sha256:
        raise Tampered("a stored report is not what was saved", found=f"version {row.number}", remedy="run: medomni audit verify")
    return Version(row.report_id, row.number, ReportState(row.state), row.content, row.sha256, row.author_id, row.saved_at)
