"""Reads a report.json back: the one door through which a stored report comes in again.

    report.json -> Report

Knows nothing about what the report is wanted for.
"""

from pathlib import Path

from pydantic import ValidationError

from medomni.errors import BadInput
from medomni.export.strict_json import read_json
from medomni.types.report import Report


def read_report(path: Path) -> Report:
    """Return the report of a report.json.

    Raises:
        BadInput: the file is no JSON that can be trusted, or no report.
    """
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
