"""Reports through the API: read, edit, sign and hand over; every refusal in words, with its number."""

import io
import json

import pytest
from pypdf import PdfReader
from sqlalchemy import event, text

from app.store.database import transaction
from app.store.people import Role
from medomni.export.fhir_check import check_bundle
from medomni.reporting.influence import Explanation, Influence
from medomni.types.section import SectionName
from tests import desks
from tests.unit.app.api.answers import check_refused

NOTE = {"kind": "insert", "section": "findings", "index": 0, "text": "Old scar."}
HUGE = 10**30


def change(client, report, expected=1, key="k", edits=(NOTE,)):
    return client.post(f"{report}/edits", json={"expected": expected, "key": key, "edits": list(edits)})


def texts(shown, section="findings"):
    return [s["text"] for part in shown["sections"] if part["name"] == section for s in part["sentences"]]


def points(client, report):
    return [one["code"] for one in client.get(report).json()["to_confirm"]]


def sign(client, report, expected=1, key="s", **more):
    asked = {"expected": expected, "key": key, "confirmed": points(client, report), **more}
    return client.post(f"{report}/sign", json=asked)


def test_a_report_is_shown_with_its_receipts(client, report):
    shown = client.get(report).json()
    assert (shown["number"], shown["state"], shown["language"]) == (1, "draft", "en")
    sentence = shown["sections"][4]["sentences"][0]
    assert sentence["spans"][0]["origin"] == "ai"
    assert {finding["id"] for finding in shown["findings"]} == {"lung-opacity", "lung-nodule-1"}
    assert shown["not_evaluated"]


def test_an_edit_answers_with_the_next_version(client, report):
    answer = change(client, report)
    assert answer.status_code == 200
    assert answer.json()["number"] == 2
    assert texts(answer.json()["report"])[0] == "Old scar."
    assert texts(client.get(report, params={"number": 1}).json())[0] != "Old scar."


def test_the_second_of_two_is_told_the_number_that_is_there(client, as_role, report):
    change(client, report)
    error = check_refused(change(as_role(Role.RESIDENT), report, key="other"), 409)
    assert error["number"] == 2


def test_an_edit_that_is_sent_again_counts_once(client, report):
    assert change(client, report).json() == change(client, report).json()
    assert client.get(report).json()["number"] == 2
    check_refused(change(client, report, expected=2), 403)


@pytest.mark.parametrize(
    "edit",
    [
        {"kind": "remove", "section": "findings", "index": 99},
        {"kind": "judge", "finding_id": "nobody", "verdict": "rejected"},
        {"kind": "insert", "section": "findings", "index": 0, "text": "\u202e\x00"},
    ],
)
def test_an_edit_that_does_not_fit_the_report_is_refused(client, report, edit):
    check_refused(change(client, report, edits=[edit]), 400)
    check_refused(client.post(f"{report}/preview", json={"edits": [edit]}), 400)
    assert client.get(report).json()["number"] == 1


@pytest.mark.parametrize(
    "edit",
    [
        {"kind": "nothing"},
        {"kind": "remove", "section": "findings", "index": -1},
        {"kind": "insert", "section": "findings", "index": 0, "text": ""},
        {"kind": "insert", "section": "findings", "index": 0, "text": "x" * 4001},
        {"kind": "insert", "section": "findings", "index": 0, "text": "x", "origin": "ai"},
        {"kind": "resize", "finding_id": "lung-nodule-1", "diameter_mm": 0},
        {"kind": "resize", "finding_id": "lung-nodule-1", "diameter_mm": 1e9},
        {"kind": "judge", "finding_id": "lung-opacity", "verdict": "perhaps"},
    ],
)
def test_a_request_that_does_not_fit_is_refused_without_its_words(client, report, edit):
    check_refused(change(client, report, edits=[edit]), 422)


NO_REQUESTS = (b"", b"{", b"[]", b'{"expected": 1e400}', b'{"expected": NaN, "key": "k"}', b"\xff\xfe", b"[" * 5000)


@pytest.mark.parametrize("body", NO_REQUESTS, ids=range(len(NO_REQUESTS)))
def test_a_body_that_is_no_request_is_refused(client, report, body):
    answer = client.post(f"{report}/edits", content=body, headers={"Content-Type": "application/json"})
    check_refused(answer, answer.status_code)
    assert answer.status_code in (400, 422)


def test_a_lone_surrogate_is_refused(client, report):
    body = json.dumps({"expected": 1, "key": "k", "edits": [NOTE | {"text": "\ud800"}]})
    answer = client.post(f"{report}/edits", content=body, headers={"Content-Type": "application/json"})
    check_refused(answer, 422)


def test_numbers_that_no_database_holds_are_refused(client, report):
    for asked in (
        client.get(report, params={"number": HUGE}),
        client.get(f"{report}/difference", params={"before": 1, "after": HUGE}),
        client.post(f"{report}/back", json={"expected": 1, "key": "k", "number": HUGE}),
        client.get("/audit", params={"before": HUGE}),
        change(client, report, expected=HUGE),
    ):
        check_refused(asked, 422)


