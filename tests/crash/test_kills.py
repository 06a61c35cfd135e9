"""``kill -9`` of the server and the worker, at named points and at random instants: what was acknowledged is there once, the rest
is not half there, and everything goes on after a restart.

Each test counts its kills; ``test_enough_is_killed`` holds the sum. Random instants are drawn from a seed, but what runs at that
moment is up to the machine: that is the point.
"""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time

import psutil
import pytest
from sqlalchemy import text

from app.auth import Auth
from app.desk import receive, worker
from app.desk.desk import UNLISTED, open_desk
from app.kill import VARIABLE
from app.serve import recover
from app.store import jobs, people, reports, studies
from app.store.database import open_database, reading, transaction
from app.store.people import Role
from medomni.settings import load
from tests import factories
from tests import reports as reports_made
from tests.crash.ledger import Editor, Signer, check_trail, versions
from tests.crash.servers import ONE_THREAD, PATIENCE_S, REPOSITORY, Gone, Light, Whole, wait_until

pytestmark = pytest.mark.slow
EDITS, SIGNATURES, WHOLE_SERVERS, WORKERS = 30, 10, 8, 6
SAVE_POINTS = (
    ("edits", "version.told", False),
    ("edits", "audit.saved", False),
    ("edits", "edit.saved", True),
    ("sign", "version.told", False),
    ("sign", "audit.signed", False),
    ("sign", "edit.saved", True),
)
UPLOAD_POINTS = ("upload.half", "audit.received", "audit.queued", "upload.moved", "upload.listed")
DRAFT_POINTS = ("draft.leased", "draft.read", "draft.segment", "draft.write", "draft.made")
MIGRATION_POINTS = ("migration.step", "migration.done")


