"""Coded concepts: one code of one public code system, with its display text."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

LOINC: Final = "http://loinc.org"
SNOMED_CT: Final = "http://snomed.info/sct"
RADLEX: Final = "http://radlex.org"
DICOM_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
UCUM: Final = "http://unitsofmeasure.org"


class Value(BaseModel):
    """Base of every document value: frozen, strict about unknown keys, equal by content."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Code(Value):
    """One code of one system, for example LOINC 24627-2 "CT Chest"."""

    system: str = Field(min_length=1)
    code: str = Field(min_length=1)
    display: str = ""
