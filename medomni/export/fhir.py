"""A report as a FHIR R4 (4.0.1) transaction Bundle that a hospital's server can take, twice without doubling it.

    Report, Study -> Patient, Practitioner, Device, ImagingStudy, Observations, DiagnosticReport, Provenance

A draft leaves as ``preliminary``, never as ``final``: only a person signs, and what a person signed leaves in the state that
the signature gave. Patient, Practitioner, Device and ImagingStudy are created only where missing, and a Patient only where it
is known whose number the header states. A draft's own resources replace an earlier draft of the same images, never anything
signed; a signed version replaces the draft and the versions before it.
``fhir.resources`` validates the result; ``medomni.export.fhir_check`` checks the rest.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from medomni.export.fhir_case import FhirCase, FhirOptions, code, entry, require_exportable
from medomni.export.fhir_ids import Token, address, search
from medomni.export.fhir_observation import observation_entries, observation_roles
from medomni.export.fhir_provenance import provenance_entry
from medomni.export.fhir_signer import practitioner_entries
from medomni.export.fhir_study import device_entry, imaging_study_entry, patient_entry
from medomni.export.fhir_values import (
    JsonObject,
    compact,
    concept,
    hl7,
    identifier,
    instant,
    text,
)
from medomni.export.html import to_html
from medomni.export.narrative import to_narrative
from medomni.export.words import say
from medomni.reporting.cleaned import clean
from medomni.types.codes import Code
from medomni.types.report import Report
from medomni.types.section import SectionName
from medomni.types.study import Contrast, Study

if TYPE_CHECKING:
    from fhir.resources.R4B.bundle import Bundle

__all__ = ["FhirOptions", "to_bundle", "to_fhir_json"]

DEFAULTS = FhirOptions()


def to_fhir_json(report: Report, study: Study | None, options: FhirOptions = DEFAULTS) -> bytes:
    """Return the transaction Bundle as JSON: the same report and options give the same bytes.

    Raises:
        UnsafeDraft: the draft contradicts itself or claims a signature it does not hold.
        BadInput: a signature states no time zone.
    """
    members = _bundle(FhirCase(report, study, options))
    _validated(members)
    return (json.dumps(members, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def to_bundle(report: Report, study: Study | None, options: FhirOptions = DEFAULTS) -> "Bundle":
    """Return the transaction Bundle as a validated ``fhir.resources`` R4B model.

    Raises:
        UnsafeDraft: the draft contradicts itself or claims a signature it does not hold.
        BadInput: a signature states no time zone.
    """
    return _validated(_bundle(FhirCase(report, study, options)))


def _validated(members: JsonObject) -> "Bundle":
    from fhir.resources.R4B.bundle import Bundle  # 0.3 s that only this export needs

    bundle: Bundle = Bundle.model_validate(members)
    return bundle


def _bundle(case: FhirCase) -> JsonObject:
    require_exportable(case.report)
    return compact(
        {
            "resourceType": "Bundle",
            "meta": case.meta(*case.asserted),
            "identifier": identifier(case.token("bundle")),
            "type": "transaction",
            "timestamp": instant(case.options.recorded) if case.options.recorded else "",
            "entry": list(_entries(case)),
        }
    )


def _entries(case: FhirCase) -> Iterator[JsonObject]:
    if case.study and case.patient_token:
        yield patient_entry(case, case.study, case.patient_token)
    yield from practitioner_entries(case)
    yield device_entry(case)
    if case.study:
        yield imaging_study_entry(case, case.study)
    yield from observation_entries(case)
    yield _report_entry(case)
    yield provenance_entry(case)


def _report_entry(case: FhirCase) -> JsonObject:
    report = case.report
    accession = text(case.study.identity.accession_number) if case.study else ""
    order = identifier(Token("", accession), hl7("v2-0203", "ACSN", "Accession ID"))
    radiology = hl7("v2-0074", "RAD", "Radiology")
    resource = compact(
        {
            "resourceType": "DiagnosticReport",
            "meta": case.meta(*case.asserted),
            "language": report.language,
            "text": {"status": "generated", "div": to_narrative(report)},
            "identifier": case.uuid_identifier("report"),
            "basedOn": [{"type": "ServiceRequest", "identifier": order}] if accession else [],
            "status": case.status,
            "category": [concept("Radiology", [radiology], [radiology.system])],
            "code": case.concept(_exam_words(report), [_exam_code(report)]),
            "subject": case.subject(),
            "effectiveDateTime": case.effective,
            "issued": case.issued,
            "resultsInterpreter": [case.signer(name) for name in case.signers],
            "result": [{"reference": address(case.uuid(role)), "type": "Observation"} for role in observation_roles(report)],
            "imagingStudy": case.imaging(),
            "conclusion": _conclusion(report),
            "presentedForm": list(_forms(case)),
        }
    )
    url = f"DiagnosticReport?{search('identifier', case.token('report'))}&status={','.join(case.replaced)}"
    return entry(case.uuid("report"), resource, "PUT", url)


def _exam_code(report: Report) -> Code:
    """Return the LOINC code of the examination; with or without contrast only when the header says so."""
    if report.coverage.region != "chest":
        return code("exams", "other")
    stated = {Contrast.NONE: "chest_without_contrast", Contrast.INTRAVENOUS: "chest_with_contrast"}
    return code("exams", stated.get(report.acquisition.contrast, "chest"))


def _exam_words(report: Report) -> str:
    """Return the first sentence of the examination section, else the name of the code."""
    section = report.sections.get(SectionName.EXAMINATION)
    return clean(section.sentences[0].text) if section and section.sentences else _exam_code(report).display


def _conclusion(report: Report) -> str:
    section = report.sections.get(SectionName.IMPRESSION)
    sentences = section.sentences if section else ()
    return "\n".join(f"{number}. {clean(sentence.text)}" for number, sentence in enumerate(sentences, start=1))


def _forms(case: FhirCase) -> Iterator[JsonObject]:
    """Yield the report as people read it: the page, and a signed one on paper as well."""
    yield _attachment(to_html(case.report).encode(), "text/html", case.report)
    if case.is_signed:
        from medomni.export.pdf import to_pdf  # a draft never needs it

        yield _attachment(to_pdf(case.report), "application/pdf", case.report)


def _attachment(content: bytes, content_type: str, report: Report) -> JsonObject:
    """Return an attachment; size and hash are those of the bytes before base64 (R4 Attachment)."""
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    return {
        "contentType": content_type,
        "language": report.language,
        "data": base64.b64encode(content).decode(),
        "size": len(content),
        "hash": base64.b64encode(digest).decode(),
        "title": say("title", report.language),
    }
