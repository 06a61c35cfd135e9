"""Cases of damage and size: files cut short, files that are something else, and declared sizes that lie."""

import struct
import zlib

from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.hostile.bench import Bench, dicom_bytes
from tests.hostile.corpus import case
from tests.hostile.encoding import without_head

MEBIBYTE = b"\0" * (1 << 20)


@case()
def cor_truncated_pixels(bench: Bench) -> None:
    bench.save(bench.scan())
    path = bench.folder / f"CT{bench.spot:03d}.dcm"
    path.write_bytes(path.read_bytes()[: -bench.size * bench.random.randint(1, bench.size)])
    bench.facts["names"] = path.name


@case()
def cor_zero_byte_file(bench: Bench) -> None:
    scan = bench.scan()
    bench.save(scan)
    path = bench.folder / f"CT{bench.spot:03d}.dcm"
    path.write_bytes(b"")
    bench.hold(scan[: bench.spot] + scan[bench.spot + 1 :])
    bench.facts["names"] = path.name


@case()
def cor_only_zero_bytes(bench: Bench) -> None:
    for k in range(bench.random.randint(2, 5)):
        (bench.folder / f"{k}.dcm").write_bytes(b"")


@case()
def cor_empty_folder(bench: Bench) -> None:
    bench.facts["files"] = "none"


@case()
def cor_not_dicom(bench: Bench) -> None:
    (bench.folder / "photo.dcm").write_bytes(b"\x89PNG\r\n\x1a\n" + bench.random.randbytes(700))


@case()
def cor_html_error_page(bench: Bench) -> None:
    (bench.folder / "IM1.dcm").write_bytes(b"<!doctype html><html><body><h1>503</h1></body></html>")


@case()
def cor_random_bytes_with_dicm(bench: Bench) -> None:
    for k in range(bench.random.randint(1, 4)):
        (bench.folder / f"{k}.dcm").write_bytes(b"\0" * 128 + b"DICM" + bench.random.randbytes(4000))


@case()
def res_huge_dims_small_data(bench: Bench) -> None:
    scan = bench.scan()[: bench.random.choice((1, 4))]
    for one in scan:
        one.header.Rows = one.header.Columns = 65535
    bench.save(scan)


@case()
def res_huge_frames(bench: Bench) -> None:
    _frames(bench, 2**31 - 1)


@case()
def res_negative_frames(bench: Bench) -> None:
    _frames(bench, -bench.random.randint(1, 99))


@case()
def res_length_4gb(bench: Bench) -> None:
    scan = bench.scan()
    declared = struct.pack("<I", 0xFFFFFFF0)
    for k, one in enumerate(scan):
        data = dicom_bytes(one.header)
        place = data.rindex(b"\xe0\x7f\x10\x00OW\0\0") + 8
        (bench.folder / f"CT{k:03d}.dcm").write_bytes(data[:place] + declared + data[place + 4 :])


@case()
def res_deflate_bomb(bench: Bench) -> None:
    """One private element of zeros, made from repeated deflate blocks, so that writing it costs nothing."""
    one, marker = bench.scan([0.0])[0], b"INFLATE!"
    one.header.add_new(0x00090010, "LO", "INVENTED")
    one.header.add_new(0x00091001, "OB", marker)
    plain = without_head(dicom_bytes(one.header))
    one.header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    small = dicom_bytes(one.header)
    head = small[: 144 + int.from_bytes(small[140:144], "little")]
    place, mebibytes = plain.index(marker), bench.random.randint(180, 240)
    before = plain[: place - 4] + struct.pack("<I", mebibytes << 20)
    packed = deflate_zeros(mebibytes, before, plain[place + len(marker) :])
    (bench.folder / "CT000.dcm").write_bytes(head + packed + b"\0" * (len(packed) % 2))


@case()
def res_sq_50k_items(bench: Bench) -> None:
    """The items are written as bytes: 8 of them each, all empty."""
    scan = bench.scan()
    bench.save(scan)
    bench.hold(scan)
    path = bench.folder / f"CT{bench.spot:03d}.dcm"
    data = path.read_bytes()
    place = data.index(b"\x10\x00\x10\x00PN")
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 50_000
    element = b"\x08\x00\x40\x11SQ\0\0" + struct.pack("<I", len(items)) + items
    path.write_bytes(data[:place] + element + data[place:])


@case()
def res_5mb_text_tag(bench: Bench) -> None:
    scan = bench.scan()
    word = "QXLONGTEXT"
    scan[bench.random.choice((0, bench.spot))].header.add_new(0x00104000, "UT", word * 500_000)
    bench.personal.append(word * 3)
    bench.deliver(scan)


def deflate_zeros(mebibytes: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return a raw deflate stream of ``before``, the zeros, and ``after``; a full flush makes the blocks repeatable."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * mebibytes + packer.compress(after) + packer.flush()


def _frames(bench: Bench, count: int) -> None:
    one = bench.scan([0.0])[0]
    one.header.NumberOfFrames = count
    bench.save([one])
