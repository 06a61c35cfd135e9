"""Writes a volume as one CT series of valid DICOM files, deterministic to the byte and clearly synthetic.

Knows nothing about how the volume was made; ``Labels`` says what its header states.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from medomni.types.volume import Grid, Volume

STUDY_DATE = "20240102"
RESCALE_INTERCEPT = -1024
_IMPLEMENTATION_UID = UID("2.25.196226514129214862346219862318743226719")


@dataclass(frozen=True)
class Labels:
    """What the header says. ``key`` seeds every UID and identifier: the same key gives the same study."""

    key: str
    number: int = 0
    age_years: int = 60
    sex: str = "O"
    body_part: str = "CHEST"
    series_description: str = "Synthetic chest"
    kernel: str = "SYNTHETIC"
    patient_position: str = "HFS"
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
    for index in range(volume.grid.shape[0]):
        stored = np.clip(np.rint(volume.hu[index]) - RESCALE_INTERCEPT, 0, 4095).astype("<u2")
        dataset = _image(stored, volume.grid, index, labels)
        dataset.save_as(folder / f"ct{index + 1:04d}.dcm", enforce_file_format=True)
    return folder


def _image(stored: np.ndarray, grid: Grid, index: int, labels: Labels) -> FileDataset:
    uid = synthetic_uid(labels.key, "image", index)
    dataset = FileDataset("", {}, file_meta=_file_meta(uid), preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, uid
    _describe_patient_and_study(dataset, labels)
    _describe_series(dataset, labels)
    _describe_plane(dataset, grid, index)
    _describe_pixels(dataset, stored)
    for keyword, value in labels.extra.items():
        setattr(dataset, keyword, value)
    return dataset


def _file_meta(uid: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = _IMPLEMENTATION_UID, "MEDOMNI_PHANTOM"
    return meta


def _describe_patient_and_study(dataset: Dataset, labels: Labels) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = f"Phantom^Case {labels.number:04d}"
    dataset.PatientID = f"PHANTOM-{synthetic_uid(labels.key)[-8:]}"
    dataset.PatientBirthDate = f"{int(STUDY_DATE[:4]) - labels.age_years:04d}0101"
    dataset.PatientSex, dataset.PatientAge = labels.sex, f"{labels.age_years:03d}Y"
    dataset.PatientComments = "Computed phantom, not a person"
    dataset.StudyInstanceUID = synthetic_uid(labels.key, "study")
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = STUDY_DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "090000"
    dataset.ReferringPhysicianName, dataset.AccessionNumber = "", f"SYN{labels.number:05d}"
    dataset.StudyID, dataset.StudyDescription = f"{labels.number}", "Synthetic CT phantom"


def _describe_series(dataset: Dataset, labels: Labels) -> None:
    dataset.Modality, dataset.SeriesNumber, dataset.AcquisitionNumber = "CT", 2, 1
    dataset.SeriesInstanceUID = synthetic_uid(labels.key, "series")
    dataset.FrameOfReferenceUID = synthetic_uid(labels.key, "frame")
    dataset.SeriesDescription, dataset.ProtocolName = labels.series_description, "Phantom"
    dataset.BodyPartExamined, dataset.PatientPosition = labels.body_part, labels.patient_position
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "MedOmni", "Torso 1"
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = "1", "0"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.KVP, dataset.ConvolutionKernel = 120, labels.kernel


def _describe_plane(dataset: Dataset, grid: Grid, index: int) -> None:
    origin = grid.slice_origins_mm[index]
    dataset.InstanceNumber = index + 1
    dataset.ImagePositionPatient = [_decimal(value) for value in origin]
    dataset.ImageOrientationPatient = [_decimal(value) for value in (*grid.row_direction, *grid.column_direction)]
    dataset.PixelSpacing = [_decimal(value) for value in grid.pixel_spacing_mm]
    dataset.SliceThickness = _decimal(grid.slice_spacing_mm)
    dataset.SliceLocation = _decimal(float(grid.slice_positions_mm[index]))


def _describe_pixels(dataset: Dataset, stored: np.ndarray) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = RESCALE_INTERCEPT, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = [40, -600], [400, 1500]
    dataset.WindowCenterWidthExplanation = ["MEDIASTINUM", "LUNG"]
    dataset.PixelData = stored.tobytes()


def _decimal(value: float) -> str:
    """Return a decimal string of at most 16 characters (DS)."""
    return f"{float(value):.6f}".rstrip("0").rstrip(".") if abs(value) >= 5e-7 else "0"
