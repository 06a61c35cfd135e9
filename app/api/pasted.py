"""Route of pasted pictures: where in the images one was taken."""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from app.api.asking import TheDesk, ThePerson, body_of
from app.desk import pasted
from medomni.errors import BadInput
from medomni.types.codes import Value
from medomni.types.finding import BoxMm

router = APIRouter(tags=["studies"])
LARGEST_BYTES = 16 << 20


class LocatedShown(Value):
    """Where a picture was taken (LPS mm), how like the place is (at most 1); ``is_found`` false where no place stands out."""

    is_found: bool
    plane: str = ""
    target_mm: tuple[float, float, float] | None = None
    box_mm: BoxMm | None = None
    likeness: float = 0.0


@router.post("/studies/{study_id}/locate")
async def locate(desk: TheDesk, person: ThePerson, study_id: str, request: Request) -> LocatedShown:
    """Return where in the images of a study a picture (PNG, JPEG, WebP or BMP) was cut out; it is not kept."""
    data = await body_of(request, LARGEST_BYTES, BadInput("the picture is too large", remedy="cut out a part"))
    found = await run_in_threadpool(pasted.find, desk, study_id, data)
    if found is None:
        return LocatedShown(is_found=False)
    return LocatedShown(
        is_found=True, plane=found.plane, target_mm=found.position_mm, box_mm=found.box_mm, likeness=found.likeness
    )
