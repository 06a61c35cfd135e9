"""The corpus through the server: every case sent to the API as hospitals do, the refused ones through the page as people do."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from app.auth import Auth
from app.desk import worker
from app.desk.desk import Desk, open_desk
from app.store import jobs
from medomni.export.fhir_check import check_bundle
from medomni.settings import load
from tests.browser.serving import ARGUMENTS, CHROMIUM, serving
from tests.hostile.corpus import Case, Verdict, verdicts

SENT = [name for name in verdicts() if not name.startswith(("fhir_", "mdl_"))]
"""FHIR files and adapters are no way into the server: nobody can send one."""
REFUSED = [name for name in SENT if verdicts()[name][0] is Verdict.REJECT]
PATIENCE_S = 120


@dataclass(frozen=True)
class Room:
    """A server that runs, and the same desk seen from this process."""

    client: httpx2.Client
    desk: Desk
    home: Path
    log: Path
    address: str

    def names(self) -> str:
        """The name of every file that the server keeps."""
        return "\n".join(str(path.relative_to(self.home)) for path in self.home.rglob("*"))


@dataclass(frozen=True)
class Answered:
    """What became of one case: the refusal in words, for the whole upload or for a study that is listed, or the report."""

    refused: str
    is_listed: bool = False
    report_id: str = ""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("served")
    with serving(home) as server:
        desk = open_desk(load(server.environment))
        token = Auth(desk).token(desk.person_here())
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=f"{server.address}/api", headers=headers, timeout=PATIENCE_S) as client:
            yield Room(client, desk, home, server.log, server.address)


@pytest.fixture(scope="module")
def answer_to(room: Room, cases: dict[str, Case], corpus: Path):
    """Return what became of a case; each is sent once, the good study first."""
    known: dict[str, Answered] = {"control_good_series": sent(room, cases["control_good_series"], corpus)}

    def answer(name: str) -> Answered:
        if name not in known:
            known[name] = sent(room, cases[name], corpus)
        return known[name]

    return answer


def files_of(case: Case, corpus: Path) -> list[Path]:
    """What a browser sends of a case: its regular files; links and pipes are none."""
    given = corpus / case.input
    found = sorted(given.rglob("*")) if given.is_dir() else [given]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def sent(room: Room, case: Case, corpus: Path) -> Answered:
    if case.kind == "audio":
        report = next(one["report_id"] for one in room.client.get("/studies").json() if one["report_id"])
        sound = (corpus / case.input).read_bytes()
        return Answered(refused=refusal(room.client.post(f"/reports/{report}/hear", content=sound)))
    parts = [("files", (path.name, path.read_bytes())) for path in files_of(case, corpus)]
    got = room.client.post("/studies", files=parts or [("none", ("none", b""))])
    if got.status_code != 202:
        return Answered(refused=refusal(got))
    assert got.json()["is_new"], "another case has the same study"
    until = time.monotonic() + PATIENCE_S
    while (job := room.client.get(f"/jobs/{got.json()['job_id']}").json())["state"] not in ("done", "failed"):
        assert time.monotonic() < until, f"it hangs: {job}"
        time.sleep(0.1)
    if job["state"] == "failed":
        return Answered(refused=job["reason"], is_listed=True)
    study = next(one for one in room.client.get("/studies").json() if one["id"] == got.json()["study_id"])
    return Answered(refused="", is_listed=True, report_id=study["report_id"])


def refusal(got: httpx2.Response) -> str:
    """The words of a refusal, which must be three."""
    assert got.status_code == 400, f"{got.status_code}: {got.text[:300]}"
    error = got.json()["error"]
    assert error["wrong"]
    assert error["remedy"]
    return f"{error['wrong']}: {error['found']}; {error['remedy']}"


@pytest.mark.parametrize("name", SENT)
def test_case_gets_its_verdict_from_the_server(name: str, room: Room, answer_to, cases: dict[str, Case]):
    case, answer = cases[name], answer_to(name)
    said = answer.refused + room.log.read_text(encoding="utf-8") + room.names()
    assert not [word for word in case.personal if word in said]
    assert "Traceback" not in said
    assert answer.refused not in (worker.BUG, jobs.DIED)
    assert not [path for path in case.must_not_exist if Path(path).exists()]
    assert not list(room.desk.incoming.iterdir())
    if case.verdict is Verdict.REJECT or (case.facts.get("may_be_refused") and answer.refused):
        assert 10 < len(answer.refused) < 600
        return
    assert answer.report_id, answer.refused
    report = room.client.get(f"/reports/{answer.report_id}").json()
    told = [notice for notice in report["notices"] if notice["level"] != "info"]
    assert told or case.verdict is not Verdict.WARN
    assert check_bundle(room.client.get(f"/reports/{answer.report_id}/export/fhir-r4").json()) == ()


def test_what_is_refused_at_once_leaves_nothing(room: Room, answer_to):
    listed = sum(answer_to(name).is_listed for name in SENT)
    assert len(room.client.get("/studies").json()) == listed < len(SENT) - 30
    assert len(list(room.desk.folder.glob("s-*"))) == listed


@pytest.mark.browser
def test_page_says_why_in_words(room: Room, answer_to, cases: dict[str, Case], corpus: Path):
    """Each refused study, sent through the page: it shows the words of the refusal and nothing of the patient, and goes on."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api")
    chosen = [cases[name] for name in REFUSED if cases[name].kind == "study" and files_of(cases[name], corpus)]
    faults: list[str] = []
    with api.sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS)).new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.set_default_timeout(1000 * PATIENCE_S)
        page.goto(room.address)
        page.get_by_role("button", name="Add a study").click()
        for case in chosen:
            answer = answer_to(case.id)
            wrong = re.compile(re.escape(answer.refused.partition(": " if not answer.is_listed else ";")[0]), re.IGNORECASE)
            if answer.is_listed:
                told = page.locator(".mo-failure").filter(has_text=wrong).first
            else:
                page.set_input_files("#mo-files", [str(path) for path in files_of(case, corpus)])
                page.get_by_role("button", name="Send and draft").click()
                told = page.locator(".mo-told.mo-error").filter(has_text=wrong)
            told.wait_for()
            assert not [word for word in case.personal if word in told.inner_text()], case.id
    assert not faults
    assert len(chosen) > 35
