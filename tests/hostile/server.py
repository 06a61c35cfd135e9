"""A warm program: imports everything once, then forks one watched child for each job it is sent.

One JSON object a line on stdin, one a line back on stdout. A child has its own process group, a limit on CPU time,
address space and core files, and a deadline; what it used is measured by the kernel, start-up not counted.
"""

import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import traceback
from pathlib import Path

from tests.hostile import jobs

HARD_CPU_SECONDS = 30
CPU_SECONDS_OF_EACH = 4
"""What each study of a request with many may add to the limit: twice what a test lets one study cost."""
HARD_ADDRESS_BYTES = 4 << 30
DEADLINE_TIMES_CPU = 3
BUG = 1
MANY = ("lines", "studies", "sources")


def main() -> None:
    """Warm up with the command lines of the first request, then serve."""
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        reply = _warm(request) if request["job"] == "warm" else watch(request)
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


def watch(request: dict) -> dict:
    """Fork a child for one job, wait for it, and return how it ended and what it used."""
    resident_kib = _resident_kib()
    child = os.fork()
    if child == 0:
        _become_child(request)
    handle = os.pidfd_open(child)
    has_ended = bool(select.select([handle], [], [], DEADLINE_TIMES_CPU * most_cpu_seconds(request))[0])
    os.close(handle)
    if not has_ended:
        os.killpg(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    has_orphans = _end_orphans(child)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "has_ended": has_ended,
        "has_orphans": has_orphans,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "grown_mib": (used.ru_maxrss - resident_kib) / 1024,
    }


def most_cpu_seconds(request: dict) -> int:
    """Return the CPU time after which the kernel ends the child of this request."""
    return HARD_CPU_SECONDS + CPU_SECONDS_OF_EACH * max(len(request.get(name, ())) for name in MANY)


def _become_child(request: dict) -> None:
    """Do the job under the limits and leave without returning."""
    code = BUG
    try:
        os.setpgid(0, 0)
        folder = Path(request["folder"])
        for descriptor, name, flags in ((0, os.devnull, os.O_RDONLY), (1, "stdout", 0), (2, "stderr", 0)):
            opened = os.open(folder / name, flags or os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        os.chdir(folder)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + HARD_ADDRESS_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (most_cpu_seconds(request),) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = _do(request)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _do(request: dict) -> int:
    result = Path(request["folder"]) / "result.json"
    match request["job"]:
        case "command":
            return jobs.run_command(request["words"])
        case "commands":
            return jobs.run_commands(request["lines"], result)
        case "compare":
            return jobs.compare(request["studies"], result)
        case "refuse":
            return jobs.refuse_all_then_read(request["sources"], Path(request["good"]), request["truths"], result)
        case "modules":
            for words in request["lines"]:
                jobs.run_command(words)
            result.write_text(json.dumps(sorted(sys.modules)))
            return 0
    raise ValueError(request["job"])


def _warm(request: dict) -> dict:
    """Let a child do the usual work once, then import what it has imported."""
    reply = watch({**request, "job": "modules"})
    result = Path(request["folder"]) / "result.json"
    names = json.loads(result.read_text()) if result.exists() else []
    for name in names:
        if name not in sys.modules and not name.startswith("_"):
            try:
                importlib.import_module(name)
            except (ImportError, AttributeError):
                continue
    result.unlink(missing_ok=True)
    gc.collect()
    gc.freeze()
    return reply | {"modules": len(names), "resident_mib": _resident_kib() / 1024}


def _end_orphans(group: int) -> bool:
    """Whether processes of the child's group outlived it; they are ended."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


if __name__ == "__main__":
    main()
