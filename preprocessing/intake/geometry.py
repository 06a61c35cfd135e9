"""Slices of one series -> the same slices sorted along their normal, on a grid, or a refusal that says why not.

Each slice keeps its own position: nothing is resampled, no slice is invented, and SliceThickness is never used as a distance.
"""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from medomni.errors import BadInput
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.volume import Grid
from preprocessing.intake import attributes, tags
from preprocessing.intake.slices import MAX_SIDE, Slice

MIN_SLICES = 3
SAME_PLACE_MM = 0.02
"""Slices nearer than this lie at one position."""
PIXEL_RANGE_MM = (0.02, 20.0)
STEP_RANGE_MM = (0.05, 60.0)
MAX_POSITION_MM = 1e5
MAX_VOXELS = 3 << 29
"""1.6 thousand million voxels, 3 GiB as int16: 6,000 slices of 512 x 512."""
GAP_STEPS = 1.75
"""A step this many times its neighbours' counts as missing slices."""
MAX_MISSING = 1
"""Most slices that may be missing in one place."""
UNEVEN_MM, SIDEWAYS_MM, TILT_DEG = 0.1, 1.0, 0.5
"""Differences from which the reader of the draft is told."""
_SAME_DIRECTION = 2e-3


@dataclass(frozen=True, eq=False)
class Arranged:
    """Sorted slices on their grid. ``twins`` are pairs (kept, left out) of slices that lie at one position."""

    slices: tuple[Slice, ...]
    grid: Grid
    twins: tuple[tuple[Slice, Slice], ...]
    tilt_deg: float
    notices: tuple[Notice, ...]


def arrange(slices: tuple[Slice, ...]) -> Arranged:
    """Return the slices sorted by position along their common normal.

    Raises:
        BadInput: the geometry is missing, contradictory or beyond what a CT scanner makes.
    """
    _require_geometry(slices)
    _require_one_matrix(slices)
    slices, odd = _with_main_orientation(slices)
    _require_same(slices, tags.FRAME_OF_REFERENCE_UID, "frames of reference")
    row, column = _directions(slices[0])
    spacing = _pixel_spacing(slices)
    slices, origins, twins = _sorted_unique(slices, np.cross(row, column))
    positions = origins @ np.cross(row, column)
    _require_enough(slices, twins)
    notices = [_notice("localizer_left_out", count=str(len(odd)))] if odd else []
    notices += _check_steps(slices, positions)
    if len(slices) * slices[0].rows * slices[0].columns > MAX_VOXELS:
        raise _refuse("the series is too large", f"{len(slices)} slices", "give a part of it", slices[0])
    grid = Grid((len(slices), slices[0].rows, slices[0].columns), spacing, row, column, origins)
    tilt = _tilt_deg(origins, grid.normal)
    if tilt >= TILT_DEG:
        notices.append(_notice("gantry_tilt", degrees=f"{tilt:.1f}"))
    if _sideways_mm(origins, positions) > SIDEWAYS_MM:
        notices.append(_notice("slices_shifted_sideways", shift_mm=f"{_sideways_mm(origins, positions):.1f}"))
    notices += [*_plane_notices(grid), *_thickness_notices(slices[0], grid)]
    return Arranged(slices, grid, twins, tilt, tuple(notices))


def normal_of(image: Slice) -> Float64[np.ndarray, "3"] | None:
    """Return the slice's unit normal, or None when its orientation is missing or impossible."""
    return None if image.orientation is None else _normal(image.orientation)


@lru_cache(maxsize=256)
def _normal(orientation: tuple[float, ...]) -> Float64[np.ndarray, "3"] | None:
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    length = float(np.linalg.norm(normal))
    is_sound = abs(np.linalg.norm(row) - 1) < 0.01 and abs(np.linalg.norm(column) - 1) < 0.01 and abs(length - 1) < 0.01
    return normal / length if is_sound else None


def _require_geometry(slices: tuple[Slice, ...]) -> None:
    lacks = (
        ("ImagePositionPatient", "the slice distance is unknown", [s for s in slices if s.position is None]),
        ("ImageOrientationPatient", "left and right are unknown", [s for s in slices if normal_of(s) is None]),
        ("PixelSpacing", "nothing can be measured", [s for s in slices if s.spacing is None]),
    )
    for name, effect, without in lacks:
        if without:
            found = f"{len(without)} of {len(slices)} images"
            raise _refuse(f"{name} is missing or impossible, {effect}", found, "export the original series", without[0])
    far = [s for s in slices if s.position is not None and max(map(abs, s.position)) > MAX_POSITION_MM]
    if far:
        raise _refuse("ImagePositionPatient is out of range", f"{len(far)} images", "export the series again", far[0])


