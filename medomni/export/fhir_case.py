"""What the builders of FHIR resources share: one report with its study, the options, and the addresses of the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from medomni.errors import UnsafeDraft
from medomni.export.fhir_ids import Token, address, content_uuid, role_uuid, uuid_token
from medomni.export.fhir_values import (
    CODE_SYSTEMS,
    HL7,
    JsonObject,
    coding,
    compact,
    concept,
    day,
    hl7,
    identifier,
    instant,
    text,
    uri,
)
from medomni.export.signed import is_signed, moment, signatures
from medomni.reporting.states import SIGNED
from medomni.reporting.vocabulary import read_table, tables
from medomni.types.codes import Code
from medomni.types.notice import NoticeLevel
from medomni.types.report import Report, ReportState
from medomni.types.study import Study

AIAST: Final = Code(system=f"{HL7}/v3-ObservationValue", code="AIAST", display="Artificial Intelligence asserted")
CLINAST: Final = Code(system=f"{HL7}/v3-ObservationValue", code="CLINAST", display="clinician asserted")
"""The labels of content that software and that a clinician asserted (HL7 v3 ObservationValue)."""

PRELIMINARY: Final = "preliminary"
STATUS: Final = {state: str(state) for state in ReportState} | {ReportState.DRAFT: PRELIMINARY}
"""FHIR DiagnosticReport.status of each state; the signed states need a signature, which a draft does not hold."""
_FIRST: Final = (PRELIMINARY, "final")
_LATER: Final = (*_FIRST, "amended", "corrected", "appended")
REPLACED: Final = {
    ReportState.FINAL: _FIRST,
    **dict.fromkeys((ReportState.AMENDED, ReportState.CORRECTED, ReportState.APPENDED), _LATER),
    ReportState.ENTERED_IN_ERROR: (*_LATER, "entered-in-error"),
}
"""Status of what the server may hold that each signed state takes the place of: all before it, nothing after it."""


@dataclass(frozen=True)
class FhirOptions:
    """How to export.

    Attributes:
        recorded: when the draft was made, with a time zone; None leaves the time out, so that the same draft gives the
            same bytes.
        code_systems: the code systems that may appear for findings, measurements and exam; SNOMED CT needs a licence in
            some countries and can be left out.
        patient_system: URI of the hospital's patient numbers. Where neither it nor the header says whose number it is, the
            bundle refers to the patient by the bare number and creates nobody.
    """

    recorded: datetime | None = None
    code_systems: tuple[str, ...] = CODE_SYSTEMS
    patient_system: str = ""


@dataclass(frozen=True, eq=False)
class FhirCase:
    """One report on its way out. ``study`` is None when only the report is at hand: then nothing names the patient."""

    report: Report
    study: Study | None
    options: FhirOptions

    @property
    def status(self) -> str:
        """The FHIR status of the report."""
        return STATUS[self.report.state]

    @property
    def is_signed(self) -> bool:
        """Whether the report holds the signature that its state claims."""
        return is_signed(self.report)

    @property
    def replaced(self) -> tuple[str, ...]:
        """Status of the versions that this one replaces: a draft only drafts, so that it never touches what is signed."""
        return REPLACED[self.report.state] if signatures(self.report) else (PRELIMINARY,)

    @property
    def issued(self) -> str:
        """When this version was signed, for a draft when it was made; "" when that is not told."""
        if self.is_signed:
            return instant(moment(self.report.signatures[-1]))
        return instant(self.options.recorded) if self.options.recorded else ""

    @property
    def asserted(self) -> tuple[Code, ...]:
        """Who asserts the report as a whole: the software, and once it is signed a clinician as well."""
        return (AIAST, CLINAST) if self.is_signed else (AIAST,)

    @property
    def signers(self) -> tuple[str, ...]:
        """The names under a signed report, each once, in order of signature."""
        return tuple(dict.fromkeys(text(one.name) for one in self.report.signatures)) if self.is_signed else ()

    def signer_uuid(self, name: str) -> str:
        """Identity of a person who signs."""
        return content_uuid("practitioner", name)

    def signer(self, name: str) -> JsonObject:
        """The reference to a person who signs."""
        return {"reference": address(self.signer_uuid(name)), "type": "Practitioner", "display": name}

    @property
    def effective(self) -> str:
        """The day of the study, "" when the header states no valid one."""
        return day(self.study.identity.study_date) if self.study else ""

    @property
    def patient_token(self) -> Token | None:
        """The patient's number with its system; None where it is not known whose number it is: nobody is matched then.

        The header's own issuer goes before the setting: it speaks of this very number.
        """
        who = self.study.identity if self.study else None
        system = (uri(who.patient_id_issuer) or self.options.patient_system) if who else ""
        return Token(system, text(who.patient_id)) if who and system and text(who.patient_id) else None

    @property
    def patient_uuid(self) -> str:
        """Identity of the patient, of the same system and number in every study."""
        token = self.patient_token
        return content_uuid("patient", token.system, token.value) if token else self._nobody

    @property
    def study_uuid(self) -> str:
        """Identity of the imaging study."""
        return content_uuid(self.report.provenance.study_key, "imaging-study")

    @property
    def device_uuid(self) -> str:
        """Identity of the software with the versions and digests of all its parts."""
        parts = self.report.provenance.parts
        return content_uuid("device", *(item for part in parts for item in (part.role, part.name, part.version, part.digest)))

    def uuid(self, role: str) -> str:
        """Identity of a resource of this draft."""
        return role_uuid(self.report.provenance, role)

    def subject(self) -> JsonObject:
        """The reference to the patient: into the bundle, or by identifier alone when nobody can be matched."""
        if self.patient_token:
            return {"reference": address(self.patient_uuid), "type": "Patient"}
        return {"type": "Patient", "identifier": self.patient_identifier()}

    def patient_identifier(self) -> JsonObject:
        """The patient's number as far as it is known whose it is; a stand-in of the study when none is stated."""
        number = text(self.study.identity.patient_id) if self.study else ""
        if self.study is None or not number:
            return identifier(uuid_token(self._nobody))
        kind = hl7("v2-0203", "MR", "Medical record number")
        assigner = compact({"display": text(self.study.identity.patient_id_issuer)})
        return compact({**identifier(self.patient_token or Token("", number), kind), "assigner": assigner})

    @property
    def _nobody(self) -> str:
        """Identity that stands in for the patient of this study."""
        return content_uuid(self.report.provenance.study_key, "patient")

    def imaging(self) -> list[object]:
        """The reference to the imaging study, none when no study is at hand."""
        return [{"reference": address(self.study_uuid), "type": "ImagingStudy"}] if self.study else []

    def device(self) -> JsonObject:
        """The reference to the software."""
        return {"reference": address(self.device_uuid), "type": "Device"}

    def meta(self, *asserted: Code) -> JsonObject:
        """The security labels that tell who asserted something: software, a person, or both."""
        return {"security": [coding(label) for label in asserted]}

    def concept(self, words: str, codes: Sequence[Code] = ()) -> JsonObject:
        """A CodeableConcept with the codes of the systems that may leave."""
        return concept(words, codes, self.options.code_systems)

    def uuid_identifier(self, role: str) -> list[object]:
        """The identifier by which a server finds the resource of a role again."""
        return [identifier(self.token(role))]

    def token(self, role: str) -> Token:
        """The search token of a resource of this draft."""
        return uuid_token(self.uuid(role))


