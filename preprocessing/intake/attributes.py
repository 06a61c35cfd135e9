"""Raw header values -> numbers, tokens, text, UIDs and dates that are safe to use.

Every function answers None or "" for a value that is missing or makes no sense; nothing here raises. Text from a header is
hostile until it has been through ``clean_text``.
"""

import math
import re
import struct
import unicodedata
import warnings
from datetime import date
from functools import lru_cache

MAX_ID, MAX_NAME, MAX_DESCRIPTION = 64, 192, 120
"""Characters kept of an identifier (DICOM LO), a name (three PN groups of 64) and a description."""

_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_NOT_EQUIPMENT = re.compile(r"[^A-Za-z0-9 ._/+-]")
_NOT_A_NUMBER_OF_A_PERSON = r"(?!.*\d{6})(?!.*\d{4}[-./]\d{1,2}[-./]\d)"
EQUIPMENT = re.compile(_NOT_A_NUMBER_OF_A_PERSON + r"[A-Za-z0-9][\w./+-]*( [\w./+-]+){0,5}", re.ASCII)
"""A machine's name: up to six words, no long number and no date in it."""
KERNEL = re.compile(_NOT_A_NUMBER_OF_A_PERSON + r"[A-Za-z0-9][\w./+-]{0,15}( [\w.+-]{1,3}){0,2}", re.ASCII)
"""A reconstruction kernel: one word, and a short number or two behind it ("Br40d 3", "FC 08")."""
POSITION = re.compile(r"[A-Z]{2,4}")
"""A patient position, PS3.3 C.7.3.1.1.2."""


def token(raw: bytes | None) -> str:
    """Return a value of plain letters (CS, UI, SH used as a code) without padding."""
    return raw.decode("latin-1").strip(" \0\t\r\n") if raw else ""


@lru_cache(maxsize=1024)
def tokens(raw: bytes | None) -> tuple[str, ...]:
    """Return the values of a multi-valued CS in capitals."""
    return tuple(part.strip().upper() for part in token(raw).split("\\")) if raw else ()


def numbers(raw: bytes | None, count: int) -> tuple[float, ...] | None:
    """Return exactly ``count`` finite numbers of a DS or IS value, or None."""
    if not raw or b"_" in raw:
        return None
    try:
        values = tuple(map(float, raw.rstrip(b"\0").split(b"\\")))
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


@lru_cache(maxsize=1024)
def number(raw: bytes | None) -> float | None:
    """Return one finite number of a DS or IS value, or None."""
    values = numbers(raw, 1)
    return values[0] if values else None


def whole(raw: bytes | None) -> int | None:
    """Return one whole number of an IS value within 32 bits, or None."""
    value = number(raw)
    return int(value) if value is not None and value == int(value) and abs(value) < 2**31 else None


@lru_cache(maxsize=1024)
def integer(raw: bytes | None, is_little_endian: bool, is_signed: bool) -> int | None:
    """Return a binary number of 2 or 4 bytes (US, SS, UL, SL), or None."""
    if raw is None or len(raw) not in (2, 4):
        return None
    return int.from_bytes(raw, "little" if is_little_endian else "big", signed=is_signed)


def double(raw: bytes | None, is_little_endian: bool) -> float | None:
    """Return a finite FD value, or None."""
    if raw is None or len(raw) != 8:
        return None
    value = float(struct.unpack("<d" if is_little_endian else ">d", raw)[0])
    return value if math.isfinite(value) else None


def is_uid(text: str) -> bool:
    """Whether text is a UID by DICOM PS3.5 section 9.1 (and so also a valid OID in FHIR)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def equipment(raw: bytes | None) -> str:
    """Return a short equipment name or code: letters, digits and " ._/+-" only, at most 40 characters."""
    return " ".join(_NOT_EQUIPMENT.sub(" ", token(raw)[:80]).split())[:40]


def equipment_name(raw: bytes | None, people: frozenset[str], rule: re.Pattern[str]) -> str:
    """Return an equipment name that follows a rule and names none of the people, else ""."""
    name = equipment(raw)
    is_plain = token(raw).isascii() and rule.fullmatch(name) is not None
    return name if is_plain and not is_shared(name, people) else ""


def is_shared(name: str, people: frozenset[str]) -> bool:
    """Whether a name holds a word of the people, also one of four letters or more run together with others."""
    own, solid = words(name), "".join(re.findall(r"[^\W_]", name.casefold()))
    return bool(own & people) or any(len(word) >= 4 and word in solid for word in people)


def words(text: str) -> frozenset[str]:
    """Return the words of three letters or more, in small letters.

    Example:
        >>> sorted(words("SMITH^John_B"))
        ['john', 'smith']
    """
    return frozenset(word for word in re.findall(r"[^\W_]+", text.casefold()) if len(word) >= 3)


def text(raw: bytes | None, character_set: bytes | None, limit: int) -> str:
    """Return header text as clean Unicode; bytes that no character set explains become replacement characters."""
    if not raw:
        return ""
    from pydicom.charset import convert_encodings, decode_bytes
    from pydicom.valuerep import PN_DELIMS

    sets = list(tokens(character_set))[:8]
    if not any(sets) or sets == ["ISO_IR 6"]:
        return clean_text(raw.decode("ascii", "replace"), limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote the value
        try:
            encodings = convert_encodings(sets)
            decoded = "=".join(decode_bytes(part, encodings, PN_DELIMS) for part in raw.split(b"="))
        except (LookupError, ValueError, AttributeError):
            decoded = raw.decode("ascii", "replace")
    return clean_text(decoded, limit)


def clean_text(dirty: str, limit: int) -> str:
    """Return text without control, format, surrogate or private characters, on one line, cut to ``limit`` characters."""
    kept = "".join(" " if c in "\t\r\n" else c for c in dirty[: 4 * limit] if c in "\t\r\n" or _is_visible(c))
    return " ".join(kept.split())[:limit]


def _is_visible(character: str) -> bool:
    return (character.isascii() and character.isprintable()) or unicodedata.category(character)[0] != "C"


def day(raw: bytes | None) -> date | None:
    """Return a DA value (also the old form with points), or None when it is missing or no day of the calendar."""
    found = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", token(raw))
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def time_of_day(raw: bytes | None) -> str:
    """Return a TM value that is one, or ""."""
    value = token(raw)
    return value if re.fullmatch(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?", value) else ""


def stated_age(raw: bytes | None) -> float | None:
    """Return an AS value in years when it is credible (0 to 130), or None."""
    found = re.fullmatch(r"(\d{3})([DWMY])", token(raw))
    if not found:
        return None
    years = int(found[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[found[2]]
    return years if years <= 130 else None
