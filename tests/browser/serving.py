"""Starts `medomni serve` as a person does, and Chromium with software WebGL: for tests, benchmarks and pictures alike."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

ARGUMENTS = (
    *("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
)
CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
PROGRAM = (sys.executable, "-c", "from app.cli import main; main()")


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    address: str
    process: int
    environment: dict[str, str]
    log: Path


@contextmanager
def serving(home: Path, person: str = "Dr Test", **settings: str) -> Iterator[Server]:
    """Serve a home of its own until the block ends; ``settings`` by their names."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MEDOMNI_", "MLFLOW_"))}
    environment = kept | {"MEDOMNI_HOME": str(home), "MEDOMNI_PERSON": person, "OMP_NUM_THREADS": "1"}
    environment |= {f"MEDOMNI_{name.upper()}": value for name, value in settings.items()}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
    log = home / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen([*PROGRAM, "serve", "--port", str(port)], env=environment, stdout=out, stderr=out)
    try:
        _wait_for(f"http://127.0.0.1:{port}", process, log)
        yield Server(f"http://127.0.0.1:{port}", process.pid, environment, log)
    finally:
        process.terminate()
        process.wait(timeout=60)


def phantom(server: Server, home: Path, seed: int = 129) -> Path:
    """Draw a phantom and return the folder of its DICOM files."""
    make = [*PROGRAM, "phantom", "--count", "1", "--seed", str(seed), "--out", str(home / "phantom")]
    subprocess.run(make, env=server.environment, check=True, capture_output=True)
    return home / "phantom" / f"case-{seed:04d}" / "dicom"


def send(page, study: Path, history: str = "") -> None:
    """Send a study through the page and wait for its draft."""
    page.wait_for_selector(".mo-adding", state="attached")
    if page.locator(".mo-adding").is_hidden():
        page.get_by_role("button", name="Add a study").click()
    page.set_input_files("#mo-files", sorted(str(path) for path in study.rglob("*") if path.is_file()))
    page.fill("#mo-history", history)
    page.get_by_role("button", name="Send and draft").click()
    page.wait_for_selector(".mo-state.draft")


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        if server.poll() is not None:
            raise RuntimeError(f"the server ended: {log.read_text()[-2000:]}")
        try:
            with urlopen(f"{address}/api/health", timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.25)
    raise RuntimeError("the server does not answer")
