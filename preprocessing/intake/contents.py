"""The bytes of one file or archive member, read without trusting its size and without ever waiting on a pipe.

Members of an archive are unpacked in memory and never written to a path.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from medomni.errors import BadInput

READ_FAILURES = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error)
"""What reading a damaged file or archive can raise."""


@dataclass(frozen=True, slots=True)
class Item:
    """One regular file, or one member of an archive; ``name`` is its base name for messages."""

    path: Path
    name: str
    member: int | None = None


class Contents:
    """Reads the bytes of items; keeps an archive open while in a ``with`` block."""

    def __init__(self) -> None:
        self._archive: zipfile.ZipFile | None = None
        self._archive_path: Path | None = None
        self._last: tuple[tuple[Path, int | None], bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._archive is not None:
            self._archive.close()
            self._archive = None

    def head(self, item: Item, length: int) -> tuple[bytes, int]:
        """Return the first ``length`` bytes of an item and its size; the size of a member is the declared one."""
        try:
            if item.member is None:
                with open_regular(item.path) as file:
                    return file.read(length), os.fstat(file.fileno()).st_size
            info = self._members(item.path)[item.member]
            with self._archive_at(item.path).open(info) as member:
                return member.read(length), info.file_size
        except READ_FAILURES as error:
            raise unreadable(item, error) from None

    def read_into(self, item: Item, offset: int, target: memoryview) -> None:
        """Fill ``target`` with the bytes of an item from ``offset``.

        Raises:
            BadInput: the item ends too early or cannot be read.
        """
        if item.member is not None:
            self.copy_into(item, self.remembered(item, lambda: self.whole(item)), offset, target)
            return
        try:
            with open_regular(item.path) as file:
                file.seek(offset)
                count = _fill(file, target)
        except READ_FAILURES as error:
            raise unreadable(item, error) from None
        if count != len(target):
            raise _cut_short(item, count, len(target))

    def copy_into(self, item: Item, data: bytes, offset: int, target: memoryview) -> None:
        """Fill ``target`` from bytes that were read before."""
        part = data[offset : offset + len(target)]
        if len(part) != len(target):
            raise _cut_short(item, len(part), len(target))
        target[:] = part

    def remembered(self, item: Item, make: Callable[[], bytes]) -> bytes:
        """Return ``make()``, made once while the same item is asked for: the frames of one object follow each other."""
        key = (item.path, item.member)
        if self._last is None or self._last[0] != key:
            self._last = None
            self._last = key, make()
        return self._last[1]

    def named(self, item: Item) -> Item:
        """Return the item under its own name when it is a member of an archive."""
        if item.member is None:
            return item
        return Item(item.path, shown(self._members(item.path)[item.member].filename.rsplit("/", 1)[-1]), item.member)

    def whole(self, item: Item) -> bytes:
        """Return all bytes of an item."""
        try:
            if item.member is None:
                with open_regular(item.path) as file:
                    return file.read()
            with self._archive_at(item.path).open(self._members(item.path)[item.member]) as member:
                return member.read()
        except READ_FAILURES as error:
            raise unreadable(item, error) from None

    def _members(self, path: Path) -> list[zipfile.ZipInfo]:
        return self._archive_at(path).infolist()

    def _archive_at(self, path: Path) -> zipfile.ZipFile:
        if self._archive is None or self._archive_path != path:
            self._archive, self._archive_path = zipfile.ZipFile(path), path
        return self._archive


def open_regular(path: Path) -> FileIO:
    """Open a file for reading without ever waiting on a pipe that took its place."""
    file = open(path, "rb", buffering=0, opener=_open_without_waiting)  # noqa: SIM115 (the opener is the point)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("not a regular file")
    return file


def _open_without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _fill(file: FileIO, target: memoryview) -> int:
    count = 0
    while count < len(target):
        step = file.readinto(target[count:])
        if not step:
            break
        count += step
    return count


def unreadable(item: Item, error: BaseException) -> BadInput:
    """Return the refusal of an item that cannot be read at all."""
    kind = type(error).__name__
    return BadInput("cannot be read", found=kind, remedy="copy or export the study again", where=item.name)


def _cut_short(item: Item, held: int, wanted: int) -> BadInput:
    return BadInput(
        "the file is cut short",
        found=f"{held} of {wanted} bytes of pixel data",
        remedy="copy or export the study again",
        where=item.name,
    )


def shown(name: str) -> str:
    """Return a file name that is safe to show: printable and at most 80 characters."""
    clean = "".join(character if character.isprintable() else "?" for character in name)
    return clean if len(clean) <= 80 else clean[:77] + "..."
