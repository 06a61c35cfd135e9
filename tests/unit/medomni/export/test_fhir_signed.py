import base64
import hashlib
import json
from datetime import UTC, datetime
from io import BytesIO

import pypdf
import pytest

from medomni.errors import UnsafeDraft
from medomni.export.fhir import FhirOptions, to_fhir_json
from medomni.export.fhir_check import check_bundle
from medomni.reporting.edit import apply, reopened, signed
from medomni.types.edit import Remove
from medomni.types.finding import Evidence, Finding, Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.report import ReportState
from medomni.types.section import SectionName
from tests import reports
from tests.unit.medomni.export import signed_reports as made

LATER = (ReportState.AMENDED, ReportState.CORRECTED, ReportState.APPENDED)
EXPORTED = FhirOptions(recorded=datetime(2024, 2, 1, tzinfo=UTC), patient_system="urn:oid:1.2.3")


def bundle(report, options=EXPORTED):
    return json.loads(to_fhir_json(report, reports.study(), options))


def entries(kind, where):
    return [entry for entry in where["entry"] if entry["resource"]["resourceType"] == kind]


def of_type(kind, where):
    return [entry["resource"] for entry in entries(kind, where)]


def one(kind, where):
    (found,) = of_type(kind, where)
    return found


def observation(text, where):
    return next(o for o in of_type("Observation", where) if o["code"]["text"] == text)


def labels(resource):
    return [label["code"] for label in resource["meta"]["security"]]


def statuses(url):
    return url.split("&status=")[1].split(",")


RETRACTED = signed(made.final(), made.by(state=ReportState.ENTERED_IN_ERROR))
OPENED = reopened(made.final()).model_copy(update={"notices": ()})
CASES = {
    "final": made.final(),
    "final zh": made.final("zh"),
    "appended zh": made.later(ReportState.APPENDED, made.final("zh")),
    **{str(state): made.later(state) for state in LATER},
    "amended, then appended": made.later(ReportState.APPENDED, made.later(ReportState.AMENDED), days=2),
    "retracted": RETRACTED,
    "opened again": OPENED,
    "no role": reports.report(state=ReportState.FINAL, signatures=(made.by(role=""),)),
    "hostile": reports.hostile_report().model_copy(
        update={"state": ReportState.FINAL, "signatures": (made.by(name=reports.HOSTILE, role=reports.HOSTILE),)}
    ),
}


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_a_signed_bundle_passes_the_checker(case):
    assert check_bundle(bundle(CASES[case])) == ()
    assert check_bundle(json.loads(to_fhir_json(CASES[case], None))) == ()


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_the_same_signed_report_gives_the_same_bytes(case):
    assert to_fhir_json(CASES[case], reports.study()) == to_fhir_json(CASES[case], reports.study())


@pytest.mark.parametrize(
    ("report", "status"),
    [(made.final(), "final"), *((made.later(state), str(state)) for state in LATER), (RETRACTED, "entered-in-error")],
)
def test_report_leaves_in_the_state_that_was_signed(report, status):
    assert one("DiagnosticReport", bundle(report))["status"] == status


def test_a_state_without_its_own_signature_does_not_leave():
    for report in (
        made.final().model_copy(update={"state": ReportState.AMENDED}),
        made.later(ReportState.AMENDED).model_copy(update={"state": ReportState.FINAL}),
        made.final().model_copy(update={"signatures": ()}),
        reports.report(state=ReportState.FINAL, signatures=(made.by(name=" \u202e"),)),
    ):
        with pytest.raises(UnsafeDraft, match="signed"):
            to_fhir_json(report, None)


def test_a_signed_report_is_not_refused_for_what_its_signer_has_seen():
    notices = (Notice(code="side_contradiction", level=NoticeLevel.UNSAFE),)
    assert check_bundle(bundle(made.final().model_copy(update={"notices": notices}))) == ()
    with pytest.raises(UnsafeDraft):
        bundle(OPENED.model_copy(update={"notices": notices}))


def test_issued_and_recorded_are_the_time_of_the_last_signature():
    made_final, amended = bundle(made.final()), bundle(made.later(ReportState.AMENDED), FhirOptions())
    assert one("DiagnosticReport", made_final)["issued"] == "2024-01-02T10:30:00Z"
    assert one("DiagnosticReport", amended)["issued"] == "2024-01-03T09:05:00Z"
    assert one("Provenance", amended)["recorded"] == "2024-01-03T09:05:00Z"
    assert made_final["timestamp"] == "2024-02-01T00:00:00Z"


