"""Where the pages find the desk of the server that runs them: Streamlit runs a page by itself and hands it nothing."""

from app.auth import Auth
from app.desk.desk import Desk

_served: list[Desk] = []


def set_desk(desk: Desk) -> None:
    """Serve a desk in this process."""
    _served[:] = [desk]


def auth() -> Auth:
    """The desk of this process, and who may use it."""
    return Auth(_served[0])
