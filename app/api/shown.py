"""What the API answers with: reports, studies and jobs as a page or a program sees them.

    Version, Report, parts of a study -> ReportShown          Listed -> StudyShown

Every text is plain: whoever shows it escapes it.
"""

import json
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter

from app.desk.desk import DRAFT, PARTS
from app.desk.writing import OpenPoint, report_of, to_confirm
from app.store.reports import Version
from app.store.studies import Listed
from medomni.export.html_receipt import source
from medomni.export.words import is_number, name, places, reason, say, state_word, value
from medomni.reporting.edit import origins
from medomni.reporting.hedge import hedge, least
from medomni.reporting.influence import Explanation, Influence
from medomni.reporting.phrases import bank, notice_text, notice_texts
from medomni.reporting.review import is_by_person
from medomni.reporting.second_look import Difference
from medomni.types.codes import Value
from medomni.types.finding import BoxMm, Finding, Presence
from medomni.types.notice import Notice
from medomni.types.report import Report, Sentence, Signature, Span
from medomni.types.section import SectionName

ALMOST = 0.15
"""A label whose probability lies so little under the first step of the ladder is shown as also considered."""
Point = tuple[float, float, float]


class ReceiptShown(Value):
    """The receipt of a sentence in words, and the place on the image that it points to (LPS mm)."""

    kind: str
    summary: str
    details: tuple[tuple[str, str], ...] = ()
    structures: tuple[str, ...] = ()
    slice_index: int | None = None
    target_mm: Point | None = None
    box_mm: BoxMm | None = None


class SentenceShown(Value):
    """One sentence; ``influence`` is the share that is due to the image, None where it was not asked."""

    text: str
    spans: tuple[Span, ...]
    receipt: ReceiptShown
    finding_ids: tuple[str, ...]
    organ: str
    is_by_person: bool
    influence: float | None = None


class SectionShown(Value):
    """One section."""

    name: SectionName
    heading: str
    sentences: tuple[SentenceShown, ...]


class FindingShown(Value):
    """One clinical finding in words."""

    id: str
    label: str
    name: str
    presence: Presence
    presence_word: str
    hedge: str
    probability: float | None
    place: str
    values: tuple[str, ...]
    verdict: str
    reason: str
    receipt: ReceiptShown


class NoticeShown(Value):
    """One notice in words."""

    code: str
    level: str
    text: str


class PointShown(Value):
    """One point to look at before signing, in words; ``code`` is what a signature confirms.

    ``kind`` is unsafe, differs, warned or unproven (then ``text`` is the sentence).
    """

    code: str
    kind: str
    text: str


class ReportShown(Value):
    """A version of a report as a page shows it."""

    report_id: str
    study_id: str
    number: int
    state: str
    state_word: str
    language: str
    sections: tuple[SectionShown, ...]
    findings: tuple[FindingShown, ...]
    also_considered: tuple[FindingShown, ...]
    not_evaluated: tuple[FindingShown, ...]
    notices: tuple[NoticeShown, ...]
    to_confirm: tuple[PointShown, ...]
    signatures: tuple[Signature, ...]
    holder: str = ""
    is_mine: bool = True


class StudyShown(Value):
    """One line of the worklist."""

    id: str
    title: str
    facts: dict[str, str]
    received_at: float
    priority: int
    job_id: str
    job_state: str
    stage: str
    share: float
    reason: str
    report_id: str
    report_state: str
    holder: str


_EXPLAINED: TypeAdapter[Explanation | tuple[Influence, ...]] = TypeAdapter(Explanation | tuple[Influence, ...])
"""What ``explain.json`` holds; an earlier release wrote the sentences alone."""


def study_shown(listed: Listed) -> StudyShown:
    """Return a line of the worklist."""
    study = listed.study
    return StudyShown(
        id=study.id,
        title=study.title,
        facts={key: fact for key, fact in study.facts.items() if key != "patient"},
        received_at=study.received_at,
        priority=study.priority,
        job_id=listed.job_id,
        job_state=listed.job_state.value if listed.job_state else "",
        stage=listed.stage,
        share=listed.share,
        reason=listed.reason,
        report_id=listed.report_id,
        report_state=listed.report_state.value if listed.report_state else "",
        holder=listed.holder,
    )


def report_shown(version: Version, study_id: str, folder: Path, holder: str = "", *, is_mine: bool = True) -> ReportShown:
    """Return a version as a page shows it."""
    shown = _shown(version, study_id, folder)
    return shown.model_copy(update={"holder": holder, "is_mine": is_mine})


@lru_cache(maxsize=32)
def _shown(version: Version, study_id: str, folder: Path) -> ReportShown:
    """A version never changes, and what is known of its study does not once it is drafted."""
    return of_report(report_of(version), version.report_id, version.number, study_id, folder)


