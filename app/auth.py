"""Who is asking: a token in, a person out.

    token of a page or of a hospital's provider -> Person

A page is given a token of the desk's own when it is drawn, and keeps it in memory alone. Systems of the hospital bring a token
of the OpenID provider, whose keys, issuer and audience are checked. No cookie counts here, so nothing is forged across sites.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import jwt
from jwt.types import Options

from app.desk.desk import Desk
from app.store import people
from app.store.database import reading, transaction
from app.store.people import Person, Role
from medomni.errors import BadInput
from medomni.reporting.cleaned import clean

OWN = "medomni"
"""Issuer and audience of the desk's own tokens."""
VALID_S = 12 * 3600
"""A page's token lasts a long day; a page that is drawn again gets a new one."""
ALGORITHMS = ("RS256", "ES256")
"""Signatures of a provider that are taken."""
NEEDED: Options = {"require": ["exp", "iss", "aud", "sub"]}
"""A token that never ends, or that is nobody's, does not hold."""
LONGEST_SUBJECT = 255


BY_RIGHTS = (Role.RADIOLOGIST, Role.RESIDENT, Role.ADMIN, Role.ML, Role.INTEGRATION)
"""Of several roles the first counts: whoever may sign is somebody who may sign."""


class NotSignedIn(BadInput):
    """There is no token, or it does not hold."""


@dataclass(frozen=True, eq=False)
class Auth:
    """Makes tokens of a desk and reads those of others."""

    desk: Desk

    def token(self, person: Person) -> str:
        """Return a token that stands for a person."""
        now = int(time.time())
        claims = {"iss": OWN, "aud": OWN, "sub": person.id, "iat": now, "exp": now + VALID_S}
        return jwt.encode(claims, self.desk.secret, algorithm="HS256")

    def person(self, authorization: str) -> Person:
        """Return who an ``Authorization`` header stands for.

        Raises:
            NotSignedIn: nobody.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotSignedIn("this needs a token", remedy="sign in, then send it as: Authorization: Bearer ...")
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            if issuer == OWN:
                return self._own(token)
            if self.desk.has_sign_in and issuer == self.desk.settings.oidc_issuer:
                return self.of_claims(self._foreign(token))
        except jwt.PyJWTError as error:
            raise NotSignedIn("the token does not hold", found=type(error).__name__, remedy="sign in again") from None
        raise NotSignedIn("the token is of an unknown issuer", remedy="sign in again")

    def of_claims(self, claims: Mapping[str, object]) -> Person:
        """Return the person whom a provider's checked claims are about, made known now if they were not.

        Raises:
            NotSignedIn: the claims name no subject, or none of the roles that work here.
        """
        settings = self.desk.settings
        stated = claims.get(settings.oidc_role_claim)
        several = stated if isinstance(stated, list | tuple) else (stated,)
        named = {one for one in several if isinstance(one, str)}
        role = next((role for role in BY_RIGHTS if role.value in named), None)
        subject = str(claims.get("sub", ""))
        if role is None or not subject:
            raise NotSignedIn(
                "this account has no role here", remedy="ask for one of: radiologist, resident, integration, ml, admin"
            )
        name = clean(str(claims.get("name") or claims.get("preferred_username") or ""))[:255] or "Unnamed"
        known_as = f"{settings.oidc_issuer} {subject}"
        if len(known_as) > LONGEST_SUBJECT:  # cut off, two people could become one
            known_as = hashlib.sha256(known_as.encode()).hexdigest()
        with transaction(self.desk.engine) as tx:
            return people.known(tx, known_as, name, role)

    def _own(self, token: str) -> Person:
        claims = jwt.decode(token, self.desk.secret, algorithms=["HS256"], audience=OWN, issuer=OWN, options=NEEDED)
        with reading(self.desk.engine) as tx:
            person = people.by_id(tx, str(claims["sub"]))
        if person is None:
            raise NotSignedIn("the token is of nobody who works here", remedy="sign in again")
        return person

    def _foreign(self, token: str) -> dict[str, object]:
        settings = self.desk.settings
        key = self._key(token)
        claims: dict[str, object] = jwt.decode(
            token, key, algorithms=list(ALGORITHMS), audience=settings.oidc_client, issuer=settings.oidc_issuer, options=NEEDED
        )
        return claims

    def _key(self, token: str) -> jwt.PyJWK:
        """The provider's key that signed a token; one without a key id is of its only key (OpenID Connect Core, 10.1)."""
        if "kid" in jwt.get_unverified_header(token):
            return self._provider.get_signing_key_from_jwt(token)
        keys = [key for key in self._provider.get_jwk_set().keys if key.public_key_use in ("sig", None)]
        if len(keys) != 1:
            raise jwt.PyJWKClientError("a token without a key id, and several keys")
        return keys[0]

    @cached_property
    def _provider(self) -> jwt.PyJWKClient:
        """The provider's keys, fetched when one is first needed."""
        import json
        from urllib.request import urlopen

        address = self.desk.settings.oidc_issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            with urlopen(address, timeout=10) as answer:  # noqa: S310 (the setting admits http and https only)
                return jwt.PyJWKClient(json.load(answer)["jwks_uri"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotSignedIn("the sign-in does not answer", found=type(error).__name__, remedy="try again in a minute") from None
