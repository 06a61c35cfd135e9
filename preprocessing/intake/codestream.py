"""One encapsulated PixelData value -> its code streams, and one code stream -> the words of a frame.

Runs native codecs: call it only in a child process (``decode.py``). Structure is checked first, because codecs fill what
is missing with grey and say nothing.
"""

import struct
from collections.abc import Callable

import numpy as np
from jaxtyping import Int16

from medomni.types.study import PixelLayout
from preprocessing.intake.slices import JPEG_2000, JPEG_LOSSLESS, JPEG_LS, RLE

_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_END_OF_IMAGE = b"\xff\xd9"


class Damaged(Exception):
    """The compressed data breaks its format or does not fit the header."""


class CutShort(Damaged):
    """The compressed data ends before it should."""


class MissingCodec(Exception):
    """The package for this compression is not installed."""


def single_stream(value: bytes) -> list[bytes]:
    """Return the one code stream of a single-frame object's encapsulated PixelData value (PS3.5 A.4).

    Raises:
        CutShort: the last fragment is incomplete.
    """
    return [b"".join(_fragments(value)[1])]


def frame_streams(value: bytes) -> list[bytes]:
    """Return the code stream of each frame of a multi-frame object: by the basic offset table, else one per fragment.

    Raises:
        CutShort: the last fragment is incomplete.
        Damaged: fragments and frames cannot be matched.
    """
    table, fragments, starts = _fragments(value)
    if not table:
        return fragments
    if table[0] != 0 or sorted(table) != table:
        raise Damaged
    streams: list[list[bytes]] = [[] for _ in table]
    for fragment, start in zip(fragments, starts, strict=True):
        streams[int(np.searchsorted(table, start, side="right")) - 1].append(fragment)
    return [b"".join(parts) for parts in streams]


def _fragments(value: bytes) -> tuple[list[int], list[bytes], list[int]]:
    """Return the basic offset table, the fragments, and the offset of each fragment's item as the table counts it."""
    parts: list[bytes] = []
    starts: list[int] = []
    position = 0
    while position + 8 <= len(value):
        tag, length = value[position : position + 4], int(struct.unpack_from("<I", value, position + 4)[0])
        if tag == _DELIMITER:
            break
        if tag != _ITEM:
            raise Damaged
        if position + 8 + length > len(value):
            raise CutShort
        parts.append(value[position + 8 : position + 8 + length])
        starts.append(position)
        position += 8 + length
    else:
        if position != len(value):
            raise CutShort
    if len(parts) < 2:
        raise CutShort
    base = starts[1]
    table = list(struct.unpack(f"<{len(parts[0]) // 4}I", parts[0][: len(parts[0]) // 4 * 4]))
    return table, parts[1:], [start - base for start in starts[1:]]


def decode(stream: bytes, layout: PixelLayout, rows: int, columns: int) -> Int16[np.ndarray, "y x"]:
    """Return the stored words of one frame.

    Raises:
        CutShort, Damaged: the stream is not whole, or does not fit the header.
        MissingCodec: its codec is not installed.
    """
    syntax = layout.transfer_syntax_uid
    if syntax not in RLE and not stream.rstrip(b"\0\xff").endswith(_END_OF_IMAGE):
        raise CutShort
    if syntax in JPEG_LOSSLESS | JPEG_LS and _size_in_jpeg(stream) != (rows, columns):
        raise Damaged
    codec = next(codec for syntaxes, codec in _CODECS if syntax in syntaxes)
    try:
        data = codec(stream, layout, rows, columns)
    except ImportError as error:
        raise MissingCodec from error
    except (MemoryError, Damaged):
        raise
    except Exception as error:
        raise Damaged from error
    if len(data) != 2 * rows * columns:
        raise Damaged
    return np.frombuffer(data, "<i2").reshape(rows, columns)


def _size_in_jpeg(stream: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) of the frame header of a JPEG or JPEG-LS stream (ITU-T T.81 B.2.2, T.87 C.2.2)."""
    position = 2
    while position + 9 <= len(stream) and stream[position] == 0xFF:
        marker, length = stream[position + 1], int.from_bytes(stream[position + 2 : position + 4], "big")
        if marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xF7):
            return int.from_bytes(stream[position + 5 : position + 7], "big"), int.from_bytes(
                stream[position + 7 : position + 9], "big"
            )
        position += 1 if marker == 0xFF else 2 + length
    return None


def _jpeg_lossless(stream: bytes, layout: PixelLayout, rows: int, columns: int) -> bytes:
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    syntax = gdcm.TransferSyntax.GetTSType(layout.transfer_syntax_uid)
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    bits = layout.bits_stored
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, int(layout.is_signed)))
    data: str = image.GetBuffer()
    return data.encode("utf-8", "surrogateescape")


def _jpeg_ls(stream: bytes, layout: PixelLayout, rows: int, columns: int) -> bytes:
    import jpeg_ls

    return bytes(jpeg_ls.decode_pixel_data(stream)[0])


def _jpeg_2000(stream: bytes, layout: PixelLayout, rows: int, columns: int) -> bytes:
    import openjpeg.utils

    return bytes(openjpeg.utils.decode_pixel_data(stream, version=2))


def _rle(stream: bytes, layout: PixelLayout, rows: int, columns: int) -> bytes:
    import rle.utils

    return bytes(rle.utils.decode_pixel_data(stream, version=2, rows=rows, columns=columns, bits_allocated=16))


_Codec = Callable[[bytes, PixelLayout, int, int], bytes]
_CODECS: tuple[tuple[frozenset[str], _Codec], ...] = (
    (JPEG_LOSSLESS, _jpeg_lossless),
    (JPEG_LS, _jpeg_ls),
    (JPEG_2000, _jpeg_2000),
    (RLE, _rle),
)
