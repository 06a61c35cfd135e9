"""The team through the API: phrases, the audit and its check, health."""

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from app.api.application import create_api
from app.store import people
from app.store.database import transaction
from app.store.people import Role
from tests import desks
from tests.unit.app.api.answers import check_refused


def test_health_needs_no_token_and_tells_of_the_queue(desk, as_role):
    desks.received(desk)
    answer = as_role(None).get("/health")
    assert (answer.status_code, answer.json()["status"], answer.json()["waiting"]) == (200, "ok", 1)
    assert desks.NAME not in answer.text


def client_of(desk):
    client = TestClient(create_api(desk), raise_server_exceptions=False)
    client.headers["Authorization"] = f"Bearer {client.app.state.auth.token(desk.person_here())}"
    return client


def test_one_says_how_one_is_called_where_nothing_else_does(tmp_path):
    client = client_of(desks.desk(tmp_path, person=""))
    assert client.put("/me", json={"name": " Dr Ada\u0000 Example "}).json()["name"] == "Dr Ada Example"
    assert client.get("/me").json()["name"] == "Dr Ada Example"
    assert client.get("/audit").json()[0]["action"] == "renamed"
    for name, code in (("", 422), ("\u0000", 400), ("x" * 256, 422)):
        check_refused(client.put("/me", json={"name": name}), code)


@pytest.mark.parametrize(
    "settings", [{"person": "Dr Set"}, {"oidc_issuer": "https://provider.example", "oidc_client": "medomni", "person": ""}]
)
def test_a_name_of_the_sign_in_or_of_the_settings_is_not_changed_here(tmp_path, settings):
    check_refused(client_of(desks.desk(tmp_path, **settings)).put("/me", json={"name": "Dr Other"}), 403)


def test_the_one_person_of_a_machine_keeps_the_name_they_gave(tmp_path):
    desk = desks.desk(tmp_path, person="")
    person = desk.person_here()
    assert not desk.is_named(person)
    with transaction(desk.engine) as tx:
        people.rename(tx, person, "Dr Ada Example")
    assert desk.is_named(desk.person_here())
    assert (desk.person_here().id, desk.person_here().name) == (person.id, "Dr Ada Example")


def test_phrases_are_kept_by_person(client, as_role):
    assert client.put("/phrases", json={"none": "No nodule."}).json() == {"none": "No nodule."}
    assert as_role(Role.RESIDENT).get("/phrases").json() == {}
    assert client.put("/phrases", json={"none": ""}).json() == {}
    assert client.get("/phrases").json() == {}


def test_phrases_are_bounded_in_number_and_nothing_of_too_many_is_kept(client):
    check_refused(client.put("/phrases", json={str(k): "x" for k in range(201)}), 400)
    assert client.get("/phrases").json() == {}
    assert len(client.put("/phrases", json={str(k): "x" for k in range(200)}).json()) == 200


def test_phrases_that_are_no_words_are_refused(client):
    check_refused(client.put("/phrases", json={"a": 5}), 422)
    check_refused(client.put("/phrases", json=["a"]), 422)


def test_the_audit_is_read_page_by_page(desk, client):
    desks.received(desk)
    rows = client.get("/audit").json()
    assert [(row["number"], row["action"], row["person"]) for row in rows] == [
        (2, "queued", "Radiologist"),
        (1, "received", "Radiologist"),
    ]
    assert [row["number"] for row in client.get("/audit", params={"before": 2}).json()] == [1]


def test_a_changed_audit_is_found(desk, client):
    desks.received(desk)
    assert client.get("/audit/verify").json()["faults"] == []
    with transaction(desk.engine) as tx:
        tx.execute(text("DROP TRIGGER audit_no_update"))
        tx.execute(text("UPDATE audit SET action = 'exported' WHERE number = 1"))
    checked = client.get("/audit/verify").json()
    assert (checked["rows"], checked["faults"]) == (2, ["row 1 was changed"])
