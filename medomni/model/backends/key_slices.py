"""The slices that prove statements, as pictures for a model that takes pictures: cropped to the body's structures and windowed.

Volume, Segmentation, Statement... -> grey pictures
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from medomni.reporting.statement import Statement
from medomni.reporting.vocabulary import vocabulary
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume

MOST = 4
"""Pictures at once: each costs a model hundreds of tokens."""
EDGE = 336
"""Longest edge of a picture in pixels."""
MARGIN = 12
"""Pixels kept round the structures."""
LUNG_HU, SOFT_HU = (-1350.0, 150.0), (-160.0, 240.0)
"""Windows of level -600, width 1500, and level 40, width 400 (as radiographers set them)."""
OF_LUNG = ("lungs", "airways")


def key_slices(volume: Volume, segmentation: Segmentation, statements: Sequence[Statement]) -> list[UInt8[np.ndarray, "h w"]]:
    """Return one picture for each slice that a statement names, in the window in which its finding is seen."""
    wanted = dict.fromkeys((one.sentence.receipt.slice_index, _window(one)) for one in statements if one.sentence.receipt)
    box = _box(segmentation)
    return [_picture(volume, index, window, box) for index, window in wanted if index is not None and index < len(volume.hu)][
        :MOST
    ]


def _window(statement: Statement) -> tuple[float, float]:
    return LUNG_HU if vocabulary().label(statement.label).organ in OF_LUNG else SOFT_HU


def _box(segmentation: Segmentation) -> tuple[slice, slice]:
    """Rows and columns that hold the structures; the whole picture where there are none."""
    there = np.asarray((segmentation.labels > 0).any(axis=0))
    if not there.any():
        return slice(None), slice(None)
    ends = []
    for axis in (1, 0):
        filled = np.flatnonzero(np.any(there, axis=axis))
        ends.append(slice(max(0, int(filled[0]) - MARGIN), int(filled[-1]) + 1 + MARGIN))
    return ends[0], ends[1]


def _picture(volume: Volume, index: int, window: tuple[float, float], box: tuple[slice, slice]) -> UInt8[np.ndarray, "h w"]:
    low, high = window
    grey = (np.clip(volume.hu[index][box].astype(np.float32), low, high) - low) / (high - low) * 255.0
    scale = EDGE / max(grey.shape)
    if scale < 1:
        grey = ndimage.zoom(grey, scale, order=1)
    return np.asarray(np.rint(grey).astype(np.uint8))
