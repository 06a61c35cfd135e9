"""Who is let in: every route needs a token that holds, and what a role may not do it may not do here either."""

import time

import jwt
import pytest

from app import auth
from app.store.people import Role
from tests import desks
from tests.unit.app.api.answers import check_refused

NOTE = {"kind": "insert", "section": "findings", "index": 0, "text": "Old scar."}
OPEN_PATHS = {"/health"}


def operations(api):
    for path, methods in api.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_the_description_builds_and_every_operation_is_described(api):
    found = list(operations(api))
    assert len(found) > 20
    for method, path, operation in found:
        assert operation.get("description"), f"{method} {path}"


def test_every_route_but_health_needs_a_token(api, as_role):
    nobody = as_role(None)
    for method, path, _ in operations(api):
        address = path.replace("{", "").replace("}", "").replace("format_name", "text")
        answer = nobody.request(method, address)
        if path in OPEN_PATHS:
            assert answer.status_code == 200
        else:
            check_refused(answer, 401)


def signed(secret, **changes):
    now = int(time.time())
    claims = {"iss": auth.OWN, "aud": auth.OWN, "sub": "x", "iat": now, "exp": now + 60} | changes
    return jwt.encode({key: value for key, value in claims.items() if value is not None}, secret, algorithm="HS256")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x.y.z", "Bearer " + "a" * 5000, "Basic YTpi", "bearer null"],
    ids=["empty", "no token", "no JWT", "long", "basic", "null"],
)
def test_what_is_no_token_is_refused(as_role, header):
    check_refused(as_role(None).get("/me", headers={"Authorization": header}), 401)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) - 60},
        {"exp": None},
        {"aud": "another"},
        {"iss": "https://provider.example"},
        {"iss": None},
        {"sub": "nobody"},
    ],
    ids=["expired", "endless", "other audience", "other issuer", "no issuer", "nobody"],
)
def test_a_token_that_does_not_hold_is_refused(desk, as_role, changes):
    person = desks.person(desk)
    token = signed(desk.secret, **({"sub": person.id} | changes))
    check_refused(as_role(None).get("/me", headers={"Authorization": f"Bearer {token}"}), 401)


def test_a_token_of_another_secret_or_of_none_is_refused(desk, as_role):
    person = desks.person(desk)
    now = int(time.time())
    claims = {"iss": auth.OWN, "aud": auth.OWN, "sub": person.id, "exp": now + 60}
    for token in (signed("a" * 64, sub=person.id), jwt.encode(claims, None, algorithm="none")):
        check_refused(as_role(None).get("/me", headers={"Authorization": f"Bearer {token}"}), 401)


def test_who_asks_is_told_what_they_may_do(as_role):
    assert as_role(Role.RESIDENT).get("/me").json() == {
        "name": "Resident",
        "role": "resident",
        "may_edit": True,
        "may_sign": False,
    }


@pytest.mark.parametrize("role", [Role.ML, Role.INTEGRATION, Role.ADMIN])
def test_roles_that_do_not_edit_are_refused(as_role, report, role):
    change = {"expected": 1, "key": "k", "edits": [NOTE]}
    check_refused(as_role(role).post(f"{report}/edits", json=change), 403)
    assert as_role(role).get(report).json()["number"] == 1


@pytest.mark.parametrize("role", [Role.RESIDENT, Role.ML, Role.INTEGRATION, Role.ADMIN])
def test_only_a_radiologist_signs_or_adds_below(as_role, report, role):
    check_refused(as_role(role).post(f"{report}/sign", json={"expected": 1, "key": "k"}), 403)
    check_refused(as_role(role).post(f"{report}/addendum", json={"expected": 1, "key": "k", "text": "x"}), 403)
    check_refused(as_role(role).post(f"{report}/state", json={"expected": 1, "key": "k", "state": "entered-in-error"}), 403)


@pytest.mark.parametrize("role", [Role.RESIDENT, Role.INTEGRATION])
def test_the_audit_is_not_for_everybody(as_role, role):
    check_refused(as_role(role).get("/audit"), 403)
    check_refused(as_role(role).get("/audit/verify"), 403)


def test_an_address_that_is_not_there_is_told_in_words(client):
    check_refused(client.get("/nothing"), 404)
    check_refused(client.delete("/studies"), 405)
