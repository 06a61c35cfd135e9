"""The fault of one primitive value of FHIR R4 (a date, a code, a string...), or None."""

import math
import re
from functools import cache

from medomni.export.fhir_definitions import definitions

Fault = tuple[str, str]
"""(rule, message)."""

NUMBERS = frozenset({"decimal", "integer", "unsignedInt", "positiveInt"})
FREE_TEXT = frozenset({"string", "markdown"})
CHECKED_ELSEWHERE = frozenset({"base64Binary", "xhtml"})
LONGEST_STRING = 1_048_576
"""Bytes of a string; FHIR R4 data types, "string"."""

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
"""Characters that a FHIR string or its XML form may not hold."""
CALENDAR = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


def is_primitive(kind: str) -> bool:
    """Return whether a type is a primitive one."""
    return kind in definitions().primitives or kind in NUMBERS or kind in CHECKED_ELSEWHERE or kind == "boolean"


def primitive_fault(item: object, kind: str) -> Fault | None:
    """Return what is wrong with a primitive value, None when nothing is."""
    if kind == "boolean":
        return None if isinstance(item, bool) else ("type", "true or false is expected")
    if kind in NUMBERS:
        return _number_fault(item, kind)
    if not isinstance(item, str):
        return ("type", f"a string ({kind}) is expected")
    return _string_fault(item, kind)


def _number_fault(item: object, kind: str) -> Fault | None:
    if isinstance(item, bool) or not isinstance(item, int | float):
        return ("type", f"a number ({kind}) is expected")
    if not math.isfinite(item) or (kind != "decimal" and not isinstance(item, int)):
        return ("primitive", f"not a finite {kind}")
    if (kind == "unsignedInt" and item < 0) or (kind == "positiveInt" and item < 1):
        return ("primitive", f"out of range for {kind}")
    return None


def _string_fault(item: str, kind: str) -> Fault | None:
    if not item.strip():
        return ("primitive", f"an empty {kind}")
    if CONTROL.search(item):
        return ("primitive", "a control character")
    if kind in CHECKED_ELSEWHERE:
        return None
    if kind in FREE_TEXT:
        return ("primitive", "longer than 1 MiB") if len(item.encode()) > LONGEST_STRING else None
    if not _pattern(kind).fullmatch(item) or not _is_calendar_day(item, kind):
        return ("primitive", f"not a valid {kind}")
    return None


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    return re.compile(definitions().primitives[kind])


def _is_calendar_day(item: str, kind: str) -> bool:
    """Return whether a date names a day that exists; the published pattern allows 30 February."""
    match = CALENDAR.match(item) if kind in ("date", "dateTime", "instant") else None
    if match is None:
        return True
    year, month, day = (int(part) for part in match.groups())
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day <= (31, 29 if is_leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]
