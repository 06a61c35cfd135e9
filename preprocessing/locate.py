"""A pasted picture of a CT slice -> where in the volume it was taken: plane, slice and place, or that it was not found.

    Volume + grey picture -> Located | None

The picture may have any window, zoom and cut-out, be compressed with loss and have thin lines drawn on it; it may not be turned.
It is compared with every slice by normalised cross-correlation, first at 4 mm for all zooms, then finer where it fits.
Pictures are looked at and forgotten: nothing of one is kept or logged.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Final

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, UnidentifiedImageError
from scipy import fft, ndimage

from medomni.errors import BadInput
from medomni.types.finding import BoxMm
from medomni.types.volume import Volume
from preprocessing.orient import Canonical, canonical

PLANES: Final = ("axial", "coronal", "sagittal")
WINDOWS_HU: Final = ((-1350.0, 150.0), (-160.0, 240.0), (-450.0, 1050.0))
"""Lung, soft tissue and bone: the usual presets; the picture's own window is fitted once its place is nearly known."""
STEPS_MM: Final = (4.0, 2.0)
"""Pixel size of the first and the second look; the third takes the study's own pixels."""
ZOOM_STEP: Final = 1.05
SMALLEST_MM, LARGEST_PIXELS, SMALLEST_PIXELS = 30.0, 16_000_000, 24
"""Shorter edge of what a picture shows, below which many places look alike; and the pixels of a picture."""
LIKE: Final = 0.9
"""Correlation from which a place may count as found: 1 is the same but for brightness."""
CLEAR: Final = 0.6
"""What the best place lacks to 1, as a share of what the next one lacks: at most this. Pictures of other patients lack 0.85 and
more, those of the volume itself under 0.45 (docs/explanation/experiments.md)."""
CERTAIN: Final = 0.99
"""Correlation from which the other planes are not looked at."""
KEPT: Final = (32, 4)
"""Candidates that go on to the second and the third look."""
MOST_PIXELS: Final = 1_000_000
"""Pixels that are compared; a larger picture shows no more of a CT slice."""
DARK: Final = 8
"""Grey that counts as black, of 255: JPEG makes no pure black."""
GREY_SPREAD: Final = 24
"""Channels that differ by more are a coloured line, drawn on the picture."""
Picture = Float32[np.ndarray, "h w"]
Template = Float32[np.ndarray, "rows_t columns_t"]
Stack = Float32[np.ndarray, "slices rows columns"]


@dataclass(frozen=True)
class Located:
    """Where a picture was taken.

    Attributes:
        plane: axial, coronal or sagittal.
        position_mm: middle of the picture (LPS).
        box_mm: what it shows.
        mm_per_pixel: its zoom.
        likeness: correlation with the slice, at most 1.
    """

    plane: str
    position_mm: tuple[float, float, float]
    box_mm: BoxMm
    mm_per_pixel: float
    likeness: float


@dataclass(frozen=True)
class _Fit:
    """A picture laid on a slice: its middle, in mm from the first slice, row and column; its zoom and its window."""

    slice_mm: float
    row_mm: float
    column_mm: float
    mm_per_pixel: float
    window: tuple[float, float]
    likeness: float

    def is_near(self, other: "_Fit") -> bool:
        """Whether both are one place at this resolution."""
        far = max(abs(self.slice_mm - other.slice_mm), abs(self.row_mm - other.row_mm), abs(self.column_mm - other.column_mm))
        return far < 3 * STEPS_MM[0] and abs(log(self.mm_per_pixel / other.mm_per_pixel)) < 2 * log(ZOOM_STEP)


def read_picture(data: bytes) -> Picture:
    """Return a PNG, JPEG, WebP or BMP as grey values 0 to 255, with coloured lines taken out.

    Raises:
        BadInput: it is no picture, too large, or shows nothing.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "BMP")) as image:
            if image.width * image.height > LARGEST_PIXELS:
                size = f"{image.width} x {image.height} pixels"
                raise BadInput("the picture is too large", found=size, remedy="cut out a part")
            colours = np.asarray(_eight_bit(image))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput("this is no picture that can be read", remedy="paste a PNG or JPEG") from error
    grey = _without_lines(colours)
    shown = grey[_filled(grey)]
    if min(shown.shape) < SMALLEST_PIXELS or shown.std() < 1:
        raise BadInput("the picture shows too little", found=f"{shown.shape[1]} x {shown.shape[0]} pixels", remedy="cut out more")
    return grey


def _eight_bit(image: Image.Image) -> Image.Image:
    """The picture in eight bits and of at most ``MOST_PIXELS``, on black where it is transparent."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float32)
        low, high = float(values.min()), float(values.max())
        image = Image.fromarray(((values - low) * (255 / max(high - low, 1e-6))).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image.convert("RGBA"))
    image = image.convert("RGB")
    edge = (MOST_PIXELS / (image.width * image.height)) ** 0.5
    return image if edge >= 1 else image.resize((max(1, round(image.width * edge)), max(1, round(image.height * edge))))


