"""Routes of reports: read, edit, go back, compare, sign, add below, hand over."""

import difflib
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Body
from fastapi.openapi.models import Example
from fastapi.responses import Response
from pydantic import Field

from app.api.asking import TheDesk, ThePerson
from app.api.shown import ReportShown, of_report, report_shown
from app.desk import writing
from app.desk.desk import Desk
from app.desk.receive import MAY_RECEIVE, note_export, source_of
from app.desk.writing import Asked
from app.store import people, reports, studies
from app.store.database import reading, transaction
from app.store.people import MAY_EDIT, Person, require
from app.store.reports import Saved, Version
from medomni.types.codes import Value
from medomni.types.edit import Edit, Edits
from medomni.types.report import Origin, Report, ReportState

router = APIRouter(prefix="/reports/{report_id}", tags=["reports"])
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""Number of a version, as a database can hold it."""
MEDIA = {"html": "text/html", "text": "text/plain", "pdf": "application/pdf", "fhir-r4": "application/fhir+json"}
ENDINGS = {"html": "html", "text": "txt", "pdf": "pdf", "fhir-r4": "json"}
EXAMPLES: dict[str, Example] = {
    "reword": {
        "value": {
            "expected": 3,
            "key": "f3b1",
            "edits": [{"kind": "reword", "section": "findings", "index": 0, "text": "No nodule."}],
        }
    }
}


class Change(Value):
    """A change: the version it was made from, and a key of this request, so that it counts once however often it is sent."""

    expected: Number
    key: str = Field(min_length=1, max_length=64)


class EditAsked(Change, Edits):
    """Edits to save."""


class BackAsked(Change):
    """An earlier version to go back to."""

    number: Number


class SignAsked(Change):
    """A signature: what the report becomes, the points that were looked at, and edits of an amended or corrected version."""

    state: Literal[ReportState.FINAL, ReportState.AMENDED, ReportState.CORRECTED] = ReportState.FINAL
    confirmed: frozenset[str] = frozenset()
    edits: tuple[Edit, ...] = ()


class AddendumAsked(Change):
    """An addendum."""

    text: str = Field(min_length=1, max_length=4000)
    origin: Origin = Origin.TYPED


class MoveAsked(Change):
    """A state that needs no signature."""

    state: Literal[ReportState.PRELIMINARY, ReportState.ENTERED_IN_ERROR]


class SavedShown(Value):
    """What a save is answered with."""

    number: int
    state: str
    report: ReportShown


class VersionShown(Value):
    """One line of a report's history."""

    number: int
    state: str
    author: str
    saved_at: float


class Changed(Value):
    """One stretch of the difference between two versions: ``same``, ``gone`` or ``new``."""

    kind: Literal["same", "gone", "new"]
    text: str


@router.get("")
def read(desk: TheDesk, person: ThePerson, report_id: str, number: Number | None = None) -> ReportShown:
    """Return a report as it is, or an earlier version of it; its hash is verified at every read."""
    return _shown(desk, person, writing.current(desk, report_id, number))


@router.post("/edits")
def change(
    desk: TheDesk,
    person: ThePerson,
    report_id: str,
    asked: Annotated[EditAsked, Body(openapi_examples=EXAMPLES)],
) -> SavedShown:
    """Save edits as the next version. 409 says that somebody else saved meanwhile: look, then send again."""
    return _saved(desk, person, writing.change(desk, person, _asked(report_id, asked), asked.edits))


@router.post("/preview")
def preview(desk: TheDesk, person: ThePerson, report_id: str, edits: Edits) -> ReportShown:
    """Return what the report would be after edits; nothing is saved."""
    version = writing.current(desk, report_id)
    report = writing.preview(desk, report_id, edits.edits)
    with reading(desk.engine) as tx:
        study = studies.get(tx, reports.study_of(tx, report_id))
    return of_report(report, report_id, version.number, study.id, study.folder)


@router.post("/back")
def go_back(desk: TheDesk, person: ThePerson, report_id: str, asked: BackAsked) -> SavedShown:
    """Undo or redo: save the text of another version as the newest."""
    return _saved(desk, person, writing.go_back(desk, person, _asked(report_id, asked), asked.number))


@router.post("/sign")
def sign(desk: TheDesk, person: ThePerson, report_id: str, asked: SignAsked) -> SavedShown:
    """Sign as final, or again as amended or corrected. Only a radiologist signs, and only what was looked at.

    ``confirmed`` are the codes of the report's ``to_confirm``; 400 says that some are left.
    """
    saved = writing.sign(desk, person, _asked(report_id, asked), asked.state, asked.confirmed, asked.edits)
    return _saved(desk, person, saved)