@pytest.fixture
def home(tmp_path, _networks):
    """A home of its own, with the converted networks of the whole test run."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "cache").symlink_to(_networks)
    return folder


@pytest.fixture(autouse=True)
def nobody_is_left():
    """Servers that a failed test left are ended."""
    yield
    for one in Whole.started:
        one.kill()
    Whole.started.clear()


@pytest.fixture
def desk(home):
    """The desk, opened beside the server that is killed."""
    made = open_desk(load({"MEDOMNI_HOME": str(home)}))
    yield made
    made.engine.dispose()


@pytest.fixture
def token(desk):
    return Auth(desk).token(desk.person_here())


@pytest.fixture
def drafted(desk):
    """Returns a new report, as a worker leaves it."""

    def make():
        uid = f"1.2.{time.time_ns()}"
        with transaction(desk.engine) as tx:
            machine = people.known(tx, "machine", "MedOmni", Role.MACHINE)
            study = studies.receive(tx, machine, uid, "Chest CT", desk.folder / uid)
            return reports.begin(tx, machine, study.id, reports_made.report().model_dump_json()).report_id

    return make


@pytest.fixture
def scan(tmp_path):
    """Returns the folder of a new small CT study, which is drafted in a moment."""

    def make():
        key = f"crash {time.time_ns()}"
        return small_ct(tmp_path / key, key)

    return make


def small_ct(folder, key):
    """A ball with a hole in it, in twelve slices: a CT that is drafted in a moment."""
    on = factories.grid()
    parts = [(factories.ball(on, (0, 0, 0), 25), 40), (factories.ball(on, (0, 0, 0), 14), -850)]
    return factories.write_ct(folder, factories.volume(-1000, on, parts), key=key)


def received(desk, folder):
    """The id of a study that was received without a server."""
    intake = receive.Intake.begin(desk)
    for path in sorted(folder.iterdir()):
        intake.add(path.suffix, [path.read_bytes()])
    return receive.receive(intake, desk.person_here(), {}).study_id


def test_enough_is_killed():
    points = len(SAVE_POINTS) + len(UPLOAD_POINTS) + len(DRAFT_POINTS) + len(MIGRATION_POINTS)
    assert EDITS + SIGNATURES + points + WHOLE_SERVERS + WORKERS >= 60


def test_no_acknowledged_edit_is_lost_and_none_is_there_twice(desk, home, token, drafted):
    """Three people edit three reports as fast as they can while the server dies again and again."""
    instants = random.Random(1)  # noqa: S311
    editors = [Editor(drafted()) for _ in range(3)]
    for _ in range(EDITS):
        server = Light(home, token)
        at_work = [threading.Thread(target=editor.work, args=(server.client(),)) for editor in editors]
        for one in at_work:
            one.start()
        enough = told_by(editors) + instants.randint(0, 8)
        wait_until(lambda: told_by(editors) >= enough, step_s=0.002)  # noqa: B023
        time.sleep(instants.uniform(0.0, 0.05))
        server.kill()
        for one in at_work:
            one.join()
        for editor in editors:
            editor.check(desk)
        check_trail(desk)
    server = Light(home, token)
    for editor in editors:
        editor.finish(server.client())
        editor.check(desk)
        assert [one.number for one in versions(desk, editor.report_id)] == list(range(1, len(editor.told) + 2))
    server.kill()
    with reading(desk.engine) as tx:
        assert tx.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    print(f"{EDITS + 1} kills, {told_by(editors)} edits acknowledged")  # noqa: T201


def test_what_was_signed_stays_as_it_was_signed(desk, home, token, drafted):
    """Edit, signature and addendum of one report after another, with the server dying among them."""
    instants = random.Random(2)  # noqa: S311
    signers, signed = list[Signer](), {}
    for _ in range(SIGNATURES):
        signers.append(Signer(drafted()))
        server = Light(home, token)
        at_work = threading.Thread(target=work_until_gone, args=(signers[-1], server.client()))
        at_work.start()
        assert signers[-1].is_at_work.wait(PATIENCE_S)
        time.sleep(instants.uniform(0.0, 0.15))
        server.kill()
        at_work.join()
        for signer in signers:
            for one in versions(desk, signer.report_id):
                assert signed.setdefault((one.report_id, one.number), one) == one
        check_trail(desk)
    server = Light(home, token)
    for signer in signers:
        signer.work(server.client())
        signer.check_whole(desk)
        assert all(signed.get((one.report_id, one.number), one) == one for one in versions(desk, signer.report_id))
    server.kill()
    check_trail(desk)
    print(f"{SIGNATURES + 1} kills, {len(signers)} reports signed")  # noqa: T201


@pytest.mark.parametrize(("what", "point", "is_kept"), SAVE_POINTS)
def test_a_save_is_there_whole_or_not_at_all(desk, home, token, drafted, what, point, is_kept):
    """P4, P5 and P12: between the rows of one save, and between the save and its answer."""
    signer = Signer(drafted())
    before = 1
    if what == "sign":
        first = Light(home, token, "audit.signed")
        with pytest.raises(Gone):
            signer.work(first.client())
        first.wait()
        before = 2
    assert len(versions(desk, signer.report_id)) == before
    server = Light(home, token, point)
    with pytest.raises(Gone):
        signer.work(server.client())
    server.wait()
    assert len(versions(desk, signer.report_id)) == before + is_kept
    check_trail(desk)
    again = Light(home, token)
    signer.work(again.client())
    signer.work(again.client())
    signer.check_whole(desk)
    check_trail(desk)
    again.kill()


@pytest.mark.parametrize("point", UPLOAD_POINTS)
def test_an_upload_that_broke_off_is_gone_and_can_be_sent_again(desk, home, token, scan, point):
    """P1: half the files, between the rows, before and after the folder is moved, before the answer."""
    folder = scan()
    server = Light(home, token, point)
    with pytest.raises(Gone):
        server.client().upload(folder)
    server.wait()
    listed = worklist(desk)
    assert len(listed) == (point == "upload.listed")
    assert all((one.study.folder / "source").is_dir() and one.job_state is jobs.JobState.QUEUED for one in listed)
    again = Light(home, token)
    assert [*desk.incoming.iterdir()] == []
    assert len([*desk.folder.glob("s-*")]) == len(listed)
    assert [*desk.folder.glob(f"s-*/{UNLISTED}")] == []
    answers = [again.client().upload(folder) for _ in range(2)]
    assert [(status, answer["is_new"]) for status, answer in answers] == [(202, not listed), (202, False)]
    (one,) = worklist(desk)
    sent = sorted(path.read_bytes() for path in folder.iterdir())
    assert sorted(path.read_bytes() for path in (one.study.folder / "source").iterdir()) == sent
    check_trail(desk)
    again.kill()


@pytest.mark.parametrize("point", DRAFT_POINTS)
def test_a_draft_that_was_cut_off_is_made_once_more_and_is_the_same(desk, home, scan, untouched, point):
    """P2 and P3: before the first stage, within three of them, and when all is made but nothing kept."""
    folder, expected = untouched
    study = received(desk, folder)
    words = [sys.executable, "-m", "app.desk.worker", "the first", str(os.getpid())]
    environment = os.environ | ONE_THREAD | {"MEDOMNI_HOME": str(home), VARIABLE: point}
    assert subprocess.run(words, env=environment, cwd=REPOSITORY, check=False).returncode == -9
    (line,) = worklist(desk)
    assert (line.job_state, line.report_id) == (jobs.JobState.RUNNING, "")
    recover(desk)
    worker.work(desk, "the second", until_idle=True)
    (line,) = worklist(desk)
    assert (line.job_state, job_of(desk, study).attempts) == (jobs.JobState.DONE, 2)
    assert [one.content for one in versions(desk, line.report_id)] == [expected]
    assert [*line.study.folder.glob(".half*")] == []
    check_trail(desk)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A study and its report, made without any death."""
    folder, place = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("untouched")
    made = small_ct(folder / "ct", "crash untouched")
    desk = open_desk(load({"MEDOMNI_HOME": str(place)}))
    received(desk, made)
    worker.work(desk, "alone", until_idle=True)
    (line,) = worklist(desk)
    (version,) = versions(desk, line.report_id)
    desk.engine.dispose()
    return made, version.content


