"""Routes of dictation: what was said, and what it would change. Nothing is applied here: a person looks first."""

import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app import wiring
from app.api.asking import TheDesk, ThePerson
from app.desk import writing
from app.desk.desk import Desk
from app.store.people import MAY_EDIT, require
from medomni.errors import BadInput
from medomni.types.codes import Value
from medomni.types.edit import Edit

router = APIRouter(prefix="/reports/{report_id}", tags=["dictation"])
LARGEST_BYTES = 120 << 20
"""A WAV of ten minutes, 48 kHz, stereo, 16 bit has 115 MB."""
EXAMPLE = "Change the nodule to eight millimetres, add no effusion."


class Said(Value):
    """Words, spoken or typed."""

    text: str = Field(min_length=1, max_length=4000, examples=[EXAMPLE])
    edits: tuple[Edit, ...] = Field(default=(), max_length=100, description="Edits that are not saved yet, as in a correction.")


class UnderstoodShown(Value):
    """Edits to confirm, a line for each; what was not understood; numbers that differ from the measured ones."""

    edits: tuple[Edit, ...]
    lines: tuple[str, ...]
    unclear: tuple[str, ...]
    conflicts: tuple[str, ...]


class HeardShown(Value):
    """What was heard; ``doubtful`` are stretches of characters that need a look."""

    text: str
    doubtful: tuple[tuple[int, int], ...]


@router.post("/understand")
def understand(desk: TheDesk, person: ThePerson, report_id: str, said: Annotated[Said, Body()]) -> UnderstoodShown:
    """Return the edits that words ask for; nothing is saved."""
    from preprocessing.voice_edits import understand as understood

    report = writing.preview(desk, report_id, said.edits) if said.edits else writing.report_of(writing.current(desk, report_id))
    meant = understood(said.text, report)
    return UnderstoodShown(edits=meant.edits, lines=meant.lines, unclear=meant.unclear, conflicts=meant.conflicts)


@router.post("/hear")
async def hear(desk: TheDesk, person: ThePerson, report_id: str, request: Request) -> HeardShown:
    """Return the words of a recording (WAV, 8 to 48 kHz, at most ten minutes); it is not kept."""
    require(person, MAY_EDIT)
    with tempfile.NamedTemporaryFile(dir=desk.incoming, suffix=".wav") as file:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > LARGEST_BYTES:
                raise BadInput("the recording is too long", remedy="dictate at most ten minutes at a time")
            file.write(chunk)
        file.flush()
        return await run_in_threadpool(_heard, desk, report_id, Path(file.name))


def _heard(desk: Desk, report_id: str, path: Path) -> HeardShown:
    from preprocessing.speech import read_wav
    from preprocessing.voice_edits import expected_words

    recording = read_wav(path)
    report = writing.report_of(writing.current(desk, report_id))
    heard = wiring.ears(desk.settings).hear(recording, lambda _: None, expected_words(report))
    return HeardShown(text=heard.text, doubtful=heard.doubtful)
