import json
import sys
from types import SimpleNamespace

import pytest

from app.commands import doctor
from app.commands.doctor import State


def states(check):
    return {line.part: line for line in check()}


def test_this_python_and_these_packages_are_well():
    lines = [*doctor.check_python(), *doctor.check_packages(), *doctor.check_names(), *doctor.check_codecs()]
    assert [line for line in lines if line.state is not State.OK] == []


def test_old_python_fails_with_a_remedy(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    (line,) = doctor.check_python()
    assert (line.state, line.found) == (State.FAIL, "3.10.4")
    assert "3.11" in line.remedy


def test_name_of_another_package_is_found(monkeypatch, tmp_path):
    other = SimpleNamespace(origin=str(tmp_path / "app" / "__init__.py"))
    real = doctor.find_spec
    monkeypatch.setattr(doctor, "find_spec", lambda name: other if name == "app" else real(name))
    line = states(doctor.check_names)["name app"]
    assert line.state is State.FAIL
    assert "virtual environment" in line.remedy


def test_missing_codec_is_named_with_its_syntax(monkeypatch):
    monkeypatch.setitem(sys.modules, "gdcm", None)
    assert states(doctor.check_codecs)["codec JPEG Lossless"].state is State.FAIL


def test_package_too_old_fails(monkeypatch):
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "2.0.0" if name == "pydicom" else real(name))
    assert states(doctor.check_packages)["package pydicom"].state is State.FAIL


def test_misspelt_setting_is_a_warning(monkeypatch):
    monkeypatch.setenv("MEDOMNI_THREDS", "2")
    found = [line.found for line in doctor.check_settings() if line.state is State.WARN]
    assert found == ["MEDOMNI_THREDS is no setting"]


def test_bad_setting_fails(monkeypatch):
    monkeypatch.setenv("MEDOMNI_THREADS", "x")
    (line,) = doctor.check_settings()
    assert line.state is State.FAIL


def test_home_under_a_file_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDOMNI_HOME", str(tmp_path / "file" / "home"))
    assert states(doctor.check_settings)["home folder"].state is State.FAIL


@pytest.mark.parametrize(
    ("drafter", "state", "told"),
    [("template", State.OK, ""), ("smollm2", State.WARN, "medomni weights pull decoder"), ("gpt", State.FAIL, "choose one")],
)
def test_drafter_of_the_settings_is_looked_at(monkeypatch, drafter, state, told):
    monkeypatch.setenv("MEDOMNI_DRAFTER", drafter)
    (line,) = doctor.check_drafter()
    assert (line.part, line.state) == (f"drafter {drafter}", state)
    assert told in line.remedy


def test_drafter_of_settings_that_cannot_be_used_is_told_with_them(monkeypatch):
    monkeypatch.setenv("MEDOMNI_DRAFTER", "two words")
    assert list(doctor.check_drafter()) == []
    assert states(doctor.check_settings)["settings"].state is State.FAIL


def test_failure_sets_the_exit_code(monkeypatch, capsys):
    bad = doctor.Line(State.FAIL, "codec RLE", "ImportError", "install it")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([bad]),))
    with pytest.raises(doctor.typer.Exit) as left:
        doctor.doctor(as_json=True)
    assert left.value.exit_code == 4
    assert json.loads(capsys.readouterr().out)["checks"][0]["state"] == "fail"