@pytest.mark.parametrize("point", MIGRATION_POINTS)
def test_a_migration_that_broke_off_runs_again(tmp_path, point):
    """P13: a person of the first form of the tables is still there, in the newest form, and no new table is half there."""
    from alembic import command
    from alembic.config import Config

    from app.store.database import MIGRATIONS

    address = f"sqlite:///{tmp_path / 'medomni.db'}"
    engine = open_database_at(address, "0001", command, Config, MIGRATIONS)
    with engine.begin() as tx:
        tx.execute(text("INSERT INTO people VALUES ('p', 'subject', 'Somebody', 'resident')"))
    engine.dispose()
    words = [sys.executable, "-c", "from app.cli import main; main()", "audit", "verify"]
    environment = os.environ | {"MEDOMNI_HOME": str(tmp_path), VARIABLE: point}
    assert subprocess.run(words, env=environment, cwd=REPOSITORY, capture_output=True, check=False).returncode == -9
    engine = open_database(address)
    with reading(engine) as tx:
        assert people.by_id(tx, "p").name == "Somebody"
        assert people.phrases_of(tx, people.by_id(tx, "p")) == {}
        assert studies.worklist(tx) == []
    engine.dispose()


def test_drafts_go_on_after_servers_and_workers_died(desk, home, token, scan):  # noqa: PLR0915
    """P2 and P3 with the program that a person starts: whole servers and their workers."""
    instants = random.Random(3)  # noqa: S311
    servers = workers = 0

    # The worker dies at the same stage twice: the job has failed, in words, and can be drafted again.
    server = Whole(home, token, "draft.segment")
    first = uploaded(server, scan())
    failed = ended(server, first)
    assert (failed["state"], failed["reason"], failed["attempts"]) == ("failed", jobs.DIED, 2)
    server.kill()
    servers, workers = servers + 1, workers + 2

    # The draft is made, but its worker dies before it is kept, and the server before the second try.
    server = Whole(home, token, "draft.made")
    study = uploaded(server, scan())
    wait_until(lambda: job_of(desk, study).attempts == 1)
    psutil.wait_procs([server.worker()], timeout=PATIENCE_S)
    server.kill()
    servers, workers = servers + 1, workers + 1
    assert job_of(desk, study).state is jobs.JobState.RUNNING
    assert reported(desk, study) == ""

    # It is drafted by the next server, and so is the one that had failed.
    server = Whole(home, token)
    assert server.client().ask("POST", f"/studies/{first}/draft", {})[0] == 202
    for one in (study, first):
        assert ended(server, one)["state"] == "done"

    # A worker that dies at any instant.
    for _ in range(2):
        study = uploaded(server, scan())
        wait_until(lambda: job_of(desk, study).attempts == 1)  # noqa: B023
        time.sleep(instants.uniform(0.0, 0.6))
        server.worker().kill()
        workers += 1
        assert ended(server, study)["state"] == "done"

    # The server dies at any instant of an upload, a draft, an edit and a signature.
    for _ in range(3):
        folder = scan()
        sending = threading.Thread(target=upload_until_gone, args=(server.client(), folder))
        sending.start()
        time.sleep(instants.uniform(0.0, 1.2))
        server.kill()
        servers += 1
        sending.join()
        server = Whole(home, token)
        study = uploaded(server, folder)
        assert ended(server, study)["state"] == "done"
    signer = Signer(reported(desk, study))
    signing = threading.Thread(target=work_until_gone, args=(signer, server.client()))
    signing.start()
    assert signer.is_at_work.wait(PATIENCE_S)
    time.sleep(instants.uniform(0.0, 0.1))
    server.kill()
    servers += 1
    signing.join()

    # The version is kept and the worker dies before it knows: the job is done and its report is there once.
    server = Whole(home, token, "draft.saved")
    signer.work(server.client())
    signer.check_whole(desk)
    study = uploaded(server, scan())
    assert ended(server, study)["state"] == "done"
    workers += 1
    server.kill()
    server = Whole(home, token)
    server.kill()
    servers += 2

    assert (servers, workers) == (WHOLE_SERVERS, WORKERS)
    for one in worklist(desk):
        assert one.job_state is jobs.JobState.DONE
        assert versions(desk, one.report_id)[0].number == 1
        assert (one.study.folder / "draft" / "report.json").is_file()
        assert [*one.study.folder.glob(".half*")] == []
    assert [*desk.incoming.iterdir()] == []
    assert len([*desk.folder.glob("s-*")]) == len(worklist(desk))
    check_trail(desk)
    wait_until(lambda: not workers_of(home))
    print(f"{servers} servers and {workers} workers killed")  # noqa: T201


