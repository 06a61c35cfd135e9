"""Watches the stages of a draft: a progress bar for the person, CPU, wall time and peak memory for the record.

CPU time is user plus system of this process and its finished children; the peak is the resident memory of this process.
"""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from medomni import logs
from medomni.types.provenance import StageRecord

if TYPE_CHECKING:
    from medomni.pipeline import Progress as ProgressCallback

BAR_STEPS = 1000


class StageWatch:
    """Shows each stage while it runs and keeps what it cost. Implements ``medomni.pipeline.Watch``.

    The bars live as long as the ``with`` block that the watch opens; the records stay.
    """

    def __init__(self, *, is_quiet: bool) -> None:
        console = Console(stderr=True)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=is_quiet or not console.is_terminal,
        )
        self._records: list[StageRecord] = []

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    @property
    def records(self) -> tuple[StageRecord, ...]:
        """The finished stages in the order in which they ran."""
        return tuple(self._records)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the whole process so far, its start and imports included."""
        return round(_cpu_seconds(), 3)

    @contextmanager
    def stage(self, name: str) -> Iterator["ProgressCallback"]:
        """Open a named stage; the value is its progress callback (share done, 0 to 1)."""
        cpu, wall = _cpu_seconds(), time.perf_counter()
        task = self._bars.add_task(name, total=BAR_STEPS)
        yield lambda share: self._bars.update(task, completed=BAR_STEPS * min(max(share, 0.0), 1.0))
        self._bars.update(task, completed=BAR_STEPS)
        record = StageRecord(
            stage=name,
            cpu_seconds=round(_cpu_seconds() - cpu, 3),
            wall_seconds=round(time.perf_counter() - wall, 3),
            peak_mib=round(_peak_mib(), 1),
        )
        self._records.append(record)
        logs.event("stage", **record.model_dump())


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak_mib() -> float:
    """Peak resident memory; VmHWM where there is one, because ru_maxrss is inherited from the parent on Linux."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
