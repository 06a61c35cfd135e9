"""Servers of one desk that can be killed, and a client that knows when its server is gone.

``Light`` is the API and the store alone, in a process that is forked from one in which everything is imported; ``Whole`` is what
a person starts: ``medomni serve``, with pages and worker.
"""

import http.client
import json
import multiprocessing
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import psutil

from app.kill import VARIABLE
from medomni.settings import load

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 120
"""How long anything may take on a slow and busy machine before a test gives up."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MEDOMNI_THREADS"), "1")
_forked = multiprocessing.get_context("forkserver")
_forked.set_forkserver_preload(["app.serve", "app.wiring", "uvicorn", "preprocessing.dicom", "tests.crash.servers"])


class Gone(Exception):
    """The server ended before it answered."""


class Client:
    """Asks a server at a port, with one connection that is kept."""

    def __init__(self, port, token):
        self.port, self.token = port, token
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)

    def ask(self, method, path, body=None, kind="application/json"):
        """The status and the answer, read as JSON."""
        sent = json.dumps(body).encode() if isinstance(body, dict) else body
        try:
            self._line.request(method, f"{path}", sent, {"Authorization": f"Bearer {self.token}", "Content-Type": kind})
            answer = self._line.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException) as error:
            self._line.close()
            raise Gone from error

    def upload(self, folder):
        """Send the files of a folder as one study."""
        return self.ask("POST", "/studies", *multipart(folder))


def multipart(folder):
    """The body of an upload of a folder's files, and its content type."""
    edge = secrets.token_hex(12)
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'.encode()
        + path.read_bytes()
        + b"\r\n"
        for path in sorted(folder.iterdir())
    ]
    return b"".join([*parts, f"--{edge}--\r\n".encode()]), f"multipart/form-data; boundary={edge}"


class Light:
    """The API of a desk in a process of its own."""

    def __init__(self, home, token, point=""):
        self.port, self.token = free_port(), token
        self.process = _forked.Process(target=serve_light, args=(str(home), self.port, point), daemon=True)
        self.process.start()
        wait_until(lambda: is_up(self.port, ""))

    def client(self):
        """A client of this server."""
        return _Prefixed(self.port, self.token, "")

    def kill(self):
        """End it as a power cut would."""
        self.process.kill()
        self.wait()

    def wait(self):
        """Wait until it was killed."""
        self.process.join(PATIENCE_S)
        assert self.process.exitcode == -9, self.process.exitcode


def serve_light(home, port, point):
    """Serve a desk's API until the process ends."""
    import uvicorn

    from app.api.application import create_api
    from app.desk.desk import open_desk
    from app.serve import recover

    os.environ[VARIABLE] = point
    desk = open_desk(load({"MEDOMNI_HOME": home}))
    recover(desk)
    uvicorn.run(create_api(desk), host="127.0.0.1", port=port, log_level="critical")


class Whole:
    """``medomni serve`` as a person starts it; ``point`` reaches its worker too."""

    started: ClassVar = []

    def __init__(self, home, token, point=""):
        self.port, self.token = free_port(), token
        words = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--port", str(self.port)]
        environment = os.environ | ONE_THREAD | {"MEDOMNI_HOME": str(home), VARIABLE: point}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        self.process = subprocess.Popen(words, cwd=REPOSITORY, env=environment, **quiet)
        self.started.append(self.process)
        wait_until(lambda: is_up(self.port, "/api"))

    def client(self):
        """A client of this server's API."""
        return _Prefixed(self.port, self.token, "/api")

    def worker(self):
        """The worker's process, None while there is none."""
        children = psutil.Process(self.process.pid).children()
        return next((one for one in children if "app.desk.worker" in " ".join(one.cmdline())), None)

    def kill(self):
        """End it as a power cut would; its worker ends by itself."""
        self.process.kill()
        self.wait()

    def wait(self):
        """Wait until it was killed."""
        assert self.process.wait(PATIENCE_S) == -9


class _Prefixed(Client):
    def __init__(self, port, token, prefix):
        super().__init__(port, token)
        self._prefix = prefix

    def ask(self, method, path, body=None, kind="application/json"):
        return super().ask(method, self._prefix + path, body, kind)


def is_up(port, prefix):
    """Whether a server answers."""
    try:
        return _Prefixed(port, "", prefix).ask("GET", "/health")[0] == 200
    except Gone:
        return False


def wait_until(is_so, step_s=0.02):
    """Wait for something; the first true answer."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if answer := is_so():
            return answer
        time.sleep(step_s)
    raise AssertionError("it never came")


def free_port():
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
