"""The API as its clients meet it: a real application over a real desk, and a client of every role."""

import pytest
from starlette.testclient import TestClient

from app.api.application import create_api
from app.store.people import Role
from tests import desks


@pytest.fixture
def desk(tmp_path):
    return desks.desk(tmp_path)


@pytest.fixture
def api(desk):
    return create_api(desk)


@pytest.fixture
def as_role(desk, api):
    """A client that is signed in with a role; ``None`` brings no token. Faults answer as they do in a server."""

    def client(role=Role.RADIOLOGIST):
        made = TestClient(api, raise_server_exceptions=False)
        if role is not None:
            made.headers["Authorization"] = f"Bearer {api.state.auth.token(desks.person(desk, role))}"
        return made

    return client


@pytest.fixture
def client(as_role):
    return as_role()


@pytest.fixture
def report(desk):
    """The address of a drafted report."""
    return f"/reports/{desks.begun(desk)[1]}"
