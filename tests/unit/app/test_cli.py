import logging
import os
import signal
import warnings

import pytest

from app import cli
from app.commands import info
from medomni import __version__
from medomni.errors import BadInput, BadSettings, MissingPart, UnsafeDraft


@pytest.fixture(autouse=True)
def _restore_process():
    handler, filters = signal.getsignal(signal.SIGTERM), list(warnings.filters)
    yield
    signal.signal(signal.SIGTERM, handler)
    warnings.filters[:] = filters
    logging.captureWarnings(capture=False)


@pytest.fixture
def medomni(capsys):
    def run(*words):
        with pytest.raises(SystemExit) as left:
            cli.main(words)
        return left.value.code, *capsys.readouterr()

    return run


def raising(error):
    def facts():
        raise error

    return facts


def test_version_is_the_packages(medomni):
    assert medomni("--version") == (0, f"medomni {__version__}\n", "")


def test_no_command_shows_the_help_and_is_wrong_use(medomni):
    code, out, err = medomni()
    assert code == 2
    assert "draft" in out + err


@pytest.mark.parametrize("words", [["draft"], ["draft", "x"], ["drft"], ["draft", "x", "--lang", "fr", "--out", "y"]])
def test_wrong_use_exits_2(medomni, words):
    code, out, err = medomni(*words)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code"),
    [(BadInput("w"), 3), (MissingPart("w"), 4), (UnsafeDraft("w"), 5), (BadSettings("w"), 6)],
)
def test_known_error_is_one_line_and_its_code(medomni, monkeypatch, error, code):
    monkeypatch.setattr(info, "_installed", raising(error))
    assert medomni("info") == (code, "", "medomni: w\n")


def test_our_bug_keeps_the_words_of_the_error_to_itself(medomni, monkeypatch):
    monkeypatch.setattr(info, "_installed", raising(ValueError("SMITH^JOHN")))
    code, out, err = medomni("info")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "bug in MedOmni; ValueError" in err
    assert "--debug" in err
    assert "SMITH" not in err


@pytest.mark.parametrize("words", [("--debug", "info"), ("info", "--debug")])
def test_debug_shows_the_traceback_wherever_it_stands(medomni, monkeypatch, words):
    monkeypatch.setattr(info, "_installed", raising(ValueError("SMITH^JOHN")))
    code, _, err = medomni(*words)
    assert code == 1
    assert "Traceback" in err


def test_full_disk_is_no_bug_of_ours(medomni, monkeypatch):
    monkeypatch.setattr(info, "_installed", raising(OSError(28, os.strerror(28), "/secret/SMITH")))
    code, _, err = medomni("info")
    assert (code, err) == (
        3,
        "medomni: a file cannot be read or written; No space left on device; check the path, its rights and the disk\n",
    )


def test_want_of_memory_is_no_bug_of_ours(medomni, monkeypatch):
    monkeypatch.setattr(info, "_installed", raising(MemoryError()))
    assert medomni("info")[0] == 3


def test_bad_setting_exits_6(medomni, monkeypatch):
    monkeypatch.setenv("MEDOMNI_THREADS", "none")
    code, out, err = medomni("info")
    assert (code, out) == (6, "")
    assert err.startswith("medomni: MEDOMNI_THREADS: the value cannot be used; ")


def test_help_works_in_spite_of_a_bad_setting(medomni, monkeypatch):
    monkeypatch.setenv("MEDOMNI_THREADS", "none")
    assert medomni("draft", "--help")[0] == 0


def test_info_alone_lists_versions_and_plugins(medomni):
    code, out, _ = medomni("info", "--json")
    assert code == 0
    assert '"hu-rules"' in out
