"""Routes of studies: the worklist, uploads, the progress of drafts, and volumes for the viewer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import FileResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.api.asking import TheDesk, ThePerson, the_desk, the_person
from app.api.shown import StudyShown, parts_of, study_shown
from app.desk import receive
from app.desk.desk import MASK, VOLUME, Desk
from app.store import jobs, studies
from app.store.database import reading
from app.store.errors import Full, NotThere
from app.store.jobs import Job, JobState
from app.store.people import require
from medomni.errors import BadInput
from medomni.types.codes import Value

if TYPE_CHECKING:
    from starlette.types import Message


class UploadRoute(APIRoute):
    """A route of many files: refused before the first is taken in are who may not send any, what is too large, what has no place.

    An upload on its way has a place in the queue of drafts, so that none comes whole and is turned away then. Few are read at
    once, because their files lie in memory; the others wait unread.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with what is checked before it."""
        handle = super().get_route_handler()
        on_the_way, reading_now = 0, asyncio.Semaphore(READ_AT_ONCE)

        async def checked(request: Request) -> Response:
            desk = the_desk(request)
            person = await run_in_threadpool(the_person, request, request.headers.get("authorization", ""))
            require(person, receive.MAY_RECEIVE)
            stated = request.headers.get("content-length", "")
            if stated.isdecimal() and int(stated) > (desk.settings.upload_mib << 20) + BESIDES:
                limit = f"more than {desk.settings.upload_mib} MiB"
                raise BadInput("the upload is too large", found=limit, remedy="upload one study at a time")
            nonlocal on_the_way
            on_the_way += 1
            try:
                try:
                    await run_in_threadpool(receive.require_room, desk, on_the_way)
                except Full:
                    await _let_finish(request)
                    raise
                async with reading_now:
                    return await handle(await _read(request))
            finally:
                on_the_way -= 1

        return checked


async def _let_finish(request: Request) -> None:
    """Drop what a client sends whose line closes with the answer: closed while it sends, it would never see that."""
    if request.headers.get("connection", "").lower() == "close":
        with suppress(ClientDisconnect, TimeoutError):
            async with asyncio.timeout(STALLED_S):
                async for _ in request.stream():
                    pass


async def _read(request: Request) -> Request:
    """The request with its files read; one that stalls is given up, so that the next can be read."""

    async def receive_soon() -> "Message":
        try:
            return await asyncio.wait_for(request.receive(), STALLED_S)
        except TimeoutError:
            return {"type": "http.disconnect"}

    read = Request(request.scope, receive_soon)
    try:
        await read.form(max_files=receive.MOST_FILES, max_part_size=4 * LONGEST_TEXT)
    except ClientDisconnect:
        raise BadInput("the upload broke off", remedy="send it again") from None
    return read


router = APIRouter(tags=["studies"])
uploads = APIRouter(tags=["studies"], route_class=UploadRoute)
BESIDES = 64 << 20
"""Bytes of an upload that are no file: texts, and the headers of many parts."""
CHUNK = 1 << 20
READ_AT_ONCE = 4
STALLED_S = 60.0
"""An upload of which nothing came for so long has broken off."""
TICK_S = 0.3
"""How often progress is looked at while somebody listens."""
LONGEST_TEXT = 1 << 20
OVER = (JobState.DONE, JobState.FAILED)


class ReceivedShown(Value):
    """What an upload is answered with."""

    study_id: str
    job_id: str
    is_new: bool


class JobShown(Value):
    """Where a draft stands: its stage, its share of the whole and the seconds that are left; ``ahead`` are made before it."""

    id: str
    study_id: str
    state: str
    stage: str
    share: float
    remaining_s: float | None
    attempts: int
    reason: str
    ahead: int = 0


@router.get("/studies")
def worklist(
    desk: TheDesk, person: ThePerson, state: Annotated[str, Query(description="Only reports in this state.")] = ""
) -> list[StudyShown]:
    """Return the worklist: the most urgent first, then what waits longest."""
    with reading(desk.engine) as tx:
        listed = [study_shown(one) for one in studies.worklist(tx)]
    return [one for one in listed if not state or one.report_state == state]


@uploads.post("/studies", status_code=202)
async def upload(
    desk: TheDesk,
    person: ThePerson,
    files: Annotated[
        list[UploadFile],
        File(default_factory=list, description="The DICOM files of one CT study, one zip of them, or one NIfTI file."),
    ],
    history: Annotated[str, Form(max_length=LONGEST_TEXT)] = "",
    dictation: Annotated[str, Form(max_length=LONGEST_TEXT)] = "",
    language: Annotated[Literal["en", "zh"], Form()] = "en",
) -> ReceivedShown:
    """Receive one CT study and queue its draft. The same study sent twice is one study.

    400 says what is wrong with the files; 429 with ``Retry-After`` that the queue is full: nothing is kept then.
    """

    def work() -> receive.Received:
        intake = receive.Intake.begin(desk)
        try:
            for file in files:
                intake.add(Path(file.filename or "").suffix, iter(lambda: file.file.read(CHUNK), b""))  # noqa: B023
            asked = {"history": history, "dictation": dictation, "language": language}
            return receive.receive(intake, person, asked)
        finally:
            intake.drop()

    got = await run_in_threadpool(work)
    return ReceivedShown(study_id=got.study_id, job_id=got.job_id, is_new=got.is_new)


@router.post("/studies/demo", status_code=202)
def demo(desk: TheDesk, person: ThePerson) -> ReceivedShown:
    """Draw the demo case, a phantom, and queue its draft; it takes some ten seconds."""
    got = receive.receive_demo(desk, person)
    return ReceivedShown(study_id=got.study_id, job_id=got.job_id, is_new=got.is_new)


class Again(Value):
    """How a study is drafted again."""

    history: str = ""
    dictation: str = ""
    language: Literal["en", "zh"] = "en"


@router.post("/studies/{study_id}/draft", status_code=202)
def draft_again(desk: TheDesk, person: ThePerson, study_id: str, again: Again) -> ReceivedShown:
    """Queue a draft again, after one that failed; a report that is there stays as it is."""
    job_id = receive.draft_again(desk, person, study_id, again.model_dump())
    return ReceivedShown(study_id=study_id, job_id=job_id, is_new=False)


@router.get("/studies/{study_id}/parts")
def parts(desk: TheDesk, person: ThePerson, study_id: str) -> dict[str, object]:
    """Return what is known of a study while it is drafted: first sections, slices, structures, measurements."""
    with reading(desk.engine) as tx:
        study = studies.get(tx, study_id)
        prior = studies.earlier(tx, study)
    told = {"prior": prior.facts.get("date", "")} if prior and (prior.folder / VOLUME).is_file() else {}
    return parts_of(study.folder) | told


@router.get("/studies/{study_id}/volume")
def volume(desk: TheDesk, person: ThePerson, study_id: str) -> Response:
    """Return the CT numbers as NIfTI (int16 HU)."""
    return _file(_folder(desk, study_id) / VOLUME)


@router.get("/studies/{study_id}/mask")
def mask(desk: TheDesk, person: ThePerson, study_id: str) -> Response:
    """Return the label map as NIfTI; its names are in ``parts``."""
    return _file(_folder(desk, study_id) / MASK)


@router.get("/studies/{study_id}/prior")
def prior(desk: TheDesk, person: ThePerson, study_id: str) -> Response:
    """Return the CT numbers of the latest earlier study of the same patient."""
    with reading(desk.engine) as tx:
        earlier = studies.earlier(tx, studies.get(tx, study_id))
    if earlier is None:
        raise NotThere("no earlier study is here", remedy="receive it first")
    return _file(earlier.folder / VOLUME)


@router.get("/jobs/{job_id}")
def job(desk: TheDesk, person: ThePerson, job_id: str) -> JobShown:
    """Return where a draft stands."""
    return _job(desk, job_id)


@router.get("/jobs/{job_id}/events")
async def events(desk: TheDesk, person: ThePerson, job_id: str) -> StreamingResponse:
    """Stream the progress of a draft as server-sent events, each a job as JSON; the stream ends with the draft."""
    first = await run_in_threadpool(_job, desk, job_id)

    async def tell() -> AsyncIterator[str]:
        now, before = first, ""
        while True:
            told = now.model_dump_json(exclude={"remaining_s"})
            if told != before:
                yield f"event: job\ndata: {now.model_dump_json()}\n\n"
                before = told
            if now.state in OVER:
                return
            await asyncio.sleep(TICK_S)
            now = await run_in_threadpool(_job, desk, job_id)

    return StreamingResponse(tell(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _job(desk: Desk, job_id: str) -> JobShown:
    with reading(desk.engine) as tx:
        found: Job = jobs.get(tx, job_id)
        ahead = jobs.ahead(tx, found) if found.state is JobState.QUEUED else 0
    return JobShown(
        id=found.id,
        study_id=found.study_id,
        state=found.state.value,
        stage=found.stage,
        share=found.share,
        remaining_s=found.remaining_s(),
        attempts=found.attempts,
        reason=found.reason,
        ahead=ahead,
    )


def _folder(desk: Desk, study_id: str) -> Path:
    with reading(desk.engine) as tx:
        return studies.get(tx, study_id).folder


def _file(path: Path) -> Response:
    if not path.is_file():
        raise NotThere("this is not there yet", remedy="wait until the draft has come that far")
    return FileResponse(path, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})
