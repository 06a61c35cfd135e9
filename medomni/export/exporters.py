"""The exporters by name: each turns a report, with its study where one is at hand, into the bytes of one file.

Entry-point group ``medomni.exporters``; the built-in ones come through the same door.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

from medomni.errors import BadInput, MissingPart
from medomni.plugins import Group, load, names
from medomni.types.report import Report
from medomni.types.study import Study


@dataclass(frozen=True)
class ExportOptions:
    """What an exporter may need besides report and study.

    Attributes:
        recorded: the moment of the export, with a time zone; None leaves it out.
        patient_system: URI of the hospital's patient numbers, "" when it is not known.
    """

    recorded: datetime | None = None
    patient_system: str = ""


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
    """Return the report as one HTML page; the study is not used, so no identifier can reach the page."""
    from medomni.export.html import to_html

    return to_html(report).encode()


def text(report: Report, study: Study | None, options: ExportOptions) -> bytes:
    """Return the report as plain text; the study is not used."""
    from medomni.export.text import to_text

    return to_text(report).encode()


def fhir_r4(report: Report, study: Study | None, options: ExportOptions) -> bytes:
    """Return the report as a FHIR R4 transaction Bundle in JSON."""
    from medomni.export.fhir import FhirOptions, to_fhir_json

    return to_fhir_json(report, study, FhirOptions(recorded=options.recorded, patient_system=options.patient_system))
