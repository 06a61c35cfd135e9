from pathlib import Path

import pytest

from medomni.errors import BadSettings
from medomni.settings import Settings, load, unknown


def test_defaults_need_no_variable(tmp_path):
    settings = load({"XDG_DATA_HOME": str(tmp_path)})
    assert settings.home == tmp_path / "medomni"
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/medomni/mlflow.db"
    assert settings.threads >= 1


def test_variables_replace_defaults(tmp_path):
    settings = load({"MEDOMNI_THREADS": "3", "MEDOMNI_HOME": str(tmp_path), "MEDOMNI_LOG_LEVEL": "info"})
    assert (settings.threads, settings.home, settings.log_level) == (3, tmp_path, "info")


def test_fixed_phrases_word_drafts_unless_something_else_is_set():
    assert (load({}).drafter, load({}).adapter) == ("template", None)
    settings = load({"MEDOMNI_DRAFTER": "smollm2", "MEDOMNI_ADAPTER": "abdomen_ct"})
    assert (settings.drafter, settings.adapter) == ("smollm2", Path("abdomen_ct"))


def test_empty_variable_counts_as_unset():
    assert load({"MEDOMNI_LOG_LEVEL": ""}).log_level == "warning"


def test_relative_xdg_folder_is_ignored_as_the_specification_says():
    assert load({"XDG_DATA_HOME": "data"}).home == Path("~/.local/share/medomni").expanduser()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEDOMNI_THREADS", "0"),
        ("MEDOMNI_THREADS", "many"),
        ("MEDOMNI_LOG_LEVEL", "loud"),
        ("MEDOMNI_TRACKING_URI", "file:///tmp/x"),
        ("MEDOMNI_HOME", "relative/folder"),
        ("MEDOMNI_PATIENT_ID_SYSTEM", "our numbers"),
        ("MEDOMNI_PATIENT_ID_SYSTEM", "1.2.3"),
        ("MEDOMNI_PATIENT_ID_SYSTEM", "https://hospital.example/a b"),
        ("MEDOMNI_PATIENT_ID_SYSTEM", "file:///tmp"),
        ("MEDOMNI_DRAFTER", "../drafter"),
        ("MEDOMNI_DRAFTER", "two words"),
    ],
)
def test_bad_value_is_refused_by_name(name, value):
    with pytest.raises(BadSettings) as caught:
        load({name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("system", ["urn:oid:1.2.3", "urn:uuid:0123-4", "http://hospital.example/id", "https://h.example/?a=b"])
def test_patient_id_system_is_a_uri(system):
    assert load({"MEDOMNI_PATIENT_ID_SYSTEM": system}).patient_id_system == system


def test_bad_tracking_uri_keeps_its_password_to_itself():
    with pytest.raises(BadSettings) as caught:
        load({"MEDOMNI_TRACKING_URI": "ftp://me:hunter2@host/db"})
    assert "hunter2" not in str(caught.value)


def test_misspelt_variable_is_found():
    assert unknown({"MEDOMNI_THREDS": "2", "MEDOMNI_THREADS": "2", "MEDOMNI_DATA": "x", "PATH": ""}) == ("MEDOMNI_THREDS",)


def test_every_setting_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())
