"""A full queue refuses an upload before its files are sent, whoever asks and however they close their line."""

import secrets
import socket

import pytest

from app.auth import Auth
from app.desk.desk import open_desk
from app.store import jobs, people, studies
from app.store.database import transaction
from app.store.people import Role
from medomni.settings import load
from tests.crash.servers import PATIENCE_S, Light

MIB = 1 << 20


@pytest.fixture
def home(tmp_path):
    """A desk whose queue is full."""
    desk = open_desk(load({"MEDOMNI_HOME": str(tmp_path)}))
    with transaction(desk.engine) as tx:
        machine = people.known(tx, "machine", "MedOmni", Role.MACHINE)
        for _ in range(desk.settings.queue):
            uid = secrets.token_hex(8)
            study = studies.receive(tx, machine, uid, "CT", tmp_path / uid)
            jobs.queue(tx, machine, study.id, {}, desk.settings.queue)
    return desk


@pytest.fixture
def server(home):
    made = Light(home.settings.home, Auth(home).token(home.person_here()))
    yield made
    made.kill()


def head(server, *more):
    """The start of an upload of 64 MiB."""
    lines = (
        "POST /studies HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {server.token}",
        f"Content-Length: {64 * MIB}",
        "Content-Type: multipart/form-data; boundary=edge",
        *more,
    )
    return "\r\n".join((*lines, "", "")).encode()


def answer_of(line):
    lines = line.recv(65536).split(b"\r\n")
    return int(lines[0].split()[1]), [one for one in lines if one.lower().startswith(b"retry-after: ")]


def test_refused_before_a_file_is_sent(server, home):
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as line:
        line.sendall(head(server))
        assert answer_of(line) == (429, [b"retry-after: 30"])
    assert [*home.incoming.iterdir()] == []


def test_who_closes_the_line_and_reads_late_sees_the_answer_too(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as line:
        line.sendall(head(server, "Connection: close"))
        for _ in range(64):
            line.sendall(bytes(MIB))
        assert answer_of(line) == (429, [b"retry-after: 30"])


def test_who_keeps_the_line_can_go_on_with_it(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as line:
        line.sendall(head(server))
        for _ in range(64):
            line.sendall(bytes(MIB))
        assert answer_of(line)[0] == 429
        line.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_of(line)[0] == 200
