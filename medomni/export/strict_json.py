"""Turns a JSON file from outside into plain Python values, or refuses it: nothing is guessed and nothing is huge.

JSON leaves open what a repeated key, a NaN or a number of a thousand digits means (RFC 8259, sections 4 and 6), and a
parser that recurses can be made to overflow. Here each of them is bad input. Knows nothing about reports or FHIR.
"""

import json
import math
import re
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from medomni.errors import BadInput
from medomni.safety.bounded import read_regular


@dataclass(frozen=True)
class JsonLimits:
    """What one document may hold; ``parts`` counts quotes, commas and brackets, which bounds the memory."""

    size_bytes: int = 16 << 20
    depth: int = 64
    parts: int = 2_000_000


LARGEST_INTEGER = 2**53 - 1
"""Largest integer that every JSON reader keeps exact (RFC 8259, section 6)."""

NUMBER_CHARACTERS = 40
"""A double needs 24 characters at most; more is an attack or a mistake."""

_DEPTH_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOT_BRACKETS = bytes(set(range(256)) - set(_DEPTH_STEP))
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(path: Path, limits: JsonLimits = JsonLimits()) -> object:
    """Return the content of a JSON file as dicts, lists, strings, numbers, booleans and None.

    Raises:
        BadInput: the file is no JSON, is not UTF-8, is XML, repeats a key, or goes over a limit.
    """
    return parse_json(read_regular(path, limits.size_bytes), path.name, limits)


def parse_json(data: bytes, where: str, limits: JsonLimits = JsonLimits()) -> object:
    """Return the value of JSON bytes; ``where`` is the file name that an error gives."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    _refuse_other_formats(data, where)
    _refuse_large(data, where, limits)
    try:
        text = data.decode("utf-8")
        value: object = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_int=_exact_integer,
            parse_float=_finite_float,
            parse_constant=_no_constant,
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except BadInput as error:
        raise error.at(where) from None
    except UnicodeError as error:
        raise BadInput("is not UTF-8 text", remedy="save it as UTF-8 JSON", where=where) from error
    except json.JSONDecodeError as error:
        found = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise BadInput("is not JSON", found=found, remedy="give the file as it was written", where=where) from error
    except RecursionError as error:
        raise BadInput("JSON is nested too deep", remedy="give a plain document", where=where) from error
    return value


def _refuse_other_formats(data: bytes, where: str) -> None:
    start = data[:4096].lstrip()
    if not start:
        raise BadInput("the file is empty", remedy="give a JSON file", where=where)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4]:
        raise BadInput("is not UTF-8 text", remedy="save it as UTF-8 JSON", where=where)
    if start[:1] == b"<":
        has_dtd = b"<!DOCTYPE" in data or b"<!ENTITY" in data
        wrong = "is XML with a document type definition, which is never read" if has_dtd else "is XML, which is not read"
        raise BadInput(wrong, remedy="give the JSON form", where=where)


def _refuse_large(data: bytes, where: str, limits: JsonLimits) -> None:
    """Check size and nesting on the bytes, before a parser sees them."""
    if len(data) > limits.size_bytes:
        raise BadInput("the JSON is too large", found=f"{len(data)} bytes", remedy="give a plain document", where=where)
    parts = sum(data.count(mark) for mark in (b'"', b",", b"[", b"{", b"]", b"}"))
    if parts > limits.parts:
        raise BadInput("JSON holds too many values", found=f"{parts} marks", remedy="give a plain document", where=where)
    outside_strings = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside_strings.translate(None, _NOT_BRACKETS)
    depth = max(accumulate(_DEPTH_STEP[bracket] for bracket in brackets), default=0)
    if depth > limits.depth:
        found = f"{depth} levels, at most {limits.depth} are read"
        raise BadInput("JSON is nested too deep", found=found, remedy="give a plain document", where=where)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadInput("a JSON key comes twice", found="two values for one name", remedy="keep the right one")
    return found


def _exact_integer(text: str) -> int:
    if len(text) > NUMBER_CHARACTERS or abs(int(text)) > LARGEST_INTEGER:
        raise BadInput("a JSON number is too large", found=f"{len(text)} digits", remedy="check the file")
    return int(text)


def _finite_float(text: str) -> float:
    if len(text) > NUMBER_CHARACTERS or not math.isfinite(float(text)):
        raise BadInput("a JSON number is out of range", found=f"{len(text)} characters", remedy="check the file")
    return float(text)


def _no_constant(name: str) -> float:
    raise BadInput("JSON holds a number that is none", found=name, remedy="check the file")
