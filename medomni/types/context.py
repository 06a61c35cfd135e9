"""Patient context: what is known about the patient besides the images, without a direct identifier."""

from enum import StrEnum

from pydantic import Field

from medomni.types.codes import Value


class FactKind(StrEnum):
    """What kind of statement a fact of the history is."""

    SYMPTOM = "symptom"
    CONDITION = "condition"
    MALIGNANCY = "malignancy"
    SURGERY = "surgery"
    EXPOSURE = "exposure"
    TREATMENT = "treatment"
    QUESTION = "question"


class ContextFact(Value):
    """One clinical fact with the characters of the history that state it.

    ``concept`` is a key of ``medomni/data/history.toml``; ``start`` and ``end`` are offsets into the history text;
    ``laterality`` is left, right, bilateral or "". ``detail`` holds a cleaned duration or amount such as "3 days".
    """

    concept: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: FactKind
    start: int = Field(ge=0)
    end: int = Field(gt=0)
    is_negated: bool = False
    laterality: str = ""
    detail: str = ""


class PatientContext(Value):
    """Age, sex and parsed history. The history's own words are not kept: they can name people.

    ``history_sha256`` (keyed by the study UID) lets a receipt be checked against its text. ``stated_sex`` is what the
    text says, if it does.
    """

    age_years: float | None = Field(default=None, ge=0, le=130)
    sex: str = ""
    stated_sex: str = ""
    language: str = ""
    facts: tuple[ContextFact, ...] = ()
    history_sha256: str = ""
    history_characters: int = Field(default=0, ge=0)
    has_instructions: bool = False