def test_hundred_edits_are_taken_together_and_no_more(client, report):
    assert change(client, report, edits=[NOTE] * 100).status_code == 200
    check_refused(change(client, report, 2, "more", edits=[NOTE] * 101), 422)
    check_refused(change(client, report, 2, "none", edits=[]), 422)


def test_a_preview_saves_nothing(client, report):
    answer = client.post(f"{report}/preview", json={"edits": [NOTE]})
    assert texts(answer.json())[0] == "Old scar."
    assert client.get(report).json()["number"] == 1


def test_undo_is_a_new_version(client, report):
    change(client, report)
    answer = client.post(f"{report}/back", json={"expected": 2, "key": "b", "number": 1})
    assert answer.json()["number"] == 3
    assert "Old scar." not in texts(answer.json()["report"])
    check_refused(client.post(f"{report}/back", json={"expected": 3, "key": "c", "number": 9}), 404)


def test_the_points_to_confirm_are_told_in_words_and_a_signature_needs_them(client, report):
    change(client, report, edits=[NOTE | {"text": "Large hiatal hernia."}])
    told = {one["code"]: one["text"] for one in client.get(report).json()["to_confirm"]}
    assert told["unproven:findings:0"] == "Large hiatal hernia."
    assert told["differs:only_in_text:hiatal_hernia"] == "The text speaks of hiatal hernia, but no coded finding says so."
    check_refused(client.post(f"{report}/sign", json={"expected": 2, "key": "s"}), 400)
    answer = sign(client, report, 2)
    assert (answer.status_code, answer.json()["state"]) == (200, "final")
    assert answer.json()["report"]["signatures"][0]["name"] == "Radiologist"


def test_a_signed_report_is_amended_and_added_to_but_not_edited(client, report):
    sign(client, report)
    check_refused(change(client, report, 2, "e"), 400)
    check_refused(sign(client, report, 2, "again"), 403)
    edits = {"edits": [{"kind": "remove", "section": "findings", "index": 0}], "state": "amended"}
    preview = client.post(f"{report}/preview", json={"edits": edits["edits"]})
    assert preview.status_code == 200
    asked = {"expected": 2, "key": "a", "confirmed": [one["code"] for one in preview.json()["to_confirm"]], **edits}
    assert client.post(f"{report}/sign", json=asked).json()["state"] == "amended"
    below = client.post(f"{report}/addendum", json={"expected": 3, "key": "b", "text": "Seen again."})
    assert (below.json()["state"], texts(below.json()["report"], "addendum")) == ("appended", ["Seen again."])


def test_an_addendum_needs_a_signed_report_and_words(client, report):
    check_refused(client.post(f"{report}/addendum", json={"expected": 1, "key": "k", "text": "x"}), 403)
    sign(client, report)
    check_refused(client.post(f"{report}/addendum", json={"expected": 2, "key": "l", "text": " \u202e "}), 400)


def test_a_state_without_signature_is_given_and_no_other(client, report):
    answer = client.post(f"{report}/state", json={"expected": 1, "key": "k", "state": "preliminary"})
    assert answer.json()["state"] == "preliminary"
    check_refused(client.post(f"{report}/state", json={"expected": 2, "key": "l", "state": "final"}), 422)


def test_who_was_first_holds_a_report(client, as_role, report):
    assert client.post(f"{report}/hold").json() == {"is_mine": True, "holder": "Radiologist"}
    assert as_role(Role.RESIDENT).post(f"{report}/hold").json() == {"is_mine": False, "holder": "Radiologist"}
    check_refused(as_role(Role.ML).post(f"{report}/hold"), 403)
    check_refused(as_role(Role.ML).get(f"{report}/export/pdf?identified=true"), 403)
    shown = as_role(Role.RESIDENT).get(report).json()
    assert (shown["holder"], shown["is_mine"]) == ("Radiologist", False)
    assert client.get(report).json()["is_mine"]


def test_the_history_names_who_wrote_each_version(client, report):
    change(client, report)
    assert [(one["number"], one["state"], one["author"]) for one in client.get(f"{report}/versions").json()] == [
        (1, "draft", "MedOmni"),
        (2, "draft", "Radiologist"),
    ]


def test_the_difference_of_two_versions_is_what_was_changed(client, report):
    change(client, report)
    changed = client.get(f"{report}/difference", params={"before": 1, "after": 2}).json()
    assert [one["text"].strip() for one in changed if one["kind"] == "new"] == ["Old scar."]
    assert not [one for one in changed if one["kind"] == "gone"]
    check_refused(client.get(f"{report}/difference", params={"before": 1, "after": 9}), 404)