def test_signers_are_practitioners_with_a_name_created_where_missing():
    where = bundle(made.later(ReportState.AMENDED))
    people = entries("Practitioner", where)
    assert [entry["resource"]["name"] for entry in people] == [[{"text": made.ROSSI}], [{"text": made.SATO}]]
    assert all(set(entry["resource"]) == {"resourceType", "identifier", "name"} for entry in people)
    assert all(entry["request"]["method"] == "POST" and entry["request"]["ifNoneExist"] for entry in people)
    interpreters = one("DiagnosticReport", where)["resultsInterpreter"]
    assert [reference["reference"] for reference in interpreters] == [entry["fullUrl"] for entry in people]


def test_one_person_who_signs_twice_is_one_practitioner_and_the_same_in_every_report():
    twice = bundle(made.later(ReportState.AMENDED, name=made.ROSSI))
    other = bundle(reports.report(state=ReportState.FINAL, signatures=(made.by(role="resident"),)))
    assert one("Practitioner", twice) == one("Practitioner", other)


def test_a_draft_names_nobody():
    where = bundle(reports.report())
    assert not of_type("Practitioner", where)
    assert "resultsInterpreter" not in one("DiagnosticReport", where)
    assert "signature" not in one("Provenance", where)


def test_provenance_names_software_and_the_signer_of_this_version():
    where = bundle(made.later(ReportState.AMENDED))
    provenance = one("Provenance", where)
    sato = entries("Practitioner", where)[1]["fullUrl"]
    kinds = [agent["type"]["coding"][0]["code"] for agent in provenance["agent"]]
    assert kinds == ["assembler", "verifier"]
    assert provenance["agent"][0]["who"]["type"] == "Device"
    assert provenance["agent"][1]["who"]["reference"] == sato
    assert provenance["agent"][1]["role"] == [{"text": "radiologist"}]
    assert provenance["activity"]["coding"][0]["code"] == "AU"
    (signature,) = provenance["signature"]
    assert signature["who"]["reference"] == sato
    assert signature["when"] == "2024-01-03T09:05:00Z"


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (made.final(), "1.2.840.10065.1.12.1.5"),
        (made.later(ReportState.AMENDED), "1.2.840.10065.1.12.1.16"),
        (made.later(ReportState.CORRECTED), "1.2.840.10065.1.12.1.16"),
        (made.later(ReportState.APPENDED), "1.2.840.10065.1.12.1.15"),
    ],
)
def test_a_signature_says_what_it_means(report, code):
    (kind,) = one("Provenance", bundle(report))["signature"][0]["type"]
    assert (kind["system"], kind["code"]) == ("urn:iso-astm:E1762-95:2013", code)


def test_every_version_has_its_own_provenance_but_the_same_report():
    first, second = bundle(made.final()), bundle(made.later(ReportState.APPENDED))
    assert entries("Provenance", first)[0]["fullUrl"] != entries("Provenance", second)[0]["fullUrl"]
    assert one("DiagnosticReport", first)["identifier"] == one("DiagnosticReport", second)["identifier"]


def test_each_version_replaces_those_before_it_and_none_after_it():
    order = ["preliminary", "final", "amended"]
    versions = [reports.report(), made.final(), made.later(ReportState.AMENDED)]
    for rank, report in enumerate(versions):
        (entry,) = entries("DiagnosticReport", bundle(report))
        assert entry["request"]["method"] == "PUT"
        replaced = statuses(entry["request"]["url"])
        assert set(order[: rank + 1]) <= set(replaced)
        assert not set(order[rank + 1 :]) & set(replaced)
        for one_of in entries("Observation", bundle(report)):
            assert set(statuses(one_of["request"]["url"])) == set(replaced) - {"appended"}


def test_later_versions_replace_one_another_and_a_retraction_all():
    for state in LATER:
        (entry,) = entries("DiagnosticReport", bundle(made.later(state)))
        assert {"preliminary", "final", *map(str, LATER)} == set(statuses(entry["request"]["url"]))
    (entry,) = entries("DiagnosticReport", bundle(RETRACTED))
    assert {"preliminary", "final", *map(str, LATER)} < set(statuses(entry["request"]["url"]))


