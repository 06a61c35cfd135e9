"""Writes many phantom cases, one process each, every case whole or not at all; then the page that shows them.

orders -> case folders -> gallery.html
"""

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from app import atomic
from medomni.errors import BadInput
from medomni.phantom.cohort import BodyRegion

if TYPE_CHECKING:
    from medomni.pipeline import Progress

Item = TypeVar("Item")
MOST_DEFAULT_JOBS = 4
"""A process needs about 1 GiB; more only when asked for."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of two settings of glibc's allocator (malloc.h)."""
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Order:
    """One case to write. ``lang`` is en, zh or mixed (odd seeds speak Chinese)."""

    seed: int
    out: Path
    region: BodyRegion
    lang: str

    @property
    def folder(self) -> Path:
        """Where the case will lie."""
        return self.out / f"case-{self.seed:04d}"

    @property
    def language(self) -> str:
        """The language of the dictation."""
        return ("en", "zh")[self.seed % 2] if self.lang == "mixed" else self.lang


def write(orders: list[Order], jobs: int, progress: "Progress") -> list[str]:
    """Write the cases and return their folders in the order of the seeds; their bytes do not depend on ``jobs``.

    Raises:
        BadInput: a case is already there; nothing was written then.
    """
    for order in orders:
        if order.folder.exists():
            raise BadInput("the case is already there", remedy="give another --out or --seed", where=order.folder.name)
    workers = min(jobs or min(os.cpu_count() or 1, MOST_DEFAULT_JOBS), len(orders))
    with _shared_folder(orders[0].out):
        if workers == 1:
            for number, order in enumerate(orders, start=1):
                write_one(order)
                progress(number / len(orders))
        else:
            in_processes(write_one, orders, len(orders), workers, progress)
    return [str(order.folder) for order in orders]


def write_one(order: Order) -> None:
    """Write one case: its folder appears whole."""
    from medomni.phantom.write import write_case

    _keep_freed_memory()
    with atomic.new_folder(order.out, replace=True) as work:
        write_case(work, order.seed, order.region, order.language)
        if order.folder.exists():
            raise BadInput("the case is already there", remedy="give another --out or --seed", where=order.folder.name)


def show(out: Path) -> Path:
    """Write the page of all cases in a folder and return it."""
    from medomni.phantom.gallery import write_gallery

    with atomic.new_file(out / "gallery.html", replace=True) as target:
        write_gallery(out, target)
    return out / "gallery.html"


@contextmanager
def _shared_folder(out: Path) -> Iterator[None]:
    """The folder into which every process writes, there before any of them; gone again when none has written."""
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            "nothing can be written here", found=error.strerror or "", remedy="give another --out", where=out.name
        ) from error
    try:
        yield
    except BaseException:
        if not any(out.iterdir()):
            out.rmdir()
        raise


def in_processes(make: Callable[[Item], None], waiting: Sequence[Item], count: int, jobs: int, progress: "Progress") -> None:
    """Make what is waiting of ``count`` things, each in one of ``jobs`` processes; after a failure no more are begun."""
    with one_thread_each(), ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(make, item) for item in waiting]
        try:
            for number, done in enumerate(as_completed(running), start=count - len(waiting) + 1):
                done.result()
                progress(number / count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _keep_freed_memory() -> None:
    """Let the C library keep what is freed: a case makes hundreds of large arrays, and fresh pages cost a tenth of its time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started inside use one thread each: they share the CPUs already."""
    before = {name: os.environ.get(name) for name in _THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(_THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