@pytest.mark.parametrize("tail", ["", "/versions", "/export/text"])
def test_a_report_that_is_not_there_is_not_found(client, tail):
    answer = client.get(f"/reports/nothing{tail}")
    check_refused(answer, 404)


def test_changes_to_a_report_that_is_not_there_are_refused(client):
    asked = {"expected": 1, "key": "k"}
    for tail, more in (
        ("edits", {"edits": [NOTE]}),
        ("back", {"number": 1}),
        ("sign", {}),
        ("addendum", {"text": "x"}),
        ("state", {"state": "preliminary"}),
    ):
        check_refused(client.post(f"/reports/nothing/{tail}", json=asked | more), 404)
    check_refused(client.post("/reports/nothing/hold"), 404)
    check_refused(client.post("/reports/nothing/preview", json={"edits": [NOTE]}), 404)


@pytest.mark.parametrize("format_name", ["html", "text", "pdf"])
def test_a_copy_names_the_patient_only_where_that_is_asked_for(client, report, format_name):
    for asked, is_named in (("", False), ("?identified=true", True)):
        answer = client.get(f"{report}/export/{format_name}{asked}")
        said = (
            answer.text
            if format_name != "pdf"
            else "".join(p.extract_text() for p in PdfReader(io.BytesIO(answer.content)).pages)
        )
        assert [word in said for word in (desks.NAME, "ZQ-4711")] == [is_named] * 2


def test_a_signed_report_leaves_in_every_format(client, report):
    change(client, report)
    sign(client, report, 2)
    kinds = {"html": "text/html", "text": "text/plain", "pdf": "application/pdf", "fhir-r4": "application/fhir+json"}
    found = {name: client.get(f"{report}/export/{name}") for name in kinds}
    for name, answer in found.items():
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kinds[name])
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Old scar." in found["html"].text
    assert "Old scar." in found["text"].text
    assert "Radiologist" in found["text"].text
    assert "Old scar" in "".join(page.extract_text() for page in PdfReader(io.BytesIO(found["pdf"].content)).pages)
    bundle = found["fhir-r4"].json()
    assert check_bundle(bundle) == ()
    (told,) = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DiagnosticReport"]
    assert told["status"] == "final"
    check_refused(client.get(f"{report}/export/word"), 422)
    rows = [row for row in client.get("/audit").json() if row["action"] == "exported"]
    assert {row["facts"]["format"] for row in rows} == set(kinds)


def test_hostile_text_leaves_escaped(client, report):
    change(client, report, edits=[NOTE | {"text": "<script>alert(1)</script>"}])
    html = client.get(f"{report}/export/html").text
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html


def test_a_text_that_was_changed_in_the_database_is_refused_in_words(desk, client, report):
    with transaction(desk.engine) as tx:
        tx.execute(text("DROP TRIGGER versions_no_update"))
        tx.execute(text("UPDATE versions SET content = replace(content, 'left', 'right')"))
    error = check_refused(client.get(report), 500)
    assert error["remedy"] == "run: medomni audit verify"


def test_a_full_disk_saves_nothing_says_so_and_takes_the_same_edit_later(desk, client, report):
    @event.listens_for(desk.engine, "begin")
    def fill(connection):
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # never less than there are: a new page is refused

    edit = [NOTE | {"text": "Word " * 700}]
    answer = change(client, report, edits=edit)
    error = check_refused(answer, 503)
    assert error["wrong"] == "the database cannot be written or reached"
    assert int(answer.headers["Retry-After"]) > 0
    event.remove(desk.engine, "begin", fill)
    with transaction(desk.engine) as tx:
        tx.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert client.get(report).json()["number"] == 1
    assert change(client, report, edits=edit).json()["number"] == 2


@pytest.mark.parametrize("form", ["now", "of an earlier release"])
def test_influence_of_the_image_is_shown_beside_its_sentence(desk, client, report, form):
    first = desks.report().sections[SectionName.FINDINGS].sentences[0].text
    one = Influence(section="findings", text=first, receipt="measured", influence=0.75)
    explained = Explanation(sentences=(one,), importance={"vision": 1.0})
    folder = desks.listed(desk)[0].study.folder / "draft"
    folder.mkdir()
    (folder / "explain.json").write_text(explained.model_dump_json() if form == "now" else f"[{one.model_dump_json()}]")
    sections = client.get(report).json()["sections"]
    shown = {sentence["text"]: sentence["influence"] for section in sections for sentence in section["sentences"]}
    assert shown.pop(first) == 0.75
    assert set(shown.values()) == {None}


def test_our_own_fault_is_told_without_its_words(desk, client, report):
    (desks.listed(desk)[0].study.folder / "draft").mkdir()
    (desks.listed(desk)[0].study.folder / "draft" / "explain.json").write_text(f"{desks.NAME} is no JSON")
    error = check_refused(client.get(report), 500)
    assert error["wrong"] == "this is a fault of MedOmni"
