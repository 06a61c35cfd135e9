"""Routes of the team: who one is, phrases, the audit and its check, health."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import text

from app.api.asking import TheDesk, ThePerson
from app.store import audit, jobs, people
from app.store.database import reading, transaction
from app.store.errors import NotAllowed
from app.store.people import MAY_EDIT, MAY_SIGN, Role, require
from medomni import __version__
from medomni.errors import BadInput
from medomni.reporting.cleaned import clean
from medomni.types.codes import Value

router = APIRouter(tags=["team"])
MAY_AUDIT = (Role.ADMIN, Role.RADIOLOGIST, Role.ML)
PAGE = 200
MOST_PHRASES = 200


class Me(Value):
    """Who asks, and what they may do."""

    name: str
    role: str
    may_edit: bool
    may_sign: bool


class AuditRow(Value):
    """One row of the audit."""

    number: int
    at: float
    person: str
    action: str
    subject: str
    facts: dict[str, str | int | float | bool]


class AuditChecked(Value):
    """What a check of the whole audit found."""

    rows: int
    newest: str
    faults: tuple[str, ...]


class Health(Value):
    """How the server is."""

    status: str
    version: str
    waiting: int
    running: int


@router.get("/me")
def me(person: ThePerson) -> Me:
    """Return who asks."""
    return Me(name=person.name, role=person.role.value, may_edit=person.role in MAY_EDIT, may_sign=person.role in MAY_SIGN)


class Called(Value):
    """How a person is called."""

    name: str = Field(min_length=1, max_length=255)


@router.put("/me")
def rename(desk: TheDesk, person: ThePerson, called: Called) -> Me:
    """Say how one is called, where neither a sign-in nor a setting does; what was signed before keeps its name."""
    name = clean(called.name)
    if not desk.may_rename:
        raise NotAllowed("your name comes from elsewhere", remedy="change it in the sign-in or in MEDOMNI_PERSON")
    if not name:
        raise BadInput("a name needs letters", remedy="write your name")
    with transaction(desk.engine) as tx:
        people.rename(tx, person, name)
    return me(replace(person, name=name))


@router.get("/phrases")
def phrases(desk: TheDesk, person: ThePerson) -> dict[str, str]:
    """Return one's phrases by name."""
    with reading(desk.engine) as tx:
        return people.phrases_of(tx, person)


@router.put("/phrases")
def keep_phrases(desk: TheDesk, person: ThePerson, changed: dict[str, str]) -> dict[str, str]:
    """Keep phrases under their names; an empty text takes one away."""
    with transaction(desk.engine) as tx:
        for name, words in changed.items():
            people.keep_phrase(tx, person, clean(name)[:64], clean(words)[:4000])
        kept = people.phrases_of(tx, person)
        if len(kept) > MOST_PHRASES:
            raise BadInput("these are too many phrases", found=f"more than {MOST_PHRASES}", remedy="take some away first")
        return kept


@router.get("/audit")
def trail(desk: TheDesk, person: ThePerson, before: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None) -> list[AuditRow]:
    """Return the newest rows of the audit, or those before a number."""
    require(person, MAY_AUDIT)
    with reading(desk.engine) as tx:
        names = people.names(tx)
        return [
            AuditRow(
                number=row.number,
                at=row.at,
                person=names.get(row.person_id, ""),
                action=row.action,
                subject=row.subject,
                facts=row.facts,
            )
            for row in audit.page(tx, before, PAGE)
        ]


@router.get("/audit/verify")
def verify(desk: TheDesk, person: ThePerson) -> AuditChecked:
    """Walk the whole audit and tell whether anybody changed it."""
    require(person, MAY_AUDIT)
    with reading(desk.engine) as tx:
        checked = audit.check(tx)
    return AuditChecked(rows=checked.rows, newest=checked.newest, faults=checked.faults)


@router.get("/health")
def health(desk: TheDesk) -> Health:
    """Return that the server lives and reaches its database; needs no token."""
    with reading(desk.engine) as tx:
        tx.execute(text("SELECT 1"))
        waiting, running = jobs.counts(tx)
    return Health(status="ok", version=__version__, waiting=waiting, running=running)
