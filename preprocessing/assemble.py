"""A Study -> its Volume: pixels straight from the files into one array, each slice turned into HU in place.

Plain pixels are read by offset; compressed ones come from ``decode.py``. Nothing is filled in: a file that is shorter than its
header said when the study was opened is refused.
"""

import tarfile
import tempfile
from collections.abc import Callable
from math import ceil, floor
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int16
from numpy.typing import NDArray

from medomni.types.study import Frame, PixelLayout, Study
from medomni.types.volume import Volume
from preprocessing.dicom import open_study
from preprocessing.intake.contents import Contents, Item
from preprocessing.intake.header import inflated
from preprocessing.intake.slices import COMPRESSED, is_big_endian, needs_inflating

AIR_HU = -1024
"""HU of padding and the floor of every volume: scanners use values below it only for "no data"."""
CEILING_HU = 32767
"""Largest HU an int16 volume holds; larger values (no tissue, no metal scale) are set to it."""
TISSUE_HU = (-1023, 3071)
"""HU of tissue on the 12-bit scale. A padding value that means one of these counts only where it touches the slice's edge."""

Progress = Callable[[float], None]


def read_packed(archive: Path) -> Volume:
    """Return the HU of the one series in a tar archive, as public training series come; nothing unpacked is left behind.

    Raises:
        BadInput: as of ``read_volume``.
    """
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(archive) as packed:
        packed.extractall(scratch, filter="data")
        return read_volume(scratch)


def read_volume(source: Path | str) -> Volume:
    """Return the volume of the best CT series at a path."""
    return assemble(open_study(Path(source)), lambda share: None)


def assemble(study: Study, progress: Progress) -> Volume:
    """Return the HU of a study's chosen series; ``progress`` is told the share that is done.

    Raises:
        BadInput: a file changed, ends early or cannot be decoded.
        MissingPart: the codec for its compression is not installed.
    """
    layouts = [frame.layout for frame in study.frames if frame.layout is not None]
    if len(layouts) != len(study.frames):
        from preprocessing.nifti import read_nifti

        return read_nifti(study, progress)
    if layouts[0].transfer_syntax_uid in COMPRESSED:
        from preprocessing.intake.decode import decode_frames

        stored = decode_frames(study.frames, study.grid.shape, lambda share: progress(0.95 * share))
        hu = _target(layouts, stored)
        for k, layout in enumerate(layouts):
            to_hu(stored[k], layout, hu[k])
    else:
        hu = _read_plain(study, layouts, progress)
    progress(1.0)
    return Volume(hu, study.grid)


def _read_plain(study: Study, layouts: list[PixelLayout], progress: Progress) -> NDArray[np.int16] | NDArray[np.float32]:
    whole = all(map(_is_whole, layouts))
    hu = np.empty(study.grid.shape, np.int16 if whole else np.float32)
    scratch = np.empty(study.grid.shape[1:], np.int16)
    with Contents() as contents:
        for k, (frame, layout) in enumerate(zip(study.frames, layouts, strict=True)):
            stored = hu[k] if whole else scratch
            _read_stored(contents, frame, layout, stored)
            to_hu(stored, layout, hu[k])
            if k % 16 == 0:
                progress(k / len(layouts))
    return hu


def _target(layouts: list[PixelLayout], stored: NDArray[np.int16]) -> NDArray[np.int16] | NDArray[np.float32]:
    return stored if all(map(_is_whole, layouts)) else np.empty(stored.shape, np.float32)


def _is_whole(layout: PixelLayout) -> bool:
    return layout.slope == int(layout.slope) and layout.intercept == int(layout.intercept)


def _read_stored(contents: Contents, frame: Frame, layout: PixelLayout, stored: Int16[np.ndarray, "y x"]) -> None:
    item = contents.named(Item(frame.path, frame.path.name, frame.member))
    target = stored.data.cast("B")
    if needs_inflating(layout):
        data = contents.remembered(item, lambda: inflated(contents, item) or b"")
        contents.copy_into(item, data, frame.offset, target)
    else:
        contents.read_into(item, frame.offset, target)
    if is_big_endian(layout):
        stored.byteswap(inplace=True)


def to_hu(
    stored: Int16[np.ndarray, "y x"],
    layout: PixelLayout,
    hu: Int16[np.ndarray, "y x"] | Float32[np.ndarray, "y x"],
) -> None:
    """Turn one slice of stored words into HU, written to ``hu``, which may be ``stored`` itself.

    Bits above BitsStored are dropped, the sign is extended, padding becomes air, and nothing is left below -1024 HU.
    """
    values = _true_values(stored, layout)
    padded = _padded(values, layout)
    if hu.dtype == np.float32:
        np.maximum(values * layout.slope + layout.intercept, AIR_HU, out=hu, casting="same_kind")
    else:
        slope, intercept = int(layout.slope), int(layout.intercept)
        limits = np.iinfo(values.dtype)
        lowest, highest = ceil((AIR_HU - intercept) / slope), floor((CEILING_HU - intercept) / slope)
        if lowest > limits.min or highest < limits.max:  # clip is 10 times faster than maximum with a number
            kind = values.dtype.type
            np.clip(values, kind(max(lowest, limits.min)), kind(min(highest, limits.max)), out=values)
        words = values.view(np.int16)  # from here on the true result fits, whatever wraps on the way
        if slope != 1:
            words *= np.int16(slope)
        if intercept:
            words += np.array(intercept).astype(np.int16)
        if not np.may_share_memory(words, hu):
            hu[...] = words
    if padded is not None:
        hu[padded] = AIR_HU


def _true_values(stored: Int16[np.ndarray, "y x"], layout: PixelLayout) -> NDArray[np.int16] | NDArray[np.uint16]:
    spare = 16 - layout.bits_stored
    if layout.is_signed:
        if spare:
            np.left_shift(stored, spare, out=stored)
            np.right_shift(stored, spare, out=stored)
        return stored
    values = stored.view(np.uint16)
    if spare:
        np.bitwise_and(values, 0xFFFF >> spare, out=values)
    return values


def _padded(values: NDArray[np.int16] | NDArray[np.uint16], layout: PixelLayout) -> Bool[np.ndarray, "y x"] | None:
    """Return where padding lies that does not become air by the floor anyway, or None when there is none."""
    if layout.padding is None:
        return None
    low, high = layout.padding
    low_hu, high_hu = (value * layout.slope + layout.intercept for value in (low, high))
    if high_hu <= AIR_HU:
        return None
    padded: Bool[np.ndarray, "y x"] = (values >= low) & (values <= high)
    if not padded.any():
        return None
    is_tissue_value = high_hu >= TISSUE_HU[0] and low_hu <= TISSUE_HU[1]
    return _touching_edge(padded) if is_tissue_value else padded


def _touching_edge(mask: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    from scipy.ndimage import label

    parts, _ = label(mask)
    edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    return np.isin(parts, edge[edge > 0])
