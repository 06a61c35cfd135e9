"""The desk: the store, the folder of studies and the settings, together; what pages, API and worker are given.

    Settings -> Desk

One server holds a desk's folder at a time. Everything a study has lies in one folder of a random name: ``source`` (what was
received), ``draft`` (the files of the draft), ``volume.nii``, ``mask.nii.gz`` and ``parts.json`` (what is known by now).
"""

import getpass
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from app.store import people
from app.store.database import open_database, transaction
from app.store.people import Person, Role
from medomni.errors import BadSettings
from medomni.settings import Settings

SOURCE, DRAFT, VOLUME, MASK, PARTS = "source", "draft", "volume.nii", "mask.nii.gz", "parts.json"
SECRET_CHARACTERS = 64
ACCOUNT = "account"
"""Subject of the one person of a desk without sign-in."""
UNLISTED = ".unlisted"
"""Lies in the folder of a study until its row is kept: a folder without it is never taken away, whatever a database says."""


@dataclass(frozen=True, eq=False)
class Desk:
    """Where reports are read and signed."""

    settings: Settings
    engine: Engine

    @property
    def folder(self) -> Path:
        """The folder of all studies."""
        return self.settings.home / "desk"

    @property
    def incoming(self) -> Path:
        """Uploads that are not complete yet."""
        return self.folder / "incoming"

    @cached_property
    def secret(self) -> str:
        """What this desk's own tokens are signed with: made once, readable by nobody else, kept through a restart."""
        path = self.folder / "secret"
        if not path.exists():
            half = self.folder / f".half-secret-{secrets.token_hex(4)}"
            with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was first: its secret counts
                path.hardlink_to(half)
            half.unlink()
        kept = path.read_text(encoding="ascii")
        if len(kept) != SECRET_CHARACTERS:
            raise BadSettings("the desk's secret is damaged", remedy="remove the file; everybody signs in again", where=path.name)
        return kept

    @property
    def has_sign_in(self) -> bool:
        """Whether people sign in; else whoever sits at this machine is the one person."""
        return bool(self.settings.oidc_issuer)

    def person_here(self) -> Person:
        """The one person of a desk without sign-in: whoever uses this account of this machine, by the name they gave last."""
        with transaction(self.engine) as tx:
            before = people.of_subject(tx, ACCOUNT)
            name = self.settings.person or (before.name if before else getpass.getuser())
            return people.known(tx, ACCOUNT, name, Role.RADIOLOGIST)

    @property
    def may_rename(self) -> bool:
        """Whether a person says on the page how they are called: neither a sign-in nor a setting does."""
        return not self.has_sign_in and not self.settings.person

    def is_named(self, person: Person) -> bool:
        """Whether a person is called by more than the account of this machine."""
        return person.subject != ACCOUNT or bool(self.settings.person) or person.name != getpass.getuser()

    def machine(self) -> Person:
        """What drafts are written by."""
        with transaction(self.engine) as tx:
            return people.known(tx, "machine", "MedOmni", Role.MACHINE)


def open_desk(settings: Settings) -> Desk:
    """Return the desk of the settings, its folders made and its database brought up to date."""
    folder = settings.home / "desk"
    for path in (folder, folder / "incoming"):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Desk(settings, open_database(settings.database_url.get_secret_value()))


@contextmanager
def held(desk: Desk) -> Iterator[None]:
    """Hold the desk's folder for one server.

    Raises:
        BadSettings: another server holds it.
    """
    import fcntl

    with (desk.folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadSettings(
                "another server uses this folder", remedy="stop it, or set another MEDOMNI_HOME", where=desk.settings.home.name
            ) from None
        yield


def sweep(desk: Desk, known: set[str]) -> int:
    """Take away what uploads left that broke off, while no other server has the desk; returns how many."""
    marks = list(desk.folder.glob(f"s-*/{UNLISTED}"))
    for mark in marks:
        if str(mark.parent) in known:
            mark.unlink()
    left = [*desk.incoming.iterdir(), *(mark.parent for mark in marks if mark.exists())]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)