def require_exportable(report: Report) -> None:
    """Refuse what must not leave the house.

    Raises:
        UnsafeDraft: the draft holds an unsafe contradiction, or claims to be signed and holds no such signature. A signed
            report is not judged again: its signer has seen what the linter said.
    """
    if is_signed(report):
        return
    unsafe = [notice.code for notice in report.notices if notice.level is NoticeLevel.UNSAFE]
    if unsafe:
        raise UnsafeDraft("the draft contradicts itself", found=", ".join(unsafe), remedy="correct it before it is exported")
    if report.state in SIGNED:
        raise UnsafeDraft(
            "the report claims to be signed",
            found=f"state {report.state}",
            remedy="it holds no signature that says so; only a person signs",
        )


def code(table: str, key: str) -> Code:
    """Return a code of ``medomni/data/fhir_codes.toml``."""
    return _codes()[f"{table}.{key}"]


@cache
def _codes() -> dict[str, Code]:
    table = read_table("fhir_codes.toml")
    return {
        f"{group}.{key}": Code(system=str(row["system"]), code=str(row["code"]), display=str(row["display"]))
        for group in table
        for key, row in tables(table, group).items()
    }


def entry(identity: str, resource: object, method: str, url: str, condition: str = "") -> JsonObject:
    """Return one entry of a transaction."""
    request = compact({"method": method, "url": url, "ifNoneExist": condition})
    return {"fullUrl": address(identity), "resource": resource, "request": request}