def told_by(editors):
    """How many edits were acknowledged."""
    return sum(len(editor.told) for editor in editors)


def work_until_gone(signer, client):
    try:
        signer.work(client)
    except Gone:
        return


def upload_until_gone(client, folder):
    try:
        client.upload(folder)
    except Gone:
        return


def uploaded(server, folder):
    """The id of a study that was sent."""
    status, answer = server.client().upload(folder)
    assert status == 202, answer
    return answer["study_id"]


def ended(server, study_id):
    """The newest job of a study, when it is over."""
    client = server.client()

    def look():
        line = next(one for one in client.ask("GET", "/studies")[1] if one["id"] == study_id)
        job = client.ask("GET", f"/jobs/{line['job_id']}")[1]
        return job if job["state"] in ("done", "failed") else None

    return wait_until(look, step_s=0.1)


def workers_of(home):
    """Workers of a home that are alive, whoever started them."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "app.desk.worker" in one.cmdline() and one.environ().get("MEDOMNI_HOME") == str(home):
                found.append(one)
    return found


def worklist(desk):
    with reading(desk.engine) as tx:
        return studies.worklist(tx)


def job_of(desk, study_id):
    with reading(desk.engine) as tx:
        return jobs.newest(tx, study_id)


def reported(desk, study_id):
    """The id of a study's report, "" while there is none."""
    with reading(desk.engine) as tx:
        return reports.of_study(tx, study_id)


def open_database_at(address, revision, command, config, migrations):
    """A database whose tables have an earlier form."""
    from sqlalchemy import create_engine

    engine = create_engine(address)
    settings = config()
    settings.set_main_option("script_location", str(migrations))
    with engine.begin() as tx:
        settings.attributes["connection"] = tx
        command.upgrade(settings, revision)
    return engine
