"""What a person dictated about the images: for each label what was said of it, and where in the text."""

from pydantic import Field

from medomni.types.codes import Value
from medomni.types.finding import Laterality, Presence


class Remark(Value):
    """One thing that was said of a label.

    Attributes:
        presence: present, uncertain (said with doubt) or absent.
        laterality: the sides that were named, NONE without one.
        anatomy: the lobes that were named.
        size_mm: the largest length that was named beside it.
        start, end: characters of the dictation that hold it.
    """

    label: str
    presence: Presence
    laterality: Laterality = Laterality.NONE
    anatomy: tuple[str, ...] = ()
    size_mm: float | None = None
    start: int = Field(ge=0)
    end: int = Field(gt=0)


class Dictation(Value):
    """What was dictated. The words themselves are not kept: they can name people.

    Attributes:
        is_heard: whether a machine wrote the words down from sound.
        sha256: of the text, keyed by the study's UID, so that a span can be checked against it.
        characters: length of the text, 0 without a dictation.
    """

    language: str = ""
    remarks: tuple[Remark, ...] = ()
    is_heard: bool = False
    sha256: str = ""
    characters: int = Field(default=0, ge=0)


class Told(Value):
    """What is told of a patient beside the images, in a person's own words: these never reach a report, a log or a cache."""

    history: str = ""
    dictation: str = ""

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """Kind and words of what is not blank."""
        both = (("history", self.history), ("dictation", self.dictation))
        return tuple((kind, text) for kind, text in both if text.strip())
