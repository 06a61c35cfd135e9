"""A NIfTI CT -> Study and Volume, and a label map -> NIfTI. The only place of the reader where RAS coordinates exist.

The 348-byte header is checked against the file before anything is allocated. Axes are turned so that slices are as axial as the
grid allows and rows run to the patient's left: a permutation and flips, never a resampling.
"""

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from medomni.errors import BadInput
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.study import Acquisition, Frame, Identity, SeriesSummary, Study
from medomni.types.volume import Grid, Volume
from preprocessing.intake.contents import open_regular, shown
from preprocessing.intake.geometry import MAX_VOXELS, MIN_SLICES, PIXEL_RANGE_MM, STEP_RANGE_MM
from preprocessing.intake.identity import substitute_uid
from preprocessing.intake.sources import MAX_PACKING

Progress = Callable[[float], None]
AIR_HU = -1024
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
LEAST_AIR_HU = -200
"""A CT volume in HU holds some air or lung; MR, label maps and raw counts do not."""
FREE_BYTES = 64 << 20

_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_READ_FAILURES = (OSError, EOFError, zlib.error, struct.error)
_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class _Header:
    """What a NIfTI-1 header says, checked. ``affine`` takes (i, j, k) to RAS millimetres; None when the file states none."""

    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float
    spacing: tuple[float, float, float]
    affine: Float64[np.ndarray, "4 4"] | None
    is_conflicting: bool


@dataclass(frozen=True, eq=False)
class _Axes:
    """How voxel axes are turned: ``order`` gives the file's axis for (x, y, z), ``flipped`` which of those run backwards."""

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]


def open_nifti(path: Path) -> Study:
    """Return the study of one NIfTI-1 file holding one 3D CT in HU. It has no patient, no date and substitute UIDs.

    Raises:
        BadInput: the header is damaged, does not fit the file, or describes no 3D volume.
    """
    where = shown(path.name)
    header = _read_header(path, where)
    grid, axes = _grid(header, where)
    digest = _digest(path)
    study_uid, series_uid = (substitute_uid(name, digest) for name in (b"StudyInstanceUID", b"SeriesInstanceUID"))
    depth = grid.shape[0]
    indices = range(depth - 1, -1, -1) if axes.flipped[2] else range(depth)
    frames = tuple(Frame(path, k, substitute_uid(b"SOPInstanceUID", digest, str(k).encode()), CT_CLASS, None) for k in indices)
    notices = [Notice(code="nifti_source", level=NoticeLevel.INFO)]
    if header.affine is None:
        notices.append(Notice(code="orientation_unknown"))
    if header.is_conflicting:
        notices.append(Notice(code="orientation_conflict"))
    return Study(
        source_name=where,
        identity=Identity(study_instance_uid=study_uid, series_instance_uid=series_uid, is_study_uid_substituted=True),
        acquisition=Acquisition(),
        series=(SeriesSummary(modality="CT", images=depth, is_chosen=True, reason="the one volume of a NIfTI file"),),
        frames=frames,
        grid=grid,
        notices=tuple(notices),
    )


def read_nifti(study: Study, progress: Progress) -> Volume:
    """Return the HU of a study opened by ``open_nifti``.

    Raises:
        BadInput: the file is cut short, holds values that are no numbers, or no CT in HU.
    """
    path = study.frames[0].path
    where = shown(path.name)
    header = _read_header(path, where)
    grid, axes = _grid(header, where)
    stored = _read_voxels(path, header, where)
    progress(0.6)
    hu = _to_hu(_turned(stored, axes), header, where)
    if hu.min() > LEAST_AIR_HU:
        raise BadInput(
            "not a CT volume in HU", found=f"no value below {LEAST_AIR_HU}",
            remedy="give a CT in HU (not MR, a mask or raw counts)", where=where,
        )  # fmt: skip
    progress(1.0)
    return Volume(hu, grid)


def write_nifti(array: NDArray[np.generic], grid: Grid, path: Path) -> None:
    """Write an array (z, y, x) on a grid as NIfTI-1 (``.nii`` or ``.nii.gz``), the same bytes for the same input.

    The affine is exact for a uniform grid, tilted ones included; uneven slices get the straight line from first to last.
    """
    kind = {np.dtype(name): code for code, name in _TYPES.items()}[array.dtype]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    body = _packed_header(array, affine, kind) + b"\0" * 4 + np.ascontiguousarray(array).tobytes()
    data = gzip.compress(body, compresslevel=1, mtime=0) if path.name.endswith(".gz") else body
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    partial.replace(path)


