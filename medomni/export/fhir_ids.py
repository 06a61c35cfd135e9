"""Stable identifiers of what is exported, and the server-side conditions that keep a second export from doubling it.

The same input always has the same identifiers: a version 5 UUID over the one-way study key, the digest of the voxels and
the role of the resource. Resources carry no ``id``: each server gives its own, and finds ours again by identifier, which
works on servers that refuse ids chosen by a client. A draft never replaces what a person has signed, because the search
asks for the status as well.
"""

import uuid
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from medomni.types.provenance import Provenance

NAMESPACE: Final = uuid.UUID("f7c812b7-d80e-4e81-a778-3e336c28c642")
"""Ours, fixed for ever: another value would give every exported resource a new identity."""

URI_SYSTEM: Final = "urn:ietf:rfc:3986"
DICOM_UID_SYSTEM: Final = "urn:dicom:uid"


@dataclass(frozen=True)
class Token:
    """A system and a value that a server can search for."""

    system: str
    value: str


def role_uuid(provenance: Provenance, role: str) -> str:
    """Return the UUID of one resource of a draft, for example of role ``report`` or ``observation/lung_nodule-1``."""
    return content_uuid(provenance.study_key, provenance.input_sha256, role)


def content_uuid(*parts: str) -> str:
    """Return the UUID of a sequence of texts."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def address(identity: str) -> str:
    """Return the address of an entry inside the bundle.

    It differs from the identifier on purpose: servers replace the addresses by their own, some of them wherever the text
    occurs, and an identifier so replaced is never found again.
    """
    return f"urn:uuid:{content_uuid('address', identity)}"


def uuid_token(identity: str) -> Token:
    """Return the identifier that carries a UUID."""
    return Token(URI_SYSTEM, f"urn:uuid:{identity}")


def uid_of(identity: str) -> str:
    """Return a DICOM UID made from a UUID (PS3.5 B.2), for where a source had none."""
    return f"2.25.{uuid.UUID(identity).int}"


def search(parameter: str, token: Token) -> str:
    """Return one search condition, its value escaped for FHIR search and for the address.

    Example:
        >>> search("identifier", Token("", "A|7"))
        'identifier=%7CA%5C%7C7'
    """
    return f"{parameter}={quote(f'{_escaped(token.system)}|{_escaped(token.value)}', safe='')}"


def _escaped(text: str) -> str:
    for character in "\\$,|":
        text = text.replace(character, f"\\{character}")
    return text
