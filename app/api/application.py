"""The API as one ASGI application: routes, errors in words, and the description of both at ``/api/openapi.json``."""

from fastapi import FastAPI

from app.api import dictation, pasted, reports, studies, team
from app.api.asking import answer_errors
from app.auth import Auth
from app.desk.desk import Desk
from medomni import __version__

ABOUT = """Receives CT studies, drafts their reports, and lets people check, edit and sign them. **Not a medical device.**

Send a token as `Authorization: Bearer ...`. A page of this server has one; programs bring one of the OpenID provider.
Every change names the version it was made from (`expected`) and carries a `key`: sent again, it counts once."""


def create_api(desk: Desk) -> FastAPI:
    """Return the API of a desk."""
    api = FastAPI(title="MedOmni", version=__version__, description=ABOUT, docs_url=None, redoc_url=None)
    api.state.desk, api.state.auth = desk, Auth(desk)
    for room in (studies, pasted, reports, dictation, team):
        api.include_router(room.router)
    api.include_router(studies.uploads)
    answer_errors(api)
    return api
