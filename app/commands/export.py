"""``medomni export``: a report.json in, one document for another program or person out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import options
from app.options import Force, Json

if TYPE_CHECKING:
    from medomni.settings import Settings
    from medomni.types.report import Report
    from medomni.types.study import Study

Document = Annotated[Path, typer.Argument(metavar="FILE", help="A report.json; with --check, a FHIR bundle.")]
To = Annotated[str | None, typer.Option("--to", metavar="NAME", help="What to write: fhir-r4, html, pdf, text or another.")]
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
    """Write a draft's report.json as FHIR, HTML or text, once the review finds it safe; or check a FHIR bundle."""
    from app import atomic, release, wiring
    from medomni.export.report_file import read_report

    settings = wiring.start()
    if check:
        _check(document, as_json=as_json)
        return
    if to is None or out is None:
        raise typer.BadParameter("--to and --out are needed (or --check)")
    _require_exporter(to)
    report = read_report(document)
    release.require_safe_draft(report, document.name)
    data = _written(report, to, _study_of(report, study, document), settings)
    with atomic.new_file(out, replace=force) as file:
        file.write_bytes(data)
    if to == "fhir-r4" and study is None:
        options.warn("the bundle names no patient and no study; give --study to fill them in")
    if as_json:
        options.answer_json({"out": str(out), "to": to, "bytes": len(data)})
    else:
        options.answer(str(out))


def _require_exporter(name: str) -> None:
    from medomni.plugins import Group, names

    if name not in names(Group.EXPORTERS):
        known = ", ".join(names(Group.EXPORTERS))
        raise typer.BadParameter(f"no exporter is called {name[:40]!r}; installed: {known}", param_hint="--to")


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


def _written(report: "Report", to: str, study: "Study | None", settings: "Settings") -> bytes:
    from datetime import UTC, datetime

    from medomni.export.exporters import ExportOptions, export

    return export(to, report, study, ExportOptions(datetime.now(UTC), settings.patient_id_system))


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
