"""Who works here, and what each role may do."""

import secrets
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select

from app.store import audit
from app.store.errors import NotAllowed
from app.store.tables import people, phrases


class Role(StrEnum):
    """Roles, from most to least."""

    ADMIN = "admin"
    RADIOLOGIST = "radiologist"
    RESIDENT = "resident"
    ML = "ml"
    INTEGRATION = "integration"
    MACHINE = "machine"


MAY_SIGN = (Role.RADIOLOGIST,)
MAY_EDIT = (Role.RADIOLOGIST, Role.RESIDENT)


@dataclass(frozen=True)
class Person:
    """Somebody who is known; ``subject`` is what the sign-in calls them."""

    id: str
    subject: str
    name: str
    role: Role


def known(tx: Connection, subject: str, name: str, role: Role) -> Person:
    """Return the person of a sign-in, made known at the first one; name and role follow the sign-in."""
    row = tx.execute(select(people).where(people.c.subject == subject)).first()
    if row is None:
        made = Person(secrets.token_hex(16), subject, name, role)
        tx.execute(people.insert().values(id=made.id, subject=subject, name=name, role=role.value))
        return made
    if (row.name, row.role) != (name, role.value):
        tx.execute(people.update().where(people.c.id == row.id).values(name=name, role=role.value))
    return Person(row.id, subject, name, role)


def of_subject(tx: Connection, subject: str) -> Person | None:
    """The person of a sign-in's subject, None where nobody has it."""
    row = tx.execute(select(people).where(people.c.subject == subject)).first()
    return None if row is None else Person(row.id, row.subject, row.name, Role(row.role))


def rename(tx: Connection, person: Person, name: str) -> None:
    """Call a person otherwise from now on; what they signed keeps the name it was signed with."""
    tx.execute(people.update().where(people.c.id == person.id).values(name=name))
    audit.note(tx, person.id, audit.Action.RENAMED, person.id, {})


def by_id(tx: Connection, person_id: str) -> Person | None:
    """The person of an id, None where nobody has it."""
    row = tx.execute(select(people).where(people.c.id == person_id)).first()
    return None if row is None else Person(row.id, row.subject, row.name, Role(row.role))


def names(tx: Connection) -> dict[str, str]:
    """The names of all people by id."""
    return {row.id: row.name for row in tx.execute(select(people.c.id, people.c.name)).all()}


def phrases_of(tx: Connection, person: Person) -> dict[str, str]:
    """What a person likes to say, by name."""
    rows = tx.execute(select(phrases).where(phrases.c.person_id == person.id).order_by(phrases.c.name))
    return {row.name: row.text for row in rows.all()}


def keep_phrase(tx: Connection, person: Person, name: str, text: str) -> None:
    """Keep a phrase under a name, in place of one that was there; an empty text takes it away."""
    tx.execute(phrases.delete().where(phrases.c.person_id == person.id, phrases.c.name == name))
    if text:
        tx.execute(phrases.insert().values(person_id=person.id, name=name, text=text))


def require(person: Person, roles: tuple[Role, ...]) -> None:
    """Refuse a person whose role does not allow what they ask.

    Raises:
        NotAllowed: it does not.
    """
    if person.role not in roles:
        raise NotAllowed(
            "this role may not do that", found=person.role.value, remedy=f"ask a {' or '.join(role.value for role in roles)}"
        )
