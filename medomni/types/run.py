"""Run records: what a draft was made with and what it cost, without an identifier or a word of the patient's text."""

from pydantic import Field

from medomni.types.codes import Value
from medomni.types.finding import Presence
from medomni.types.notice import NoticeLevel
from medomni.types.provenance import Provenance, StageRecord


class RunNotice(Value):
    """A notice of the draft without its fields: those can hold file names, and file names can hold UIDs."""

    code: str
    level: NoticeLevel


class RunRecord(Value):
    """One run of ``medomni draft``: ``run.json`` and the MLflow run hold exactly this value.

    ``settings`` are names and numbers of choices, never paths or texts; ``files`` maps each written file to its sha256;
    ``findings`` counts them by presence; ``wording`` the sentences that a drafter was asked for, those kept, and those that fixed
    phrases replaced, by reason; ``gates`` and ``importance`` tell how the omni model weighed what it was given.
    ``cpu_seconds`` is the CPU time of the whole process, its start and imports included, which no stage holds.
    """

    schema_version: str = "1"
    provenance: Provenance
    settings: dict[str, str | int | bool]
    stages: tuple[StageRecord, ...]
    cpu_seconds: float = Field(ge=0)
    findings: dict[Presence, int]
    wording: dict[str, int] = Field(default_factory=dict)
    gates: dict[str, float] = Field(default_factory=dict)
    importance: dict[str, float] = Field(default_factory=dict)
    notices: tuple[RunNotice, ...] = ()
    files: dict[str, str] = Field(default_factory=dict)
    software: dict[str, str] = Field(default_factory=dict)

    @property
    def wall_seconds(self) -> float:
        """Elapsed time of all stages together."""
        return sum(stage.wall_seconds for stage in self.stages)

    @property
    def peak_mib(self) -> float:
        """Peak resident memory of the process."""
        return max((stage.peak_mib for stage in self.stages), default=0.0)
