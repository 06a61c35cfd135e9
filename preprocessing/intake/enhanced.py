"""One Enhanced CT (multi-frame) object -> its slices, with geometry and rescale from the functional groups (PS3.3 C.7.6.16)."""

import warnings
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset

from medomni.errors import BadInput
from preprocessing.intake import attributes, tags
from preprocessing.intake.contents import Contents
from preprocessing.intake.header import MAX_HEADER, Header, inflated
from preprocessing.intake.slices import Slice

MAX_FRAMES = 20_000

_PLACES = {
    tags.IMAGE_POSITION: ("PlanePositionSequence", "ImagePositionPatient", 3),
    tags.IMAGE_ORIENTATION: ("PlaneOrientationSequence", "ImageOrientationPatient", 6),
    tags.PIXEL_SPACING: ("PixelMeasuresSequence", "PixelSpacing", 2),
    tags.SLOPE: ("PixelValueTransformationSequence", "RescaleSlope", 1),
    tags.INTERCEPT: ("PixelValueTransformationSequence", "RescaleIntercept", 1),
}


def frames_of(contents: Contents, header: Header) -> tuple[Slice, ...]:
    """Return one slice for each frame.

    Raises:
        BadInput: the functional groups are damaged or do not fit the number of frames.
    """
    declared = attributes.whole(header.values.get(tags.NUMBER_OF_FRAMES))
    where = header.item.name
    if declared is None or not 1 <= declared <= MAX_FRAMES:
        raise BadInput("NumberOfFrames makes no sense", found=f"{declared}", remedy="export the series again", where=where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values of the header
            data_set = dcmread(BytesIO(_header_bytes(contents, header)), force=True, stop_before_pixels=True)
            shared = next(iter(data_set.get("SharedFunctionalGroupsSequence") or [Dataset()]))
            groups = list(data_set.get("PerFrameFunctionalGroupsSequence") or [])
            found = [_frame(header, k, group, shared, declared) for k, group in enumerate(groups)]
    except Exception as error:
        raise BadInput(
            "the functional groups are damaged", found=type(error).__name__, remedy="export the series again", where=where
        ) from error
    if len(found) != declared:
        raise BadInput(
            "the functional groups do not fit NumberOfFrames",
            found=f"{len(found)} groups for {declared} frames",
            remedy="export the series again",
            where=where,
        )
    return tuple(found)


def _header_bytes(contents: Contents, header: Header) -> bytes:
    if header.size > header.pixel_offset > MAX_HEADER:
        raise ValueError("header too long")
    data = inflated(contents, header.item)
    if data is not None:
        return data[: header.pixel_offset]
    return contents.head(header.item, header.pixel_offset)[0]


def _frame(header: Header, index: int, group: Dataset, shared: Dataset, frames: int) -> Slice:
    values = {tag: _values(group, shared, *place) for tag, place in _PLACES.items()}
    slope, intercept = values[tags.SLOPE], values[tags.INTERCEPT]
    is_little = header.is_little_endian
    return Slice(
        header,
        index,
        values[tags.IMAGE_POSITION],
        values[tags.IMAGE_ORIENTATION],
        values[tags.PIXEL_SPACING],
        slope[0] if slope else None,
        intercept[0] if intercept else None,
        attributes.integer(header.values.get(tags.ROWS), is_little, False) or 0,
        attributes.integer(header.values.get(tags.COLUMNS), is_little, False) or 0,
        frames,
    )


def _values(group: Dataset, shared: Dataset, sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return an attribute of the frame's own groups, else of the shared ones, else None."""
    for place in (group, shared):
        items = place.get(sequence)
        if items:
            value = items[0].get(keyword)
            return attributes.numbers("\\".join(map(str, _listed(value))).encode(), count)
    return None


def _listed(value: object) -> list[object]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) or hasattr(value, "__iter__") else [value]
