"""A small chest as CT numbers, and the header and pixels of one slice of it."""

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

BIRTH_DAY = "19610203"


@dataclass(frozen=True)
class Patient:
    """An invented patient."""

    family: str
    given: str
    id: str
    accession: str
    study_day: str


@dataclass
class Slice:
    """One image: its DICOM header, and the HU that a right reader gives for it."""

    header: Dataset
    hu: np.ndarray


def chest_hu(random: np.random.Generator, slices: int, size: int) -> np.ndarray:
    """Return a chest as int16 HU (z, y, x): columns to the patient's left, rows to the back; the right lung is larger."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    volume = np.full((slices, size, size), -1000.0)
    for k, z in enumerate(np.linspace(-1, 1, slices)):
        image = volume[k]
        image[ellipse(x, y, 0, 0, 0.88, 0.66)] = -100
        image[ellipse(x, y, 0, 0, 0.83, 0.61)] = 45
        for side, half in ((-0.42, 0.3), (0.44, 0.25)):
            image[ellipse(x, y, side, 0, half, 0.45 - 0.08 * abs(z))] = -840
        image[ellipse(x, y, 0.05, -0.15, 0.2, 0.2 - 0.05 * z)] = 40
        image[ellipse(x, y, 0, 0.05, 0.07, 0.07)] = -1000
        image[ellipse(x, y, 0, 0.48, 0.09, 0.09)] = 400
        radius = max(0.0, 0.01 - (0.12 * z) ** 2) ** 0.5
        if radius > 0:
            image[ellipse(x, y, 0.42, 0.1, radius, radius)] = 50
    volume += random.normal(0, 10, volume.shape)
    return np.clip(np.round(volume), -1024, 3071).astype(np.int16)


def ellipse(x: np.ndarray, y: np.ndarray, centre_x: float, centre_y: float, half_x: float, half_y: float) -> np.ndarray:
    """Return the mask of an ellipse."""
    return ((x - centre_x) / half_x) ** 2 + ((y - centre_y) / half_y) ** 2 < 1


def ct_header(patient: Patient, uid: str, study: str, series: str, frame: str) -> Dataset:
    """Return the header of one plain CT image without place and pixels."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = CTImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = uid
    header.PatientName, header.PatientID = f"{patient.family}^{patient.given}", patient.id
    header.PatientBirthDate, header.PatientSex = BIRTH_DAY, "F"
    header.PatientAge = f"{(int(patient.study_day) - int(BIRTH_DAY)) // 10_000:03d}Y"
    header.StudyInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = study, series, frame
    header.StudyDate, header.StudyTime, header.StudyID = patient.study_day, "091500", "1"
    header.AccessionNumber, header.Modality, header.Manufacturer = patient.accession, "CT", "INVENTED"
    header.BodyPartExamined, header.PatientPosition, header.KVP = "CHEST", "HFS", 120
    header.ImageType, header.SeriesNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], 2
    header.RescaleIntercept, header.RescaleSlope, header.RescaleType = -1024, 1, "HU"
    header.WindowCenter, header.WindowWidth = 40, 400
    return header


def store(one: Slice, values: np.ndarray, bits: int = 16, is_signed: bool = True) -> None:
    """Put stored values into a slice as plain little-endian pixels of 8 or 16 allocated bits."""
    header, allocated = one.header, 8 if bits <= 8 else 16
    header.Rows, header.Columns = values.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = allocated, bits, bits - 1
    header.PixelRepresentation = int(is_signed)
    dtype = "u1" if allocated == 8 else ("<i2" if is_signed else "<u2")
    data = np.ascontiguousarray(values).astype(dtype).tobytes()
    header.PixelData = data + b"\0" * (len(data) % 2)


def stored(one: Slice) -> np.ndarray:
    """Return the stored values of a plain 16-bit slice."""
    dtype = "<i2" if one.header.PixelRepresentation else "<u2"
    return np.frombuffer(one.header.PixelData, dtype).reshape(one.hu.shape).copy()
