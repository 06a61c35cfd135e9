"""Studies through the API: uploads of every kind, the worklist, progress, and the files of the viewer."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from app.desk.desk import MASK, PARTS, VOLUME
from app.store import jobs
from app.store.database import transaction
from app.store.people import Role
from preprocessing.nifti import write_nifti
from tests import desks, factories
from tests.unit.app.api.answers import check_refused


def upload(client, files, names=None, **form):
    names = names or [f"IM{k:03d}.dcm" for k in range(len(files))]
    return client.post("/studies", files=[("files", (name, file)) for name, file in zip(names, files, strict=True)], data=form)


def folder(desk):
    return desks.listed(desk)[0].study.folder


def test_an_upload_is_a_study_of_the_worklist(desk, client):
    answer = upload(client, desks.slices(), history="cough", language="zh")
    assert answer.status_code == 202
    got = answer.json()
    (line,) = client.get("/studies").json()
    assert (line["id"], line["job_id"]) == (got["study_id"], got["job_id"])
    assert (line["job_state"], line["title"]) == ("queued", "Quux Corge")
    assert "patient" not in line["facts"]
    with transaction(desk.engine) as tx:
        assert jobs.get(tx, got["job_id"]).request == {"history": "cough", "dictation": "", "language": "zh"}


def test_the_same_upload_again_is_the_same_study(client):
    first, second = (upload(client, desks.slices()).json() for _ in range(2))
    assert second == first | {"is_new": False}
    assert len(client.get("/studies").json()) == 1


def test_the_worklist_can_be_asked_for_a_state(client, report):
    assert len(client.get("/studies", params={"state": "draft"}).json()) == 1
    assert client.get("/studies", params={"state": "final"}).json() == []


@pytest.mark.parametrize("name", ["..\\..\\x", "../../etc/passwd", "x" * 300, "a\u202eb.dcm", "nul", ".", "/", "study.zip/.."])
def test_names_of_files_are_never_used(desk, client, name):
    files = desks.slices()
    assert upload(client, files, [name] * len(files)).status_code == 202
    assert sorted(path.name for path in (folder(desk) / "source").iterdir()) == [f"{k:06d}" for k in range(len(files))]


def test_a_file_without_a_name_is_no_upload(desk, client):
    check_refused(upload(client, [b"x"], [""]), 422)
    check_refused(client.post("/studies", data={"history": "x"}), 400)
    assert desks.leftovers(desk) == []


def test_a_zip_is_taken_whatever_the_case_of_its_ending(client):
    assert upload(client, [desks.zipped(desks.slices())], ["A.ZIP"]).status_code == 202


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"no image", "a.dcm"), (b"", "a.dcm"), (b"PK\x03\x04", "a.zip"), (b"\x1f\x8b", "a.nii.gz"), (b"<html>", "a.nii")],
)
def test_what_is_no_ct_is_refused_and_leaves_nothing(desk, client, content, name):
    check_refused(upload(client, [content], [name]), 400)
    assert (desks.listed(desk), desks.leftovers(desk)) == ([], [])


def test_more_than_a_thousand_files_are_one_study(client):
    """Thin slices of a chest are more files than a web framework takes by default."""
    error = check_refused(upload(client, [b"no image"] * 1200), 400)
    assert "CT" in error["wrong"] + error["found"] + error["remedy"]


def test_an_upload_that_is_too_large_is_refused_by_what_it_states_and_by_what_comes(tmp_path, as_role):
    from starlette.testclient import TestClient

    from app.api.application import create_api

    desk = desks.desk(tmp_path / "small", upload_mib=1)
    api = create_api(desk)
    client = TestClient(api, headers={"Authorization": f"Bearer {api.state.auth.token(desks.person(desk))}"})
    check_refused(upload(client, [bytes((1 << 20) + 1)]), 400)
    boundary = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(4 << 30)}
    error = check_refused(client.post("/studies", content=b"", headers=boundary), 400)
    assert error["wrong"] == "the upload is too large"
    assert desks.leftovers(desk) == []


@pytest.mark.parametrize(("role", "code"), [(None, 401), (Role.ML, 403)])
def test_who_may_not_send_is_refused_before_a_byte_is_taken_in(desk, as_role, role, code):
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    check_refused(as_role(role).post("/studies", content=b"--x\r\nbroken", headers=boundary), code)
    check_refused(upload(as_role(role), desks.slices()), code)
    assert (desks.listed(desk), desks.leftovers(desk)) == ([], [])


def test_a_body_that_is_no_form_is_told_in_words(client):
    check_refused(client.post("/studies", content=b"{}", headers={"Content-Type": "application/json"}), 400)
    check_refused(client.post("/studies", content=b"x", headers={"Content-Type": "multipart/form-data"}), 400)


def test_another_language_and_a_history_without_end_are_refused(desk, client):
    check_refused(upload(client, desks.slices(), language="fr"), 422)
    check_refused(upload(client, desks.slices(), history="x" * ((1 << 20) + 1)), 422)
    assert upload(client, desks.slices(), history="\u54b3" * (1 << 20)).status_code == 202
    assert desks.leftovers(desk) == []


def test_a_full_queue_says_when_to_come_again(tmp_path):
    from starlette.testclient import TestClient

    from app.api.application import create_api

    desk = desks.desk(tmp_path / "one", queue=1)
    api = create_api(desk)
    client = TestClient(api, headers={"Authorization": f"Bearer {api.state.auth.token(desks.person(desk))}"})
    assert upload(client, desks.slices()).status_code == 202
    answer = upload(client, desks.slices(StudyInstanceUID="2.25.12"))
    check_refused(answer, 429)
    assert int(answer.headers["Retry-After"]) > 0
    assert len(client.get("/studies").json()) == 1
    assert desks.leftovers(desk) == []


def test_a_draft_is_asked_for_again(desk, client):
    got = upload(client, desks.slices()).json()
    with transaction(desk.engine) as tx:
        jobs.lease(tx, "w")
        jobs.fail(tx, got["job_id"], "w", "why")
    again = client.post(f"/studies/{got['study_id']}/draft", json={"language": "zh"})
    assert again.status_code == 202
    assert again.json()["job_id"] != got["job_id"]
    check_refused(client.post("/studies/nothing/draft", json={}), 404)


def test_a_job_tells_how_many_are_before_it(client):
    first = upload(client, desks.slices()).json()["job_id"]
    second = upload(client, desks.slices(StudyInstanceUID="2.25.12")).json()["job_id"]
    assert [client.get(f"/jobs/{job}").json()["ahead"] for job in (first, second)] == [0, 1]
    check_refused(client.get("/jobs/nothing"), 404)


def events(answer):
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n") if line.startswith("data: ")]


def test_the_stream_of_a_job_ends_with_the_job(desk, client):
    job = upload(client, desks.slices()).json()["job_id"]
    with transaction(desk.engine) as tx:
        jobs.lease(tx, "w")
        jobs.fail(tx, job, "w", "no CT")
    answer = client.get(f"/jobs/{job}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [(one["state"], one["reason"]) for one in events(answer)] == [("failed", "no CT")]
    check_refused(client.get("/jobs/nothing/events"), 404)


def test_the_stream_tells_of_each_change(desk, client, monkeypatch):
    import threading
    import time

    from app.api import studies as routes

    monkeypatch.setattr(routes, "TICK_S", 0.01)
    job = upload(client, desks.slices()).json()["job_id"]

    def work():
        for step in (lambda tx: jobs.lease(tx, "w"), lambda tx: jobs.renew(tx, job, "w", "segment", 0.5)):
            time.sleep(0.3)
            with transaction(desk.engine) as tx:
                step(tx)
        time.sleep(0.3)
        with transaction(desk.engine) as tx:
            jobs.finish(tx, job, "w")

    thread = threading.Thread(target=work)
    thread.start()
    told = events(client.get(f"/jobs/{job}/events"))
    thread.join()
    assert [one["state"] for one in told] == ["queued", "running", "running", "done"]
    assert (told[2]["stage"], told[2]["share"]) == ("segment", 0.5)


def test_what_is_known_of_a_study_is_there_as_soon_as_it_is_written(desk, client):
    study = upload(client, desks.slices()).json()["study_id"]
    assert client.get(f"/studies/{study}/parts").json() == {}
    check_refused(client.get(f"/studies/{study}/volume"), 404)
    check_refused(client.get(f"/studies/{study}/mask"), 404)
    check_refused(client.get(f"/studies/{study}/prior"), 404)
    check_refused(client.get("/studies/nothing/parts"), 404)
    volume = factories.volume()
    (folder(desk) / PARTS).write_text('{"measurements": []}', encoding="utf-8")
    write_nifti(volume.hu, volume.grid, folder(desk) / VOLUME)
    write_nifti(np.zeros(volume.grid.shape, np.uint8), volume.grid, folder(desk) / MASK)
    assert client.get(f"/studies/{study}/parts").json() == {"measurements": []}
    for name, file in (("volume", VOLUME), ("mask", MASK)):
        answer = client.get(f"/studies/{study}/{name}", headers={"Accept-Encoding": "gzip"})
        assert answer.content == (folder(desk) / file).read_bytes()
        assert answer.headers["cache-control"] == "no-store"


def test_the_earlier_study_is_that_of_the_same_patient(desk, client):
    volume = factories.volume()
    for day, uid in (("20230101", "2.25.12"), ("20240229", "2.25.13")):
        upload(client, desks.slices(StudyInstanceUID=uid, StudyDate=day))
    older, newer = sorted(desks.listed(desk), key=lambda line: line.study.facts["date"])
    write_nifti(volume.hu, volume.grid, older.study.folder / VOLUME)
    assert client.get(f"/studies/{newer.study.id}/parts").json() == {"prior": "2023-01-01"}
    assert client.get(f"/studies/{newer.study.id}/prior").content == (older.study.folder / VOLUME).read_bytes()
    check_refused(client.get(f"/studies/{older.study.id}/prior"), 404)


def picture(values):
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def test_a_pasted_picture_is_looked_for_and_not_kept(desk, client):
    study_id = upload(client, desks.slices()).json()["study_id"]
    before = sorted(desk.folder.rglob("*"))
    noise = picture(np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8))
    check_refused(client.post(f"/studies/{study_id}/locate", content=noise), 404)
    on = factories.grid((40, 60, 60))
    hu = np.random.default_rng(1).integers(-1000, 400, on.shape).astype(np.int16)
    write_nifti(hu, on, folder(desk) / VOLUME)

    assert client.post(f"/studies/{study_id}/locate", content=noise).json()["is_found"] is False
    check_refused(client.post(f"/studies/{study_id}/locate", content=b"no picture"), 400)
    check_refused(client.post(f"/studies/{study_id}/locate", content=bytes(17 << 20)), 400)
    (folder(desk) / VOLUME).unlink()
    assert sorted(desk.folder.rglob("*")) == before
