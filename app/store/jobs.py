"""Drafts to make: a queue of bounded length, worked off by whoever holds a lease.

    queue -> lease -> told of progress -> finished or failed

A worker that dies stops renewing its lease; its job is tried once more, then it has failed, with the reason.
"""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, update

from app.store import audit
from app.store.errors import Full, NotThere
from app.store.people import Person
from app.store.tables import jobs

MOST_ATTEMPTS = 2
LEASE_S = 30.0
"""A worker that says nothing for so long is taken for dead."""
TELLING_SHARE = 0.05
"""From here on the time that is left is told from the time that it took."""
DIED = "the worker stopped without a word, twice"


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


OPEN = (JobState.QUEUED.value, JobState.RUNNING.value)


@dataclass(frozen=True)
class Job:
    """One draft to make; ``request`` are the settings of the draft."""

    id: str
    study_id: str
    state: JobState
    request: Mapping[str, str]
    attempts: int
    stage: str
    share: float
    reason: str
    queued_at: float
    began_at: float | None = None

    def remaining_s(self, now: float | None = None) -> float | None:
        """Seconds until a job that runs is done, by what it took so far; None while that tells too little."""
        if self.state is not JobState.RUNNING or self.began_at is None or self.share < TELLING_SHARE:
            return None
        took = max(0.0, (time.time() if now is None else now) - self.began_at)
        return took * (1 - self.share) / self.share


def queue(tx: Connection, person: Person, study_id: str, request: Mapping[str, str], longest: int) -> Job:
    """Queue a draft of a study; a study whose draft is waiting or under way is not queued again.

    Raises:
        Full: ``longest`` jobs are waiting or under way.
    """
    row = tx.execute(select(jobs).where(jobs.c.study_id == study_id, jobs.c.state.in_(OPEN))).first()
    if row is not None:
        return _job(row)
    waiting = tx.execute(select(func.count()).select_from(jobs).where(jobs.c.state.in_(OPEN))).scalar_one()
    if waiting >= longest:
        raise full(waiting)
    made = secrets.token_hex(16)
    tx.execute(
        jobs.insert().values(
            id=made,
            study_id=study_id,
            state=JobState.QUEUED.value,
            request=json.dumps(dict(request), sort_keys=True),
            attempts=0,
            worker="",
            leased_until=0.0,
            stage="",
            share=0.0,
            reason="",
            queued_at=time.time(),
        )
    )
    audit.note(tx, person.id, audit.Action.QUEUED, study_id, {"job": made})
    return get(tx, made)


def full(waiting: int) -> Full:
    """What a study is told that the queue has no place for."""
    return Full("the queue of drafts is full", found=f"{waiting} are waiting", remedy="try again in some minutes")


def lease(tx: Connection, worker: str, now: float | None = None) -> Job | None:
    """Take the next job: one that waits, or one whose worker is dead; None where there is none."""
    now = time.time() if now is None else now
    _give_up(tx, now)
    is_free = or_(jobs.c.state == JobState.QUEUED.value, (jobs.c.state == JobState.RUNNING.value) & (jobs.c.leased_until < now))
    row = tx.execute(select(jobs).where(is_free).order_by(jobs.c.queued_at, jobs.c.id).limit(1)).first()
    if row is None:
        return None
    taken = {"state": JobState.RUNNING.value, "worker": worker, "leased_until": now + LEASE_S, "attempts": row.attempts + 1}
    tx.execute(update(jobs).where(jobs.c.id == row.id).values(**taken, stage="", share=0.0, began_at=now))
    return get(tx, row.id)


def renew(tx: Connection, job_id: str, worker: str, stage: str, share: float, now: float | None = None) -> bool:
    """Tell how far a job is and keep its lease; False where another worker has it by now."""
    now = time.time() if now is None else now
    told = {"leased_until": now + LEASE_S, "stage": stage, "share": min(max(share, 0.0), 1.0)}
    return tx.execute(update(jobs).where(*_held(job_id, worker)).values(**told)).rowcount == 1


def release(tx: Connection, worker: str = "") -> int:
    """Free the jobs of a worker that is known to be dead, of all workers without a name; returns how many."""
    is_its = (jobs.c.state == JobState.RUNNING.value) & ((jobs.c.worker == worker) if worker else jobs.c.worker.is_not(None))
    return tx.execute(update(jobs).where(is_its).values(leased_until=0.0)).rowcount


def ahead(tx: Connection, job: Job) -> int:
    """How many jobs are made before one that waits."""
    is_open = jobs.c.state.in_(OPEN) & (jobs.c.queued_at < job.queued_at)
    return int(tx.execute(select(func.count()).select_from(jobs).where(is_open)).scalar_one())


def counts(tx: Connection) -> tuple[int, int]:
    """How many jobs wait and how many are under way."""
    rows = tx.execute(select(jobs.c.state, func.count()).where(jobs.c.state.in_(OPEN)).group_by(jobs.c.state)).all()
    found = {state: int(count) for state, count in rows}
    return found.get(JobState.QUEUED.value, 0), found.get(JobState.RUNNING.value, 0)


def newest(tx: Connection, study_id: str) -> Job | None:
    """The latest job of a study, None without one."""
    row = tx.execute(select(jobs).where(jobs.c.study_id == study_id).order_by(jobs.c.queued_at.desc()).limit(1)).first()
    return None if row is None else _job(row)


def finish(tx: Connection, job_id: str, worker: str) -> bool:
    """Mark a job as done; False where another worker has it by now, whose result counts."""
    done = {"state": JobState.DONE.value, "share": 1.0, "ended_at": time.time()}
    return tx.execute(update(jobs).where(*_held(job_id, worker)).values(**done)).rowcount == 1


def fail(tx: Connection, job_id: str, worker: str, reason: str) -> bool:
    """Mark a job as failed for a reason that a person can read; False where another worker has it by now."""
    row = tx.execute(select(jobs.c.study_id).where(*_held(job_id, worker))).first()
    if row is None:
        return False
    _has_failed(tx, job_id, row.study_id, reason, time.time())
    return True


def get(tx: Connection, job_id: str) -> Job:
    """Return a job.

    Raises:
        NotThere: there is none.
    """
    row = tx.execute(select(jobs).where(jobs.c.id == job_id)).first()
    if row is None:
        raise NotThere("there is no such job", remedy="look at the list again")
    return _job(row)


def _give_up(tx: Connection, now: float) -> None:
    """Jobs whose worker died at the last attempt have failed."""
    is_dead = (jobs.c.state == JobState.RUNNING.value) & (jobs.c.leased_until < now) & (jobs.c.attempts >= MOST_ATTEMPTS)
    for row in tx.execute(select(jobs.c.id, jobs.c.study_id).where(is_dead)).all():
        _has_failed(tx, row.id, row.study_id, DIED, now)


def _has_failed(tx: Connection, job_id: str, study_id: str, reason: str, at: float) -> None:
    failed = {"state": JobState.FAILED.value, "reason": reason, "ended_at": at}
    tx.execute(update(jobs).where(jobs.c.id == job_id).values(**failed))
    audit.note(tx, "", audit.Action.FAILED, study_id, {"job": job_id})


def _held(job_id: str, worker: str) -> "tuple[ColumnElement[bool], ...]":
    return jobs.c.id == job_id, jobs.c.worker == worker, jobs.c.state == JobState.RUNNING.value


def _job(row: "Row[Any]") -> Job:
    return Job(
        row.id,
        row.study_id,
        JobState(row.state),
        json.loads(row.request),
        row.attempts,
        row.stage,
        row.share,
        row.reason,
        row.queued_at,
        row.began_at,
    )
