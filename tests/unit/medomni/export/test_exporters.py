import json

import pytest

from medomni.errors import BadInput
from medomni.export import exporters
from medomni.plugins import Group, names
from tests import reports


def test_built_in_formats_come_through_the_plug_in_door():
    assert {"fhir-r4", "html", "text"} <= set(names(Group.EXPORTERS))


def test_unknown_format_lists_those_that_exist():
    with pytest.raises(BadInput) as caught:
        exporters.export("docx", reports.report())
    assert "fhir-r4" in str(caught.value)


def test_each_built_in_format_writes_its_kind():
    report, study = reports.report(), reports.study()
    assert exporters.html(report, study).startswith(b"<!DOCTYPE html>")
    assert exporters.text(report, study).startswith(b"CT report")
    assert json.loads(exporters.fhir_r4(report, study))["resourceType"] == "Bundle"


def test_page_and_text_hold_no_identifier_of_the_study():
    report, study = reports.report(), reports.study()
    content = exporters.html(report, study) + exporters.text(report, study)
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
