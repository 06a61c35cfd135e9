"""Findings and measurements as FHIR R4 Observations.

A finding's value is its presence, a measurement's its number; several numbers become components. What was not evaluated has
no value but a reason, never an absence.

Only what a person confirmed is as final as the report: what the signed text states, what was accepted, dictated or rejected.
A finding of the machine that the signed text leaves out stays preliminary and the machine's alone.
"""

from collections.abc import Iterator

from medomni.export.fhir_case import AIAST, CLINAST, PRELIMINARY, FhirCase, code, entry
from medomni.export.fhir_ids import search
from medomni.export.fhir_study import image_uid
from medomni.export.fhir_values import JsonObject, compact, concept, hl7, quantity
from medomni.export.signed import is_rejected
from medomni.export.words import name, notice_lines, places, reason, say, standing_line
from medomni.reporting.dictated import is_dictated
from medomni.reporting.states import SIGNED
from medomni.reporting.vocabulary import MappedCode, Match, vocabulary
from medomni.types.codes import Code
from medomni.types.finding import Finding, Laterality, Measurement, Presence
from medomni.types.report import Report, ReportState, Verdict

IMAGING = hl7("observation-category", "imaging", "Imaging")
NOT_PERFORMED = hl7("data-absent-reason", "not-performed", "Not Performed")
MOST_IMAGES = 8
"""Images named for one finding; a viewer needs the key ones, not every slice."""


def observation_entries(case: FhirCase) -> Iterator[JsonObject]:
    """Yield one entry for each finding in the order of the report, then one that states the limits of the draft."""
    for finding in case.report.findings:
        yield _entry(case, f"observation/{finding.id}", _of_finding(case, finding))
    lines = [sentence for _, sentence in notice_lines(case.report)]
    if lines:
        limits: JsonObject = {"code": concept(say("fhir_limits", case.report.language)), "valueString": "\n".join(lines)}
        yield _entry(case, "limits", limits)


def observation_roles(report: Report) -> tuple[str, ...]:
    """Return the roles of the observations of a report, in order."""
    roles = tuple(f"observation/{finding.id}" for finding in report.findings)
    return (*roles, "limits") if report.notices else roles


def _entry(case: FhirCase, role: str, members: JsonObject) -> JsonObject:
    report = case.report
    resource = compact(
        {
            "resourceType": "Observation",
            "meta": case.meta(AIAST),
            "language": report.language,
            "identifier": case.uuid_identifier(role),
            "status": _status(case, is_confirmed=False),
            "category": [concept("Imaging", [IMAGING], [IMAGING.system])],
            "subject": case.subject(),
            "effectiveDateTime": case.effective,
            "note": [{"text": standing_line(report)}],
            "device": case.device(),
            "derivedFrom": case.imaging(),
            **members,
        }
    )
    replaced = ",".join(status for status in case.replaced if status != ReportState.APPENDED)  # no status of an Observation
    url = f"Observation?{search('identifier', case.token(role))}&status={replaced}"
    return entry(case.uuid(role), resource, "PUT", url)


def _of_finding(case: FhirCase, finding: Finding) -> JsonObject:
    language = case.report.language
    row = vocabulary().labels.get(finding.label)
    codes = _usable(row.codes if row else ())
    is_number = bool(row and row.is_measurement_only) and finding.presence is Presence.PRESENT
    single = finding.measurements[0] if is_number and len(finding.measurements) == 1 else None
    site = [mapped.site for mapped in codes if mapped.site]
    where = places(finding, language)
    told = compact(
        {
            "code": case.concept(name(finding.label, language), [mapped.code for mapped in codes]),
            "bodySite": case.concept(where or site[0].display, site) if where or site else None,
            **({} if is_number else _presence(case, finding)),
            **({"valueQuantity": quantity(single)} if single else {}),
            "component": [*_components(case, finding, is_single=single is not None)],
        }
    )
    return told | _assertion(case, finding)


