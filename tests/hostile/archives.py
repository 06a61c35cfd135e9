"""Cases of archives: members that climb out, bombs, nesting, counts, cut ends, and a DICOMDIR that points outside."""

import struct
import zlib
from dataclasses import dataclass

from pydicom.fileset import FileSet

from tests.hostile.bench import Bench, dicom_bytes
from tests.hostile.corpus import case
from tests.hostile.corrupt import MEBIBYTE, deflate_zeros


@dataclass(frozen=True)
class Member:
    """One member of a zip as it is written: what the archive declares may differ from what it holds."""

    name: str
    packed: bytes
    size: int
    crc: int
    is_link: bool = False


@case()
def zip_slip(bench: Bench) -> None:
    good = dicom_bytes(bench.scan([0.0])[0].header)
    outside = bench.canary("relative.txt")
    absolute = bench.canary("absolute.txt")
    members = [
        member("../" * 12 + outside.lstrip("/"), b"x"),
        member(absolute, b"x"),
        member("..\\" * 12 + "medomni_canary", b"x"),
        Member("link.dcm", deflate(b"/etc/hostname"), 13, zlib.crc32(b"/etc/hostname"), is_link=True),
    ]
    odd = members if bench.random.random() < 0.4 else [bench.random.choice(members)]
    bench.write("study.zip", zip_bytes([member("a/CT0.dcm", good), *odd]))


@case()
def zip_bomb(bench: Bench) -> None:
    mebibytes = bench.random.randint(500, 700)
    crc = 0
    for _ in range(mebibytes):
        crc = zlib.crc32(MEBIBYTE, crc)
    declared = bench.random.choice((mebibytes << 20, 4096))
    packed = deflate_zeros(mebibytes)
    bench.write("study.zip", zip_bytes([Member("CT0.dcm", packed, declared, crc)]))


@case()
def zip_nested(bench: Bench) -> None:
    data = zip_bytes([member("CT0.dcm", dicom_bytes(bench.scan([0.0])[0].header))])
    for _ in range(bench.random.randint(4, 8)):
        data = zip_bytes([member("inner.zip", data)])
    bench.write("study.zip", data)


@case()
def zip_60k_members(bench: Bench) -> None:
    nothing = deflate(b"")
    bench.write("study.zip", zip_bytes([Member(f"d/{k}", nothing, 0, 0) for k in range(60_000)]))


@case()
def zip_truncated(bench: Bench) -> None:
    data = zip_bytes([member(f"CT{k}.dcm", dicom_bytes(one.header)) for k, one in enumerate(bench.scan())])
    bench.write("study.zip", data[: bench.random.randint(len(data) // 3, len(data) - 20)])


@case()
def dir_dicomdir_traversal(bench: Bench) -> None:
    """The outside file is a good slice of the same series: only the refusal shows that it was not opened."""
    scan = bench.scan()
    files = FileSet()
    files.UID = bench.uid()
    for one in scan:
        files.add(one.header)
    files.write(bench.folder)
    index = bench.folder / "DICOMDIR"
    data = index.read_bytes()
    inside = b"PT000000\\ST000000\\SE000000\\IM%06d" % bench.spot
    beside = bench.root / "_beside" / "dicomdir"
    beside.mkdir(parents=True)
    (bench.folder / inside.decode().replace("\\", "/")).rename(beside / "OUT00001")
    outside = b"..\\_beside\\dicomdir\\OUT00001".ljust(len(inside))
    if data.count(inside) != 1 or len(outside) != len(inside):
        raise AssertionError("the DICOMDIR looks different from what this case expects")
    index.write_bytes(data.replace(inside, outside))


def member(name: str, content: bytes) -> Member:
    """Return an honest member."""
    return Member(name, deflate(content), len(content), zlib.crc32(content))


def deflate(content: bytes) -> bytes:
    """Return a raw deflate stream."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def zip_bytes(members: list[Member]) -> bytes:
    """Return a zip archive that declares exactly what the members say (APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16)."""
    body, directory = [], []
    place = 0
    for one in members:
        name = one.name.encode()
        fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, one.crc, len(one.packed), one.size, len(name), 0)
        mode = (0o120777 if one.is_link else 0o100600) << 16
        local = b"PK\3\4" + fields + name + one.packed
        directory.append(b"PK\1\2" + struct.pack("<H", 0x314) + fields + struct.pack("<HHHII", 0, 0, 0, mode, place) + name)
        body.append(local)
        place += len(local)
    table = b"".join(directory)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(table), place, 0)
    return b"".join(body) + table + end
