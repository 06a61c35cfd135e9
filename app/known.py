"""Errors of others in our words: a full disk, too little memory. Their own words are left out: they can quote patient data."""

import errno
import sys

from medomni.errors import BadInput, MedOmniError

PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EROFS)
"""Errors of files that may be over when somebody has looked after the machine."""


class NotNow(BadInput):
    """The machine cannot do it at the moment: what was asked may be asked again."""


def as_known(error: Exception) -> MedOmniError | None:
    """The error that a person reads; None for one that is a fault of ours."""
    if isinstance(error, MedOmniError):
        return error
    if isinstance(error, MemoryError):
        return NotNow("this does not fit in memory", remedy="close other programs or use a larger machine")
    if isinstance(error, OSError) and error.strerror:
        kind = NotNow if error.errno in PASSING else BadInput
        return kind("a file cannot be read or written", found=error.strerror, remedy="check the path, its rights and the disk")
    database = sys.modules.get("sqlalchemy.exc")  # only a program that has opened one has its errors
    if database is not None and isinstance(error, database.OperationalError):
        return NotNow("the database cannot be written or reached", remedy="check the disk and the database")
    return None
