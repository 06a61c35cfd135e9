"""Drafts and reports: sentences with receipts, by section, and the state of the whole."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from medomni.types.codes import Value
from medomni.types.context import PatientContext
from medomni.types.dictation import Dictation
from medomni.types.finding import BoxMm, Finding
from medomni.types.notice import Notice
from medomni.types.provenance import Provenance
from medomni.types.region import Coverage
from medomni.types.section import SectionName
from medomni.types.study import Acquisition
from medomni.types.style import Style


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


class Origin(StrEnum):
    """Who wrote a stretch of text."""

    AI = "ai"
    DICTATED = "dictated"
    TYPED = "typed"
    TEMPLATE = "template"
    PRIOR = "prior"


class Span(Value):
    """Characters ``start`` to ``end`` of a sentence, and who wrote them."""

    start: int = Field(ge=0)
    end: int = Field(gt=0)
    origin: Origin


class Sentence(Value):
    """One sentence of the report. ``organ`` groups the sentences of the findings section.

    ``spans`` tells who wrote which characters once a person has changed the sentence; without any, its receipt tells.
    """

    text: str = Field(min_length=1)
    receipt: Receipt | None
    finding_ids: tuple[str, ...] = ()
    organ: str = ""
    spans: tuple[Span, ...] = ()


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
    """What the current study was compared with. ``days_before`` is negative when the prior is dated after the study.

    ``findings`` are those of its report that can be compared (``medomni.reporting.follow_up``), as they were measured then;
    ``is_signed`` tells whether a person has signed it.
    """

    kind: str = Field(pattern=r"^(study|report)$")
    days_before: int | None = None
    is_same_patient: bool | None = None
    findings: tuple[Finding, ...] = ()
    is_signed: bool = False


class Draft(Value):
    """What was drafted about one study: never signed, never identified."""

    language: str = Field(pattern=r"^(en|zh)$")
    context: PatientContext
    dictation: Dictation = Dictation()
    acquisition: Acquisition
    prior: Prior | None = None
    coverage: Coverage
    findings: tuple[Finding, ...]
    sections: dict[SectionName, Section]
    notices: tuple[Notice, ...] = ()
    style: Style | None = None


class Verdict(StrEnum):
    """What a person decided about a finding of the machine."""

    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class Signature(Value):
    """A person's signature under a report: who, in which role, when, and the state that it gave the report."""

    name: str = Field(min_length=1, max_length=255)
    role: str
    at: AwareDatetime
    state: ReportState


class Report(Draft):
    """A reviewed draft with its state and where it came from; ``report.json`` is exactly this value.

    ``verdicts`` are what a person decided about findings, by finding id; ``signatures`` stand in order of time.
    """

    schema_version: str = "1"
    state: ReportState = ReportState.DRAFT
    provenance: Provenance
    verdicts: dict[str, Verdict] = Field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
