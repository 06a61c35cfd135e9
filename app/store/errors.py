"""What the store refuses, each with what a person can do about it."""

from medomni.errors import BadInput, MedOmniError


class Stale(BadInput):
    """Somebody else saved meanwhile; nothing was written. ``number`` is the version that is there now."""

    def __init__(self, number: int) -> None:
        super().__init__(
            "somebody else has saved this report meanwhile",
            found=f"version {number} is there now",
            remedy="look at it, then save again",
        )
        self.number = number


class NotAllowed(BadInput):
    """The state of the report, or the person's role, does not allow this."""


class NotThere(BadInput):
    """No such row."""


class Full(MedOmniError):
    """The queue of drafts is full; nothing was queued."""


class Tampered(MedOmniError):
    """What was stored is not what was written: a hash does not fit."""

    exit_code = 3
