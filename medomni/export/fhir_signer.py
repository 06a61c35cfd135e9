"""Who signed a report as FHIR R4: Practitioners, and the signature that stands in the Provenance.

A person is known by name alone: the same name is the same Practitioner, created only where the server has none.
"""

from collections.abc import Iterator

from medomni.export.fhir_case import FhirCase, code, entry
from medomni.export.fhir_ids import search, uuid_token
from medomni.export.fhir_values import JsonObject, coding, concept, hl7, identifier, instant, text
from medomni.export.signed import moment

VERIFIER = hl7("provenance-participant-type", "verifier", "Verifier")


def practitioner_entries(case: FhirCase) -> Iterator[JsonObject]:
    """Yield one entry for each person who signed, in the order of their first signature."""
    for name in case.signers:
        identity = case.signer_uuid(name)
        token = uuid_token(identity)
        resource = {"resourceType": "Practitioner", "identifier": [identifier(token)], "name": [{"text": name}]}
        yield entry(identity, resource, "POST", "Practitioner", search("identifier", token))


def verifier(case: FhirCase) -> list[object]:
    """Return the agent who verified this version: its signer. Earlier versions had their own Provenance."""
    if not case.is_signed:
        return []
    last = case.report.signatures[-1]
    role = text(last.role)
    agent: JsonObject = {
        "type": concept("Verifier", [VERIFIER], [VERIFIER.system]),
        "role": [{"text": role}] if role else [],
        "who": case.signer(text(last.name)),
    }
    return [{key: item for key, item in agent.items() if item}]


def signature(case: FhirCase) -> list[object]:
    """Return the signature of this version with what it means (ASTM E1762); it holds no cryptographic data."""
    if not case.is_signed:
        return []
    last = case.report.signatures[-1]
    meaning = coding(code("signatures", str(last.state)))
    return [{"type": [meaning], "when": instant(moment(last)), "who": case.signer(text(last.name))}]
