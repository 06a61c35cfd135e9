"""Reads a regular file up to a stated size, so that no pipe blocks and no giant file fills the memory.

Knows nothing about formats: the strict readers of JSON, WAV and adapters start here.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from medomni.errors import BadInput


def open_regular(path: Path) -> BinaryIO:
    """Return the open file; a folder, a pipe, a device and a missing file are bad input and never block.

    Raises:
        BadInput: there is no regular file that can be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
        raise BadInput("cannot be opened", found=reason, remedy="check the path", where=path.name) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput("is not a regular file", remedy="name one file", where=path.name)
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """Return the whole content of a regular file of at most ``limit_bytes``.

    Raises:
        BadInput: there is no such file, or it is larger.
    """
    with open_regular(path) as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise BadInput(
            "the file is too large",
            found=f"more than {limit_bytes} bytes",
            remedy="check that it is the right file",
            where=path.name,
        )
    return data
