"""A DICOMDIR -> the files it lists, all inside its own folder."""

import re
import warnings
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from medomni.errors import BadInput
from preprocessing.intake.contents import Item, shown
from preprocessing.intake.sources import MAX_FILES

MAX_BYTES = 64 << 20
_COMPONENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,63}")
"""Wider than the Standard's eight capitals (PS3.10 8.2), because exporters are; never "..", a slash or a drive."""


def files_of(path: Path) -> tuple[Item, ...]:
    """Return the files the directory records of a DICOMDIR refer to; missing ones are left for the gap check to find.

    Raises:
        BadInput: the DICOMDIR is damaged, lists no file that is there, or points outside its folder.
    """
    where, root = shown(path.name), path.resolve().parent
    found = {_inside(root, parts, where) for parts in _references(path, where)} - {None}
    if not found:
        raise BadInput("the DICOMDIR lists no file that is there", remedy="copy the whole disc or give the folder", where=where)
    return tuple(Item(target, shown(target.name)) for target in sorted(filter(None, found)))


def refuse_if_outside(path: Path) -> None:
    """Refuse a DICOMDIR that lies beside the images and points outside its folder; a merely damaged one does no harm.

    Raises:
        BadInput: a reference climbs out of the folder.
    """
    where, root = shown(path.name), path.resolve().parent
    try:
        references = _references(path, where)
    except BadInput:
        return
    for parts in references:
        _inside(root, parts, where)


def _inside(root: Path, parts: tuple[str, ...], where: str) -> Path | None:
    """Return the file a reference means, or None when it is not there."""
    if not parts or not all(_COMPONENT.fullmatch(part) for part in parts):
        raise _outside(where)
    target = next((p for p in (root.joinpath(*parts), root.joinpath(*map(str.lower, parts))) if p.is_file()), None)
    if target is not None and not target.resolve().is_relative_to(root):
        raise _outside(where)
    return target


def _references(path: Path, where: str) -> list[tuple[str, ...]]:
    """Return the path components of each referenced file."""
    if path.stat().st_size > MAX_BYTES:
        raise BadInput("the DICOMDIR is too large", remedy="give the folder with the images", where=where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values of the header
            records = list(dcmread(path, force=True, specific_tags=["DirectoryRecordSequence"]).DirectoryRecordSequence)
            found = [_components(record) for record in records[: 4 * MAX_FILES] if "ReferencedFileID" in record]
    except Exception as error:
        raise BadInput(
            "the DICOMDIR is damaged", found=type(error).__name__, remedy="give the folder with the images", where=where
        ) from error
    if len(found) > MAX_FILES:
        raise BadInput("the DICOMDIR lists too many files", remedy="give one study's folder", where=where)
    return found


def _components(record: Dataset) -> tuple[str, ...]:
    value = record.ReferencedFileID
    return (value,) if isinstance(value, str) else tuple(str(part) for part in value)


def _outside(where: str) -> BadInput:
    return BadInput(
        "the DICOMDIR points outside its folder",
        found="a climbing or absolute path",
        remedy="do not trust this disc; give the folder with the images",
        where=where,
    )
