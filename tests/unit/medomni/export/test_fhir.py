import base64
import hashlib
import json
from datetime import UTC, datetime

import pytest

from medomni.errors import BadSettings, UnsafeDraft
from medomni.export.fhir import FhirOptions, to_bundle, to_fhir_json
from medomni.export.fhir_check import check_bundle
from medomni.export.fhir_ids import Token, search
from medomni.export.fhir_values import day, human_names
from medomni.export.html import to_html
from medomni.types.codes import LOINC, SNOMED_CT
from medomni.types.finding import Evidence, Finding, Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.region import Coverage
from medomni.types.report import ReportState
from medomni.types.study import Acquisition, Contrast
from tests import reports

HOSPITAL = "urn:oid:1.2.3"
RECORDED = FhirOptions(recorded=datetime(2024, 1, 2, 10, 30, tzinfo=UTC), patient_system=HOSPITAL)


def bundle(report=None, study=None, options=RECORDED):
    return json.loads(to_fhir_json(report or reports.report(), study or reports.study(), options))


def of_type(kind, where):
    return [e["resource"] for e in where["entry"] if e["resource"]["resourceType"] == kind]


def one(kind, where):
    found = of_type(kind, where)
    assert len(found) == 1
    return found[0]


def observation(text, where):
    return next(o for o in of_type("Observation", where) if o["code"]["text"] == text)


def component(text, resource):
    return next(c for c in resource["component"] if c["code"]["text"] == text)


CASES = {
    "en": (reports.report(), reports.study(), RECORDED),
    "zh": (reports.report("zh"), reports.study(), RECORDED),
    "no time": (reports.report(), reports.study(), FhirOptions()),
    "no system": (reports.report(), reports.study(), FhirOptions()),
    "no study": (reports.report(), None, RECORDED),
    "no identity": (
        reports.report(),
        reports.study(patient_id="", patient_name="", birth_date="", accession_number=""),
        RECORDED,
    ),
    "no SNOMED": (reports.report(), reports.study(), FhirOptions(code_systems=(LOINC,))),
    "hostile": (reports.hostile_report(), reports.hostile_study(), RECORDED),
    "hostile zh": (reports.hostile_report("zh"), reports.hostile_study(), RECORDED),
    "empty": (reports.report(sections={}, findings=(), notices=()), reports.study(), RECORDED),
}


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_bundle_passes_the_checker(case):
    assert check_bundle(json.loads(to_fhir_json(*CASES[case]))) == ()


def test_same_draft_gives_the_same_bytes():
    assert to_fhir_json(*CASES["en"]) == to_fhir_json(*CASES["en"])


def test_model_and_json_hold_the_same():
    model = to_bundle(*CASES["en"])
    assert model.get_resource_type() == "Bundle"
    assert len(model.entry) == len(bundle()["entry"])


@pytest.mark.parametrize("state", [ReportState.DRAFT, ReportState.PRELIMINARY])
def test_report_and_observations_leave_as_preliminary(state):
    made = bundle(reports.report(state=state))
    assert one("DiagnosticReport", made)["status"] == "preliminary"
    assert {o["status"] for o in of_type("Observation", made)} == {"preliminary"}


@pytest.mark.parametrize("state", [ReportState.FINAL, ReportState.AMENDED, ReportState.CORRECTED, ReportState.APPENDED])
def test_a_report_that_claims_a_signature_does_not_leave(state):
    with pytest.raises(UnsafeDraft, match="signed"):
        to_fhir_json(reports.report(state=state), None)


def test_an_unsafe_draft_does_not_leave():
    notices = (Notice(code="side_contradiction", level=NoticeLevel.UNSAFE),)
    with pytest.raises(UnsafeDraft, match="contradicts") as caught:
        to_fhir_json(reports.report(notices=notices), None)
    assert "side_contradiction" in str(caught.value)


def test_what_software_asserted_is_labelled():
    made = bundle()
    for kind in ("DiagnosticReport", "Observation", "Provenance"):
        assert all(r["meta"]["security"][0]["code"] == "AIAST" for r in of_type(kind, made))


def test_what_a_person_dictated_is_not_the_softwares():
    said = Evidence(source="dictation", span=(0, 9))
    finding = Finding(id="dictated-emphysema", label="emphysema", presence=Presence.PRESENT, evidence=(said,))
    report = reports.report()
    made = bundle(report.model_copy(update={"findings": (*report.findings, finding)}))
    labels = [(o["meta"]["security"][0]["code"], "device" in o) for o in of_type("Observation", made)]
    assert labels.count(("CLINAST", False)) == 1
    assert labels.count(("AIAST", True)) == len(labels) - 1
    assert check_bundle(made) == ()


