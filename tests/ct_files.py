"""DICOM CT slices for tests of the reader: a good series that each test spoils in one way."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

SHAPE = (8, 20, 24)
"""(slices, rows, columns); all differ so that swapped axes show."""
STEP_MM = 2.5


def hu(shape=SHAPE, seed=0):
    """CT numbers from air to bone, the same for the same seed."""
    return np.random.default_rng(seed).integers(-1024, 1500, shape).astype(np.int16)


def series(values=None, key="1", **attributes):
    """Data sets of an axial series, feet to head; ``attributes`` replace or (None) remove header attributes of every slice."""
    values = hu() if values is None else values
    return [ct_slice(plane, k, key, **attributes) for k, plane in enumerate(values)]


def ct_slice(plane, k, key="1", **attributes):
    """One data set holding a plane of CT numbers, stored with an intercept of -1024."""
    data_set, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = data_set.SOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID = f"2.25.{key}3{k:03d}"
    data_set.file_meta = meta
    data_set.ImageType, data_set.Modality, data_set.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], "CT", k + 1
    data_set.PatientName, data_set.PatientID, data_set.PatientSex = "Quux^Corge", "ZQ-4711", "F"
    data_set.StudyDate, data_set.PatientBirthDate, data_set.AccessionNumber = "20240229", "19600101", "ACC77"
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = "2.25.11", f"2.25.{key}2"
    data_set.FrameOfReferenceUID, data_set.SeriesNumber = f"2.25.{key}4", 3
    data_set.ImagePositionPatient, data_set.ImageOrientationPatient = [-10, -20, STEP_MM * k], [1, 0, 0, 0, 1, 0]
    data_set.PixelSpacing, data_set.SliceThickness = [0.8, 0.7], STEP_MM
    data_set.Rows, data_set.Columns = plane.shape
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 16, 16, 15, 1
    data_set.RescaleIntercept, data_set.RescaleSlope, data_set.RescaleType = -1024, 1, "HU"
    store(data_set, plane.astype(np.int32) + 1024)
    for name, value in attributes.items():
        if value is None:
            delattr(data_set, name)
        else:
            setattr(data_set, name, value)
    return data_set


def enhanced(data_sets, **changes):
    """One Enhanced CT object of single-frame slices."""

    def group(**attributes):
        data_set = Dataset()
        for name, value in attributes.items():
            setattr(data_set, name, value)
        return Sequence([data_set])

    first = data_sets[0]
    frames = [
        group(
            PlanePositionSequence=group(ImagePositionPatient=d.ImagePositionPatient),
            PixelValueTransformationSequence=group(RescaleIntercept=d.RescaleIntercept, RescaleSlope=1),
        )[0]
        for d in data_sets
    ]
    whole = Dataset()
    whole.update(first)
    whole.file_meta = first.file_meta
    whole.file_meta.MediaStorageSOPClassUID = whole.SOPClassUID = EnhancedCTImageStorage
    whole.NumberOfFrames, whole.PixelData = len(data_sets), b"".join(d.PixelData for d in data_sets)
    whole.SharedFunctionalGroupsSequence = group(
        PixelMeasuresSequence=group(PixelSpacing=first.PixelSpacing),
        PlaneOrientationSequence=group(ImageOrientationPatient=first.ImageOrientationPatient),
    )
    whole.PerFrameFunctionalGroupsSequence = Sequence(frames)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(whole, name)
    for name, value in changes.items():
        setattr(whole, name, value)
    return whole


def store(data_set, words, kind="<i2"):
    """Put stored words into a data set."""
    data_set.PixelData = np.ascontiguousarray(words).astype(np.int32).astype(kind).tobytes()


def words(data_set, kind="<i2"):
    """The stored words of a data set."""
    return np.frombuffer(data_set.PixelData, kind).reshape(data_set.Rows, data_set.Columns).astype(np.int32)


def save(folder, data_sets, **options):
    """Write data sets as IM000.dcm, IM001.dcm... and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, data_set in enumerate(data_sets):
        data_set.save_as(folder / f"IM{k:03d}.dcm", enforce_file_format=True, **options)
    return folder


def codes(study):
    """The codes of a study's notices."""
    return {notice.code for notice in study.notices}
