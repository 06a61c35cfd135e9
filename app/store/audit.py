"""The audit trail: who did what when, each row bound to the one before it by a hash.

    transaction, deed -> row          rows -> Finding of the check

A row holds digests, counts and codes, never a patient's name or text. Whoever changes, removes or adds a row later breaks the
chain; whoever cuts its end off leaves versions that point beyond it; and the newest hash can be noted elsewhere and asked for.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select

from app import kill
from app.store.tables import audit, versions

FIRST = "0" * 64
"""What the first row has before it."""
Fact = str | int | float | bool


class Action(StrEnum):
    """What can be done."""

    RECEIVED = "received"
    QUEUED = "queued"
    DRAFTED = "drafted"
    FAILED = "failed"
    SAVED = "saved"
    SIGNED = "signed"
    TAKEN_BACK = "taken back"
    EXPORTED = "exported"
    RENAMED = "renamed"


@dataclass(frozen=True)
class Checked:
    """What a check of the whole trail found.

    Attributes:
        rows: how many there are.
        newest: hash of the last one.
        faults: what is wrong, in words; empty where nothing is.
    """

    rows: int
    newest: str
    faults: tuple[str, ...]


def note(tx: Connection, person_id: str, action: Action, subject: str, facts: Mapping[str, Fact]) -> int:
    """Add a row within a transaction that holds the writers' lock; returns its number."""
    last = tx.execute(select(audit.c.number, audit.c.sha256).order_by(audit.c.number.desc()).limit(1)).first()
    number, before = (last.number + 1, last.sha256) if last else (1, FIRST)
    row = {
        "number": number,
        "at": round(time.time(), 6),
        "person_id": person_id,
        "action": action.value,
        "subject": subject,
        "facts": json.dumps(dict(facts), sort_keys=True),
        "before": before,
    }
    tx.execute(audit.insert().values(**row, sha256=_hash(row)))
    kill.at(f"audit.{action.value}")
    return number


@dataclass(frozen=True)
class Noted:
    """One row of the trail."""

    number: int
    at: float
    person_id: str
    action: str
    subject: str
    facts: Mapping[str, Fact]


def page(tx: Connection, before: int | None, count: int) -> list[Noted]:
    """The newest rows, newest first, or those before a number."""
    query = select(audit).order_by(audit.c.number.desc()).limit(count)
    rows = tx.execute(query if before is None else query.where(audit.c.number < before)).all()
    return [Noted(row.number, row.at, row.person_id, row.action, row.subject, json.loads(row.facts)) for row in rows]


def check(connection: Connection, newest: str = "") -> Checked:
    """Walk the whole trail; ``newest`` is a hash that was written down earlier and must still be in it."""
    faults, before, count, seen = list[str](), FIRST, 0, set[str]()
    hashes: dict[int, str] = {}
    for found in connection.execute(select(audit).order_by(audit.c.number)):
        row = dict(found._mapping)
        sha256 = row.pop("sha256")
        count += 1
        if row["number"] != count:
            faults.append(f"row {count} is missing")
            count = row["number"]
        if row["before"] != before:
            faults.append(f"row {count} does not follow the one before it")
        if _hash(row) != sha256:
            faults.append(f"row {count} was changed")
        before = sha256
        seen.add(sha256)
        hashes[count] = str(json.loads(row["facts"]).get("sha256", ""))
    for one in connection.execute(select(versions.c.report_id, versions.c.number, versions.c.sha256, versions.c.audit_number)):
        if hashes.get(one.audit_number) != one.sha256:
            faults.append(f"version {one.number} of report {one.report_id} is not the one that row {one.audit_number} tells of")
    if newest and newest not in seen:
        faults.append("the row that was written down is not in the trail")
    return Checked(count, before, tuple(faults))


def _hash(row: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(dict(row), sort_keys=True, ensure_ascii=False).encode("utf-8")).hexdigest()
