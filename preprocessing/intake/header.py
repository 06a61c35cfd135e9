"""The first bytes of a file -> the header attributes the reader needs, and where its pixels lie.

A small strict scanner walks plain data sets (little and big endian, explicit and implicit) without looking into
sequences: about 0.1 ms for a slice. What it does not understand goes to pydicom. Values stay bytes
here; ``attributes.py`` turns them into numbers and text. No declared length is trusted and private attributes are never kept.
"""

import re
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from struct import Struct

from medomni.errors import BadInput
from preprocessing.intake.contents import Contents, Item
from preprocessing.intake.tags import CLASS_OF_META, PIXEL_DATA, SOP_CLASS_UID, SYNTAX_OF_META, WANTED

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})

UNDEFINED = 0xFFFFFFFF
FIRST_READ = 8 << 10
"""Bytes read at first; nearly all CT headers are shorter."""
MAX_HEADER = 64 << 20
"""Longest header that is read; the functional groups of a large multi-frame CT take some MiB."""
MAX_VALUE = 4096
"""Longest value that is kept; longer text is cut, and said to be."""
LONG_TEXT = 64 << 10
"""Text longer than this anywhere in the header is reported."""
MAX_NESTING = 64
INFLATE_FREE, INFLATE_RATIO = 16 << 20, 50
"""A deflated data set may grow to the first plus the second times its packed size."""

