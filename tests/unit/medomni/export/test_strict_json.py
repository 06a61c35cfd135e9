import json
import os
from pathlib import Path

import pytest

from medomni.errors import BadInput
from medomni.export.strict_json import JsonLimits, parse_json, read_json


def refusal(data: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        parse_json(data, "b.json")
    line = str(caught.value)
    assert line.startswith("b.json: ")
    assert "\n" not in line
    return line


def test_plain_document_is_read(tmp_path: Path):
    value = {"a": [1, -2.5, True, None, "é肺\U0001f600"], "b": {"": {}}}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    assert read_json(path) == value
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(value).encode())
    assert read_json(path) == value


def test_brackets_and_quotes_inside_strings_are_text():
    value = {'a"b\\': '[[[[{{{{" \\ ' * 50, "c": ["\\", '"', "]"]}
    assert parse_json(json.dumps(value).encode(), "x") == value


def test_repeated_key_is_refused_at_any_depth():
    assert "twice" in refusal(b'{"status":"preliminary","status":"final"}')
    assert "twice" in refusal(b'[{"a":{"b":[{"c":1,"c":1}]}}]')
    assert "twice" in refusal(b'{"a":1,"\\u0061":2}')


def test_deep_nesting_is_refused_before_parsing():
    assert "100000 levels" in refusal(b"[" * 100_000 + b"]" * 100_000)
    assert "nested" in refusal(b'{"a":' * 65 + b"1" + b"}" * 65)
    assert "nested" in refusal(b'["\\\\",' * 65 + b"1" + b"]" * 65)
    assert parse_json(b"[" * 64 + b"]" * 64, "x")


@pytest.mark.parametrize(
    "number",
    ["9" * 100_000, "9007199254740992", "-9007199254740992", "1e999", "-1e999", "0." + "1" * 100, "NaN", "-Infinity"],
)
def test_number_that_readers_disagree_on_is_refused(number: str):
    assert "number" in refusal(b'{"a":[' + number.encode() + b"]}")


def test_largest_exact_integer_is_read():
    assert parse_json(b"[9007199254740991,-9007199254740991,1e300]", "x") == [2**53 - 1, -(2**53 - 1), 1e300]


@pytest.mark.parametrize(
    "data",
    [b'{"a":"\xff"}', '{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-32-le"), b'["\\ud800"]', b'["\\uDFFFx"]'],
)
def test_what_is_not_utf8_is_refused(data: bytes):
    assert "UTF-8" in refusal(data)


def test_surrogate_pair_is_one_character():
    assert parse_json(b'["\\ud83d\\ude00"]', "x") == ["\U0001f600"]


def test_xml_is_refused_by_name_and_a_dtd_too():
    assert "XML" in refusal(b'<Bundle xmlns="http://hl7.org/fhir"/>')
    assert "document type definition" in refusal(b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "b">]><l>&a;</l>')


@pytest.mark.parametrize("data", [b"", b" \n", b"{", b"{} {}", b"{'a':1}", b'{"a":1,}', b'["\x01"]', b"\x00\x01\x02\x03"])
def test_what_is_no_json_is_refused(data: bytes):
    assert refusal(data)


def test_limits_of_size_and_count_hold(tmp_path: Path):
    path = tmp_path / "big.json"
    path.write_bytes(b'"' + b"a" * 100 + b'"')
    assert read_json(path, JsonLimits(size_bytes=102)) == "a" * 100
    with pytest.raises(BadInput, match=r"big\.json|large"):
        read_json(path, JsonLimits(size_bytes=101))
    with pytest.raises(BadInput, match="too many"):
        parse_json(b"[" + b"[]," * 50 + b"[]]", "x", JsonLimits(parts=100))


def test_the_content_never_stands_in_the_message():
    for data in (b'{"ZQNAME":1,"ZQNAME":2}', b"ZQNAME", b'{"ZQNAME" 1}', b'{"a": ZQNAME}'):
        assert "ZQNAME" not in refusal(data)


def test_pipe_and_folder_and_missing_file_are_refused_without_blocking(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    for name in ("pipe.json", "folder.json", "missing.json", "nul\0.json"):
        with pytest.raises(BadInput):
            read_json(tmp_path / name)
