"""A path the user gave -> the regular files, or archive members, that may hold images, under caps.

Links, pipes, sockets and devices are left out and nothing here ever waits on one. Members of an archive are read in
memory and never written to a path. Knows nothing about DICOM.
"""

import os
import stat
import struct
import zipfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from medomni.errors import BadInput
from preprocessing.intake.contents import READ_FAILURES, Item, open_regular, shown, unreadable

MAX_FILES = 20_000
"""Most files of one source; the largest CT studies (several thin phases) hold about 8,000."""
MAX_DEPTH = 16
"""Deepest folder below the source that is searched."""
MAX_ARCHIVE_BYTES = 8 << 30
"""Most bytes an archive may unpack to."""
MAX_PACKING = 100
"""Largest credible packing ratio; CT packs 2 to 5 times, a bomb 1,000 times."""
FREE_BYTES = 64 << 20
"""Size below which the packing ratio does not matter."""

_END_RECORD = b"PK\x05\x06"
_END_LOCATOR_64 = b"PK\x06\x07"


class SourceKind(StrEnum):
    """What a path is, judged by its content and not by its name alone."""

    FOLDER = "folder"
    ARCHIVE = "archive"
    NIFTI = "nifti"
    FILE = "file"


@dataclass(frozen=True)
class Listing:
    """The items of a source in a fixed order, and how many entries were left out because they are no regular file."""

    kind: SourceKind
    items: tuple[Item, ...]
    left_out: int = 0


def list_source(source: Path) -> Listing:
    """Return what lies at a path.

    Raises:
        BadInput: nothing is there, it is no file or folder, or it breaks a cap.
    """
    try:
        mode = source.stat().st_mode
    except (OSError, ValueError):
        raise BadInput("not found", remedy="give the path of a CT study", where=shown(source.name)) from None
    if stat.S_ISDIR(mode):
        return _list_folder(source)
    if not stat.S_ISREG(mode):
        raise BadInput("not a file or folder", found="a pipe, socket or device", remedy="give a study", where=shown(source.name))
    kind = _kind_of_file(source)
    if kind is SourceKind.ARCHIVE:
        return Listing(kind, _list_archive(source))
    return Listing(kind, (Item(source, shown(source.name)),))


def _kind_of_file(path: Path) -> SourceKind:
    try:
        with open_regular(path) as file:
            head = file.read(352)
    except OSError as error:
        raise unreadable(Item(path, shown(path.name)), error) from None
    if head[128:132] == b"DICM":
        return SourceKind.FILE
    if head[:4] in (b"PK\x03\x04", _END_RECORD):
        return SourceKind.ARCHIVE
    is_nifti = head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] == b"n+2\0"
    if is_nifti or head[:2] == b"\x1f\x8b" or path.name.lower().endswith((".nii", ".nii.gz")):
        return SourceKind.NIFTI
    if path.name.lower().endswith(".zip"):
        return SourceKind.ARCHIVE
    return SourceKind.FILE


def _list_folder(root: Path) -> Listing:
    items: list[Item] = []
    left_out = 0
    folders = [(root, 0)]
    while folders:
        folder, depth = folders.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            raise unreadable(Item(folder, shown(folder.name)), error) from None
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                items.append(Item(Path(entry.path), shown(entry.name)))
            elif entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
                folders.append((Path(entry.path), depth + 1))
            else:
                left_out += 1
        if len(items) + len(folders) > MAX_FILES:
            raise _too_many(shown(root.name))
    if not items:
        raise BadInput("no file in this folder", remedy="give a folder of CT slices (DICOM files)", where=shown(root.name))
    return Listing(SourceKind.FOLDER, tuple(items), left_out)


def _list_archive(path: Path) -> tuple[Item, ...]:
    where = shown(path.name)
    if _declared_members(path, where) > MAX_FILES:
        raise _too_many(where)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (*READ_FAILURES, NotImplementedError):
        raise BadInput("the archive is damaged", remedy="upload or copy it again", where=where) from None
    if len(members) > MAX_FILES:
        raise _too_many(where)
    for info in members:
        _check_member(info, where)
    packed = path.stat().st_size
    unpacked = sum(info.file_size for info in members)
    if unpacked > MAX_ARCHIVE_BYTES or unpacked > FREE_BYTES + MAX_PACKING * packed:
        raise BadInput(
            "the archive unpacks to far too much",
            found=f"{unpacked >> 20} MiB from {packed / 2**20:.1f} MiB",
            remedy="give the study's own folder",
            where=where,
        )
    return tuple(
        Item(path, shown(info.filename.rsplit("/", 1)[-1]), number) for number, info in enumerate(members) if not info.is_dir()
    )


def _check_member(info: zipfile.ZipInfo, where: str) -> None:
    parts = info.orig_filename.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise BadInput(
            "a member of the archive points outside it", found="an absolute or climbing name",
            remedy="pack the study again and do not trust this archive", where=where,
        )  # fmt: skip
    if info.flag_bits & 0x1:
        raise BadInput("the archive is encrypted", remedy="unpack it and give the folder", where=where)
    if info.file_size > FREE_BYTES and info.file_size > MAX_PACKING * max(1, info.compress_size):
        raise BadInput(
            "a member of the archive unpacks to far too much", found=f"{info.file_size >> 20} MiB",
            remedy="give the study's own folder", where=where,
        )  # fmt: skip


def _declared_members(path: Path, where: str) -> int:
    """Return how many members the end record declares (PKWARE APPNOTE 4.3.14 to 4.3.16), before any is parsed."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - 65_557))
        tail = file.read()
        at = tail.rfind(_END_RECORD)
        if at < 0 or at + 22 > len(tail):
            raise BadInput("the archive is cut short", remedy="upload or copy it again", where=where)
        count = int(struct.unpack_from("<H", tail, at + 10)[0])
        if tail[at - 20 : at - 16] == _END_LOCATOR_64:
            file.seek(min(size, struct.unpack_from("<Q", tail, at - 12)[0]))
            record = file.read(56)
            if len(record) == 56:
                count = max(count, int(struct.unpack_from("<Q", record, 32)[0]))
    return count


def _too_many(where: str) -> BadInput:
    return BadInput("too many files", found=f"more than {MAX_FILES}", remedy="give one study at a time", where=where)