def locate(volume: Volume, picture: Picture) -> Located | None:
    """Return where a picture was taken, None where no place is like it."""
    view, filled = canonical(volume), _filled(picture)
    fits: list[tuple[_Fit, str]] = []
    for plane in PLANES:
        fits += [(fit, plane) for fit in _best(*_slices(view, plane), picture[filled])]
        fits.sort(key=lambda one: -one[0].likeness)
        if fits and fits[0][0].likeness >= CERTAIN:
            break
    if not fits or fits[0][0].likeness < LIKE or not _is_clear([fit.likeness for fit, _ in fits]):
        return None
    best, plane = fits[0]
    return _located(volume, view, plane, _with_margin(best, filled, picture.shape), picture.shape)


def _is_clear(likenesses: Sequence[float]) -> bool:
    """Whether the first of several falling likenesses stands out."""
    return len(likenesses) < 2 or 1 - likenesses[0] <= CLEAR * (1 - likenesses[1])


def _without_lines(colours: UInt8[np.ndarray, "h w 3"]) -> Picture:
    """The grey values; of coloured pixels those of the nearest grey one."""
    grey = np.asarray(colours.mean(axis=2, dtype=np.float32))
    is_drawn = np.ptp(colours.astype(np.int16), axis=2) > GREY_SPREAD
    if not is_drawn.any() or is_drawn.all():
        return grey
    nearest = ndimage.distance_transform_edt(ndimage.binary_dilation(is_drawn), return_distances=False, return_indices=True)
    return np.asarray(grey[tuple(nearest)])


def _filled(grey: Picture) -> tuple[slice, slice]:
    """The part of a picture that is not a black margin, of a viewer or of air."""
    rows, columns = (np.flatnonzero(grey.max(axis=axis) > DARK) for axis in (1, 0))
    return tuple(slice(found[0], found[-1] + 1) if found.size else slice(0) for found in (rows, columns))  # type: ignore[return-value]


def _with_margin(fit: _Fit, filled: tuple[slice, slice], shape: tuple[int, ...]) -> _Fit:
    """The fit of the whole picture, given that of its filled part."""
    rows, columns = ((n - part.start - part.stop) / 2 for n, part in zip(shape, filled, strict=True))
    return replace(fit, row_mm=fit.row_mm + rows * fit.mm_per_pixel, column_mm=fit.column_mm + columns * fit.mm_per_pixel)


def _slices(view: Canonical, plane: str) -> tuple[np.ndarray, tuple[float, float, float]]:
    """The slices of a plane as a screen shows them (head or front up, the patient's right at the left), and their spacing."""
    z, y, x = view.spacing_mm
    if plane == "axial":
        return view.hu, (z, y, x)
    if plane == "coronal":
        return view.hu[::-1].transpose(1, 0, 2), (y, z, x)
    return view.hu[::-1].transpose(2, 0, 1), (x, z, y)


def _best(stack: np.ndarray, spacing: tuple[float, float, float], picture: Picture) -> list[_Fit]:
    """The best fits of three looks, each finer than the one before, one of each place."""
    coarse = _resampled(stack, spacing, (STEPS_MM[0],) * 3)
    fits = [fit for window in WINDOWS_HU for fit in _everywhere(coarse, picture, window)]
    fits = _distinct(fits, KEPT[0])
    step = (max(spacing[0], STEPS_MM[1]), STEPS_MM[1], STEPS_MM[1])
    middle = _resampled(stack, spacing, step) if fits else coarse
    fits = _distinct([_nearby(middle, step, picture, fit, (4.0, 6.0), np.linspace(0.97, 1.03, 7)) for fit in fits], KEPT[1])
    final = []
    for fit in fits:
        fitted = replace(fit, window=_window_of(stack, spacing, picture, fit))
        near = _nearby(stack, spacing, picture, fitted, (2.5 * spacing[0], 3.0), np.linspace(0.99, 1.01, 9))
        fitted = replace(near, window=_window_of(stack, spacing, picture, near))
        final.append(_nearby(stack, spacing, picture, fitted, (1.5 * spacing[0], 1.5), np.linspace(0.996, 1.004, 5)))
    return _distinct(final, KEPT[1])