@router.post("/addendum")
def append(desk: TheDesk, person: ThePerson, report_id: str, asked: AddendumAsked) -> SavedShown:
    """Add an addendum below a signed report."""
    return _saved(desk, person, writing.append(desk, person, _asked(report_id, asked), asked.text, asked.origin))


@router.post("/state")
def move(desk: TheDesk, person: ThePerson, report_id: str, asked: MoveAsked) -> SavedShown:
    """Mark a draft as preliminary, or a report as entered in error."""
    return _saved(desk, person, writing.move(desk, person, _asked(report_id, asked), asked.state))


@router.post("/hold")
def hold(desk: TheDesk, person: ThePerson, report_id: str) -> dict[str, object]:
    """Hold a report for a quarter of an hour; tells who holds it, where somebody else was first. For those who edit."""
    require(person, MAY_EDIT)
    with transaction(desk.engine) as tx:
        holder = reports.hold(tx, person, report_id)
        who = people.by_id(tx, holder)
    return {"is_mine": holder == person.id, "holder": who.name if who else ""}


@router.get("/versions")
def versions(desk: TheDesk, person: ThePerson, report_id: str) -> list[VersionShown]:
    """Return every version, oldest first."""
    with reading(desk.engine) as tx:
        reports.study_of(tx, report_id)  # whose versions, if it is there at all
        names = people.names(tx)
        return [
            VersionShown(number=one.number, state=one.state.value, author=names.get(one.author_id, ""), saved_at=one.saved_at)
            for one in reports.history(tx, report_id)
        ]


@router.get("/difference")
def difference(desk: TheDesk, person: ThePerson, report_id: str, before: Number, after: Number) -> list[Changed]:
    """Return what changed between two versions, word by word."""
    old, new = (_words(writing.report_of(writing.current(desk, report_id, number))) for number in (before, after))
    changed = list[Changed]()
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            changed.append(Changed(kind="same", text="".join(old[a:b])))
            continue
        if a < b:
            changed.append(Changed(kind="gone", text="".join(old[a:b])))
        if c < d:
            changed.append(Changed(kind="new", text="".join(new[c:d])))
    return changed


@router.get("/export/{format_name}")
def hand_over(
    desk: TheDesk,
    person: ThePerson,
    report_id: str,
    format_name: Literal["html", "text", "pdf", "fhir-r4"],
    *,
    identified: bool = False,
) -> Response:
    """Return the report as HTML, text, PDF or a FHIR R4 bundle; ``identified`` names the patient in the first three."""
    from medomni.export.exporters import ExportOptions, export
    from preprocessing.dicom import open_study

    is_identified = identified or format_name == "fhir-r4"
    if is_identified:
        require(person, MAY_RECEIVE)
    version = writing.current(desk, report_id)
    with reading(desk.engine) as tx:
        study_folder = studies.get(tx, reports.study_of(tx, report_id)).folder
    study = open_study(source_of(study_folder)) if is_identified else None
    recorded = datetime.fromtimestamp(version.saved_at, UTC)
    options = ExportOptions(recorded, desk.settings.patient_id_system, identified)
    content = export(format_name, writing.report_of(version), study, options)
    note_export(desk, person, report_id, format_name, version.number, is_identified=is_identified)
    headers = {
        "Content-Disposition": f'attachment; filename="report.{ENDINGS[format_name]}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, media_type=MEDIA[format_name], headers=headers)


def _asked(report_id: str, asked: Change) -> Asked:
    return Asked(report_id, asked.expected, asked.key)


def _saved(desk: Desk, person: Person, saved: Saved) -> SavedShown:
    version = writing.current(desk, saved.report_id, saved.number)
    return SavedShown(number=saved.number, state=saved.state.value, report=_shown(desk, person, version))


def _shown(desk: Desk, person: Person, version: Version) -> ReportShown:
    with reading(desk.engine) as tx:
        study = studies.get(tx, reports.study_of(tx, version.report_id))
        holder = reports.holder(tx, version.report_id)
        who = people.by_id(tx, holder)
    is_mine = holder in ("", person.id)
    return report_shown(version, study.id, study.folder, who.name if who else "", is_mine=is_mine)


def _words(report: Report) -> list[str]:
    """The text of a report in words and the spaces between them, section by section."""
    words = list[str]()
    for section in report.sections.values():
        words += [section.heading, "\n"]
        for sentence in section.sentences:
            parts = sentence.text.split(" ") if report.language == "en" else list(sentence.text)
            words += [part + (" " if report.language == "en" else "") for part in parts] + ["\n"]
        words.append("\n")
    return words
