import logging
import warnings

import pytest

from medomni import logs


@pytest.fixture(autouse=True)
def _restore():
    root, ours = logging.getLogger(), logging.getLogger(logs.LOGGER)
    handlers, filters, last = list(root.handlers), list(warnings.filters), logging.lastResort
    yield
    root.handlers[:], ours.handlers[:], logging.lastResort = handlers, [], last
    logging.captureWarnings(capture=False)
    warnings.filters[:] = filters


def test_event_is_one_line_of_plain_fields(capsys):
    logs.configure("info")
    logs.event("stage", stage="read", cpu_seconds=0.123456789, slices=120)
    assert capsys.readouterr().err == "medomni INFO stage stage=read cpu_seconds=0.123457 slices=120\n"


def test_sentences_and_line_breaks_cannot_enter(capsys):
    logs.configure("info")
    logs.event("stage", stage="DOE^JOHN\nborn 1961 " + "x" * 100)
    line = capsys.readouterr().err
    assert "DOE^JOHN" not in line
    assert line.count("\n") == 1
    assert len(line) < 120


def test_level_holds_events_back(capsys):
    logs.configure("warning")
    logs.event("stage", stage="read")
    assert capsys.readouterr().err == ""


def test_other_libraries_cannot_quote_header_values(capsys):
    logs.configure("debug")
    logging.getLogger("pydicom").warning("Invalid value for VR UI: 'SMITH'")
    warnings.warn("value 'SMITH' is too long", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == ""
