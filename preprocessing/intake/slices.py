"""Headers -> slices: one value for each image, with its place in the patient and its pixel layout, checked for sense.

A slice may lack anything; ``layout_of`` and ``geometry.py`` refuse what cannot be read right. Knows nothing about series.
"""

from dataclasses import dataclass
from functools import lru_cache

from medomni.errors import BadInput
from medomni.types.study import PixelLayout
from preprocessing.intake import attributes, tags
from preprocessing.intake.header import DEFLATED, EXPLICIT_BIG, NATIVE, UNDEFINED, Header

CT_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
"""CT Image, Enhanced CT Image and Legacy Converted Enhanced CT Image Storage (PS3.6)."""
SINGLE_FRAME_CT = "1.2.840.10008.5.1.4.1.1.2"

JPEG_LOSSLESS = frozenset({"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"})
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
JPEG_2000 = frozenset({f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203)})
RLE = frozenset({"1.2.840.10008.1.2.5"})
COMPRESSED = JPEG_LOSSLESS | JPEG_LS | JPEG_2000 | RLE
ALWAYS_LOSSY = frozenset({"1.2.840.10008.1.2.4.81"})
PERHAPS_LOSSY = frozenset({"1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"})

MAX_SIDE = 8192
"""Largest credible matrix side; CT has 512, rarely 1024 or 2048."""
MAX_SLOPE, MAX_INTERCEPT = 100.0, 16384.0

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Slice:
    """One image of a file. ``length`` is the frame's bytes, or the whole PixelData value when it is compressed."""

    header: Header
    frame_index: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    slope: float | None
    intercept: float | None
    rows: int
    columns: int
    frames: int = 1

    def token(self, tag: int) -> str:
        """The value of an attribute as plain letters."""
        return attributes.token(self.header.values.get(tag))

    @property
    def instance_number(self) -> int | None:
        """InstanceNumber, or None."""
        return attributes.whole(self.header.values.get(tags.INSTANCE_NUMBER))


def single_slice(header: Header) -> Slice:
    """Return the one slice of a single-frame image."""
    values, is_little = header.values, header.is_little_endian
    return Slice(
        header,
        0,
        attributes.numbers(values.get(tags.IMAGE_POSITION), 3),
        _constant(values.get(tags.IMAGE_ORIENTATION), 6),
        _constant(values.get(tags.PIXEL_SPACING), 2),
        attributes.number(values.get(tags.SLOPE)),
        attributes.number(values.get(tags.INTERCEPT)),
        attributes.integer(values.get(tags.ROWS), is_little, False) or 0,
        attributes.integer(values.get(tags.COLUMNS), is_little, False) or 0,
    )


_constant = lru_cache(maxsize=256)(attributes.numbers)
"""For values that all slices of a series share."""


def frame_bytes(image: Slice) -> tuple[int, int]:
    """Return offset and length of a frame's stored bytes, checked against what the file really holds.

    Raises:
        BadInput: the file is shorter than it says.
    """
    header = image.header
    if header.transfer_syntax_uid not in NATIVE:
        length = header.size - header.pixel_offset
        if length < 8 or (header.pixel_length != UNDEFINED and header.pixel_length > length):
            raise _cut_short(image, max(0, length), header.pixel_length)
        return header.pixel_offset, length
    length = 2 * image.rows * image.columns
    held = header.size - header.pixel_offset
    wanted = max(header.pixel_length, length * image.frames)
    if header.pixel_length == UNDEFINED or header.pixel_length < length * image.frames or held < wanted:
        raise _cut_short(image, min(held, header.pixel_length), wanted)
    return header.pixel_offset + image.frame_index * length, length


def _cut_short(image: Slice, held: int, declared: int) -> BadInput:
    return BadInput(
        "the file is cut short or its size is wrong",
        found=f"{held} bytes of pixel data where {declared} are declared",
        remedy="copy or export the study again",
        where=image.header.item.name,
    )


def layout_of(image: Slice) -> PixelLayout:
    """Return how the slice's stored values become HU.

    Raises:
        BadInput: they cannot become HU, or not with certainty.
    """
    header = image.header
    raw = tuple(header.values.get(tag) for tag in _LAYOUT_TAGS)
    made = _layout(header.transfer_syntax_uid, header.is_little_endian, image.slope, image.intercept, raw)
    if isinstance(made, PixelLayout):
        return made
    wrong, found, remedy = made
    raise BadInput(wrong, found=found, remedy=remedy, where=header.item.name)


_LAYOUT_TAGS = (
    tags.SAMPLES_PER_PIXEL, tags.BITS_ALLOCATED, tags.BITS_STORED, tags.HIGH_BIT, tags.PIXEL_REPRESENTATION,
    tags.PADDING_VALUE, tags.PADDING_LIMIT,
)  # fmt: skip


@lru_cache(maxsize=256)
def _layout(
    syntax: str,
    is_little: bool,
    slope: float | None,
    intercept: float | None,
    raw: tuple[bytes | None, ...],
) -> PixelLayout | tuple[str, str, str]:
    samples, allocated, stored, high, sign = (attributes.integer(value, is_little, False) for value in raw[:5])
    again = "export the original CT series"
    if syntax not in NATIVE | COMPRESSED:
        return "this compression is not supported", f"transfer syntax {syntax}", "export the series uncompressed"
    if (samples or 1) != 1 or allocated != 16:
        return "not a CT image with CT numbers", f"BitsAllocated {allocated}, SamplesPerPixel {samples}", again
    if stored is None or not 9 <= stored <= 16 or high not in (None, stored - 1) or sign not in (0, 1):
        found = f"BitsStored {stored}, HighBit {high}, PixelRepresentation {sign}"
        return "the pixel description makes no sense", found, again
    if slope is None or intercept is None:
        return "stored values cannot be turned into HU", "RescaleSlope or RescaleIntercept is missing", again
    if not 0 < slope <= MAX_SLOPE or abs(intercept) > MAX_INTERCEPT:
        return "the rescale makes no sense", f"RescaleSlope {slope:g}, RescaleIntercept {intercept:g}", again
    value, limit = (attributes.integer(part, is_little, bool(sign)) for part in raw[5:])
    limit = value if limit is None else limit
    padding = None if value is None or limit is None else (min(value, limit), max(value, limit))
    return PixelLayout(syntax, stored, bool(sign), slope, intercept, padding)


def needs_inflating(layout: PixelLayout) -> bool:
    """Whether the whole data set is deflated."""
    return layout.transfer_syntax_uid == DEFLATED


def is_big_endian(layout: PixelLayout) -> bool:
    """Whether the stored words must be turned round."""
    return layout.transfer_syntax_uid == EXPLICIT_BIG


def is_lossy(image: Slice) -> bool:
    """Whether the pixels went through a lossy compression, now or earlier."""
    syntax, stated = image.header.transfer_syntax_uid, image.token(tags.LOSSY_COMPRESSION)
    return stated == "01" or syntax in ALWAYS_LOSSY or (syntax in PERHAPS_LOSSY and stated != "00")
