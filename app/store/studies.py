"""The studies that were received: one row each, however often the same study comes; and the worklist.

What a list shows of a patient stands in ``title`` and ``facts``; the identifiers themselves stay in the files.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from app.store import audit
from app.store.errors import NotThere
from app.store.jobs import JobState
from app.store.people import Person
from app.store.tables import jobs, people, reports, studies
from medomni.types.report import ReportState


@dataclass(frozen=True)
class StoredStudy:
    """A study, and where its files lie. ``facts`` are what a list shows besides the title: sex, age, description, images..."""

    id: str
    title: str
    folder: Path
    received_at: float
    priority: int
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    """One line of the worklist: a study with its newest job and its report, as far as they are there."""

    study: StoredStudy
    job_id: str
    job_state: JobState | None
    stage: str
    share: float
    reason: str
    report_id: str
    report_state: ReportState | None
    number: int
    holder: str


def receive(
    tx: Connection, person: Person, study_uid: str, title: str, folder: Path, facts: Mapping[str, str] | None = None
) -> StoredStudy:
    """Return the study of a StudyInstanceUID, made known now if it was not."""
    digest = hashlib.sha256(f"medomni/store/{study_uid}".encode()).hexdigest()
    row = tx.execute(select(studies).where(studies.c.uid_digest == digest)).first()
    if row is not None:
        return get(tx, row.id)
    made = StoredStudy(secrets.token_hex(16), title, folder, time.time(), 0, dict(facts or {}))
    values = {"title": title, "folder": str(folder), "received_at": made.received_at, "priority": 0}
    values["facts"] = json.dumps(made.facts, ensure_ascii=False, sort_keys=True)
    tx.execute(studies.insert().values(id=made.id, uid_digest=digest, **values))
    audit.note(tx, person.id, audit.Action.RECEIVED, made.id, {})
    return made


def get(tx: Connection, study_id: str) -> StoredStudy:
    """Return a study.

    Raises:
        NotThere: there is none.
    """
    row = tx.execute(select(studies).where(studies.c.id == study_id)).first()
    if row is None:
        raise NotThere("there is no such study", remedy="look at the list again")
    return _study(row)


def earlier(tx: Connection, study: StoredStudy) -> StoredStudy | None:
    """The latest study of the same patient that was made before this one; None where it is not known whose it is, or when."""
    whose, day = study.facts.get("patient", ""), study.facts.get("date", "")
    if not whose or not day:
        return None
    same = [_study(row) for row in tx.execute(select(studies).where(studies.c.facts.contains(f'"{whose}"'))).all()]
    before = [one for one in same if one.facts.get("patient") == whose and one.facts.get("date", day) < day]
    return max(before, key=lambda one: one.facts["date"], default=None)


def move(tx: Connection, study_id: str, folder: Path) -> None:
    """Tell where a study's files lie from now on."""
    tx.execute(update(studies).where(studies.c.id == study_id).values(folder=str(folder)))


def folders(tx: Connection) -> set[str]:
    """The folders of all studies."""
    return {str(folder) for (folder,) in tx.execute(select(studies.c.folder)).all()}


def prioritise(tx: Connection, study_id: str, priority: int) -> None:
    """Give a study its place in the worklist: the higher, the more urgent."""
    tx.execute(update(studies).where(studies.c.id == study_id).values(priority=priority))


def worklist(tx: Connection, now: float | None = None) -> list[Listed]:
    """Every study, the most urgent first, then the one that waits longest."""
    now = time.time() if now is None else now
    newest = select(jobs.c.study_id, func.max(jobs.c.queued_at).label("at")).group_by(jobs.c.study_id).subquery()
    job = jobs.alias()
    query = (
        select(
            studies,
            job.c.id.label("job_id"),
            job.c.state.label("job_state"),
            job.c.stage,
            job.c.share,
            job.c.reason,
            reports.c.id.label("report_id"),
            reports.c.state.label("report_state"),
            reports.c.number,
            people.c.name.label("holder"),
            reports.c.held_until,
        )
        .outerjoin(newest, newest.c.study_id == studies.c.id)
        .outerjoin(job, (job.c.study_id == studies.c.id) & (job.c.queued_at == newest.c.at))
        .outerjoin(reports, reports.c.study_id == studies.c.id)
        .outerjoin(people, people.c.id == reports.c.held_by)
        .order_by(studies.c.priority.desc(), studies.c.received_at)
    )
    return [
        Listed(
            study=_study(row),
            job_id=row.job_id or "",
            job_state=JobState(row.job_state) if row.job_state else None,
            stage=row.stage or "",
            share=row.share or 0.0,
            reason=row.reason or "",
            report_id=row.report_id or "",
            report_state=ReportState(row.report_state) if row.report_state else None,
            number=row.number or 0,
            holder=row.holder if row.holder and row.held_until >= now else "",
        )
        for row in tx.execute(query).all()
    ]


def _study(row: "Row[Any]") -> StoredStudy:
    return StoredStudy(row.id, row.title, Path(row.folder), row.received_at, row.priority, json.loads(row.facts))