def test_what_was_opened_again_is_a_draft_that_touches_nothing_signed():
    where = bundle(OPENED)
    (entry,) = entries("DiagnosticReport", where)
    assert entry["resource"]["status"] == "preliminary"
    assert statuses(entry["request"]["url"]) == ["preliminary"]
    assert not of_type("Practitioner", where)


def test_a_signed_report_is_asserted_by_software_and_clinician():
    where = bundle(made.final())
    assert labels(where) == labels(one("DiagnosticReport", where)) == labels(one("Provenance", where)) == ["AIAST", "CLINAST"]


def test_what_the_signed_text_states_is_confirmed_by_the_signer():
    opacity = observation("Lung opacity", bundle(made.final()))
    assert (opacity["status"], labels(opacity)) == ("final", ["AIAST", "CLINAST"])
    assert opacity["performer"][0]["display"] == made.ROSSI
    assert opacity["device"]["type"] == "Device"


def test_an_accepted_finding_is_confirmed_though_no_sentence_tells_it():
    nodes = observation("Lymphadenopathy", bundle(made.final()))
    assert (nodes["status"], labels(nodes)) == ("final", ["AIAST", "CLINAST"])


@pytest.mark.parametrize("name", ["Emphysema", "Hiatal hernia", "Lung volume", "Limits of this draft"])
def test_what_nobody_confirmed_stays_the_machines_and_preliminary(name):
    alone = observation(name, bundle(made.final()))
    assert (alone["status"], labels(alone)) == ("preliminary", ["AIAST"])
    assert "performer" not in alone


def test_a_finding_whose_sentences_were_taken_out_is_not_confirmed():
    edits = [Remove(section=SectionName.FINDINGS, index=2), Remove(section=SectionName.IMPRESSION, index=1)]
    fluid = observation("Pleural effusion", bundle(signed(apply(reports.report(), edits), made.by())))
    assert (fluid["status"], labels(fluid)) == ("preliminary", ["AIAST"])


def test_a_rejected_finding_is_absent_by_the_clinician_alone():
    nodule = observation("Lung nodule", bundle(made.final()))
    assert nodule["interpretation"][0]["coding"][0]["code"] == "NEG"
    assert (nodule["status"], labels(nodule)) == ("final", ["CLINAST"])
    assert nodule["performer"][0]["display"] == made.ROSSI
    assert "device" not in nodule
    assert "rejected" in nodule["note"][1]["text"]


def test_a_dictated_finding_of_a_signed_report_is_the_signers():
    said = Finding(id="d", label="emphysema", presence=Presence.PRESENT, evidence=(Evidence(source="dictation", span=(0, 9)),))
    report = made.final()
    others = tuple(finding for finding in report.findings if finding.label != "emphysema")
    emphysema = observation("Emphysema", bundle(report.model_copy(update={"findings": (*others, said)})))
    assert (emphysema["status"], labels(emphysema)) == ("final", ["CLINAST"])
    assert emphysema["performer"]
    assert "device" not in emphysema


def test_an_addendum_leaves_the_observations_as_the_version_before_it():
    amended = made.later(ReportState.AMENDED)
    assert observation("Lung opacity", bundle(amended))["status"] == "amended"
    assert observation("Lung opacity", bundle(made.later(ReportState.APPENDED)))["status"] == "final"
    assert observation("Lung opacity", bundle(made.later(ReportState.APPENDED, amended, days=2)))["status"] == "amended"


def test_addendum_and_signatures_are_in_narrative_page_and_pdf_but_not_in_the_conclusion():
    resource = one("DiagnosticReport", bundle(made.later(ReportState.APPENDED)))
    page, paper = resource["presentedForm"]
    assert (page["contentType"], paper["contentType"]) == ("text/html", "application/pdf")
    printed = base64.b64decode(paper["data"])
    told = "".join(p.extract_text() for p in pypdf.PdfReader(BytesIO(printed)).pages)
    for where in (resource["text"]["div"], base64.b64decode(page["data"]).decode(), " ".join(told.split())):
        assert made.ADDENDUM in where
        assert made.ROSSI in where
        assert made.SATO in where
    assert base64.b64decode(paper["hash"]) == hashlib.sha1(printed, usedforsecurity=False).digest()
    assert made.ADDENDUM not in resource["conclusion"]
    assert resource["conclusion"].splitlines()[-1] == "3. Control in 6 weeks."


def test_a_draft_has_no_pdf():
    assert len(one("DiagnosticReport", bundle(reports.report()))["presentedForm"]) == 1
