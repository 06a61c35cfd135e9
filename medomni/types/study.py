"""Studies: what was scanned, how, and which files hold it.

``Study.identity`` holds every direct identifier. It goes to the exporters that must have it (FHIR, DICOM, HL7)
and nowhere else: not to the model, the report, the logs, MLflow or a cache.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from medomni.types.codes import Value
from medomni.types.notice import Notice
from medomni.types.volume import Grid


class Identity(Value):
    """Direct identifiers of the patient and the study; text is cleaned and capped, dates are DICOM DA or empty."""

    patient_id: str = ""
    patient_id_issuer: str = ""
    patient_name: str = ""
    birth_date: str = ""
    accession_number: str = ""
    study_id: str = ""
    study_date: str = ""
    study_time: str = ""
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str = ""
    is_study_uid_substituted: bool = False


class Contrast(StrEnum):
    """What the header says about contrast medium; an empty attribute is "not stated", never "without"."""

    INTRAVENOUS = "intravenous"
    ORAL = "oral"
    OTHER = "other"
    NONE = "none"
    NOT_STATED = "not_stated"


class Acquisition(Value):
    """How the chosen series was acquired, from its DICOM header; None and "" mean "not stated".

    Holds no free text of the header: coded values, numbers and short equipment names only (letters, digits, " ._/-+").
    """

    body_part: str = ""
    image_type: tuple[str, ...] = ()
    patient_position: str = ""
    manufacturer: str = ""
    model: str = ""
    slice_thickness_mm: float | None = Field(default=None, gt=0)
    kvp: float | None = Field(default=None, gt=0)
    kernel: str = ""
    contrast: Contrast = Contrast.NOT_STATED
    ctdi_vol_mgy: float | None = Field(default=None, gt=0)
    dlp_mgy_cm: float | None = Field(default=None, gt=0)
    gantry_tilt_deg: float | None = None
    transfer_syntax_uid: str = ""
    is_lossy: bool = False
    has_burned_in_annotation: bool = False


class SeriesSummary(Value):
    """One line of the list of series found in a study, chosen or not, and why."""

    modality: str = ""
    description: str = ""
    number: int | None = None
    images: int = Field(ge=0)
    is_chosen: bool = False
    reason: str = ""


@dataclass(frozen=True)
class PixelLayout:
    """How the stored values of a frame are written and how they become HU: ``HU = stored * slope + intercept``.

    ``padding`` is the lowest and highest stored value that marks "no data here", or None.
    """

    transfer_syntax_uid: str
    bits_stored: int
    is_signed: bool
    slope: float
    intercept: float
    padding: tuple[int, int] | None = None


@dataclass(frozen=True)
class Frame:
    """Where the pixels of one slice lie: a frame of a file, or of a member of an archive (``member`` is its number there).

    ``offset`` and ``length`` give the frame's bytes, or the whole PixelData value when it is compressed. ``layout`` is None
    for a slice of a NIfTI file, whose pixels have one layout for the whole file.
    """

    path: Path
    frame_index: int
    sop_instance_uid: str
    sop_class_uid: str
    instance_number: int | None
    member: int | None = None
    offset: int = 0
    length: int = 0
    layout: PixelLayout | None = None


@dataclass(frozen=True, eq=False)
class Study:
    """One opened study with its best CT series chosen, checked and sorted.

    ``frames[k]`` is slice ``k`` of ``grid``. ``sex`` is M, F, O or "". ``age_years`` is None when not stated or not credible.
    ``descriptions`` is the header's free text (study, series, protocol), cleaned and capped: for people to
    read in ``medomni info``, never for the report, the model or a log, because it can hold names or instructions.
    """

    source_name: str
    identity: Identity
    acquisition: Acquisition
    series: tuple[SeriesSummary, ...]
    frames: tuple[Frame, ...]
    grid: Grid
    sex: str = ""
    age_years: float | None = None
    descriptions: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = field(default=())