def _everywhere(coarse: Stack, picture: Picture, window: tuple[float, float]) -> Iterator[_Fit]:
    """The best places of each zoom at the first resolution."""
    step = STEPS_MM[0]
    shown = _windowed(coarse, window)
    room = np.array(shown.shape[1:]) * step
    smallest, largest = SMALLEST_MM / min(picture.shape), float(np.min(room / np.array(picture.shape)))
    if largest < smallest:
        return
    spectrum = fft.rfft2(shown)
    sums = _Sums(shown)
    for mm in np.geomspace(smallest, largest, max(2, int(np.log(largest / smallest) / np.log(ZOOM_STEP)) + 2)):
        template = _scaled(picture, mm / step)
        likeness = _correlation(spectrum, sums, template)
        best = likeness.reshape(len(likeness), -1).max(axis=1)
        for index in np.argsort(-best)[:3]:
            row, column = np.unravel_index(int(np.argmax(likeness[index])), likeness.shape[1:])
            middle = [float(at + (n - 1) / 2) * step for at, n in zip((row, column), template.shape, strict=True)]
            yield _Fit(float(index * step), middle[0], middle[1], float(mm), window, float(best[index]))


def _nearby(
    stack: np.ndarray,
    spacing: tuple[float, float, float],
    picture: Picture,
    fit: _Fit,
    reach_mm: tuple[float, float],
    zooms: Sequence[float] | np.ndarray,
) -> _Fit:
    """The best fit around one: slices and places within reach (mm), zooms by those factors."""
    first, last = ((fit.slice_mm + sign * reach_mm[0]) / spacing[0] for sign in (-1, 1))
    low, high = max(0, int(np.ceil(first))), min(len(stack) - 1, int(np.floor(last)))
    found = replace(fit, likeness=-1.0)
    middle = (fit.row_mm, fit.column_mm)
    for factor in zooms:
        mm = fit.mm_per_pixel * float(factor)
        size = [max(2, round(n * mm / along)) for n, along in zip(picture.shape, spacing[1:], strict=True)]
        template = _sized(picture, size)
        starts = [centre / along - (n - 1) / 2 for centre, along, n in zip(middle, spacing[1:], size, strict=True)]
        begin = [max(0, int(start - reach_mm[1] / along)) for start, along in zip(starts, spacing[1:], strict=True)]
        end = [int(start + n + reach_mm[1] / along) + 2 for start, along, n in zip(starts, spacing[1:], size, strict=True)]
        part = stack[low : high + 1, begin[0] : end[0], begin[1] : end[1]]
        if not part.size or part.shape[1] < size[0] or part.shape[2] < size[1]:
            continue
        shown = _windowed(np.asarray(part, np.float32), fit.window)
        likeness = _correlation(fft.rfft2(shown), _Sums(shown), template)
        index, row, column = np.unravel_index(int(np.argmax(likeness)), likeness.shape)
        best = float(likeness[index, row, column])
        if best > found.likeness:
            at = (row + begin[0] + (size[0] - 1) / 2) * spacing[1], (column + begin[1] + (size[1] - 1) / 2) * spacing[2]
            found = _Fit(float((low + index) * spacing[0]), float(at[0]), float(at[1]), mm, fit.window, best)
    return found


def _window_of(stack: np.ndarray, spacing: tuple[float, float, float], picture: Picture, fit: _Fit) -> tuple[float, float]:
    """The window (lowest, highest HU) that makes the slice most like the picture, by a line through what is not saturated."""
    index = min(len(stack) - 1, max(0, round(fit.slice_mm / spacing[0])))
    middles = zip((fit.row_mm, fit.column_mm), picture.shape, spacing[1:], strict=True)
    places = [(middle + fit.mm_per_pixel * (np.arange(n) - (n - 1) / 2)) / along for middle, n, along in middles]
    coordinates = np.meshgrid(*places, indexing="ij")
    hu = ndimage.map_coordinates(np.asarray(stack[index], np.float32), coordinates, order=1, mode="nearest")
    is_between = (picture > DARK) & (picture < 255 - DARK) & (np.abs(hu - np.median(hu)) < 1500)
    if is_between.sum() < 50 or hu[is_between].std() < 1:
        return fit.window
    grey, shown = picture[is_between], hu[is_between]
    if grey.std() < 1:
        return fit.window
    slope = float(np.mean((grey - grey.mean()) * (shown - shown.mean())) / grey.var())  # HU by grey: the picture has less noise
    offset = float(shown.mean() - slope * grey.mean())
    return (float(offset), float(offset + 255 * slope)) if slope > 0.05 else fit.window


