"""``medomni export``: a report.json in, one document for another program or person out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app import options
from app.options import Force, Json

if TYPE_CHECKING:
    from medomni.types.report import Report
    from medomni.types.study import Study

Kind = Literal["fhir-r4", "html", "text"]

Document = Annotated[Path, typer.Argument(metavar="FILE", help="A report.json; with --check, a FHIR bundle.")]
To = Annotated[Kind | None, typer.Option("--to", help="What to write.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="PATH", help="File to write.")]
StudyPath = Annotated[
    Path | None,
    typer.Option("--study", metavar="STUDY", help="The report's CT study: gives FHIR the patient and study identifiers."),
]
Check = Annotated[bool, typer.Option("--check", help="Check a FHIR bundle instead of writing one.")]


def export(
    document: Document,
    to: To = None,
    out: Out = None,
    study: StudyPath = None,
    check: Check = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a report.json as FHIR, HTML or text; or check a FHIR bundle."""
    from app import atomic, wiring

    wiring.start()
    if check:
        _check(document, as_json=as_json)
        return
    if to is None or out is None:
        raise typer.BadParameter("--to and --out are needed (or --check)")
    report = read_report(document)
    data = _render(report, to, _study_of(report, study, document))
    with atomic.new_file(out, replace=force) as file:
        file.write_bytes(data)
    if to == "fhir-r4" and study is None:
        options.warn("the bundle names no patient and no study; give --study to fill them in")
    if as_json:
        options.answer_json({"out": str(out), "to": to, "bytes": len(data)})
    else:
        options.answer(str(out))


def read_report(path: Path) -> "Report":
    """Return the report of a report.json.

    Raises:
        BadInput: the file is no JSON that can be trusted, or no report.
    """
    from pydantic import ValidationError

    from medomni.errors import BadInput
    from medomni.export.strict_json import read_json
    from medomni.types.report import Report

    try:
        return Report.model_validate(read_json(path))
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])[:80]
        raise BadInput(
            "is no report of MedOmni",
            found=f"{error.error_count()} fields do not fit, first {field or 'the whole'}",
            remedy="give the report.json that `medomni draft` wrote",
            where=path.name,
        ) from None


def _study_of(report: "Report", source: Path | None, document: Path) -> "Study | None":
    """The study whose identifiers the export needs; it must be the one the report was drafted from."""
    from medomni.errors import BadInput
    from medomni.pipeline import study_key
    from preprocessing.dicom import open_study

    if source is None:
        return None
    study = open_study(source)
    if study_key(study) != report.provenance.study_key:
        raise BadInput(
            "this study is not the one of the report",
            found="another study key",
            remedy=f"give the study that {document.name} was drafted from",
            where=source.name,
        )
    return study


def _render(report: "Report", to: Kind, study: "Study | None") -> bytes:
    from datetime import UTC, datetime

    from medomni.export.fhir import FhirOptions, to_fhir_json
    from medomni.export.html import to_html
    from medomni.export.text import to_text

    match to:
        case "fhir-r4":
            return to_fhir_json(report, study, FhirOptions(recorded=datetime.now(UTC)))
        case "html":
            return to_html(report, ()).encode()
        case "text":
            return to_text(report).encode()


def _check(path: Path, *, as_json: bool) -> None:
    from medomni.errors import BadInput
    from medomni.export.fhir_check import check_bundle
    from medomni.export.strict_json import read_json

    bundle = read_json(path)
    if not isinstance(bundle, dict):
        raise BadInput("is no FHIR resource", found="no JSON object", remedy="give a FHIR bundle", where=path.name)
    problems = check_bundle(bundle)
    if as_json:
        rows = [{"path": problem.path, "rule": problem.rule, "message": problem.message} for problem in problems]
        options.answer_json({"file": path.name, "problems": rows})
    elif problems:
        options.answer("\n".join(f"{problem.path}: {problem.message} ({problem.rule})" for problem in problems))
    else:
        options.answer(f"{path.name}: no problem found")
    if problems:
        raise BadInput("the bundle is not valid", found=f"{len(problems)} problems", remedy="see the list", where=path.name)
