"""UIDs, dates, equipment names and file names that could lead to a person reach the FHIR bundle at most, and nothing else."""

import pytest

from medomni.phantom.dicom import synthetic_uid
from tests import factories

PLANTED = {
    "PatientName": "QUIXOTE^ALONSO",
    "PatientID": "ZZ-4711-0815",
    "PatientBirthDate": "19310517",
    "AccessionNumber": "ACC998877",
    "StudyID": "SID55443",
    "ReferringPhysicianName": "HOUSE^GREGORY",
    "InstitutionName": "Princeton-Plainsboro",
    "InstitutionAddress": "221B Baker Street",
    "PatientAddress": "4 Privet Drive",
    "PatientComments": "neighbour of Dulcinea",
    "OperatorsName": "RATCHED^MILDRED",
    "OtherPatientNames": "KNIGHT^OF LA MANCHA",
    "StudyDate": "20190823",
    "StudyDescription": "CT for Sancho Panza",
    "StationName": "CTROCINANTE",
}
HISTORY = "Mr Rumpelstiltskin, phone 555-0199-322, cough for 5 days, former smoker."
SECRETS = {
    "QUIXOTE", "ALONSO", "4711-0815", "19310517", "1931-05-17", "ACC998877", "SID55443", "HOUSE", "Plainsboro",
    "Baker Street", "Privet", "Dulcinea", "RATCHED", "LA MANCHA", "20190823", "2019-08-23", "Sancho", "ROCINANTE",
    "Rumpelstiltskin", "555-0199", "WINDMILL", str(synthetic_uid("planted", "study")), str(synthetic_uid("planted", "series")),
}  # fmt: skip
ONLY_FHIR = "fhir-r4.json"


def found_in(data: bytes) -> set[str]:
    return {secret for secret in SECRETS if secret.lower().encode() in data.lower()}


@pytest.fixture
def planted(tmp_path):
    folder = tmp_path / "WINDMILL^DON"
    factories.write_ct(folder, of=factories.small_chest(1).volume, key="planted", **PLANTED)
    for file in sorted(folder.iterdir()):
        file.rename(folder / f"WINDMILL_{file.name}")
    return folder


@pytest.mark.slow
def test_nothing_but_the_bundle_holds_a_planted_identifier(medomni, planted, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("MEDOMNI_HOME", str(home))
    monkeypatch.setenv("MEDOMNI_LOG_LEVEL", "debug")
    done = medomni("draft", planted, "--history", HISTORY, "--out", tmp_path / "draft", "--track")
    assert done.code == 0, done.err
    files = [path for folder in (tmp_path / "draft", home) for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "mlflow.db" for path in files)
    leaks = {path.name: found_in(path.read_bytes()) for path in files if path.name != ONLY_FHIR}
    leaks |= {"stdout": found_in(done.out.encode()), "stderr": found_in(done.err.encode())}
    assert {name: secrets for name, secrets in leaks.items() if secrets} == {}


def test_info_masks_identifiers(medomni, planted):
    done = medomni("info", planted)
    assert done.code == 0
    assert "patient_name: stated" in done.out
    shown = found_in(done.out.encode()) - {"Sancho", "WINDMILL"}
    assert shown == set(), "descriptions and the folder's own name are for the person who asks, identifiers are not"


def test_refusal_names_files_but_no_header_value(medomni, planted, tmp_path):
    (victim := sorted(planted.iterdir())[5]).write_bytes(victim.read_bytes()[:-500])
    done = medomni("draft", planted, "--out", tmp_path / "draft")
    assert done.code == 3
    assert found_in(done.err.encode()) - {"WINDMILL"} == set()