def _read_header(path: Path, where: str) -> _Header:
    try:
        with _opened(path) as file:
            head = file.read(352)
        size = path.stat().st_size
    except _READ_FAILURES as error:
        raise _refuse("the NIfTI file cannot be read", type(error).__name__, where) from None
    if len(head) < 352 or head[344:348] != b"n+1\0":
        raise _refuse("not a single-file NIfTI-1 volume", "another or a damaged header", where)
    order = "<" if struct.unpack_from("<i", head)[0] == 348 else ">"
    dims = struct.unpack_from(order + "8h", head, 40)
    shape = dims[1:4]
    if not 1 <= dims[0] <= 7 or any(n < 1 for n in dims[1 : dims[0] + 1]):
        raise _refuse("the dimensions make no sense", f"{dims[0]} dimensions", where)
    if dims[0] < 3 or any(n > 1 for n in dims[4 : dims[0] + 1]):
        raise BadInput("not one 3D volume", found=f"{dims[0]}D data", remedy="give one 3D volume", where=where)
    code = struct.unpack_from(order + "h", head, 70)[0]
    if code not in _TYPES:
        raise _refuse("a data type no CT has", f"NIfTI type {code}", where)
    dtype = np.dtype(order + _TYPES[code])
    offset, slope, intercept = struct.unpack_from(order + "3f", head, 108)
    if not (math.isfinite(offset) and 352 <= offset < 1 << 24):
        raise _refuse("the header is damaged", "an impossible data offset", where)
    _require_fit(path, int(offset) + math.prod(shape) * dtype.itemsize, size, where)
    if math.prod(shape) > MAX_VOXELS:
        raise _refuse("the volume is too large", f"{math.prod(shape)} voxels", where)
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        slope, intercept = 1.0, 0.0
    affine, is_conflicting = _affine(head, order)
    spacing = struct.unpack_from(order + "3f", head, 80)
    return _Header(shape, dtype, int(offset), slope, intercept, spacing, affine, is_conflicting)


def _require_fit(path: Path, needed: int, size: int, where: str) -> None:
    """Refuse dimensions that the file cannot hold, before anything of that size is allocated."""
    if _is_packed(path):
        if needed > FREE_BYTES + MAX_PACKING * size:
            raise _refuse("the file unpacks to far too much", f"{needed >> 20} MiB from {size / 2**20:.1f} MiB", where)
    elif needed > size:
        raise _refuse("the file is cut short or its dimensions are wrong", f"{size} of {needed} bytes", where)


def _affine(head: bytes, order: str) -> tuple[Float64[np.ndarray, "4 4"] | None, bool]:
    """Return the sform, else the qform, else None; and whether both are there and name different sides."""
    q_code, s_code = struct.unpack_from(order + "2h", head, 252)
    sform, qform = np.eye(4), np.eye(4)
    sform[:3] = np.array(struct.unpack_from(order + "12f", head, 280)).reshape(3, 4)
    b, c, d, x, y, z = struct.unpack_from(order + "6f", head, 256)
    factor, *spacing = struct.unpack_from(order + "4f", head, 76)
    rest = 1.0 - (b * b + c * c + d * d)
    a = math.sqrt(rest) if rest > 1e-7 else 0.0  # as nifti1_io.c: float32 leaves no more digits
    rotation = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip
    qform[:3, :3] = rotation * np.array([spacing[0], spacing[1], spacing[2] * (-1.0 if factor < 0 else 1.0)])
    qform[:3, 3] = x, y, z
    if s_code > 0 and q_code > 0:
        one, other = sform[:3, :3], qform[:3, :3]
        return sform, bool(np.any(np.sum(one * other, axis=0) < 0.9 * np.sum(one * one, axis=0)))
    return (sform if s_code > 0 else qform if q_code > 0 else None), False


def _grid(header: _Header, where: str) -> tuple[Grid, _Axes]:
    """Return the grid of the turned volume and how its axes are turned."""
    affine = np.diag([*header.spacing, 1.0]) if header.affine is None else header.affine
    steps = _LPS[:, None] * affine[:3, :3]
    lengths = np.linalg.norm(steps, axis=0)
    low, high = PIXEL_RANGE_MM[0], STEP_RANGE_MM[1]
    if not np.all(np.isfinite(affine)) or not all(low <= value <= high for value in lengths):
        raise _refuse("the affine makes no sense", "spacing out of range", where)
    order = _axis_order(steps / lengths)
    flipped = tuple(bool(steps[world, axis] < 0) for world, axis in enumerate(order))
    origin = _LPS * affine[:3, 3]
    signs = np.where(flipped, -1.0, 1.0)
    for axis, backwards in zip(order, flipped, strict=True):
        origin = origin + (steps[:, axis] * (header.shape[axis] - 1) if backwards else 0.0)
    row, column, up = (steps[:, axis] * sign for axis, sign in zip(order, signs, strict=True))
    columns, rows, depth = (header.shape[axis] for axis in order)
    if depth < MIN_SLICES:
        raise BadInput(
            "too few slices", found=f"{depth}", remedy=f"need at least {MIN_SLICES} slices; give the whole series", where=where
        )
    origins = origin + np.arange(depth)[:, None] * up
    spacing = float(np.linalg.norm(column)), float(np.linalg.norm(row))
    try:
        grid = Grid((depth, rows, columns), spacing, row / spacing[1], column / spacing[0], origins, header.affine is not None)
    except ValueError:
        raise _refuse("the affine makes no sense", "axes that are not at right angles", where) from None
    return grid, _Axes(order, (flipped[0], flipped[1], flipped[2]))