_LONG_FORM = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"})
_SHORT_FORM = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH"}
    | {b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_TEXT = frozenset({b"UT", b"LT", b"ST", b"LO", b"SH", b"UC", b"PN", b"AE", b"CS", b"DS", b"IS", b"UR", b"UN"})
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


@dataclass(frozen=True, slots=True)
class Header:
    """The wanted attributes of one data set, as bytes, and the place of its PixelData value (offset -1 when it has none)."""

    item: Item
    values: dict[int, bytes]
    transfer_syntax_uid: str
    is_little_endian: bool
    pixel_offset: int
    pixel_length: int
    size: int
    has_program_preamble: bool = False
    has_cut_text: bool = False


class NotDicom(Exception):
    """The bytes are no DICOM data set; the reader leaves the file out."""


class _NeedMore(Exception):
    """The header goes on behind the bytes read so far."""


class _Unusual(Exception):
    """The scanner does not understand this data set; pydicom may."""


def read_header(contents: Contents, item: Item) -> Header:
    """Return the header of one item.

    Raises:
        NotDicom: it is something else, or too damaged to say what it is.
        BadInput: it is DICOM that breaks a cap.
    """
    length = FIRST_READ
    while True:
        head, size = contents.head(item, length)
        is_whole = len(head) < length or len(head) == size
        try:
            return _parse(item, head, size)
        except _NeedMore:
            if is_whole or length >= MAX_HEADER:
                raise NotDicom("the header is cut short") from None
            length = min(length * 16, MAX_HEADER)


def _parse(item: Item, head: bytes, size: int) -> Header:
    if len(head) < 132 and size >= 132:
        raise NotDicom("cannot be read")
    if not head:
        raise NotDicom("the file is empty")
    has_preamble = head[128:132] == b"DICM"
    start = 132 if has_preamble else 0
    syntax, media_class = "", b""
    if head[start : start + 2] == b"\x02\x00":
        syntax, media_class, start = _read_meta(head, start)
    elif not has_preamble and not _looks_like_data_set(head):
        raise NotDicom("not a DICOM file")
    if syntax == DEFLATED:
        head, start = _inflate(item, head, size, start), 0
        size = len(head)
    if not syntax:
        syntax = EXPLICIT_LITTLE if head[start + 4 : start + 6] in _SHORT_FORM | _LONG_FORM else IMPLICIT_LITTLE
    try:
        values, offset, length, is_cut = _Scan(head, syntax).walk(start)
    except _Unusual:
        values, offset, length, is_cut = _ask_pydicom(head, size)
    if media_class:
        values.setdefault(SOP_CLASS_UID, media_class)
    if not values:
        raise NotDicom("no attribute of an image in it")
    is_program = has_preamble and (head[:2] == b"MZ" or head[:4] == b"\x7fELF")
    return Header(item, values, syntax, syntax != EXPLICIT_BIG, offset, length, size, is_program, is_cut)


def _looks_like_data_set(head: bytes) -> bool:
    """Whether bytes without a preamble start with group 0008, as every data set of an image does."""
    return len(head) > 8 and head[:2] == b"\x08\x00" and head[2:4] < b"\x20\x00"


_meta_element = Struct("<HH2sH").unpack_from
_long_length = Struct("<I").unpack_from


def _read_meta(head: bytes, position: int) -> tuple[str, bytes, int]:
    """Return transfer syntax, SOP class and where the data set starts; the meta group is always explicit little endian."""
    syntax, media_class = "", b""
    while position + 8 <= len(head):
        group, element, kind, length = _meta_element(head, position)
        if group != 0x0002:
            return syntax, media_class, position
        start = position + 8
        if kind in _LONG_FORM:
            if start + 4 > len(head):
                break
            length, start = _long_length(head, start)[0], start + 4
        elif kind not in _SHORT_FORM:
            raise NotDicom("the file meta information is damaged")
        if element == SYNTAX_OF_META & 0xFFFF:
            syntax = head[start : start + length].decode("latin-1").strip(" \0")
            if not re.fullmatch(r"[0-9.]{1,64}", syntax):
                raise NotDicom("the transfer syntax is damaged")
        elif element == CLASS_OF_META & 0xFFFF:
            media_class = head[start : start + min(length, 128)]
        position = start + length
    raise _NeedMore


def inflated(contents: Contents, item: Item) -> bytes | None:
    """Return the unpacked data set of a deflated file, or None for any other file."""
    if _syntax_of(contents.head(item, FIRST_READ)[0]) != DEFLATED:
        return None
    data = contents.whole(item)
    return _inflate(item, data, len(data), _read_meta(data, 132)[2])


def _syntax_of(head: bytes) -> str:
    return _read_meta(head, 132)[0] if head[128:132] == b"DICM" and head[132:134] == b"\x02\x00" else ""


def _inflate(item: Item, head: bytes, size: int, start: int) -> bytes:
    if len(head) < size:
        raise _NeedMore
    cap = INFLATE_FREE + INFLATE_RATIO * (size - start)
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = machine.decompress(head[start:], cap)
    except zlib.error:
        raise NotDicom("the deflated data set is damaged") from None
    if machine.unconsumed_tail:
        raise BadInput(
            "a deflated data set unpacks to far too much",
            found=f"more than {cap >> 20} MiB from {size / 2**20:.1f} MiB",
            remedy="do not trust this file",
            where=item.name,
        )
    return data


class _Scan:
    """One walk over the top level of a data set."""

    def __init__(self, data: bytes, syntax: str) -> None:
        self.data = data
        order = ">" if syntax == EXPLICIT_BIG else "<"
        self.is_implicit = syntax == IMPLICIT_LITTLE
        self.explicit_element = Struct(order + "HH2sH").unpack_from
        self.implicit_element = Struct(order + "HHI").unpack_from
        self.length = Struct(order + "I").unpack_from

    def walk(self, position: int) -> tuple[dict[int, bytes], int, int, bool]:
        """Return the wanted values, the offset and length of PixelData, and whether a long text was met."""
        data, end, is_implicit = self.data, len(self.data), self.is_implicit
        element_at, implicit_at, length_at = self.explicit_element, self.implicit_element, self.length
        values: dict[int, bytes] = {}
        is_cut = False
        while position + 8 <= end:
            if is_implicit:
                group, element, length = implicit_at(data, position)
                kind, start = b"", position + 8
            else:
                group, element, kind, length = element_at(data, position)
                start = position + 8
                if kind not in _SHORT_FORM:
                    if kind not in _LONG_FORM:
                        raise _Unusual
                    if start + 4 > end:
                        raise _NeedMore
                    length, start = length_at(data, start)[0], start + 4
            tag = group << 16 | element
            if tag == PIXEL_DATA:
                return values, start, length, is_cut
            if length == UNDEFINED:
                position = self._skip_sequence(start)
                continue
            if length > LONG_TEXT and (kind in _TEXT or (is_implicit and group < 0x28)):
                is_cut = True
            if tag in WANTED:
                if start + min(length, MAX_VALUE) > end:
                    raise _NeedMore
                is_cut = is_cut or length > MAX_VALUE
                values[tag] = data[start : start + min(length, MAX_VALUE)]
            position = start + length
        if position != end:
            raise _NeedMore
        return values, -1, 0, is_cut

    def _skip_sequence(self, position: int) -> int:
        """Return where a sequence of undefined length ends; it is walked, never entered by recursion."""
        data, end, depth = self.data, len(self.data), 1
        while position + 8 <= end:
            group, element, length = self.implicit_element(data, position)
            tag = group << 16 | element
            if tag in (_ITEM_END, _SEQUENCE_END):
                depth, position = depth - 1, position + 8
                if depth == 0:
                    return position
                continue
            start = position + 8
            if tag != _ITEM and not self.is_implicit:
                kind, length = self.explicit_element(data, position)[2:]
                if kind in _LONG_FORM:
                    if start + 4 > end:
                        break
                    length, start = self.length(data, start)[0], start + 4
                elif kind not in _SHORT_FORM:
                    raise _Unusual
            if length == UNDEFINED:
                depth, length = depth + 1, 0
                if depth > 2 * MAX_NESTING:
                    raise NotDicom("sequences are nested too deep")
            position = start + length
        raise _NeedMore


def _ask_pydicom(head: bytes, size: int) -> tuple[dict[int, bytes], int, int, bool]:
    """Return what pydicom makes of a data set that the scanner does not understand."""
    from pydicom import dcmread

    if len(head) < min(size, MAX_HEADER):
        raise _NeedMore
    stream = BytesIO(head)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values of the header
            data_set = dcmread(stream, force=True, specific_tags=sorted(WANTED), stop_before_pixels=True)
        raw = list(map(data_set.get_item, data_set.keys()))
        is_little = data_set.original_encoding[1]
    except Exception as error:
        raise NotDicom(f"damaged, {type(error).__name__}") from error
    values = {int(e.tag): e.value[:MAX_VALUE] for e in raw if e is not None and isinstance(e.value, bytes)}
    order, at = "<" if is_little else ">", stream.tell()
    if Struct(order + "HH").unpack(head[at : at + 4].ljust(4, b"\0")) != (PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF):
        return values, -1, 0, False
    start = at + (12 if head[at + 4 : at + 6] in (b"OW", b"OB", b"UN") else 8)
    if start > len(head):
        raise NotDicom("the header is cut short")
    return values, start, int(Struct(order + "I").unpack_from(head, start - 4)[0]), False