class _Sums:
    """Sums over any rectangle of each slice, for the mean and spread under a template."""

    def __init__(self, shown: Stack) -> None:
        self._one, self._square = (self._integral(array) for array in (shown, shown * shown))

    @staticmethod
    def _integral(array: Stack) -> np.ndarray:
        padded = np.zeros((array.shape[0], array.shape[1] + 1, array.shape[2] + 1))
        padded[:, 1:, 1:] = array.cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
        return padded

    def spread(self, rows: int, columns: int) -> np.ndarray:
        """Root of the summed squares about the mean, for each place of a template of that size."""
        one, square = (self._over(table, rows, columns) for table in (self._one, self._square))
        return np.asarray(np.sqrt(np.maximum(square - one * one / (rows * columns), 1e-6)))

    @staticmethod
    def _over(table: np.ndarray, rows: int, columns: int) -> np.ndarray:
        upper, lower = table[:, :-rows], table[:, rows:]
        return np.asarray(lower[:, :, columns:] - lower[:, :, :-columns] - upper[:, :, columns:] + upper[:, :, :-columns])


def _correlation(spectrum: np.ndarray, sums: _Sums, template: Template) -> np.ndarray:
    """Normalised cross-correlation of a template with each slice, at each place where it lies wholly within."""
    rows, columns = template.shape
    centred = template - template.mean()
    size = sums._one.shape[1] - 1, sums._one.shape[2] - 1
    product = fft.irfft2(spectrum * np.conj(fft.rfft2(centred, size)), size)
    valid = product[:, : size[0] - rows + 1, : size[1] - columns + 1]
    norm = max(float(np.linalg.norm(centred)), 1e-6)
    spread = sums.spread(rows, columns)
    return np.asarray(np.where(spread > 0.02 * np.sqrt(rows * columns), valid / (norm * spread), 0.0))


def _distinct(fits: list[_Fit], most: int) -> list[_Fit]:
    """The best fits, one of each place."""
    kept: list[_Fit] = []
    for fit in sorted(fits, key=lambda one: -one.likeness):
        if len(kept) < most and not any(fit.is_near(other) for other in kept):
            kept.append(fit)
    return kept


def _windowed(hu: np.ndarray, window: tuple[float, float]) -> Stack:
    """CT numbers as a screen shows them, 0 to 1."""
    low, high = window
    return np.asarray(np.clip((hu - low) / (high - low), 0.0, 1.0), np.float32)


def _resampled(stack: np.ndarray, spacing: tuple[float, float, float], step: tuple[float, float, float]) -> Stack:
    """The stack at coarser steps, each voxel the mean of what it covers; first voxels stay first."""
    factors = [max(1, round(to / along)) for to, along in zip(step, spacing, strict=True)]
    smooth = np.asarray(stack, np.float32)
    for axis, factor in enumerate(factors):
        if factor > 1:
            smooth = ndimage.uniform_filter1d(smooth, factor, axis=axis, mode="nearest")
    grids = [np.arange(0, n, to / along) for n, to, along in zip(stack.shape, step, spacing, strict=True)]
    for axis, places in enumerate(grids):
        low = np.minimum(places.astype(int), stack.shape[axis] - 1)
        high = np.minimum(low + 1, stack.shape[axis] - 1)
        share = (places - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
        smooth = smooth.take(low, axis=axis) * (1 - share) + smooth.take(high, axis=axis) * share
    return smooth


def _scaled(picture: Picture, factor: float) -> Template:
    return _sized(picture, [max(2, round(n * factor)) for n in picture.shape])


def _sized(picture: Picture, size: Sequence[int]) -> Template:
    """The picture with that many rows and columns, smoothed when it shrinks; 0 to 1."""
    resized = Image.fromarray(np.asarray(picture, np.float32)).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32) / np.float32(255)


def _located(volume: Volume, view: Canonical, plane: str, fit: _Fit, shape: tuple[int, ...]) -> Located:
    """The fit in patient millimetres."""
    half = np.array(shape) * fit.mm_per_pixel / 2
    signs = ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
    ends = [np.array([fit.row_mm, fit.column_mm]) + np.array(sign) * half for sign in signs]
    middle, *corners = (_world(volume, view, plane, fit.slice_mm, *end) for end in ends)
    low, high = np.min(corners, axis=0).round(2), np.max(corners, axis=0).round(2)
    x, y, z = middle.round(2)
    box = ((float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2])))
    return Located(plane, (float(x), float(y), float(z)), box, fit.mm_per_pixel, round(fit.likeness, 3))


def _world(volume: Volume, view: Canonical, plane: str, slice_mm: float, row_mm: float, column_mm: float) -> np.ndarray:
    """LPS millimetres of a point of a slice."""
    top = (view.hu.shape[0] - 1) * view.spacing_mm[0]
    places = {
        "axial": (slice_mm, row_mm, column_mm),
        "coronal": (top - row_mm, slice_mm, column_mm),
        "sagittal": (top - row_mm, column_mm, slice_mm),
    }
    index = np.zeros(3)
    for target, source in enumerate(view.order):
        along = places[plane][target] / view.spacing_mm[target]
        index[source] = view.hu.shape[target] - 1 - along if view.flips[target] else along
    return np.asarray(volume.grid.to_world_mm(index))