def of_report(report: Report, report_id: str, number: int, study_id: str, folder: Path) -> ReportShown:
    """Return a report, saved or not, as a page shows it."""
    middles, due = _middles(folder), _influences(folder)
    clinical = [finding for finding in report.findings if not is_number(finding)]
    words = [_finding(finding, report, middles) for finding in clinical]
    told = [one for one in words if one.presence in (Presence.PRESENT, Presence.UNCERTAIN) or one.verdict]
    edge = least("possible")
    almost = [one for one in words if one not in told and one.probability is not None and edge - ALMOST <= one.probability < edge]
    return ReportShown(
        report_id=report_id,
        study_id=study_id,
        number=number,
        state=report.state.value,
        state_word=state_word(report),
        language=report.language,
        sections=tuple(
            SectionShown(
                name=section_name,
                heading=section.heading,
                sentences=tuple(_sentence(sentence, report, middles, due) for sentence in section.sentences),
            )
            for section_name, section in report.sections.items()
        ),
        findings=tuple(told),
        also_considered=tuple(almost),
        not_evaluated=tuple(one for one in words if one.presence is Presence.NOT_EVALUATED),
        notices=tuple(
            NoticeShown(code=notice.code, level=notice.level.value, text=text)
            for notice, text in notice_texts(report.notices, report.language)
        ),
        to_confirm=tuple(_point(point, report) for point in to_confirm(report)),
        signatures=report.signatures,
    )


def parts_of(folder: Path) -> dict[str, object]:
    """What is known of a study by now (see ``app.desk.parts``); empty at first."""
    try:
        known: dict[str, object] = json.loads((folder / PARTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return known


def _middles(folder: Path) -> list[Point]:
    grid = parts_of(folder).get("grid")
    middles: list[Point] = grid["middles_mm"] if isinstance(grid, dict) else []
    return middles


def _influences(folder: Path) -> dict[str, float]:
    try:
        told = _EXPLAINED.validate_json((folder / DRAFT / "explain.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {one.text: one.influence for one in (told.sentences if isinstance(told, Explanation) else told)}


def _sentence(sentence: Sentence, report: Report, middles: list[Point], due: dict[str, float]) -> SentenceShown:
    kind, summary, details = source(sentence, report)
    receipt = sentence.receipt
    cited = [finding for finding in report.findings if finding.id in sentence.finding_ids]
    return SentenceShown(
        text=sentence.text,
        spans=origins(sentence),
        receipt=ReceiptShown(
            kind=kind,
            summary=summary,
            details=tuple(details),
            structures=_structures(cited, receipt.structure if receipt else ""),
            slice_index=receipt.slice_index if receipt else None,
            target_mm=_target(receipt.position_mm, receipt.box_mm, receipt.slice_index, middles) if receipt else None,
            box_mm=receipt.box_mm if receipt else None,
        ),
        finding_ids=sentence.finding_ids,
        organ=name(sentence.organ, report.language) if sentence.organ else "",
        is_by_person=is_by_person(sentence),
        influence=due.get(sentence.text),
    )


def _finding(finding: Finding, report: Report, middles: list[Point]) -> FindingShown:
    language, step = report.language, hedge(finding)
    evidence = next((one for one in finding.evidence if one.slice_index is not None or one.position_mm or one.box_mm), None)
    return FindingShown(
        id=finding.id,
        label=finding.label,
        name=name(finding.label, language),
        presence=finding.presence,
        presence_word=say(f"presence_{finding.presence}", language),
        hedge=step or "",
        probability=finding.probability,
        place=places(finding, language),
        values=tuple(f"{name(m.name, language)} {value(m, language)}" for m in finding.measurements),
        verdict=report.verdicts[finding.id].value if finding.id in report.verdicts else "",
        reason=reason(finding, language) if finding.presence is Presence.NOT_EVALUATED else "",
        receipt=ReceiptShown(
            kind="measured",
            summary="",
            structures=_structures([finding], evidence.structure if evidence else ""),
            slice_index=evidence.slice_index if evidence else None,
            target_mm=_target(evidence.position_mm, evidence.box_mm, evidence.slice_index, middles) if evidence else None,
            box_mm=(evidence.box_mm if evidence else None) or finding.box_mm,
        ),
    )


def _structures(findings: list[Finding], structure: str) -> tuple[str, ...]:
    named = [structure, *(evidence.structure for finding in findings for evidence in finding.evidence)]
    return tuple(dict.fromkeys(one for one in named if one))


def _target(position: Point | None, box: BoxMm | None, slice_index: int | None, middles: list[Point]) -> Point | None:
    """Where to look: the stated point, else the middle of the box, else the middle of the slice."""
    if position is not None:
        return position
    if box is not None:
        low, high = box
        return (low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2
    if slice_index is not None and slice_index < len(middles):
        return middles[slice_index]
    return None


def _point(point: OpenPoint, report: Report) -> PointShown:
    match point.about:
        case Difference() as one:
            text = say(f"difference_{one.kind}", report.language, name=bank(report.language).name(one.label))
        case Notice() as one:
            text = notice_text(one, report.language)
        case Sentence() as one:
            text = one.text
    return PointShown(code=point.code, kind=point.code.partition(":")[0], text=text[:1].upper() + text[1:])
