"""The worker: a study of the queue becomes a report and the files of its viewer, or a reason that a person can read."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from app.desk import worker, writing
from app.desk.desk import DRAFT, MASK, PARTS, VOLUME
from app.store import jobs
from app.store.database import reading, transaction
from app.store.jobs import LEASE_S, JobState
from medomni.phantom import Placed, make_case
from medomni.types.report import ReportState
from medomni.types.section import SectionName
from tests import desks, drafts, factories
from tests.chat_server import chat_server
from tests.unit.medomni.model.backends.test_openai_compatible import obedient

FLUID = (Placed("pleural_effusion", side="right", zone="lower", amount=900.0),)


def home(folder, networks):
    """A home that shares the converted networks of the test run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(networks)
    return folder


@pytest.fixture
def desk(tmp_path, _networks):
    return desks.desk(home(tmp_path / "home", _networks))


def line(of):
    (only,) = desks.listed(of)
    return only


@pytest.mark.slow
def test_a_study_becomes_a_report_with_all_that_its_viewer_needs(desk, tmp_path):
    chest = make_case(0, findings=FLUID, shape=(48, 96, 96), spacing_mm=(6.25, 3.75, 3.75))
    written = factories.write_ct(tmp_path / "ct", of=chest.volume, key="fluid", PatientSex="F")
    desks.received(desk, [path.read_bytes() for path in sorted(written.iterdir())], history="Dyspnea.")
    with chat_server(obedient) as (url, asked):
        settings = {"drafter": "openai-compatible", "drafter_url": url, "drafter_model": "tiny"}
        worker.work(replace(desk, settings=desk.settings.model_copy(update=settings)), "w", until_idle=True)
    assert asked

    only = line(desk)
    assert (only.job_state, only.report_state, only.number, only.reason) == (JobState.DONE, ReportState.DRAFT, 1, "")
    report = writing.report_of(writing.current(desk, only.report_id))
    assert "Dyspnea" in " ".join(s.text for s in report.sections[SectionName.INDICATION].sentences)
    assert only.study.priority == worker.priority_of(report) == 1
    assert "drafter" in {part.role for part in report.provenance.parts}

    folder = only.study.folder
    assert sorted(path.name for path in folder.iterdir()) == sorted([DRAFT, MASK, PARTS, VOLUME, "source"])
    assert {"report.json", "explain.json"} <= {path.name for path in (folder / DRAFT).iterdir()}
    parts = json.loads((folder / PARTS).read_text(encoding="utf-8"))
    assert set(parts) == {"sections", "grid", "structures", "names", "measurements"}
    assert parts["grid"]["shape"] == [48, 96, 96]
    assert parts["measurements"]
    volume, mask = (np.asarray(nibabel.load(folder / name).dataobj) for name in (VOLUME, MASK))
    assert {str(label) for label in np.unique(mask) if label} <= set(parts["structures"])
    assert volume.shape == mask.shape


def test_a_study_that_cannot_be_drafted_says_why_and_begins_no_report(desk):
    desks.received(desk)
    damaged = line(desk).study.folder / "source" / "000003"
    damaged.write_bytes(damaged.read_bytes()[:-400])
    worker.work(desk, "w", until_idle=True)
    only = line(desk)
    assert (only.job_state, only.report_id) == (JobState.FAILED, "")
    assert only.reason.startswith("000003: the file is cut short")


def test_a_drafter_that_is_not_installed_is_named(tmp_path, _networks):
    desk = desks.desk(home(tmp_path / "home", _networks), drafter="gpt")
    desks.received(desk)
    worker.work(desk, "w", until_idle=True)
    assert line(desk).job_state is JobState.FAILED
    assert line(desk).reason.startswith("gpt: no drafter has this name")


def test_the_share_of_a_draft_only_grows(desk, monkeypatch):
    told = []
    desks.received(desk)
    with transaction(desk.engine) as tx:
        job = jobs.lease(tx, "w")
    renew = jobs.renew
    monkeypatch.setattr(worker.jobs, "renew", lambda *given: told.append(given[3:]) or renew(*given))
    watch = worker.Watch(desk, job, "w")
    for name in worker.STAGE_SECONDS:
        with watch.stage(name) as progress:
            progress(0.5)
            watch._renew()
    watch.close()
    shares = [share for _, share in told]
    assert [stage for stage, _ in told[::2]] == list(worker.STAGE_SECONDS)
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert 0.9 < shares[-1] < 1.0