@pytest.mark.parametrize(
    ("region", "contrast", "code"),
    [
        ("chest", Contrast.NONE, "29252-4"),
        ("chest", Contrast.NOT_STATED, "24627-2"),
        ("chest", Contrast.INTRAVENOUS, "24628-0"),
        ("chest", Contrast.ORAL, "24627-2"),
        ("abdomen", Contrast.NONE, "18748-4"),
        ("head", Contrast.NOT_STATED, "18748-4"),
    ],
)
def test_exam_code_says_with_or_without_contrast_only_when_the_header_does(region, contrast, code):
    report = reports.report(acquisition=Acquisition(contrast=contrast), coverage=Coverage(region=region))
    coding = one("DiagnosticReport", bundle(report))["code"]["coding"]
    assert [c["code"] for c in coding] == [code]


def test_conclusion_is_the_numbered_impression():
    assert one("DiagnosticReport", bundle())["conclusion"].splitlines() == [
        "1. Opacity in the right lower zone.",
        "2. Right pleural effusion.",
        "3. Possible nodule in the left upper zone.",
    ]


def test_presented_form_is_the_page_with_size_and_hash_before_base64():
    form = one("DiagnosticReport", bundle())["presentedForm"][0]
    page = to_html(reports.report()).encode()
    assert base64.b64decode(form["data"]) == page
    assert form["size"] == len(page)
    assert base64.b64decode(form["hash"]) == hashlib.sha1(page, usedforsecurity=False).digest()
    assert form["contentType"] == "text/html"


def test_every_notice_reaches_narrative_and_limits():
    made = bundle()
    limits = observation("Limits of this draft", made)["valueString"]
    assert len(limits.splitlines()) == 2
    for line in limits.splitlines():
        assert line in one("DiagnosticReport", made)["text"]["div"]


def test_report_lists_every_observation_in_order():
    made = bundle()
    urls = [e["fullUrl"] for e in made["entry"] if e["resource"]["resourceType"] == "Observation"]
    assert [r["reference"] for r in one("DiagnosticReport", made)["result"]] == urls


def test_present_finding_is_positive_with_side_place_and_numbers():
    opacity = observation("Lung opacity", bundle())
    assert opacity["interpretation"][0]["coding"][0]["code"] == "POS"
    assert opacity["valueCodeableConcept"]["coding"][0]["code"] == "52101004"
    assert opacity["bodySite"]["text"] == "right lower zone"
    assert component("Laterality", opacity)["valueCodeableConcept"]["coding"][0]["code"] == "24028007"
    volume = component("Volume of right opacity", opacity)["valueQuantity"]
    assert volume == {"value": 120, "unit": "mL", "system": "http://unitsofmeasure.org", "code": "mL"}


def test_a_near_or_broader_code_is_left_out():
    assert "coding" not in observation("Lung opacity", bundle())["code"]


def test_uncertain_finding_is_indeterminate_and_its_lower_bound_a_comparator():
    nodule = observation("Lung nodule", bundle())
    assert nodule["interpretation"][0]["coding"][0]["code"] == "IND"
    assert component("Long diameter", nodule)["valueQuantity"]["comparator"] == ">="
    assert "comparator" not in component("Perpendicular diameter", nodule)["valueQuantity"]


def test_absent_finding_is_negative():
    heart = observation("Cardiomegaly", bundle())
    assert heart["interpretation"][0]["coding"][0]["code"] == "NEG"
    assert heart["valueCodeableConcept"]["text"] == "not detected"


