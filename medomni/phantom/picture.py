"""Pictures of a case: one coronal and one axial slice through its disease, lesions outlined, as small PNG files.

PhantomCase -> coronal.png, axial.png
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int16, UInt8
from scipy import ndimage

from medomni.phantom.case import PhantomCase
from medomni.phantom.cohort import BodyRegion
from medomni.phantom.facts import Fact

WINDOWS = {"lung": (-600.0, 1500.0), "soft": (40.0, 400.0)}
"""Middle and width in HU."""
_IN_LUNG = frozenset(
    (
        *("lung_opacity", "consolidation", "lung_nodule", "atelectasis", "emphysema", "pulmonary_fibrotic_sequela"),
        *("interlobular_septal_thickening", "mosaic_attenuation_pattern", "bronchiectasis", "peribronchial_thickening"),
    )
)
_GREYS = 232
_COLOURS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)),
    *((255, 120, 120), (140, 220, 90), (180, 150, 255)),
)
"""Colours that people with any colour vision tell apart (Okabe and Ito 2008), and three more."""
_OUTLINED = {"cardiomegaly", "steatosis", "splenomegaly"}
"""Lesions that are whole organs: not outlined."""
COLUMNS = 256


def colour_of(name: str, names: tuple[str, ...]) -> tuple[int, int, int]:
    """The colour of a lesion's outline among the lesions of a case."""
    return _COLOURS[names.index(name) % len(_COLOURS)]


def outlined(case: PhantomCase) -> tuple[str, ...]:
    """The lesions of a case that its pictures outline, in the order of their colours."""
    return tuple(name for name in case.lesions.names.values() if name not in _OUTLINED)


def write_pictures(case: PhantomCase, folder: Path) -> None:
    """Write ``coronal.png`` and ``axial.png``."""
    z, y = _slices(case)
    window = _window(case)
    through, down, across = case.volume.grid.slice_spacing_mm, *case.volume.grid.pixel_spacing_mm
    hu, labels = case.volume.hu, case.lesions.labels
    step = np.clip(np.arange(0, hu.shape[0] * through, across) / through, 0, hu.shape[0] - 1).astype(int)[::-1]
    _save(np.asarray(hu[:, y])[step], labels[:, y][step], window, case, folder / "coronal.png")
    rows = np.clip(np.arange(0, hu.shape[1] * down, across) / down, 0, hu.shape[1] - 1).astype(int)
    _save(np.asarray(hu[z])[rows], labels[z][rows], window, case, folder / "axial.png")


def _main(case: PhantomCase) -> Fact | None:
    with_place = [fact for fact in case.facts if fact.centre_mm is not None and fact.kind not in _OUTLINED]
    return with_place[0] if with_place else None


def _window(case: PhantomCase) -> str:
    main = _main(case)
    if main is None:
        return "lung" if case.region is BodyRegion.CHEST else "soft"
    return "lung" if main.kind in _IN_LUNG else "soft"


def _slices(case: PhantomCase) -> tuple[int, int]:
    """Slice and row through the weightiest disease where its mask is widest, else through the middle."""
    main = _main(case)
    shape = case.volume.grid.shape
    name = "" if main is None else "nodule" if main.kind == "lung_nodule" else main.kind
    mask = case.lesions.mask(name) if name else np.zeros(shape, dtype=bool)
    if not mask.any():
        return int(0.45 * shape[0]), int(0.48 * shape[1])
    return int(mask.sum(axis=(1, 2)).argmax()), int(mask.sum(axis=(0, 2)).argmax())


def _save(hu: Int16[np.ndarray, "v u"], labels: UInt8[np.ndarray, "v u"], window: str, case: PhantomCase, path: Path) -> None:
    from PIL import Image

    middle, width = WINDOWS[window]
    grey = np.clip((hu - (middle - width / 2)) / width * (_GREYS - 1), 0, _GREYS - 1).astype(np.uint8)
    names = outlined(case)
    for label, name in case.lesions.names.items():
        if name in names:
            mask = labels == label
            edge = ndimage.binary_dilation(mask) & ~mask
            grey[edge] = _GREYS + names.index(name) % len(_COLOURS)
    picture = Image.fromarray(grey, mode="P")
    greys = [round(level * 255 / (_GREYS - 1)) for level in range(_GREYS)]
    picture.putpalette([value for level in greys for value in (level, level, level)] + [v for c in _COLOURS for v in c])
    picture.save(path, optimize=False, compress_level=6)
