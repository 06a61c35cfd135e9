"""The program under test, as the tests see it: a command line goes in, an outcome with its cost comes out."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MOST_CPU_SECONDS = 2.0
MOST_TIMES_GOOD = 1.7
"""What a case may cost against a good study drafted at the same moment, on a machine too slow for the seconds above."""
MOST_GROWTH_MIB = 512.0


@dataclass(frozen=True)
class Outcome:
    """How one job ended. ``code`` is negative for a signal; the cost is above the warm program's own."""

    code: int
    stdout: str
    stderr: str
    has_ended: bool
    has_orphans: bool
    cpu_seconds: float
    grown_mib: float
    allowed_cpu_seconds: float = MOST_CPU_SECONDS

    def problems(self) -> list[str]:
        """Return what no input may do to the program, whatever the verdict."""
        found = []
        if not self.has_ended:
            found.append("it hangs")
        if self.code < 0:
            found.append(f"it died of signal {-self.code}")
        if self.has_orphans:
            found.append("a child process outlived it")
        if "Traceback" in self.stdout + self.stderr:
            found.append("a traceback: " + self.stderr[-1500:])
        if self.cpu_seconds > self.allowed_cpu_seconds:
            found.append(f"{self.cpu_seconds:.1f} CPU-seconds, at most {self.allowed_cpu_seconds:.1f}")
        if self.grown_mib > MOST_GROWTH_MIB:
            found.append(f"{self.grown_mib:.0f} MiB, at most {MOST_GROWTH_MIB:g}")
        return found


class Product:
    """A warm program in its own process, with its own empty home and temporary folder."""

    def __init__(self, folder: Path):
        self.home, self.temporary, self._rooms = folder / "home", folder / "tmp", folder / "rooms"
        for path in (self.home, self.temporary, self._rooms):
            path.mkdir()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MEDOMNI_", "MLFLOW_", "XDG_"))}
        places = {"HOME": str(self.home), "TMPDIR": str(self.temporary), "PYTHONPATH": str(REPOSITORY)}
        places["MEDOMNI_CACHE_MIB"] = "0"  # what is kept on purpose would count as left behind
        places["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "compiled")  # torch makes it when everything is imported at once
        command = [sys.executable, "-m", "tests.hostile.server"]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=kept | places, cwd=folder
        )

    def room(self, name: str) -> Path:
        """Return a new empty folder for one job."""
        path = self._rooms / name
        path.mkdir()
        return path

    def warm(self, lines: list[list[str]]) -> None:
        """Let the program import everything that these command lines need; the first drafts a good study."""
        self._good = [*lines[0][:2], "--out", "out"]
        self._ask({"job": "warm", "lines": lines, "folder": str(self.room("_warm"))})

    def run(self, words: list[str], room: Path) -> Outcome:
        """Run one command line."""
        outcome = self._finish({"job": "command", "words": words}, room)[0]
        return replace(outcome, allowed_cpu_seconds=self.allowed(outcome.cpu_seconds))

    def allowed(self, cpu_seconds: float) -> float:
        """Return what a study that took so long may cost; past the bar, a good study is drafted at once to compare."""
        if cpu_seconds <= MOST_CPU_SECONDS:
            return MOST_CPU_SECONDS
        with tempfile.TemporaryDirectory(dir=self._rooms) as beside:
            good = self._finish({"job": "command", "words": self._good}, Path(beside))[0]
        return max(MOST_CPU_SECONDS, MOST_TIMES_GOOD * good.cpu_seconds)

    def run_many(self, lines: list[list[str]], room: Path) -> tuple[Outcome, list[dict]]:
        """Run many command lines in one process; return its outcome and code, cost and stderr of each line."""
        return self._finish({"job": "commands", "lines": lines}, room)

    def compare(self, studies: list[dict], room: Path) -> tuple[Outcome, list[dict]]:
        """Read studies, each a ``source`` with its ``truths`` by series UID; return the largest errors of each."""
        return self._finish({"job": "compare", "studies": studies}, room)

    def refuse(self, sources: list[str], good: str, truths: dict[str, str], room: Path) -> tuple[Outcome, dict]:
        """Open bad studies between two readings of a good one, all in one process."""
        return self._finish({"job": "refuse", "sources": sources, "good": good, "truths": truths}, room)

    def close(self) -> None:
        """End the program."""
        self._server.stdin.close()
        self._server.wait(timeout=60)

    def _finish(self, request: dict, room: Path) -> tuple[Outcome, dict]:
        reply = self._ask({**request, "folder": str(room)})
        said = [(room / name).read_text(encoding="utf-8", errors="replace") for name in ("stdout", "stderr")]
        result = room / "result.json"
        rows = json.loads(result.read_text()) if result.exists() else {}
        for name in ("stdout", "stderr", "result.json"):
            (room / name).unlink(missing_ok=True)
        return Outcome(stdout=said[0], stderr=said[1], **reply), rows

    def _ask(self, request: dict) -> dict:
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError("the server of the hostile tests has died")
        return json.loads(line)
