"""The errors MedOmni raises on purpose, each with the exit code the command line gives it.

    MedOmniError
    ├── BadInput          3   the input is wrong; nothing was written
    ├── MissingPart       4   a model, codec or optional extra is not installed
    ├── UnsafeDraft       5   a draft was made but must not leave
    └── BadSettings       6   a setting is wrong

A message has three parts: what is wrong, what was found, what to do. It never holds patient text,
dates or UIDs: only file names the user typed or that lie in the folder, tag names and plain numbers.
"""


class MedOmniError(Exception):
    """Base of every error MedOmni raises on purpose; ``str(error)`` is the one line a person reads."""

    exit_code = 1

    def __init__(self, wrong: str, *, found: str = "", remedy: str = "", where: str = "") -> None:
        self.wrong, self.found, self.remedy, self.where = wrong, found, remedy, where
        super().__init__(wrong)

    def at(self, where: str) -> "MedOmniError":
        """Return the same error with ``where`` (a file name or option) filled in when it was empty."""
        return type(self)(self.wrong, found=self.found, remedy=self.remedy, where=self.where or where)

    def __str__(self) -> str:
        parts = "; ".join(part for part in (self.wrong, self.found, self.remedy) if part)
        line = f"{self.where}: {parts}" if self.where else parts
        return "".join(character if character.isprintable() else "?" for character in line)


class BadInput(MedOmniError):
    """The input cannot be used: wrong kind, damaged, inconsistent or hostile."""

    exit_code = 3


class MissingPart(MedOmniError):
    """A model, a codec or an optional extra that this request needs is not there."""

    exit_code = 4


class UnsafeDraft(MedOmniError):
    """The draft holds a contradiction that could hurt a patient, so it is withheld."""

    exit_code = 5


class BadSettings(MedOmniError):
    """A setting or environment variable has a value that cannot be used."""

    exit_code = 6
