"""Writes a volume as one CT series of valid DICOM files, deterministic to the byte and clearly synthetic.

Knows nothing about how the volume was made; ``Labels`` says what its header states.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_dataset, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from medomni.types.volume import Grid, Volume

STUDY_DATE = "20240102"
RESCALE_INTERCEPT = -1024
_OF_ONE_IMAGE = frozenset(("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "SliceLocation", "PixelData"))
_PREAMBLE = b"\0" * 128 + b"DICM"
_IMPLEMENTATION_UID = UID("2.25.196226514129214862346219862318743226719")


@dataclass(frozen=True)
class Labels:
    """What the header says.

    Attributes:
        key: seeds every UID and identifier: the same key gives the same patient and study.
        visit: tells the studies of one patient apart.
        study_date: YYYYMMDD.
        slice_thickness_mm: nominal; the slice spacing when it is 0.
        exposure_mas: tube current-time product; not stated when it is 0.
        contrast_phase: words for the phase; "" without contrast medium.
        extra: DICOM keywords to set or change.
    """

    key: str
    number: int = 0
    age_years: int = 60
    sex: str = "O"
    body_part: str = "CHEST"
    series_description: str = "Synthetic chest"
    kernel: str = "SYNTHETIC"
    patient_position: str = "HFS"
    visit: str = ""
    study_date: str = STUDY_DATE
    kvp: int = 120
    slice_thickness_mm: float = 0.0
    exposure_mas: int = 0
    contrast_phase: str = ""
    extra: dict[str, str | int | float | list[str]] = field(default_factory=dict)


def synthetic_uid(*parts: str | int) -> UID:
    """Return a UID under 2.25 that depends only on ``parts`` (DICOM PS3.5 B.2)."""
    digest = hashlib.sha256("/".join(map(str, ("medomni", "phantom", *parts))).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def write_series(volume: Volume, folder: Path, labels: Labels) -> Path:
    """Write one CT image per slice into ``folder`` and return it.

    HU are rounded and stored in 12 bits with intercept -1024: values outside -1024..3071 HU are clipped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dataset = _series(volume.grid, labels)
    shared: dict[BaseTag, bytes] = {}
    for index in range(volume.grid.shape[0]):
        stored = np.clip(np.rint(volume.hu[index]) - RESCALE_INTERCEPT, 0, 4095).astype("<u2")
        _describe_image(dataset, stored, volume.grid, index, labels)
        if not shared:
            correct_ambiguous_vr(dataset, is_little_endian=True)
        parts = (_PREAMBLE, _encoded_meta(dataset.file_meta), *_encoded(dataset, shared))
        (folder / f"ct{index + 1:04d}.dcm").write_bytes(b"".join(parts))
    return folder


def _encoded_meta(meta: FileMetaDataset) -> bytes:
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()


def _encoded(dataset: Dataset, shared: dict[BaseTag, bytes]) -> Iterator[bytes]:
    """The elements of an image in order; those that all images share are encoded once."""
    for tag in sorted(dataset.keys()):
        if tag in shared:
            yield shared[tag]
            continue
        encoded = _encode(dataset[tag])
        if dataset[tag].keyword not in _OF_ONE_IMAGE:
            shared[tag] = encoded
        yield encoded


def _encode(element: DataElement) -> bytes:
    if element.keyword == "PixelData":
        value = bytes(element.value)
        return b"\xe0\x7f\x10\x00OW\x00\x00" + len(value).to_bytes(4, "little") + value
    single = Dataset()
    single.add(element)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, single, parent_encoding=["utf8"])
    return buffer.getvalue()


def _series(grid: Grid, labels: Labels) -> FileDataset:
    """Everything that the images of a series share."""
    dataset = FileDataset("", {}, file_meta=_file_meta(), preamble=b"\0" * 128)
    dataset.SOPClassUID = CTImageStorage
    _describe_patient_and_study(dataset, labels)
    _describe_series(dataset, labels)
    _describe_acquisition(dataset, grid, labels)
    _describe_pixels(dataset, grid)
    return dataset


