"""Patient, ImagingStudy and Device as FHIR R4 entries: the ones that exist without the draft.

They are created only when the server does not have them, so that an export never rewrites the hospital's own records.
"""

from medomni.export.fhir_case import FhirCase, entry
from medomni.export.fhir_ids import DICOM_UID_SYSTEM, URI_SYSTEM, Token, content_uuid, search, uid_of, uuid_token
from medomni.export.fhir_values import JsonObject, compact, concept, day, hl7, human_names, identifier, is_uid, text
from medomni.export.words import say
from medomni.types.codes import DICOM_DCM
from medomni.types.study import Frame, Study

GENDERS = {"M": "male", "F": "female", "O": "other"}
MAKER = "The MedOmni authors"


def patient_entry(case: FhirCase, study: Study, token: Token) -> JsonObject:
    """Return the patient with what the header states: identifier, names, sex, date of birth."""
    who = study.identity
    born = day(who.birth_date)
    if born > (day(who.study_date) or born):  # born after the study: one of the dates is wrong, and nobody knows which
        born = ""
    resource = compact(
        {
            "resourceType": "Patient",
            "identifier": [case.patient_identifier()],
            "name": human_names(who.patient_name),
            "gender": GENDERS.get(study.sex, ""),
            "birthDate": born,
        }
    )
    return entry(case.patient_uuid, resource, "POST", "Patient", search("identifier", token))


def imaging_study_entry(case: FhirCase, study: Study) -> JsonObject:
    """Return the study with the series that was read and its instances."""
    token = _study_token(case, study)
    accession = text(study.identity.accession_number)
    accession_identifier = identifier(Token("", accession), hl7("v2-0203", "ACSN", "Accession ID"))
    resource = compact(
        {
            "resourceType": "ImagingStudy",
            "identifier": [identifier(token), *([accession_identifier] if accession else [])],
            "status": "available",
            "modality": [_modality()],
            "subject": case.subject(),
            "started": case.effective,
            "series": [_series(case, study)],
        }
    )
    return entry(case.study_uuid, resource, "POST", "ImagingStudy", search("identifier", token))


def device_entry(case: FhirCase) -> JsonObject:
    """Return the software with the version and digest of each part; other parts make another device."""
    language, parts = case.report.language, case.report.provenance.parts
    versions: list[object] = []
    for part in parts:
        named = text(f"{part.role}: {part.name}")
        versions += [{"type": concept(named), "value": text(part.version)}] if text(part.version) else []
        versions += [{"type": concept(f"{named}, digest"), "value": text(part.digest)}] if text(part.digest) else []
    token = uuid_token(case.device_uuid)
    resource = compact(
        {
            "resourceType": "Device",
            "identifier": [identifier(token)],
            "status": "active",
            "manufacturer": MAKER,
            "deviceName": [{"name": "MedOmni", "type": "user-friendly-name"}],
            "type": concept(say("fhir_software", language)),
            "version": versions,
            "note": [{"text": say("not_a_device", language)}],
        }
    )
    return entry(case.device_uuid, resource, "POST", "Device", search("identifier", token))


def image_uid(study: Study, slice_index: int) -> str:
    """Return the SOP instance UID of a slice, "" when it has none."""
    uid = study.frames[slice_index].sop_instance_uid if slice_index < len(study.frames) else ""
    return uid if is_uid(uid) else ""


def _study_token(case: FhirCase, study: Study) -> Token:
    uid = study.identity.study_instance_uid
    return Token(DICOM_UID_SYSTEM, f"urn:oid:{uid}") if is_uid(uid) else uuid_token(case.study_uuid)


def _modality() -> JsonObject:
    return {"system": DICOM_DCM, "code": "CT", "display": "Computed Tomography"}


def _series(case: FhirCase, study: Study) -> JsonObject:
    chosen = next((series for series in study.series if series.is_chosen), None)
    number = chosen.number if chosen and chosen.number is not None and chosen.number >= 0 else None
    uid = study.identity.series_instance_uid
    frames = {frame.sop_instance_uid: frame for frame in study.frames if is_uid(frame.sop_instance_uid)}
    return compact(
        {
            "uid": uid if is_uid(uid) else uid_of(content_uuid(case.study_uuid, "series")),
            "number": number,
            "modality": _modality(),
            "numberOfInstances": len(frames) or None,
            "instance": [_instance(frame) for frame in frames.values() if is_uid(frame.sop_class_uid)],
        }
    )


def _instance(frame: Frame) -> JsonObject:
    number = frame.instance_number
    return compact(
        {
            "uid": frame.sop_instance_uid,
            "sopClass": {"system": URI_SYSTEM, "code": f"urn:oid:{frame.sop_class_uid}"},
            "number": number if number is not None and number >= 0 else None,
        }
    )
