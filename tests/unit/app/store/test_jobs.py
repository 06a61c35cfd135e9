"""The queue of drafts: leases, retries, bounds."""

import pytest

from app.store import jobs, studies
from app.store.database import reading, transaction
from app.store.errors import Full
from app.store.jobs import LEASE_S, TELLING_SHARE, JobState
from app.store.people import Role

ASKED = {"language": "en"}


@pytest.fixture
def queue(engine, staff, tmp_path):
    def run(uid, longest=10):
        with transaction(engine) as tx:
            study = studies.receive(tx, staff[Role.INTEGRATION], uid, "CT", tmp_path)
            return jobs.queue(tx, staff[Role.INTEGRATION], study.id, ASKED, longest)

    return run


def lease(engine, worker, now):
    with transaction(engine) as tx:
        return jobs.lease(tx, worker, now)


def state(engine, job):
    with reading(engine) as tx:
        return jobs.get(tx, job.id)


def test_a_study_that_comes_twice_is_one_study_and_one_job(queue):
    assert queue("1.2") == queue("1.2")


def test_jobs_are_leased_in_their_order_each_to_one_worker(engine, queue):
    first, second = queue("1.2"), queue("1.3")
    assert lease(engine, "a", 10.0).id == first.id
    assert lease(engine, "b", 10.0).id == second.id
    assert lease(engine, "c", 10.0) is None


def test_a_dead_worker_is_replaced_once_then_the_job_has_failed(engine, queue):
    job = queue("1.2")
    lease(engine, "a", 0.0)
    taken = lease(engine, "b", LEASE_S + 1)
    assert (taken.id, taken.attempts) == (job.id, 2)
    assert lease(engine, "c", 2 * LEASE_S + 2) is None
    after = state(engine, job)
    assert (after.state, after.reason) == (JobState.FAILED, jobs.DIED)


def test_who_renews_keeps_the_job_and_who_lost_it_is_told(engine, queue):
    job = queue("1.2")
    lease(engine, "a", 0.0)
    with transaction(engine) as tx:
        assert jobs.renew(tx, job.id, "a", "segment", 0.4, now=LEASE_S - 1)
    assert lease(engine, "b", LEASE_S + 1) is None
    assert (state(engine, job).stage, state(engine, job).share) == ("segment", 0.4)
    assert lease(engine, "b", 2 * LEASE_S).id == job.id
    with transaction(engine) as tx:
        assert not jobs.renew(tx, job.id, "a", "detect", 0.5)
        assert not jobs.finish(tx, job.id, "a")
        assert jobs.finish(tx, job.id, "b")
    assert state(engine, job).state is JobState.DONE


def test_the_time_left_follows_from_the_time_taken(engine, queue):
    job = queue("1.2.3")
    assert job.remaining_s() is None
    with transaction(engine) as tx:
        jobs.lease(tx, "a", now=100.0)
        jobs.renew(tx, job.id, "a", "read", TELLING_SHARE / 2, now=101.0)
    assert state(engine, job).remaining_s(now=101.0) is None
    with transaction(engine) as tx:
        jobs.renew(tx, job.id, "a", "detect", 0.25, now=110.0)
    assert state(engine, job).remaining_s(now=110.0) == pytest.approx(30.0)


def test_failure_keeps_its_reason_and_the_study_can_be_queued_again(engine, queue):
    job = queue("1.2")
    lease(engine, "a", 0.0)
    with transaction(engine) as tx:
        jobs.fail(tx, job.id, "a", "series: no CT")
    assert state(engine, job).reason == "series: no CT"
    assert queue("1.2").id != job.id


def test_a_full_queue_says_so_at_once(queue):
    queue("1.2", longest=2)
    queue("1.3", longest=2)
    with pytest.raises(Full):
        queue("1.4", longest=2)
    assert queue("1.3", longest=2).state is JobState.QUEUED
