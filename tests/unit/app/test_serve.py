"""The server as a person starts it: whom it answers, what it tells of itself, and that it leaves nothing running."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from app.serve import check_host
from medomni.errors import BadSettings
from tests import desks

PROGRAM = (sys.executable, "-c", "from app.cli import main; main()")
ROOT = Path(__file__).parents[3]
ANYWHERE = "0.0.0.0"  # noqa: S104 (refused, not bound to)
SIGN_IN = {"oidc_issuer": "https://provider.example", "oidc_client": "medomni"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"])
def test_this_machine_alone_needs_no_sign_in(tmp_path, host):
    check_host(desks.desk(tmp_path), host)


@pytest.mark.parametrize("host", [ANYWHERE, "::", "192.168.1.2", "reports.example", "", "127.0.0.1.example"])
def test_another_address_is_refused_without_sign_in(tmp_path, host):
    with pytest.raises(BadSettings, match="sign"):
        check_host(desks.desk(tmp_path), host)


def test_with_sign_in_another_address_is_served(tmp_path):
    check_host(desks.desk(tmp_path, **SIGN_IN), ANYWHERE)


def test_a_sign_in_without_a_client_is_refused(tmp_path):
    with pytest.raises(BadSettings, match="client"):
        check_host(desks.desk(tmp_path, oidc_issuer="https://provider.example"), "127.0.0.1")


def environment(home):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MEDOMNI_")}
    paths = os.pathsep.join(part for part in (str(ROOT), kept.get("PYTHONPATH", "")) if part)
    return kept | {"MEDOMNI_HOME": str(home), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def children(process):
    """The processes that a process started, as far as they live."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:1]


@contextmanager
def serving(home):
    """A server that runs: its process, once a worker of it runs too, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (home / "log").open("w") as log:
        process = subprocess.Popen([*PROGRAM, "serve", "--port", str(port)], env=environment(home), stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        while not is_answering(address):
            assert process.poll() is None, (home / "log").read_text()
            time.sleep(0.2)
        while not children(process.pid):
            time.sleep(0.1)
        yield process, address, home
    finally:
        process.kill()
        process.wait()


def is_answering(address):
    try:
        return httpx2.get(f"{address}/api/health", timeout=2).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


def test_health_answers_to_anybody(served):
    answer = httpx2.get(f"{served[1]}/api/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_answers_leave_at_once():
    """asyncio's own loop leaves Nagle's algorithm on for the socket that Streamlit opens: 40 ms between head and body."""
    import uvicorn

    assert sys.platform == "win32" or "uvloop" in uvicorn.Config("app").get_loop_factory().__module__


def test_answers_of_the_api_are_not_packed(served):
    answer = httpx2.get(f"{served[1]}/api/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers


def test_the_rest_of_the_api_answers_to_nobody_unknown(served):
    answer = httpx2.get(f"{served[1]}/api/studies")
    assert answer.status_code == 401
    assert answer.json()["error"]["wrong"] == "this needs a token"


def test_a_page_elsewhere_cannot_reach_it_under_its_own_name(served):
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        assert httpx2.get(f"{served[1]}/api/health", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("path", ["/", "/api/health", "/api/nothing", "/medomni/nothing"])
def test_every_answer_forbids_framing_and_sniffing(served, path):
    headers = httpx2.get(f"{served[1]}{path}").headers
    assert headers.get_list("x-frame-options") == ["DENY"]
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers.get_list("referrer-policy") == ["no-referrer"]
    assert "camera=()" in headers["permissions-policy"]


def test_answers_of_the_api_are_never_kept(served):
    assert httpx2.get(f"{served[1]}/api/health").headers.get_list("cache-control") == ["no-store"]


@pytest.mark.parametrize("path", ["/medomni/../main.py", "/medomni/%2e%2e/main.py", "/medomni/..%2f..%2fauth.py"])
def test_only_the_files_of_the_viewer_are_served(served, path):
    with socket.create_connection(("127.0.0.1", int(served[1].rpartition(":")[2]))) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := line.recv(65536):
            answer += part
    assert b"from app" not in answer
    assert b"import jwt" not in answer


def test_a_second_server_of_a_home_is_refused(served):
    command = [*PROGRAM, "serve", "--port", "1"]
    done = subprocess.run(command, env=environment(served[2]), capture_output=True, text=True, check=False)
    assert done.returncode == 6
    assert "another server uses this folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_without_sign_in_does_not_start_for_others(tmp_path):
    command = [*PROGRAM, "serve", "--host", ANYWHERE]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.count("\n") == 1


def test_a_server_with_a_drafter_that_is_not_installed_does_not_start(tmp_path):
    given = environment(tmp_path) | {"MEDOMNI_DRAFTER": "gpt"}
    done = subprocess.run([*PROGRAM, "serve"], env=given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("medomni: gpt: no drafter has this name; installed: template, ")


def test_a_worker_that_is_killed_is_started_again(served):
    process, address, _ = served
    (first,) = children(process.pid)
    os.kill(first, signal.SIGKILL)
    for _ in range(300):
        now = children(process.pid)
        if now and first not in now:
            break
        time.sleep(0.1)
    assert now
    assert first not in now
    assert httpx2.get(f"{address}/api/health").status_code == 200


def test_a_stopped_server_ends_and_leaves_no_process(tmp_path):
    with serving(tmp_path) as (process, _, _):
        left = children(process.pid)
        assert left
        process.terminate()
        process.wait(timeout=15)
    for _ in range(50):
        if not any(is_alive(child) for child in left):
            break
        time.sleep(0.1)
    assert not any(is_alive(child) for child in left)
    assert "Traceback" not in (tmp_path / "log").read_text()


def verify(home, *words):
    command = [*PROGRAM, "audit", "verify", *words]
    return subprocess.run(command, env=environment(home), capture_output=True, text=True, check=False)


def test_the_audit_is_verified_and_a_change_is_found(tmp_path):
    desk = desks.desk(tmp_path)
    desks.begun(desk)
    desk.engine.dispose()
    good = verify(tmp_path)
    assert (good.returncode, good.stdout.split("\n")[0]) == (0, "3 rows, nothing was changed")
    newest = good.stdout.split()[-1]
    assert verify(tmp_path, "--newest", newest).returncode == 0
    with sqlite3.connect(tmp_path / "medomni.db") as base:
        base.execute("DROP TRIGGER audit_no_update")
        base.execute("UPDATE audit SET person_id = 'somebody' WHERE number = 2")
    bad = verify(tmp_path, "--json")
    assert bad.returncode == 3
    assert json.loads(bad.stdout)["faults"] == ["row 2 was changed"]
    assert "the audit trail was changed; row 2 was changed" in bad.stderr
    assert "Traceback" not in bad.stderr


def test_a_trail_whose_end_was_cut_off_is_found_by_a_noted_hash(tmp_path):
    desk = desks.desk(tmp_path)
    desks.received(desk)
    desk.engine.dispose()
    newest = json.loads(verify(tmp_path, "--json").stdout)["newest"]
    with sqlite3.connect(tmp_path / "medomni.db") as base:
        base.execute("DROP TRIGGER audit_no_delete")
        base.execute("DELETE FROM audit WHERE number = 2")
    assert verify(tmp_path).returncode == 0
    assert verify(tmp_path, "--newest", newest).returncode == 3
