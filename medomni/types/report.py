"""Drafts and reports: sentences with receipts, by section, and the state of the whole."""

from enum import StrEnum

from pydantic import Field

from medomni.types.codes import Value
from medomni.types.context import PatientContext
from medomni.types.finding import BoxMm, Finding
from medomni.types.notice import Notice
from medomni.types.provenance import Provenance
from medomni.types.region import Coverage
from medomni.types.study import Acquisition


class ReceiptKind(StrEnum):
    """Where a sentence comes from. ``tag`` is a DICOM header attribute (docs/adr/0003)."""

    MEASURED = "measured"
    MODEL = "model"
    HISTORY = "history"
    DICTATED = "dictated"
    PRIOR = "prior"
    TAG = "tag"
    TEMPLATE = "template"


class Receipt(Value):
    """The proof of one sentence; which fields are filled depends on ``kind``."""

    kind: ReceiptKind
    structure: str = ""
    slice_index: int | None = None
    position_mm: tuple[float, float, float] | None = None
    box_mm: BoxMm | None = None
    measurements: tuple[str, ...] = ()
    label: str = ""
    probability: float | None = None
    threshold: float | None = None
    span: tuple[int, int] | None = None
    tags: tuple[str, ...] = ()


class Sentence(Value):
    """One sentence of the report. ``organ`` groups the sentences of the findings section."""

    text: str = Field(min_length=1)
    receipt: Receipt | None
    finding_ids: tuple[str, ...] = ()
    organ: str = ""


class SectionName(StrEnum):
    """Sections of the report in reading order."""

    EXAMINATION = "examination"
    INDICATION = "indication"
    TECHNIQUE = "technique"
    COMPARISON = "comparison"
    FINDINGS = "findings"
    IMPRESSION = "impression"


class Section(Value):
    """One section: a heading in the draft's language and its sentences."""

    heading: str
    sentences: tuple[Sentence, ...] = ()


class ReportState(StrEnum):
    """States of a report; only a person moves it past ``draft``."""

    DRAFT = "draft"
    PRELIMINARY = "preliminary"
    FINAL = "final"
    AMENDED = "amended"
    CORRECTED = "corrected"
    APPENDED = "appended"
    ENTERED_IN_ERROR = "entered-in-error"


class Prior(Value):
    """What the current study was compared with. ``days_before`` is negative when the prior is dated after the study."""

    kind: str = Field(pattern=r"^(study|report)$")
    days_before: int | None = None
    is_same_patient: bool | None = None


class Draft(Value):
    """What was drafted about one study: never signed, never identified."""

    language: str = Field(pattern=r"^(en|zh)$")
    context: PatientContext
    acquisition: Acquisition
    prior: Prior | None = None
    coverage: Coverage
    findings: tuple[Finding, ...]
    sections: dict[SectionName, Section]
    notices: tuple[Notice, ...] = ()


class Report(Draft):
    """A reviewed draft with its state and where it came from; ``report.json`` is exactly this value."""

    schema_version: str = "1"
    state: ReportState = ReportState.DRAFT
    provenance: Provenance
