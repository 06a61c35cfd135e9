"""The exporters by name: each turns a report, with its study where one is at hand, into the bytes of one file.

Entry-point group ``medomni.exporters``; the built-in ones come through the same door.
"""

from datetime import UTC, datetime
from typing import Protocol, cast

from medomni.errors import BadInput, MissingPart
from medomni.plugins import Group, load, names
from medomni.types.report import Report
from medomni.types.study import Study


class Exporter(Protocol):
    """Writes one format. Text formats are UTF-8; the same report and study give the same bytes."""

    def __call__(self, report: Report, study: Study | None) -> bytes:
        """Return the content of the file."""
        ...


def export(format_name: str, report: Report, study: Study | None = None) -> bytes:
    """Return a report in the named format, for example ``fhir-r4``.

    Raises:
        BadInput: no exporter has the name; the message lists those that exist.
        MissingPart: the exporter is installed but cannot be imported.
    """
    if format_name not in names(Group.EXPORTERS):
        known = ", ".join(names(Group.EXPORTERS)) or "none"
        raise BadInput("no export format has this name", found=f"known: {known}", remedy="choose one", where=format_name)
    exporter = load(Group.EXPORTERS, format_name)
    if not callable(exporter):
        raise MissingPart("the exporter is no function", found=type(exporter).__name__, where=format_name)
    return cast(Exporter, exporter)(report, study)


def html(report: Report, study: Study | None) -> bytes:
    """Return the report as one HTML page; the study is not used, so no identifier can reach the page."""
    from medomni.export.html import to_html

    return to_html(report).encode()


def text(report: Report, study: Study | None) -> bytes:
    """Return the report as plain text; the study is not used."""
    from medomni.export.text import to_text

    return to_text(report).encode()


def fhir_r4(report: Report, study: Study | None) -> bytes:
    """Return the report as a FHIR R4 transaction Bundle in JSON, recorded now: everything but that time is repeatable."""
    from medomni.export.fhir import FhirOptions, to_fhir_json

    return to_fhir_json(report, study, FhirOptions(recorded=datetime.now(UTC)))