def _describe_image(dataset: FileDataset, stored: np.ndarray, grid: Grid, index: int, labels: Labels) -> None:
    uid = _uid(labels, "image", index)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
    dataset.InstanceNumber = index + 1
    dataset.ImagePositionPatient = [_decimal(value) for value in grid.slice_origins_mm[index]]
    dataset.SliceLocation = _decimal(float(grid.slice_positions_mm[index]))
    dataset.PixelData = stored.tobytes()
    for keyword, value in labels.extra.items():
        setattr(dataset, keyword, value)


def _uid(labels: Labels, *parts: str | int) -> UID:
    return synthetic_uid(labels.key, *((labels.visit,) if labels.visit else ()), *parts)


def _file_meta() -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = _IMPLEMENTATION_UID, "MEDOMNI_PHANTOM"
    return meta


def _describe_patient_and_study(dataset: Dataset, labels: Labels) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = f"Phantom^Case {labels.number:04d}"
    dataset.PatientID = f"PHANTOM-{synthetic_uid(labels.key)[-8:]}"
    dataset.PatientBirthDate = f"{int(labels.study_date[:4]) - labels.age_years:04d}0101"
    dataset.PatientSex, dataset.PatientAge = labels.sex, f"{labels.age_years:03d}Y"
    dataset.PatientComments = "Computed phantom, not a person"
    dataset.StudyInstanceUID = _uid(labels, "study")
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = labels.study_date
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "090000"
    dataset.ReferringPhysicianName, dataset.AccessionNumber = "", f"SYN{labels.number:05d}{'P' if labels.visit else ''}"
    dataset.StudyID, dataset.StudyDescription = f"{labels.number}", "Synthetic CT phantom"


def _describe_series(dataset: Dataset, labels: Labels) -> None:
    dataset.Modality, dataset.SeriesNumber, dataset.AcquisitionNumber = "CT", 2, 1
    dataset.SeriesInstanceUID = _uid(labels, "series")
    dataset.FrameOfReferenceUID = _uid(labels, "frame")
    dataset.SeriesDescription, dataset.ProtocolName = labels.series_description, "Phantom"
    dataset.BodyPartExamined, dataset.PatientPosition = labels.body_part, labels.patient_position
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "MedOmni", "Torso 1"
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = "1", "0"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]


def _describe_acquisition(dataset: Dataset, grid: Grid, labels: Labels) -> None:
    """CT Image and Contrast/Bolus modules (PS3.3 C.8.2.1, C.7.6.4)."""
    dataset.KVP, dataset.ConvolutionKernel = labels.kvp, labels.kernel
    dataset.SliceThickness = _decimal(labels.slice_thickness_mm or grid.slice_spacing_mm)
    dataset.ImageOrientationPatient = [_decimal(value) for value in (*grid.row_direction, *grid.column_direction)]
    dataset.PixelSpacing = [_decimal(value) for value in grid.pixel_spacing_mm]
    dataset.GantryDetectorTilt, dataset.RotationDirection = 0, "CW"
    dataset.ReconstructionDiameter = _decimal(grid.shape[2] * grid.pixel_spacing_mm[1])
    if labels.exposure_mas:
        dataset.ExposureTime, dataset.XRayTubeCurrent, dataset.Exposure = 500, 2 * labels.exposure_mas, labels.exposure_mas
        dataset.ScanOptions, dataset.FilterType = "HELICAL MODE", "BODY"
    if labels.contrast_phase:
        dataset.ContrastBolusAgent, dataset.ContrastBolusIngredient = "Iodinated contrast medium", "IODINE"
        dataset.ContrastBolusRoute = "IV"
        dataset.SeriesDescription = f"{labels.series_description}, {labels.contrast_phase}"


def _describe_pixels(dataset: Dataset, grid: Grid) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = grid.shape[1:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = RESCALE_INTERCEPT, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = [40, -600], [400, 1500]
    dataset.WindowCenterWidthExplanation = ["MEDIASTINUM", "LUNG"]


def _decimal(value: float) -> str:
    """Return a decimal string of at most 16 characters (DS)."""
    return f"{float(value):.6f}".rstrip("0").rstrip(".") if abs(value) >= 5e-7 else "0"
