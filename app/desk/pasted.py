"""A picture that a person pastes, looked for in the images of a study: nothing of it is kept."""

import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from app.desk.desk import VOLUME, Desk
from app.store import studies
from app.store.database import reading
from app.store.errors import Full, NotThere

if TYPE_CHECKING:
    from medomni.types.volume import Volume
    from preprocessing.locate import Located

_ONE_AT_A_TIME = threading.Lock()
"""A search takes a processor for some seconds, 20 at most; people who read and write go on beside it."""


def find(desk: Desk, study_id: str, data: bytes) -> "Located | None":
    """Return where in a study's images a picture was taken; None where it is not of this study, or not told for certain.

    Raises:
        BadInput: it is no picture that can be read.
        Full: another picture is being looked for.
        NotThere: there is no such study, or its images are not read yet.
    """
    from preprocessing.locate import locate, read_picture

    with reading(desk.engine) as tx:
        path = studies.get(tx, study_id).folder / VOLUME
    if not path.is_file():
        raise NotThere("the images are not there yet", remedy="wait until the draft has come that far")
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise Full("another picture is being looked for", remedy="paste it again in some seconds")
    try:
        return locate(_volume(path, path.stat().st_mtime_ns), read_picture(data))
    finally:
        _ONE_AT_A_TIME.release()


@lru_cache(maxsize=1)
def _volume(path: Path, written_at: int) -> "Volume":
    """The volume of a study, as it was written last."""
    from preprocessing.nifti import open_nifti, read_nifti

    return read_nifti(open_nifti(path), lambda share: None)