def test_not_evaluated_has_a_reason_and_neither_value_nor_interpretation():
    hernia = observation("Hiatal hernia", bundle())
    assert hernia["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
    assert hernia["dataAbsentReason"]["text"] == "no detector for it"
    assert not {"valueCodeableConcept", "interpretation", "component"} & set(hernia)


def test_single_measurement_is_the_value_itself():
    area = observation("Low-attenuation area", bundle())
    assert area["valueQuantity"] == {"value": 0.4, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    assert "component" not in area
    assert "interpretation" not in area


def test_several_measurements_are_components_in_ucum():
    liver = observation("Organ volume", bundle())
    assert liver["bodySite"]["text"] == "liver"
    assert component("Mean attenuation", liver)["valueQuantity"]["code"] == "[hnsf'U]"
    assert component("Volume", liver)["valueQuantity"]["value"] == 1430


def test_key_images_of_a_finding_are_named_by_instance():
    study = reports.study()
    opacity = observation("Lung opacity", bundle(study=study))
    assert component("Image (SOP instance UID)", opacity)["valueString"] == study.frames[44].sop_instance_uid


def test_snomed_can_be_switched_off():
    text = to_fhir_json(reports.report(), reports.study(), FhirOptions(code_systems=(LOINC,))).decode()
    assert SNOMED_CT not in text
    assert SNOMED_CT in to_fhir_json(reports.report(), reports.study()).decode()


def test_imaging_study_names_study_series_and_every_instance():
    study = reports.study()
    resource = one("ImagingStudy", bundle(study=study))
    assert resource["identifier"][0] == {"system": "urn:dicom:uid", "value": f"urn:oid:{study.identity.study_instance_uid}"}
    assert resource["identifier"][1]["type"]["coding"][0]["code"] == "ACSN"
    assert resource["started"] == "2024-01-02"
    series = resource["series"][0]
    assert series["uid"] == study.identity.series_instance_uid
    assert series["numberOfInstances"] == len(series["instance"]) == 120
    assert series["instance"][0]["sopClass"]["code"] == "urn:oid:1.2.840.10008.5.1.4.1.1.2"


def test_patient_has_what_the_header_states():
    patient = one("Patient", bundle())
    assert patient["identifier"][0]["value"] == "PHANTOM-0001"
    assert patient["identifier"][0]["assigner"]["display"] == "PHANTOM"
    assert (patient["gender"], patient["birthDate"]) == ("female", "1964-01-01")


def test_without_a_study_the_patient_is_only_referred_to():
    made = json.loads(to_fhir_json(reports.report(), None, RECORDED))
    assert not of_type("Patient", made)
    assert not of_type("ImagingStudy", made)
    subject = one("DiagnosticReport", made)["subject"]
    assert "reference" not in subject
    assert subject["identifier"]["value"].startswith("urn:uuid:")


def test_japanese_name_gives_one_name_for_each_writing():
    names = human_names("Yamada^Tarou=山田^太郎=やまだ^たろう")
    assert [n["family"] for n in names] == ["Yamada", "山田", "やまだ"]
    assert [n["given"] for n in names] == [["Tarou"], ["太郎"], ["たろう"]]
    assert [n["extension"][0]["valueCode"] for n in names] == ["ABC", "IDE", "SYL"]


def test_name_parts_go_to_their_places_and_an_empty_name_to_none():
    assert human_names("Doe^Jane^Q^Dr^PhD") == [
        {"use": "official", "family": "Doe", "given": ["Jane", "Q"], "prefix": ["Dr"], "suffix": ["PhD"]}
    ]
    assert human_names("^^^^") == []
    assert human_names("") == []


@pytest.mark.parametrize(
    ("dicom", "fhir"), [("20240229", "2024-02-29"), ("20230229", ""), ("2024", ""), ("", ""), ("2024-1-2", "")]
)
def test_only_a_day_of_the_calendar_becomes_a_date(dicom, fhir):
    assert day(dicom) == fhir


def test_provenance_names_targets_software_and_digests():
    made = bundle()
    provenance = one("Provenance", made)
    assert provenance["recorded"] == "2024-01-02T10:30:00Z"
    assert len(provenance["target"]) == 1 + len(of_type("Observation", made))
    assert provenance["agent"][0]["type"]["coding"][0]["code"] == "assembler"
    assert any("cd" * 32 in e["what"].get("display", "") for e in provenance["entity"])
    digest = base64.urlsafe_b64encode(bytes.fromhex("cd" * 32)).decode().rstrip("=")
    assert provenance["entity"][1]["what"]["identifier"]["value"] == f"ni:///sha-256;{digest}"


def test_without_a_time_the_recording_time_is_stated_as_unknown():
    provenance = one("Provenance", bundle(options=FhirOptions()))
    assert "recorded" not in provenance
    assert provenance["_recorded"]["extension"][0]["valueCode"] == "unknown"


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(BadSettings, match="time zone"):
        to_fhir_json(reports.report(), None, FhirOptions(recorded=datetime(2024, 1, 2)))


def test_device_holds_version_and_digest_of_each_part():
    values = [v["value"] for v in one("Device", bundle())["version"]]
    assert values == ["0.1.0", "1", "ef" * 32]


def test_another_language_or_time_keeps_the_identifiers():
    timeless = FhirOptions(patient_system=HOSPITAL)
    urls = {e["fullUrl"] for e in bundle(options=timeless)["entry"] if e["resource"]["resourceType"] != "Provenance"}
    later = {e["fullUrl"] for e in bundle(reports.report("zh"))["entry"]}
    assert urls <= later


def test_another_series_of_the_study_has_its_own_report_but_the_same_study():
    provenance = reports.report().provenance.model_copy(update={"input_sha256": "99" * 32})
    first, second = bundle(), bundle(reports.report(provenance=provenance))
    assert one("DiagnosticReport", first)["identifier"] != one("DiagnosticReport", second)["identifier"]
    assert one("ImagingStudy", first)["identifier"] == one("ImagingStudy", second)["identifier"]


def test_requests_create_shared_resources_only_where_missing_and_never_touch_what_is_signed():
    for entry in bundle()["entry"]:
        kind, request = entry["resource"]["resourceType"], entry["request"]
        assert "id" not in entry["resource"]
        if kind in ("DiagnosticReport", "Observation"):
            assert request["method"] == "PUT"
            assert request["url"].endswith("&status=preliminary")
        else:
            assert request["method"] == "POST"
            assert request["ifNoneExist"]


def test_no_identifier_holds_an_address_that_a_server_would_replace():
    made = bundle()
    addresses = {e["fullUrl"] for e in made["entry"]}
    for entry in made["entry"]:
        assert not {i["value"] for i in entry["resource"].get("identifier", [])} & addresses


def test_a_patient_is_matched_by_system_and_number():
    patient = bundle()["entry"][0]
    assert patient["request"]["ifNoneExist"] == "identifier=urn%3Aoid%3A1.2.3%7CPHANTOM-0001"
    assert patient["resource"]["identifier"][0]["system"] == HOSPITAL


@pytest.mark.parametrize(
    ("issuer", "system"),
    [
        ("1.2.840.99", "urn:oid:1.2.840.99"),
        ("urn:oid:1.2.840.99", "urn:oid:1.2.840.99"),
        ("https://hospital.example/numbers", "https://hospital.example/numbers"),
        ("Hospital A", HOSPITAL),
        ("https://hospital.example/<script>", HOSPITAL),
        ("", HOSPITAL),
    ],
)
def test_an_issuer_that_is_a_uri_goes_before_the_setting(issuer, system):
    patient = one("Patient", bundle(study=reports.study(patient_id_issuer=issuer)))
    assert patient["identifier"][0]["system"] == system


@pytest.mark.parametrize("changes", [{}, {"patient_id": ""}])
def test_without_a_system_nobody_is_matched_or_created_and_nobody_is_named(changes):
    made = bundle(study=reports.study(**changes), options=FhirOptions())
    assert not of_type("Patient", made)
    subjects = [e["resource"]["subject"] for e in made["entry"] if "subject" in e["resource"]]
    assert {tuple(sorted(subject)) for subject in subjects} == {("identifier", "type")}
    value = one("ImagingStudy", made)["subject"]["identifier"]["value"]
    assert value.startswith("urn:uuid:") if changes else value == "PHANTOM-0001"
    told = "\n".join(strings(made))
    assert not [secret for secret in ("Phantom^", "Phantom", "1964-01-01", "19640101") if secret in told]


def test_a_search_value_cannot_add_a_condition():
    assert search("identifier", Token("", "A|7,B&x=1$\\")) == "identifier=%7CA%5C%7C7%5C%2CB%26x%3D1%5C%24%5C%5C"


def test_report_refers_to_the_order_by_accession_number():
    order = one("DiagnosticReport", bundle())["basedOn"][0]
    assert order["type"] == "ServiceRequest"
    assert order["identifier"]["value"] == "SYN00001"


def strings(value):
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_hostile_header_text_leaves_no_unprintable_character():
    made = bundle(reports.hostile_report(), reports.hostile_study())
    assert all(character.isprintable() or character == "\n" for text in strings(made) for character in text)


def test_hostile_header_text_leaves_no_markup_in_the_narrative_and_no_false_date():
    made = bundle(reports.hostile_report(), reports.hostile_study())
    assert "<script" not in one("DiagnosticReport", made)["text"]["div"]
    assert "birthDate" not in one("Patient", made)
    assert "started" not in one("ImagingStudy", made)


def test_a_uid_that_is_none_gets_a_stable_substitute():
    series = one("ImagingStudy", bundle(study=reports.hostile_study()))["series"][0]
    assert series["uid"].startswith("2.25.")
    assert series == one("ImagingStudy", bundle(study=reports.hostile_study()))["series"][0]


def test_report_json_holds_no_identifier_but_the_bundle_the_needed_ones():
    report = reports.report()
    text = report.model_dump_json() + to_html(report)
    assert not any(secret in text for secret in ("PHANTOM-0001", "Phantom", "SYN00001", "19640101"))
