"""The running server on each database: a study is received, drafted, edited by two people, signed and handed over."""

import time

import httpx2
import pytest

from app.auth import Auth
from app.desk.desk import open_desk
from app.store import audit, people
from app.store.database import reading, transaction
from app.store.people import Role
from medomni.export.fhir_check import check_bundle
from medomni.settings import load
from tests import desks
from tests.browser.serving import serving

PATIENCE_S = 120


@pytest.mark.slow
def test_a_server_works_on_this_database(address, tmp_path):
    with serving(tmp_path, database_url=address) as server:
        desk = open_desk(load(server.environment))
        with transaction(desk.engine) as tx:
            colleague = people.known(tx, "colleague", "Dr Colleague", Role.RADIOLOGIST)
        mine, theirs = (client(server.address, Auth(desk).token(one)) for one in (desk.person_here(), colleague))
        report = drafted(mine)

        edit = {"kind": "insert", "section": "findings", "index": 0, "text": "Old scar."}
        asked = {"expected": 1, "key": "a", "edits": [edit]}
        assert mine.post(f"{report}/edits", json=asked).json()["number"] == 2
        assert mine.post(f"{report}/edits", json=asked).json()["number"] == 2
        late = theirs.post(f"{report}/edits", json=asked | {"key": "b"})
        assert (late.status_code, late.json()["error"]["number"]) == (409, 2)

        confirmed = [one["code"] for one in mine.get(report).json()["to_confirm"]]
        signed = mine.post(f"{report}/sign", json={"expected": 2, "key": "s", "confirmed": confirmed})
        assert (signed.status_code, signed.json()["state"]) == (200, "final")
        assert check_bundle(mine.get(f"{report}/export/fhir-r4").json()) == ()
        with reading(desk.engine) as tx:
            assert not audit.check(tx).faults
        desk.engine.dispose()


def client(address, token):
    return httpx2.Client(base_url=f"{address}/api", headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S)


def drafted(mine):
    """The address of the report of a small study."""
    files = [("files", (f"{k}.dcm", one)) for k, one in enumerate(desks.slices())]
    got = mine.post("/studies", files=files).json()
    until = time.monotonic() + PATIENCE_S
    while (job := mine.get(f"/jobs/{got['job_id']}").json())["state"] not in ("done", "failed"):
        assert time.monotonic() < until, job
        time.sleep(0.2)
    assert job["state"] == "done", job["reason"]
    (listed,) = mine.get("/studies").json()
    return f"/reports/{listed['report_id']}"