def test_a_place_that_cannot_be_written_is_told_in_words(desk):
    desks.received(desk)
    (line(desk).study.folder / VOLUME).mkdir()
    worker.work(desk, "w", until_idle=True)
    assert line(desk).job_state is JobState.FAILED
    assert line(desk).reason.startswith("a file cannot be read or written; Is a directory")


def test_a_bug_is_told_without_its_words(desk):
    desks.received(desk, language="no such language")
    worker.work(desk, "w", until_idle=True)
    assert (line(desk).job_state, line(desk).reason) == (JobState.FAILED, worker.BUG)


def test_the_job_of_a_dead_worker_is_tried_once_more_then_it_has_failed(desk):
    got = desks.received(desk)
    for name in ("a", "b"):
        with transaction(desk.engine) as tx:
            assert jobs.lease(tx, name).id == got.job_id
            jobs.release(tx, name)
    worker.work(desk, "c", until_idle=True)
    assert (line(desk).job_state, line(desk).reason) == (JobState.FAILED, jobs.DIED)


def test_a_worker_that_was_taken_for_dead_begins_no_report(desk):
    desks.received(desk)
    with transaction(desk.engine) as tx:
        job = jobs.lease(tx, "slow")
        jobs.lease(tx, "other", now=1e12)
    worker.make(desk, job, "slow")
    assert (line(desk).report_id, line(desk).job_state) == ("", JobState.RUNNING)


def test_progress_is_told_while_a_stage_runs(desk):
    desks.received(desk)
    with transaction(desk.engine) as tx:
        job = jobs.lease(tx, "w", now=1.0)
    watch = worker.Watch(desk, job, "w")
    with watch.stage("segment"), reading(desk.engine) as tx:
        assert jobs.get(tx, job.id).stage == "segment"
    watch.close()
    with transaction(desk.engine) as tx:
        assert jobs.lease(tx, "other", now=LEASE_S * 2) is None


@pytest.mark.parametrize(("label", "priority"), [("no_label_of_ours", 0), ("lung_volume", 0), ("lung_opacity", 1)])
def test_the_priority_is_that_of_the_most_urgent_finding(label, priority):
    report = desks.report().model_copy(update={"findings": (drafts.seen(label),)})
    assert worker.priority_of(report) == priority


def test_a_report_without_findings_is_not_urgent():
    absent = desks.report().model_copy(update={"findings": drafts.findings()})
    assert worker.priority_of(absent) == 0


def test_the_earlier_study_of_a_patient_is_found(desk):
    desks.received(desk, desks.slices(StudyInstanceUID="2.25.12", StudyDate="20230101"))
    desks.received(desk)
    from app.store import studies

    with reading(desk.engine) as tx:
        newer = next(one.study for one in studies.worklist(tx) if one.study.facts["date"] == "2024-02-29")
        older = studies.earlier(tx, newer)
        assert older is not None
        assert older.facts["date"] == "2023-01-01"
        assert studies.earlier(tx, older) is None


def test_a_name_of_a_worker_is_its_own():
    assert worker.name() != worker.name()


@pytest.mark.slow
def test_what_the_earlier_report_states_is_compared_with_what_is_there_now(desk, tmp_path):
    for amount, day in ((500.0, "20240105"), (900.0, "20240405")):
        fluid = (Placed("pleural_effusion", side="right", zone="lower", amount=amount),)
        chest = make_case(0, findings=fluid, shape=(48, 96, 96), spacing_mm=(6.25, 3.75, 3.75))
        dated = {"StudyDate": day, "PatientID": "4711", "PatientSex": "F"}
        written = factories.write_ct(tmp_path / day, of=chest.volume, key=day, **dated)
        desks.received(desk, [path.read_bytes() for path in sorted(written.iterdir())])
        worker.work(desk, "w", until_idle=True)

    now = max(desks.listed(desk), key=lambda one: one.study.facts["date"])
    report = writing.report_of(writing.current(desk, now.report_id))
    assert (report.prior.kind, report.prior.days_before, report.prior.is_same_patient) == ("study", 91, True)
    assert "pleural_effusion" in {finding.label for finding in report.prior.findings}
    told = " ".join(sentence.text for sentence in report.sections[SectionName.COMPARISON].sentences)
    assert "before" in told
    assert "4711" not in report.model_dump_json()
