"""Cases of NIfTI: headers that lie about size, volumes without values, sides or a third dimension."""

import struct
import zlib

import numpy as np

from tests.hostile.bench import Bench
from tests.hostile.corpus import case
from tests.hostile.corrupt import MEBIBYTE, deflate_zeros

INT16, FLOAT32 = (4, 16), (16, 32)


@case()
def nii_huge_dim(bench: Bench) -> None:
    shape = bench.random.choice(((32767, 32767, 32767), (32767, 32767, 3), (-5, 64, 64)))
    bench.write("ct.nii", header(bench, shape) + voxels(bench))


@case()
def nii_truncated(bench: Bench) -> None:
    whole = header(bench, bench.hu.shape[::-1]) + voxels(bench)
    bench.write("ct.nii", whole[: 352 + bench.random.randint(1, bench.hu.nbytes - 1)])


@case()
def nii_all_nan(bench: Bench) -> None:
    values = np.full((20, 20, 20), bench.random.choice((np.nan, np.inf)), "<f4")
    bench.write("ct.nii", header(bench, values.shape, FLOAT32) + values.tobytes())


@case()
def nii_4d(bench: Bench) -> None:
    bench.write("ct.nii", header(bench, (*bench.hu.shape[::-1], 3)) + voxels(bench) * 3)


@case()
def nii_gz_bomb(bench: Bench) -> None:
    head, mebibytes = header(bench, (512, 512, 600)), 300
    crc = zlib.crc32(head)
    for _ in range(mebibytes):
        crc = zlib.crc32(MEBIBYTE, crc)
    tail = struct.pack("<II", crc, len(head) + (mebibytes << 20))
    bench.write("ct.nii.gz", b"\x1f\x8b\x08\0\0\0\0\0\2\xff" + deflate_zeros(mebibytes, head) + tail)


@case()
def nii_no_affine(bench: Bench) -> None:
    bench.write("ct.nii", header(bench, bench.hu.shape[::-1], is_placed=False) + voxels(bench))


def header(bench: Bench, shape: tuple[int, ...], kind: tuple[int, int] = INT16, *, is_placed: bool = True) -> bytes:
    """Return a NIfTI-1 header (nifti1.h) in RAS millimetres; nothing holds it to the data that follows."""
    pixel = bench.field_mm / bench.size
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<2h", head, 70, *kind)
    struct.pack_into("<5f", head, 76, 1, pixel, pixel, bench.step_mm, 1)
    struct.pack_into("<3f", head, 108, 352, 1, 0)
    head[123] = 2
    if is_placed:
        struct.pack_into("<2h", head, 252, 0, 1)
        struct.pack_into("<12f", head, 280, -pixel, 0, 0, 180, 0, -pixel, 0, 180, 0, 0, bench.step_mm, -120)
    head[344:348] = b"n+1\0"
    return bytes(head)


def voxels(bench: Bench) -> bytes:
    """Return the chest as NIfTI stores it, x fastest."""
    return bench.hu.astype("<i2").tobytes()