def _axis_order(directions: Float64[np.ndarray, "3 3"]) -> tuple[int, int, int]:
    """Return which file axis runs most along x, y and z."""
    return max(_ORDERS, key=lambda order: sum(abs(float(directions[world, axis])) for world, axis in enumerate(order)))


_ORDERS = ((0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1))


def _read_voxels(path: Path, header: _Header, where: str) -> NDArray[np.generic]:
    voxels = np.empty(header.shape[::-1], header.dtype)
    target = voxels.reshape(-1).view(np.uint8).data
    try:
        with _opened(path) as file:
            _skip(file, header.offset)
            count = 0
            while count < len(target):
                step = file.readinto(target[count : count + (1 << 24)])
                if not step:
                    raise _refuse("the file is cut short", f"{count} of {len(target)} bytes", where)
                count += step
    except _READ_FAILURES as error:
        raise _refuse("the file is damaged", type(error).__name__, where) from None
    return voxels


def _turned(voxels: NDArray[np.generic], axes: _Axes) -> NDArray[np.generic]:
    """Return a view (z, y, x) of voxels (k, j, i)."""
    turned = voxels.transpose([2 - axes.order[world] for world in (2, 1, 0)])
    return turned[tuple(slice(None, None, -1 if axes.flipped[world] else 1) for world in (2, 1, 0))]


def _to_hu(stored: NDArray[np.generic], header: _Header, where: str) -> NDArray[np.int16] | NDArray[np.float32]:
    is_whole = header.slope == int(header.slope) and header.intercept == int(header.intercept)
    if stored.dtype.kind in "iu" and is_whole:
        if header.slope == 1 and header.intercept == 0 and stored.dtype.itemsize <= 2 and stored.dtype.kind == "i":
            small: NDArray[np.int16] = np.maximum(stored.astype(np.int16), np.int16(AIR_HU))
            return small
        wide = stored.astype(np.int64) * int(header.slope) + int(header.intercept)
        clipped: NDArray[np.int16] = np.clip(wide, AIR_HU, 32767).astype(np.int16)
        return clipped
    values: NDArray[np.float32] = stored.astype(np.float32) * np.float32(header.slope) + np.float32(header.intercept)
    if not np.all(np.isfinite(values)):
        share = 100.0 * float(np.mean(~np.isfinite(values)))
        raise _refuse("values that are no numbers", f"{share:.0f} % NaN or infinite", where)
    values = np.maximum(values, np.float32(AIR_HU))
    whole: NDArray[np.float32] = np.rint(values)
    if values.max() <= 32767 and np.array_equal(whole, values):
        return whole.astype(np.int16)
    return values


def _packed_header(array: NDArray[np.generic], affine: Float64[np.ndarray, "4 4"], kind: int) -> bytes:
    head = bytearray(348)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, kind, 8 * array.dtype.itemsize)
    rotation = affine[:3, :3] / lengths
    factor = -1.0 if np.linalg.det(rotation) < 0 else 1.0
    struct.pack_into("<8f", head, 76, factor, *lengths, 1, 1, 1, 1)
    struct.pack_into("<3f", head, 108, 352, 1, 0)
    head[123] = 2  # millimetres
    is_orthogonal = np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-4)
    struct.pack_into("<2h", head, 252, int(is_orthogonal), 1)
    if is_orthogonal:
        from scipy.spatial.transform import Rotation

        b, c, d, a = Rotation.from_matrix(rotation * np.array([1.0, 1.0, factor])).as_quat()
        sign = -1.0 if a < 0 else 1.0
        struct.pack_into("<6f", head, 256, sign * b, sign * c, sign * d, *affine[:3, 3])
    struct.pack_into("<12f", head, 280, *affine[:3].ravel())
    head[344:348] = b"n+1\0"
    return bytes(head)


def _opened(path: Path) -> FileIO | gzip.GzipFile:
    file = open_regular(path)
    if not _is_packed(path):
        return file
    return gzip.GzipFile(fileobj=file, mode="rb")


def _is_packed(path: Path) -> bool:
    with open_regular(path) as file:
        return file.read(2) == b"\x1f\x8b"


def _skip(file: FileIO | gzip.GzipFile, count: int) -> None:
    while count > 0:
        part = file.read(min(count, 1 << 20))
        if not part:
            raise EOFError
        count -= len(part)


def _digest(path: Path) -> bytes:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").digest()


def _refuse(wrong: str, found: str, where: str) -> BadInput:
    return BadInput(wrong, found=found, remedy="export or convert the CT again", where=where)
