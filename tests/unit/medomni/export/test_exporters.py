import json
from datetime import UTC, datetime

import pytest

from medomni.errors import BadInput, MissingPart
from medomni.export import exporters
from medomni.plugins import Group, names
from tests import reports


def test_built_in_formats_come_through_the_plug_in_door():
    assert {"fhir-r4", "html", "pdf", "text"} <= set(names(Group.EXPORTERS))


def test_unknown_format_lists_those_that_exist():
    with pytest.raises(BadInput) as caught:
        exporters.export("docx", reports.report())
    assert "fhir-r4" in str(caught.value)


def test_each_built_in_format_writes_its_kind():
    report, study = reports.report(), reports.study()
    assert exporters.export("html", report, study).startswith(b"<!DOCTYPE html>")
    assert exporters.export("text", report, study).startswith(b"CT report")
    assert exporters.export("pdf", report, study).startswith(b"%PDF-")
    assert json.loads(exporters.export("fhir-r4", report, study))["resourceType"] == "Bundle"


def test_time_and_patient_system_reach_the_bundle():
    options = exporters.ExportOptions(datetime(2024, 1, 2, tzinfo=UTC), "urn:oid:1.2.3")
    bundle = json.loads(exporters.export("fhir-r4", reports.report(), reports.study(), options))
    assert bundle["timestamp"] == "2024-01-02T00:00:00Z"
    assert bundle["entry"][0]["resource"]["identifier"][0]["system"] == "urn:oid:1.2.3"


def test_an_exporter_that_gives_no_bytes_is_a_missing_part(monkeypatch):
    monkeypatch.setattr(exporters, "load", lambda group, name: lambda report, study, options: "text")
    with pytest.raises(MissingPart, match="no bytes"):
        exporters.export("text", reports.report())


def test_page_and_text_hold_no_identifier_of_the_study():
    report, study = reports.report(), reports.study()
    content = exporters.export("html", report, study) + exporters.export("text", report, study)
    who = study.identity
    for secret in (
        who.patient_id,
        who.patient_name,
        who.accession_number,
        who.study_instance_uid,
        who.birth_date,
        who.study_date,
    ):
        assert secret.encode() not in content
