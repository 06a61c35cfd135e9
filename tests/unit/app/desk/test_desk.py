"""The desk: one secret, one server, one person of a machine without sign-in; what broke off is swept."""

import os
import stat
import subprocess
import sys

import pytest

from app.desk.desk import UNLISTED, held, sweep
from app.store import studies
from app.store.database import reading
from app.store.people import Role
from medomni.errors import BadSettings
from tests import desks


@pytest.fixture
def desk(tmp_path):
    return desks.desk(tmp_path)


def test_the_secret_is_made_once_and_readable_by_nobody_else(desk, tmp_path):
    made = desk.secret
    assert len(made) == 64
    assert desks.desk(tmp_path).secret == made
    assert stat.S_IMODE((desk.folder / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.folder.stat().st_mode) == 0o700


def test_two_desks_have_two_secrets(tmp_path):
    assert desks.desk(tmp_path / "a").secret != desks.desk(tmp_path / "b").secret


def test_a_secret_that_was_written_half_is_not_taken(desk):
    (desk.folder / "secret").write_text("", encoding="ascii")
    with pytest.raises(BadSettings):
        _ = desk.secret


def test_a_second_server_is_refused_while_the_first_lives(desk, tmp_path):
    with held(desk), pytest.raises(BadSettings), held(desks.desk(tmp_path)):
        pass
    with held(desks.desk(tmp_path)):
        pass


def test_the_lock_of_a_server_that_was_killed_is_free(desk, tmp_path):
    script = (
        "import os, signal; from app.desk.desk import held, open_desk; from medomni.settings import load\n"
        "with held(open_desk(load(os.environ))): os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"MEDOMNI_HOME": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode < 0
    with held(desk):
        pass


def test_who_sits_at_the_machine_is_a_radiologist_of_the_stated_name(desk):
    assert (desk.person_here().name, desk.person_here().role) == ("Dr. Ana Rossi", Role.RADIOLOGIST)
    assert desk.person_here().id == desk.person_here().id
    assert desk.machine().role is Role.MACHINE


def test_what_broke_off_is_swept_and_studies_stay(desk):
    desks.received(desk)
    desks.intake(desk, [b"half"])
    lost = desk.folder / "s-lost"
    (lost / "source").mkdir(parents=True)
    (lost / UNLISTED).touch()
    with reading(desk.engine) as tx:
        known = studies.folders(tx)
    assert sweep(desk, known) == 2
    assert desks.leftovers(desk) == []
    assert [len(list((one.study.folder / "source").iterdir())) for one in desks.listed(desk)] == [8]


def test_a_study_is_never_swept_even_if_the_database_does_not_know_it(desk):
    desks.received(desk)
    assert sweep(desk, set()) == 0
    assert len(list(desk.folder.glob("s-*/source"))) == 1
