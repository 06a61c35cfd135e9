"""How a version of a report came about, as a FHIR R4 Provenance: from which images, by which software, signed by whom.

Every version has its own, told apart by the digest of the whole report; a version sent twice has one.
"""

import base64
import hashlib
from collections.abc import Iterator

from medomni.export.fhir_case import FhirCase, entry
from medomni.export.fhir_ids import URI_SYSTEM, address, content_uuid, search, uuid_token
from medomni.export.fhir_observation import observation_roles
from medomni.export.fhir_signer import signature, verifier
from medomni.export.fhir_values import DATA_ABSENT_REASON, JsonObject, compact, concept, hl7, text
from medomni.export.words import say

CREATE = hl7("v3-DataOperation", "CREATE", "create")
AUTHENTICATED = hl7("v3-DocumentCompletion", "AU", "authenticated")
"""Signed by somebody who attests to the content; who may sign is checked where people sign, not here."""
ASSEMBLER = hl7("provenance-participant-type", "assembler", "Assembler")


def provenance_entry(case: FhirCase) -> JsonObject:
    """Return the entry: a draft was created by software; a signed report was authenticated by its signer as well."""
    report, moment = case.report, case.issued
    content = hashlib.sha256(report.model_dump_json().encode()).hexdigest()
    token = uuid_token(content_uuid(case.uuid("provenance"), content))
    activity = AUTHENTICATED if case.is_signed else CREATE
    unknown: object = {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]}
    resource = compact(
        {
            "resourceType": "Provenance",
            "meta": {**case.meta(*case.asserted), "tag": [{"system": token.system, "code": token.value}]},
            "target": [
                {"reference": address(case.uuid("report")), "type": "DiagnosticReport"},
                *({"reference": address(case.uuid(role)), "type": "Observation"} for role in observation_roles(report)),
            ],
            "recorded": moment,
            "_recorded": None if moment else unknown,
            "activity": concept(activity.display, [activity], [activity.system]),
            "agent": [
                {"type": concept("Assembler", [ASSEMBLER], [ASSEMBLER.system]), "who": case.device()},
                *verifier(case),
            ],
            "entity": list(_sources(case)),
            "signature": signature(case),
        }
    )
    return entry(token.value.removeprefix("urn:uuid:"), resource, "POST", "Provenance", search("_tag", token))


def _sources(case: FhirCase) -> Iterator[JsonObject]:
    """Yield what the draft was made from: the imaging study, the digest of its voxels, the digest of the history."""
    language = case.report.language
    for reference in case.imaging():
        yield {"role": "source", "what": reference}
    digests = {"fhir_input": case.report.provenance.input_sha256, "fhir_history": case.report.context.history_sha256}
    for key, digest in digests.items():
        if digest:
            what = {"identifier": {"system": URI_SYSTEM, "value": _named_information(digest)}}
            yield {"role": "source", "what": {**what, "display": f"{say(key, language)}, sha256 {text(digest)}"}}


def _named_information(sha256: str) -> str:
    """Return a hex digest as a URI (RFC 6920); text that is no hex digest is kept as it is."""
    try:
        raw = bytes.fromhex(sha256)
    except ValueError:
        return text(sha256)
    return f"ni:///sha-256;{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"
