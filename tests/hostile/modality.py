"""Cases of kind: what is no CT, says two things about itself, or is CT in another shape."""

import copy

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage, EncapsulatedPDFStorage, EnhancedCTImageStorage, MRImageStorage

from tests.hostile.bench import Bench
from tests.hostile.corpus import case
from tests.hostile.scan import Slice, store

MOVED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SliceLocation")
MOVED += ("RescaleSlope", "RescaleIntercept", "RescaleType")


@case()
def mod_mr(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        one.header.Modality = "MR"
        one.header.SOPClassUID = one.header.file_meta.MediaStorageSOPClassUID = MRImageStorage
    bench.save(scan)


@case()
def mod_conflict(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        one.header.Modality = "MR"
    bench.save(scan)


@case()
def mod_sr_in_folder(bench: Bench) -> None:
    scan = bench.scan()
    report = _document(bench.scan([0.0], beside=scan[0])[0], BasicTextSRStorage, "SR")
    bench.save([report, *scan])
    bench.hold(scan)


@case()
def mod_pdf_only(bench: Bench) -> None:
    page = _document(bench.scan([0.0])[0], EncapsulatedPDFStorage, "DOC")
    page.header.EncapsulatedDocument = b"%PDF-1.7\n%%EOF\n"
    page.header.MIMETypeOfEncapsulatedDocument = "application/pdf"
    bench.save([page])


@case()
def mod_rgb_dose_report(bench: Bench) -> None:
    screens = bench.scan([0.0, 1.0, 2.0, 3.0][: bench.random.randint(1, 4)])
    for one in screens:
        store(one, np.zeros((bench.size, bench.size * 3)), bits=8, is_signed=False)
        one.header.Columns, one.header.SamplesPerPixel = bench.size, 3
        one.header.PhotometricInterpretation, one.header.PlanarConfiguration = "RGB", 0
    bench.save(screens)


@case()
def mod_enhanced_ct_multiframe(bench: Bench) -> None:
    scan = bench.scan()
    whole = copy.deepcopy(scan[0].header)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    for attribute in MOVED:
        delattr(whole, attribute)
    order = list(range(len(scan)))
    bench.random.shuffle(order)
    whole.NumberOfFrames = len(scan)
    whole.PixelData = b"".join(scan[k].header.PixelData for k in order)
    first = scan[0].header
    whole.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=first.ImageOrientationPatient)],
            PixelValueTransformationSequence=[_item(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU")],
        )
    ]
    whole.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=[_item(ImagePositionPatient=scan[k].header.ImagePositionPatient)],
            FrameContentSequence=[_item(StackID="1", InStackPositionNumber=k + 1)],
        )
        for k in order
    ]
    bench.save([Slice(whole, scan[0].hu)])
    bench.hold(scan)


def _document(one: Slice, sop_class: str, modality: str) -> Slice:
    """Turn an image into a document without pixels."""
    one.header.SOPClassUID = one.header.file_meta.MediaStorageSOPClassUID = sop_class
    one.header.Modality = modality
    for attribute in ("PixelData", "Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient"):
        delattr(one.header, attribute)
    return one


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item