def _require_one_matrix(slices: tuple[Slice, ...]) -> None:
    sizes = Counter((s.rows, s.columns) for s in slices)
    main = sizes.most_common(1)[0][0]
    odd = [s for s in slices if (s.rows, s.columns) != main]
    if odd:
        found = f"{main[0]}x{main[1]} and {odd[0].rows}x{odd[0].columns} ({names(odd)})"
        raise _refuse("one series holds images of several sizes", found, "remove the images that differ", odd[0])
    if not (2 <= main[0] <= MAX_SIDE and 2 <= main[1] <= MAX_SIDE):
        raise _refuse("the matrix size makes no sense", f"{main[0]}x{main[1]}", "export the series again", slices[0])


def _with_main_orientation(slices: tuple[Slice, ...]) -> tuple[tuple[Slice, ...], list[Slice]]:
    """Split off the few slices that lie across the others: localizers that do not say so."""
    counts = Counter(s.orientation for s in slices)
    main = counts.most_common(1)[0][0]
    kept: list[Slice] = []
    odd: list[Slice] = []
    for image in slices:
        same = image.orientation == main or np.allclose(_given(image.orientation), _given(main), atol=_SAME_DIRECTION)
        (kept if same else odd).append(image)
    if len(odd) > max(2, len(slices) // 20):
        found = f"{len(kept)} and {len(odd)} images"
        raise _refuse("one series holds images of several orientations", found, "give one stack of slices", odd[0])
    return tuple(kept), odd


def _require_same(slices: tuple[Slice, ...], tag: int, name: str) -> None:
    values = Counter(s.token(tag) for s in slices)
    if len(values) > 1:
        rare = values.most_common()[-1][0]
        odd = [s for s in slices if s.token(tag) == rare]
        found = f"{len(values)} ({names(odd)} differ)"
        raise _refuse(f"one series holds several {name}", found, "give one acquisition at a time", odd[0])


def _directions(image: Slice) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    row, column = np.array(_given(image.orientation)[:3]), np.array(_given(image.orientation)[3:])
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    if abs(row @ column) > 1e-3:
        found = f"{np.degrees(np.arccos(row @ column)):.1f} degrees between rows and columns"
        raise _refuse("rows and columns are not at right angles", found, "export the original series", image)
    return row, column


def _pixel_spacing(slices: tuple[Slice, ...]) -> tuple[float, float]:
    first = _given(slices[0].spacing)
    for image in slices:
        own = _given(image.spacing)
        if own != first and not np.allclose(own, first, rtol=1e-3):
            raise _refuse(
                "one series holds several pixel spacings", f"{first[0]:g} and {own[0]:g} mm",
                "give one reconstruction at a time", image,
            )  # fmt: skip
    if not all(PIXEL_RANGE_MM[0] <= value <= PIXEL_RANGE_MM[1] for value in first):
        raise _refuse("PixelSpacing makes no sense", f"{first[0]:g} x {first[1]:g} mm", "export the series again", slices[0])
    return first[0], first[1]


def _sorted_unique(
    slices: tuple[Slice, ...], normal: Float64[np.ndarray, "3"]
) -> tuple[tuple[Slice, ...], Float64[np.ndarray, "z 3"], tuple[tuple[Slice, Slice], ...]]:
    """Sort along the normal and keep one slice of each position: the lowest InstanceNumber, then file name."""
    origins = np.array([_given(s.position) for s in slices], dtype=np.float64)
    along = origins @ normal
    order = sorted(range(len(slices)), key=lambda k: (round(along[k], 2), slices[k].instance_number or 0, k))
    kept: list[int] = []
    twins: list[tuple[Slice, Slice]] = []
    for k in order:
        if kept and abs(along[k] - along[kept[-1]]) < SAME_PLACE_MM:
            twins.append((slices[kept[-1]], slices[k]))
        else:
            kept.append(k)
    return tuple(slices[k] for k in kept), origins[kept], tuple(twins)


def _require_enough(slices: tuple[Slice, ...], twins: tuple[tuple[Slice, Slice], ...]) -> None:
    count = len(slices)
    if count < MIN_SLICES and len(twins) >= MIN_SLICES - 1:
        found = f"{count + len(twins)} images, {count} different positions"
        raise _refuse("the images lie at one position", found, "export a series with its positions", slices[0])
    if count < MIN_SLICES:
        found = f"{count} slice" + "s" * (count > 1)
        raise _refuse("too few slices", found, f"need at least {MIN_SLICES} slices; give the whole series", slices[0])
    if len(twins) > count // 4:
        found = f"{len(twins)} of {count + len(twins)} images share a position"
        raise _refuse("one series holds several stacks", found, "give one phase or reconstruction", slices[0])


def _check_steps(slices: tuple[Slice, ...], positions: Float64[np.ndarray, "z"]) -> list[Notice]:
    steps = np.diff(positions)
    low, high = float(steps.min()), float(steps.max())
    if low < STEP_RANGE_MM[0] or float(np.median(steps)) > STEP_RANGE_MM[1]:
        raise _refuse("the slice distance makes no sense", f"{low:g} to {high:g} mm", "export the series again", slices[0])
    notices = []
    expected = _expected_steps(steps)
    gaps = [int(k) for k in np.flatnonzero(steps >= GAP_STEPS * expected)]
    for k in gaps:
        missing = max(1, round(float(steps[k] / expected[k])) - 1)
        if missing > MAX_MISSING or len(gaps) > max(3, len(slices) // 20):
            raise _refuse(
                "slices are missing", f"{missing} after this one, {len(gaps)} gaps in all",
                "send the missing slices and try again", slices[k],
            )  # fmt: skip
        notices.append(
            _notice("gap_in_series", from_mm=f"{positions[k]:.1f}", to_mm=f"{positions[k + 1]:.1f}", missing=str(missing))
        )
    even = np.delete(steps, gaps)
    if even.size and float(even.max() - even.min()) > max(UNEVEN_MM, 0.02 * float(np.median(even))):
        notices.append(_notice("uneven_slice_spacing", min_mm=f"{even.min():.2f}", max_mm=f"{even.max():.2f}"))
    return notices


def _expected_steps(steps: Float64[np.ndarray, "s"]) -> Float64[np.ndarray, "s"]:
    """Return for each step the larger of the usual steps on its two sides: a change of spacing is no gap."""
    expected = steps.copy()
    if steps.max() < GAP_STEPS * steps.min():
        return expected
    for k in range(len(steps)):
        sides = [side for side in (steps[max(0, k - 5) : k], steps[k + 1 : k + 6]) if side.size]
        expected[k] = max((float(np.median(side)) for side in sides), default=steps[k])
    return expected


def _tilt_deg(origins: Float64[np.ndarray, "z 3"], normal: Float64[np.ndarray, "3"]) -> float:
    way = origins[-1] - origins[0]
    return float(np.degrees(np.arccos(np.clip(abs(way @ normal) / np.linalg.norm(way), 0, 1))))


def _sideways_mm(origins: Float64[np.ndarray, "z 3"], positions: Float64[np.ndarray, "z"]) -> float:
    """Return how far the slices leave one straight (perhaps tilted) line."""
    share = ((positions - positions[0]) / (positions[-1] - positions[0]))[:, None]
    line = origins[0] + share * (origins[-1] - origins[0])
    return float(np.max(np.linalg.norm(line - origins, axis=1)))


def _plane_notices(grid: Grid) -> list[Notice]:
    axis = int(np.argmax(np.abs(grid.normal)))
    return [] if axis == 2 else [_notice(("slices_sagittal", "slices_coronal")[axis])]


def _thickness_notices(image: Slice, grid: Grid) -> list[Notice]:
    """Say when slices are so far apart that tissue lies between them unseen."""
    thickness = attributes.number(image.header.values.get(tags.SLICE_THICKNESS))
    if thickness is None or not 0 < thickness * 1.5 < grid.slice_spacing_mm:
        return []
    return [_notice("slices_not_contiguous", step_mm=f"{grid.slice_spacing_mm:.1f}", thickness_mm=f"{thickness:.1f}")]


def names(slices: list[Slice]) -> str:
    """Return the first file names of some slices."""
    shown = sorted({s.header.item.name for s in slices})
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def _given(value: tuple[float, ...] | None) -> tuple[float, ...]:
    """Return geometry that ``_require_geometry`` has found to be there."""
    if value is None:
        raise ValueError("geometry must be checked first")
    return value


def _refuse(wrong: str, found: str, remedy: str, image: Slice) -> BadInput:
    return BadInput(wrong, found=found, remedy=remedy, where=image.header.item.name)


def _notice(code: str, **fields: str) -> Notice:
    return Notice(code=code, level=NoticeLevel.WARNING, fields=fields)
