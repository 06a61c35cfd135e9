"""Cases of encoding: the same slices in every transfer syntax, and without the usual file head."""

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.hostile.bench import Bench, dicom_bytes
from tests.hostile.corpus import case
from tests.hostile.scan import stored


@case()
def enc_big_endian(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        one.header.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        one.header.PixelData = stored(one).astype(">i2").tobytes()
        one.header.set_original_encoding(False, False)
    bench.deliver(scan)


@case()
def enc_jpeg2000(bench: Bench) -> None:
    _compress(bench, JPEG2000Lossless)


@case()
def enc_jpegls(bench: Bench) -> None:
    _compress(bench, JPEGLSLossless)


@case()
def enc_rle(bench: Bench) -> None:
    _compress(bench, RLELossless)


@case()
def enc_jpegls_near(bench: Bench) -> None:
    _compress(bench, JPEGLSNearLossless, error=8)


@case()
def enc_deflated(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        one.header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    bench.deliver(scan)


@case()
def enc_no_preamble_no_meta_no_ext(bench: Bench) -> None:
    syntax = bench.random.choice((ImplicitVRLittleEndian, ExplicitVRLittleEndian))
    scan = bench.scan()
    for k, one in enumerate(scan):
        one.header.file_meta.TransferSyntaxUID = syntax
        bench.write(f"{k:04d}", without_head(dicom_bytes(one.header)))
    bench.input = bench.name
    bench.hold(scan)


def without_head(data: bytes) -> bytes:
    """Return DICOM bytes without preamble and file meta group."""
    group_length = int.from_bytes(data[140:144], "little")
    return data[144 + group_length :]


def _compress(bench: Bench, syntax: UID, error: int = 0) -> None:
    scan = bench.scan()
    options = {"jls_error": error} if error else {}
    for one in scan:
        one.header.compress(syntax, generate_instance_uid=False, **options)
    bench.save(scan)
    bench.hold(scan, hu_tolerance=error)
