"""A real server, a real browser: Debian's Chromium with software WebGL, driven by Playwright."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.auth import Auth
from app.desk.desk import Desk, open_desk
from app.store import people, reports, studies
from app.store.database import reading, transaction
from app.store.people import Person, Role
from medomni.settings import load
from tests.browser.serving import ARGUMENTS, CHROMIUM, phantom, send, serving

PATIENCE_MS = 90_000
"""Longest that a page may take on a busy machine before something is wrong."""


@dataclass(frozen=True)
class Served:
    """A server that runs, and the same desk seen from this process."""

    address: str
    desk: Desk
    phantom: Path
    log: Path

    def token(self, person: Person) -> str:
        return Auth(self.desk).token(person)

    def colleague(self) -> Person:
        """A radiologist who is not the one at the page."""
        with transaction(self.desk.engine) as tx:
            return people.known(tx, "colleague", "Dr Colleague", Role.RADIOLOGIST)

    def listed(self):
        with reading(self.desk.engine) as tx:
            return studies.worklist(tx)


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """`medomni serve` as a person starts it, with a home of its own and a phantom to read."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    pytest.importorskip("playwright")
    home = tmp_path_factory.mktemp("room")
    with serving(home) as server:
        study = phantom(server, home)
        yield Served(server.address, open_desk(load(server.environment)), study, server.log)


@pytest.fixture(scope="session")
def drafted(served, browser):
    """The text and the folder of a study that the server drafted, sent through the page."""
    page = browser.new_page()
    page.set_default_timeout(2 * PATIENCE_MS)
    page.goto(served.address)
    send(page, served.phantom)
    page.close()
    study = served.listed()[0]
    with reading(served.desk.engine) as tx:
        return study.study, reports.read(tx, study.report_id).content


@pytest.fixture
def report(served, drafted):
    """A draft of its own for one test: study and report ids. The images are those of the drafted study."""
    study, content = drafted
    with transaction(served.desk.engine) as tx:
        sender = people.known(tx, "sender", "PACS", Role.INTEGRATION)
        made = studies.receive(tx, sender, f"1.2.{time.time_ns()}", f"Test {time.time_ns()}", study.folder, study.facts)
    with transaction(served.desk.engine) as tx:
        machine = people.known(tx, "machine", "MedOmni", Role.MACHINE)
        return made.id, reports.begin(tx, machine, made.id, content).report_id


@pytest.fixture(scope="session")
def chromium():
    """Starts Chromium with more arguments; all are closed in the end."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        started = []

        def start(*more):
            started.append(playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *more]))
            return started[-1]

        yield start
        for one in started:
            one.close()


@pytest.fixture(scope="session")
def browser(chromium):
    return chromium()


@pytest.fixture
def page(browser, served):
    """A page of its own; a fault of its script fails the test."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    faults = []
    made = context.new_page()
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on("requestfailed", lambda request: faults.append(request.url) if "127.0.0.1" not in request.url else None)
    yield made
    context.close()
    assert not faults