def _assertion(case: FhirCase, finding: Finding) -> JsonObject:
    """Return who asserts a finding, and how final it is for that."""
    by_person = is_dictated(finding) or is_rejected(finding, case.report)
    is_confirmed = case.is_signed and (by_person or _is_told(case.report, finding))
    members: JsonObject = {"status": _status(case, is_confirmed=is_confirmed)}
    if by_person:
        members |= {"meta": case.meta(CLINAST), "device": None}
    elif is_confirmed:
        members |= {"meta": case.meta(AIAST, CLINAST)}
    if is_confirmed:
        members |= {"performer": [case.signer(name) for name in case.signers]}
    if is_rejected(finding, case.report):
        language = case.report.language
        members |= {"note": [{"text": standing_line(case.report)}, {"text": say("fhir_rejected", language)}]}
    return members


def _is_told(report: Report, finding: Finding) -> bool:
    """Whether a finding was evaluated, and accepted or told in a sentence of the text."""
    if finding.presence is Presence.NOT_EVALUATED:
        return False
    told = {key for section in report.sections.values() for sentence in section.sentences for key in sentence.finding_ids}
    return finding.id in told or report.verdicts.get(finding.id) in (Verdict.ACCEPTED, Verdict.CONFIRMED)


def _status(case: FhirCase, *, is_confirmed: bool) -> str:
    """Return the status of an Observation; an addendum leaves it as the version before it (R4 has no "appended" for it)."""
    if not case.is_signed:
        return case.status
    given = (one.state for one in reversed(case.report.signatures) if one.state in SIGNED)
    latest = next((state for state in given if state is not ReportState.APPENDED), ReportState.FINAL)
    return str(latest) if is_confirmed else PRELIMINARY


def _usable(mapped: tuple[MappedCode, ...]) -> tuple[MappedCode, ...]:
    """Return the codes that mean the same as the label; near or broader ones would say something else."""
    return tuple(one for one in mapped if one.match in (Match.EXACT, Match.POST_COORDINATED))


def _presence(case: FhirCase, finding: Finding) -> JsonObject:
    language, key = case.report.language, str(finding.presence)
    if finding.presence is Presence.NOT_EVALUATED:
        return {"dataAbsentReason": concept(reason(finding, language), [NOT_PERFORMED], [NOT_PERFORMED.system])}
    interpretation = code("interpretations", key)
    return {
        "valueCodeableConcept": case.concept(say(f"presence_{key}", language), [code("presences", key)]),
        "interpretation": [concept(interpretation.display, [interpretation], [interpretation.system])],
    }


def _components(case: FhirCase, finding: Finding, *, is_single: bool) -> Iterator[JsonObject]:
    language = case.report.language
    if finding.laterality in (Laterality.LEFT, Laterality.RIGHT, Laterality.BILATERAL):
        side = code("sides", str(finding.laterality))
        yield {
            "code": case.concept(say("fhir_laterality", language), [code("properties", "laterality")]),
            "valueCodeableConcept": case.concept(say(f"side_{finding.laterality}", language), [side]),
        }
    if finding.probability is not None and finding.presence is not Presence.NOT_EVALUATED:
        share = Measurement(name="probability", value=finding.probability, unit="1", decimals=3)
        yield {"code": concept(say("fhir_probability", language)), "valueQuantity": quantity(share)}
    for measurement in () if is_single else finding.measurements:
        yield {"code": _measured_concept(case, measurement), "valueQuantity": quantity(measurement)}
    for uid in _images(case, finding):
        yield {"code": concept(say("fhir_image", language)), "valueString": uid}


def _measured_concept(case: FhirCase, measurement: Measurement) -> JsonObject:
    row = vocabulary().measurements.get(measurement.name)
    codes: list[Code] = [mapped.code for mapped in _usable(row.codes if row else ())]
    return case.concept(name(measurement.name, case.report.language), codes)


def _images(case: FhirCase, finding: Finding) -> list[str]:
    indexes = [e.slice_index for e in finding.evidence] + [m.slice_index for m in finding.measurements]
    if case.study is None or finding.presence in (Presence.ABSENT, Presence.NOT_EVALUATED):
        return []
    uids = [image_uid(case.study, index) for index in indexes if index is not None]
    return list(dict.fromkeys(uid for uid in uids if uid))[:MOST_IMAGES]
