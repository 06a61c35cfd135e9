"""The worker: a process of its own that makes the drafts of the queue, one after another.

    lease -> draft -> first version of the report + job done, both or neither

It says how far it is while it works; a worker that dies stops saying so, and its job is tried once more. It ends when the server
that started it is gone.
"""

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app import kill
from app.desk.desk import DRAFT, Desk, open_desk
from app.desk.receive import source_of
from app.known import as_known
from app.store import jobs, reports, studies
from app.store.database import transaction
from app.store.jobs import Job
from medomni import logs

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.store.studies import StoredStudy
    from medomni.pipeline import Progress
    from medomni.types.report import Report

TICK_S = 0.4
"""How often an idle worker looks for a job."""
RENEW_S = 1.0
"""How often a busy worker says how far it is."""
NICENESS = 5
"""Pages and saves go before drafts: people wait for them."""
STAGE_SECONDS = {
    "read": 0.5,
    "assemble": 1.8,
    "segment": 2.9,
    "measure": 0.6,
    "detect": 12.3,
    "look": 2.1,
    "compose": 0.1,
    "word": 0.1,
    "write": 0.4,
}
"""What each stage of a draft took on a chest of 302 images and two cores, as its run record states; only the ratios count."""
BUG = "the draft could not be made: this is a fault of MedOmni, not of the study; the server's log names it"


class Watch:
    """Tells the store which stage runs and how far the whole is, at least every ``RENEW_S``. See ``medomni.pipeline.Watch``."""

    def __init__(self, desk: Desk, job: Job, worker: str) -> None:
        self._desk, self._job, self._worker = desk, job, worker
        self._stage, self._share = "", 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._say, daemon=True)
        self._thread.start()

    @contextmanager
    def stage(self, name: str) -> Iterator["Progress"]:
        """Open a stage."""
        names = list(STAGE_SECONDS)
        done, own = sum(STAGE_SECONDS[one] for one in names[: names.index(name)]), STAGE_SECONDS[name]

        def progress(share: float) -> None:
            self._share = (done + own * min(max(share, 0.0), 1.0)) / sum(STAGE_SECONDS.values())

        self._stage = name
        progress(0.0)
        self._renew()
        kill.at(f"draft.{name}")
        yield progress

    def close(self) -> None:
        """Say nothing more."""
        self._is_over.set()
        self._thread.join()

    def _say(self) -> None:
        while not self._is_over.wait(RENEW_S):
            self._renew()

    def _renew(self) -> None:
        with transaction(self._desk.engine) as tx:
            jobs.renew(tx, self._job.id, self._worker, self._stage, self._share)


def work(desk: Desk, worker: str, *, until_idle: bool = False) -> None:
    """Make drafts for as long as there is something to do, or for ever."""
    while True:
        with transaction(desk.engine) as tx:
            job = jobs.lease(tx, worker)
        if job is not None:
            make(desk, job, worker)
        elif until_idle:
            return
        else:
            time.sleep(TICK_S)


def make(desk: Desk, job: Job, worker: str) -> None:
    """Make the draft of one job; what fails is told in words that a person understands."""
    kill.at("draft.leased")
    watch = Watch(desk, job, worker)
    try:
        report = _draft(desk, job, watch)
    except Exception as error:
        watch.close()
        known = as_known(error)
        if known is None:
            logs.event("draft_failed", level=logging.ERROR, error=type(error).__name__)
        with transaction(desk.engine) as tx:
            jobs.fail(tx, job.id, worker, str(known or BUG))
        return
    watch.close()
    machine = desk.machine()
    kill.at("draft.made")
    with transaction(desk.engine) as tx:
        if jobs.finish(tx, job.id, worker):
            reports.begin(tx, machine, job.study_id, report.model_dump_json())
            studies.prioritise(tx, job.study_id, priority_of(report))
    kill.at("draft.saved")


def priority_of(report: "Report") -> int:
    """Where a study stands in the worklist: 2 with a critical finding, 1 with one that matters, else 0."""
    from medomni.reporting.hedge import is_claimed
    from medomni.reporting.vocabulary import vocabulary

    entries = [vocabulary().labels.get(finding.label) for finding in report.findings if is_claimed(finding)]
    known = [entry for entry in entries if entry is not None]
    return 2 if any(entry.is_critical for entry in known) else int(any(entry.is_significant for entry in known))


def _draft(desk: Desk, job: Job, watch: Watch) -> "Report":
    from app import handover, release, wiring
    from app.commands.style import read_style
    from app.desk.parts import told
    from app.options import DEFAULT_SEGMENTER
    from medomni.pipeline import Request, draft_report
    from medomni.reporting.influence import explained

    with transaction(desk.engine) as tx:
        study = studies.get(tx, job.study_id)
        prior = studies.earlier(tx, study)
        reported = _reported(tx, prior) if prior else None
    asked = job.request
    request = Request(
        source=source_of(study.folder),
        history=asked.get("history", ""),
        dictation=asked.get("dictation", ""),
        prior=source_of(prior.folder) if prior else None,
        prior_report=reported,
        style=read_style(desk.settings.style) if desk.settings.style else None,
        language=asked.get("language", "en"),
    )
    settings = desk.settings
    stages = wiring.stages(DEFAULT_SEGMENTER, settings, drafter=settings.drafter, adapter=settings.adapter)
    drafted = draft_report(request, told(stages, study.folder, request.language), watch)
    release.refuse_unsafe(drafted.report.notices)
    with watch.stage("write"):
        half = study.folder / f".half-{DRAFT}"
        shutil.rmtree(half, ignore_errors=True)  # of a worker that died here
        half.mkdir()
        handover.write_draft(drafted, desk.settings, half)
        handover.write_explanation(explained(drafted.report, drafted.opinion), half)
        shutil.rmtree(study.folder / DRAFT, ignore_errors=True)
        half.rename(study.folder / DRAFT)
    return drafted.report


def _reported(tx: "Connection", study: "StoredStudy") -> "Report | None":
    """The newest version of a study's report; None where there is none, or where it was entered in error."""
    from pydantic import ValidationError

    from app.desk.writing import report_of
    from medomni.types.report import ReportState

    report_id = reports.of_study(tx, study.id)
    if not report_id:
        return None
    try:
        report = report_of(reports.read(tx, report_id))
    except ValidationError:  # of a version that this one cannot read: no reason to draft nothing
        return None
    return None if report.state is ReportState.ENTERED_IN_ERROR else report


def name() -> str:
    """A name that no other worker has."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"


def _end_with(parent: int) -> None:
    """End this process as soon as its parent is gone, which it may be by now."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main() -> None:
    """Work for the server that started this process; its arguments are this worker's name and the server's process id."""
    from app import wiring

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.nice(NICENESS)
    threading.Thread(target=_end_with, args=(int(sys.argv[2]),), daemon=True).start()
    work(open_desk(wiring.start()), sys.argv[1])


if __name__ == "__main__":
    main()
