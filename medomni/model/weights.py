"""Where the weights of a draft lie, which are there, and whether they are what they should be.

    weights.toml, home -> folder, state

Weights that ship lie in the packages; others are pulled once into ``home/weights/NAME`` with a record of the digest of each file.
Knows nothing about networks, packages or how they are fetched.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from medomni.errors import BadInput, MissingPart
from medomni.reporting.vocabulary import read_table
from medomni.types.codes import Value

FORM = "1"
"""Version of how pulled weights are kept; counted up when a converter changes."""
MADE_OF = "made of"
"""Key of a record that holds the folder's identity."""
RECORD = "weights.json"
"""The file of a pulled folder that holds the digest of every other file in it; written last."""
_CHUNK = 1 << 22


class Wheel(Value):
    """A package that holds weights as data."""

    project: str
    version: str
    sha256: str


class Taken(Value):
    """A file of a wheel and the name it is kept under; an empty digest is covered by the wheel's."""

    path: str
    sha256: str
    name: str


class Pulled(Value):
    """One entry of the manifest; the fields are explained at the head of ``weights.toml``."""

    role: str
    wheels: tuple[Wheel, ...]
    files: tuple[Taken, ...]
    convert: str
    source: str
    licence: str


class Shipped(Value):
    """Weights that lie in the packages: the file beside the repository's packages, and its digest."""

    role: str
    file: str
    sha256: str
    licence: str


class State(StrEnum):
    """What can be said about weights."""

    READY = "ready"
    MISSING = "missing"
    DAMAGED = "damaged"


@cache
def manifest() -> Mapping[str, Pulled]:
    """The weights that can be pulled, by name."""
    table = read_table("weights.toml")
    return TypeAdapter(dict[str, Pulled]).validate_python(table["pulled"])


@cache
def shipped() -> Mapping[str, Shipped]:
    """The weights that ship, by name."""
    return TypeAdapter(dict[str, Shipped]).validate_python(read_table("weights.toml")["shipped"])


def state_of_shipped(name: str) -> State:
    """Return whether the file of shipped weights is there with its digest."""
    file = Path(__file__).parents[2] / shipped()[name].file
    if not file.is_file():
        return State.MISSING
    return State.READY if sha256_of(file) == shipped()[name].sha256 else State.DAMAGED


def entry(name: str) -> Pulled:
    """Return the entry of a name.

    Raises:
        BadInput: the manifest holds no such name.
    """
    found = manifest().get(name)
    if found is None:
        raise BadInput("no weights have this name", found=f"known: {', '.join(manifest())}", remedy="choose one", where=name)
    return found


def folder_of(home: Path, name: str) -> Path:
    """Where the weights of a name are kept."""
    return home / "weights" / name


def identity_of(name: str) -> str:
    """What a pulled folder is made of: a digest of its manifest entry and of the form in which it is kept."""
    return hashlib.sha256(f"{FORM} {entry(name).model_dump_json()}".encode()).hexdigest()


def require(home: Path, name: str) -> Path:
    """Return the folder of pulled weights; their record is trusted, ``state_of`` reads every byte.

    Raises:
        MissingPart: they were not pulled.
    """
    folder = folder_of(home, name)
    if not is_pulled(home, name):
        raise MissingPart(
            "these weights are not here, or were pulled by another release",
            found=entry(name).role,
            remedy=f"run: medomni weights pull {name}",
            where=name,
        )
    return folder


def is_pulled(home: Path, name: str) -> bool:
    """Whether the weights of a name were pulled as a whole, and are those of this release; their bytes are not read."""
    return _record(folder_of(home, name)).get(MADE_OF) == identity_of(name)


def state_of(folder: Path, name: str) -> State:
    """Return whether every file of a pulled folder is there with the digest of its record; reads all of them."""
    if not (folder / RECORD).is_file():
        return State.MISSING
    digests = _record(folder)
    is_right = digests.pop(MADE_OF, "") == identity_of(name)
    is_whole = all((folder / file).is_file() and sha256_of(folder / file) == digest for file, digest in digests.items())
    return State.READY if is_right and is_whole and digests else State.DAMAGED


def _record(folder: Path) -> dict[str, str]:
    """The record of a folder, empty when there is none that can be read."""
    try:
        return TypeAdapter(dict[str, str]).validate_json((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return {}


def write_record(folder: Path, name: str) -> None:
    """Write the identity of a folder and the digest of every file of it, last of all."""
    digests = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name != RECORD}
    (folder / RECORD).write_text(json.dumps({MADE_OF: identity_of(name), **digests}, indent=1) + "\n", encoding="utf-8")


def digest_of(folder: Path) -> str:
    """One digest of a pulled folder, from its record."""
    return sha256_of(folder / RECORD)


def sha256_of(path: Path) -> str:
    """The sha256 of a file, read in parts."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(_CHUNK):
            digest.update(part)
    return digest.hexdigest()
