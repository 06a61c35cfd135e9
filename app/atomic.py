"""Files and folders that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medomni.errors import BadInput


@contextmanager
def new_folder(target: Path, *, replace: bool) -> Iterator[Path]:
    """Give a hidden private folder to write into; its files appear in ``target`` once the block has succeeded.

    A folder that does not exist appears by one rename. In one that exists, files are moved one by one in the order in
    which they were written, so the last written marks the whole; files of other names stay. When the block raises,
    nothing is left.

    Raises:
        BadInput: ``target`` is a file, cannot be written, or holds files and ``replace`` is False.
    """
    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise BadInput("is a file", remedy="give a folder for --out", where=target.name)
    if target.is_dir() and any(target.iterdir()) and not replace:
        raise BadInput("the folder already holds files", remedy="give another --out, or --force", where=target.name)
    is_new = not target.exists()
    with _working_folder(target.parent if is_new else target) as work:
        yield work
        written = sorted(work.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        _sync(*written, work)
        if is_new:
            target.parent.mkdir(parents=True, exist_ok=True)
            work.replace(target)
        else:
            for file in written:
                file.replace(target / file.name)
            _sync(target)


@contextmanager
def new_file(target: Path, *, replace: bool) -> Iterator[Path]:
    """Give a path to write to; the file appears as ``target`` once the block has succeeded.

    Raises:
        BadInput: ``target`` is a folder, cannot be written, or exists and ``replace`` is False.
    """
    target = target.resolve()
    if target.is_dir():
        raise BadInput("is a folder", remedy="give a file for --out", where=target.name)
    if target.exists() and not replace:
        raise BadInput("the file is already there", remedy="give another --out, or --force", where=target.name)
    with _working_folder(target.parent) as work:
        yield work / target.name
        _sync(work / target.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        (work / target.name).replace(target)


@contextmanager
def _working_folder(parent: Path) -> Iterator[Path]:
    """A private folder in ``parent``, or in the nearest folder above it that exists; removed afterwards."""
    existing = next(folder for folder in (parent, *parent.parents) if folder.exists())
    try:
        work = Path(tempfile.mkdtemp(prefix=".medomni-", dir=existing))
    except OSError as error:
        raise BadInput(
            "nothing can be written here", found=error.strerror or "", remedy="give another --out", where=existing.name
        ) from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sync(*paths: Path) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
