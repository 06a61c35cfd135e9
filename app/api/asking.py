"""What every route needs: the desk, who asks, and one place where errors become answers.

An error answers with ``{"error": {"wrong", "found", "remedy"}}`` in words that a person understands; a fault of ours says only
that it is one; a full disk answers 503, and the page sends what was typed again until it is saved. Nothing of a request is ever
logged.
"""

import logging
from typing import Annotated, cast

from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from app.auth import Auth, NotSignedIn
from app.desk.desk import Desk
from app.known import NotNow, as_known
from app.store.errors import Full, NotAllowed, NotThere, Stale, Tampered
from app.store.people import Person
from medomni import logs
from medomni.errors import BadInput, MedOmniError, MissingPart, UnsafeDraft

RETRY_S = 30
"""When a client that was turned away may ask again."""
_REFUSED = {404: "there is no such address", 405: "this address does not take this method"}
_CODES: tuple[tuple[type[MedOmniError], int], ...] = (
    (NotSignedIn, 401),
    (NotAllowed, 403),
    (NotThere, 404),
    (Stale, 409),
    (UnsafeDraft, 409),
    (Full, 429),
    (Tampered, 500),
    (MissingPart, 501),
    (NotNow, 503),
    (BadInput, 400),
)


def the_desk(request: Request) -> Desk:
    """The desk that this server serves."""
    return cast(Desk, request.app.state.desk)


def the_person(request: Request, authorization: Annotated[str, Header()] = "") -> Person:
    """Who asks."""
    return cast(Auth, request.app.state.auth).person(authorization)


TheDesk = Annotated[Desk, Depends(the_desk)]
ThePerson = Annotated[Person, Depends(the_person)]


async def body_of(request: Request, most: int, too_large: BadInput) -> bytes:
    """The body of a request; ``too_large`` is raised as soon as more than ``most`` bytes have come."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise too_large
    return bytes(body)


def answer_errors(api: FastAPI) -> None:
    """Let every error answer in words."""

    @api.exception_handler(MedOmniError)
    async def known(_: Request, error: MedOmniError) -> JSONResponse:
        return error_answer(error)

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])[:120]
        return _answer(422, "the request does not fit", f"first at {where}", "see /api/openapi.json")

    @api.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return _answer(
            error.status_code, _REFUSED.get(error.status_code, "the request does not fit"), "", "see /api/openapi.json"
        )

    @api.exception_handler(OSError)
    @api.exception_handler(MemoryError)
    @api.exception_handler(OperationalError)
    async def not_now(_: Request, error: Exception) -> JSONResponse:
        logs.event("api_not_now", level=logging.ERROR, error=type(error).__name__)
        known = as_known(error)
        return error_answer(known) if isinstance(known, NotNow) else await unknown(_, error)

    @api.exception_handler(Exception)
    async def unknown(_: Request, error: Exception) -> JSONResponse:
        logs.event("api_fault", level=logging.ERROR, error=type(error).__name__)
        return _answer(500, "this is a fault of MedOmni", type(error).__name__, "try again; what was saved before is safe")


def error_answer(error: MedOmniError) -> JSONResponse:
    """An error as an answer."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), 500)
    extra = {"number": error.number} if isinstance(error, Stale) else {}
    answer = _answer(code, error.wrong, error.found, error.remedy, **extra)
    if code in (429, 503):
        answer.headers["Retry-After"] = str(RETRY_S)
    return answer


def _answer(code: int, wrong: str, found: str, remedy: str, **extra: object) -> JSONResponse:
    return JSONResponse({"error": {"wrong": wrong, "found": found, "remedy": remedy, **extra}}, status_code=code)
