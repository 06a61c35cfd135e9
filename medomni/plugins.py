"""Plug-ins: names of the parts other packages offer through entry points, and the part of a name.

Built-in parts come through the same door. Listing names imports nothing.
"""

from enum import StrEnum
from importlib.metadata import entry_points
from typing import Protocol

from medomni.errors import MissingPart


class Group(StrEnum):
    """The entry-point groups, one for each replaceable part."""

    SEGMENTERS = "medomni.segmenters"
    ENCODERS = "medomni.encoders"
    DRAFTERS = "medomni.drafters"
    EXPORTERS = "medomni.exporters"
    METRICS = "medomni.metrics"


def names(group: Group) -> tuple[str, ...]:
    """Return the names that are installed in a group, sorted."""
    return tuple(sorted(_entries(group)))


def load(group: Group, name: str) -> object:
    """Return the object a name stands for, importing it.

    Raises:
        MissingPart: no installed package offers the name, or it cannot be imported.
    """
    entries = _entries(group)
    kind = group.value.rpartition(".")[2].removesuffix("s")
    if name not in entries:
        offered = ", ".join(sorted(entries)) or "none"
        raise MissingPart(f"no {kind} has this name", found=f"installed: {offered}", remedy="choose one", where=name)
    try:
        return entries[name].load()
    except (ImportError, AttributeError) as error:
        raise MissingPart(
            f"the {kind} cannot be imported",
            found=f"{type(error).__name__} in {entries[name].value}",
            remedy="reinstall the package that offers it, or run `medomni doctor`",
            where=name,
        ) from error


class _Entry(Protocol):
    """An entry point of the standard library, or of its backport, which takes over once any package imports it."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    def load(self) -> object: ...


def _entries(group: Group) -> dict[str, _Entry]:
    return {entry.name: entry for entry in entry_points(group=group.value)}
