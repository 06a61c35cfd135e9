"""Small FHIR R4 values as JSON: codes, quantities, identifiers, names, dates; each is empty when its source is.

Knows nothing about reports. Every text is cleaned here; nothing later needs to do it again.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from medomni.errors import BadSettings
from medomni.export.fhir_ids import Token
from medomni.reporting.cleaned import clean
from medomni.reporting.numerals import UNIT_TEXT, rounded
from medomni.types.codes import DICOM_DCM, LOINC, RADLEX, SNOMED_CT, UCUM, Code
from medomni.types.finding import Measurement

JsonObject = dict[str, object]

CODE_SYSTEMS: Final = (LOINC, DICOM_DCM, RADLEX, SNOMED_CT)
HL7: Final = "http://terminology.hl7.org/CodeSystem"
NAME_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
DATA_ABSENT_REASON: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
LONGEST_TEXT: Final = 4000

URI: Final = re.compile(r"(urn:[A-Za-z0-9][A-Za-z0-9-]{1,31}:|https?://)[A-Za-z0-9:/?#@!$&'()*+,;=%._~-]{1,200}")
UID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*)){1,}")


def compact(members: JsonObject) -> JsonObject:
    """Return an object without its empty members; FHIR allows no empty object, list or string."""
    return {key: item for key, item in members.items() if item not in (None, "", [], {}, ())}


def text(value: str) -> str:
    """Return text for a FHIR string: one line, cleaned, of at most 4000 characters."""
    cleaned = clean(value)
    return cleaned if len(cleaned) <= LONGEST_TEXT else cleaned[: LONGEST_TEXT - 1] + "…"


def coding(code: Code) -> JsonObject:
    """Return a Coding."""
    return compact({"system": code.system, "code": code.code, "display": text(code.display)})


def concept(words: str, codes: Sequence[Code] = (), systems: Sequence[str] = CODE_SYSTEMS) -> JsonObject:
    """Return a CodeableConcept with the codes of the wanted systems and always its text."""
    return compact({"coding": [coding(code) for code in codes if code.system in systems], "text": text(words)})


def hl7(system: str, code: str, display: str) -> Code:
    """Return a code of one of HL7's own systems, for example ``v2-0074``."""
    return Code(system=f"{HL7}/{system}", code=code, display=display)


def identifier(token: Token, kind: Code | None = None) -> JsonObject:
    """Return an Identifier; ``kind`` is a code of v2-0203 such as ACSN."""
    kind_concept = {"coding": [coding(kind)]} if kind else None
    return compact({"type": kind_concept, "system": token.system, "value": text(token.value)})


def uri(value: str) -> str:
    """Return a text as a URI when it is one or an OID, else "".

    Example:
        >>> uri("1.2.3"), uri("Hospital A")
        ('urn:oid:1.2.3', '')
    """
    return f"urn:oid:{value}" if is_uid(value) else value if URI.fullmatch(value) else ""


def quantity(measurement: Measurement) -> JsonObject:
    """Return a Quantity in the measurement's UCUM unit with the digits of the text; ">=" a lower bound, "<" too small to show."""
    digits = rounded(measurement.value, measurement.decimals, measurement.is_lower_bound)
    number = digits.lstrip("<")
    return compact(
        {
            "value": float(number) if "." in number else int(number),
            "comparator": ">=" if measurement.is_lower_bound else "<" if digits.startswith("<") else "",
            "unit": UNIT_TEXT.get(measurement.unit, measurement.unit) or "1",
            "system": UCUM,
            "code": measurement.unit,
        }
    )


def day(dicom_date: str) -> str:
    """Return a DICOM date as a FHIR date, "" when it is no day of the calendar."""
    try:
        return date(int(dicom_date[:4]), int(dicom_date[4:6]), int(dicom_date[6:])).isoformat() if len(dicom_date) == 8 else ""
    except ValueError:
        return ""


def instant(moment: datetime) -> str:
    """Return a moment as a FHIR instant in seconds.

    Raises:
        BadSettings: the moment states no time zone, which FHIR requires.
    """
    if moment.tzinfo is None:
        raise BadSettings("a time of recording needs a time zone", remedy="use datetime.now(UTC)")
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def human_names(dicom_name: str) -> list[JsonObject]:
    """Return the names of a DICOM person name (PS3.5 6.2.1): up to three writings of one name, joined by "=".

    The first is alphabetic, the second ideographic, the third phonetic; each has family^given^middle^prefix^suffix.
    """
    names = []
    for writing, kind in zip(dicom_name.split("="), ("ABC", "IDE", "SYL"), strict=False):
        family, given, middle, prefix, suffix = ([text(part) for part in writing.split("^")] + [""] * 5)[:5]
        parts = compact(
            {
                "family": family,
                "given": [part for part in (given, middle) if part],
                "prefix": [prefix] if prefix else [],
                "suffix": [suffix] if suffix else [],
            }
        )
        if parts:
            mark = {"extension": [{"url": NAME_REPRESENTATION, "valueCode": kind}]} if "=" in dicom_name else {}
            names.append({**mark, "use": "official", **parts})
    return names


def is_uid(value: str) -> bool:
    """Return whether a text is a DICOM UID (PS3.5 9.1)."""
    return len(value) <= 64 and UID.fullmatch(value) is not None
