"""The exporters by name: each turns a report, with its study where one is at hand, into the bytes of one file.

Entry-point group ``medomni.exporters``; the built-in ones come through the same door.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

from medomni.errors import BadInput, MissingPart
from medomni.export.whose import Whose, whose
from medomni.plugins import Group, load, names
from medomni.types.report import Report
from medomni.types.study import Study


@dataclass(frozen=True)
class ExportOptions:
    """What an exporter may need besides report and study.

    Attributes:
        recorded: the moment of the export, with a time zone; None leaves it out.
        patient_system: URI of the hospital's patient numbers, "" when it is not known.
        is_identified: whether a page, text or PDF names the patient of the study; FHIR always does, as far as it may.
    """

    recorded: datetime | None = None
    patient_system: str = ""
    is_identified: bool = False


class Exporter(Protocol):
    """Writes one format. Text formats are UTF-8; the same report, study and options give the same bytes."""

    def __call__(self, report: Report, study: Study | None, options: ExportOptions) -> bytes:
        """Return the content of the file."""
        ...


def export(format_name: str, report: Report, study: Study | None = None, options: ExportOptions = ExportOptions()) -> bytes:
    """Return a report in the named format, for example ``fhir-r4``.

    Raises:
        BadInput: no exporter has the name; the message lists those that exist.
        MissingPart: the exporter is installed but cannot be imported, or gives something other than bytes.
    """
    if format_name not in names(Group.EXPORTERS):
        known = ", ".join(names(Group.EXPORTERS)) or "none"
        raise BadInput("no export format has this name", found=f"known: {known}", remedy="choose one", where=format_name)
    exporter = load(Group.EXPORTERS, format_name)
    if not callable(exporter):
        raise MissingPart("the exporter is no function", found=type(exporter).__name__, where=format_name)
    content: object = cast(Exporter, exporter)(report, study, options)
    if not isinstance(content, bytes):
        raise MissingPart("the exporter gave no bytes", found=type(content).__name__, where=format_name)
    return content


def html(report: Report, study: Study | None, options: ExportOptions) -> bytes:
    """Return the report as one HTML page, which names the patient only where that is asked for."""
    from medomni.export.html import to_html

    return to_html(report, whose=_whose(report, study, options)).encode()


def text(report: Report, study: Study | None, options: ExportOptions) -> bytes:
    """Return the report as plain text, which names the patient only where that is asked for."""
    from medomni.export.text import to_text

    return to_text(report, _whose(report, study, options)).encode()


def pdf(report: Report, study: Study | None, options: ExportOptions) -> bytes:
    """Return the report as PDF pages of A4, which name the patient, each of them, only where that is asked for."""
    from medomni.export.pdf import to_pdf

    return to_pdf(report, _whose(report, study, options))


def _whose(report: Report, study: Study | None, options: ExportOptions) -> Whose:
    return whose(study, report.language) if options.is_identified else ()


def fhir_r4(report: Report, study: Study | None, options: ExportOptions) -> bytes:
    """Return the report as a FHIR R4 transaction Bundle in JSON."""
    from medomni.export.fhir import FhirOptions, to_fhir_json

    return to_fhir_json(report, study, FhirOptions(recorded=options.recorded, patient_system=options.patient_system))
