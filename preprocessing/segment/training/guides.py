"""Guide file + working volume -> label map: coarse organ outlines drawn on key slices of a real CT, made whole.

A guide names structures in the order in which they are painted (later over earlier). Each is the part of space where all
that is given holds: inside its outlines (closed polygons on key slices, interpolated in between by signed distance), inside
the named structures of ``hu-rules``, and within a gate of smoothed CT numbers. So an outline may be generous where the gate
parts an organ from fat or gas, and must be tight where organs touch. Voxels that nobody can judge carry ``IGNORE``.
Knows nothing about where the CT lies; a guide holds coordinates only, no pixel of the patient.
"""

import tomllib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import ndimage

from medomni.types.segmentation import Segmentation
from medomni.types.volume import Grid, Mask, Volume
from preprocessing.morphology import closing, grow, opening, shrink
from preprocessing.segment.classes import CLASSES, LABELS
from preprocessing.segment.hu_rules import HuRules

NOT_JUDGED = "not_judged"
"""Name of the areas a guide leaves open."""
BACKGROUND = "background"
"""Name of the areas a guide takes back from what was painted before."""
IGNORE = 255
"""Label of a voxel that nobody judged: no loss and no score counts it."""

SMOOTHING_MM = 2.0
"""Usual sigma of the Gaussian before a gate: halves the noise of a 3 mm voxel; thin bone and vessels want less."""
LITTLE_OVERLAP = 0.5
"""Outlines of two key slices that share less than this part of the smaller one are slid along, as in an oblique tube."""

GUIDES = Path(__file__).parent / "guides"
"""The guide files that come with MedOmni."""

Point = tuple[float, float]
Plane = Float64[np.ndarray, "y x"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeySlice(_Frozen):
    """Outlines at one height: closed polygons of (x, y) LPS mm, without a repeated last point; one inside another is a hole."""

    z_mm: float
    polygons: tuple[tuple[Point, ...], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_areas(self) -> "KeySlice":
        if any(len(polygon) < 3 for polygon in self.polygons):
            raise ValueError(f"a polygon at z {self.z_mm} mm has fewer than three points")
        return self


class Guide(_Frozen):
    """One structure, or one part of it, of one series.

    Attributes:
        name: a class of the network, ``NOT_JUDGED`` or ``BACKGROUND``.
        slices: key slices; the structure reaches from the lowest to the highest. None: no outline bounds it.
        rules: names of ``hu-rules`` structures that bound it (lung_right, lung_left, airway, bone, body).
        hu: lowest and highest CT number after smoothing.
        smoothing_mm: sigma of the Gaussian before that gate.
        opening_mm: only what a ball of this radius fits into is kept (after the gate).
        closing_mm: holes and gaps that a ball of this radius does not fit into are closed, within the outline.
        over: only voxels painted so far with one of these names (or BACKGROUND) are painted; none: all.
        doubt_mm: background and this structure within this distance of its border are left open.
    """

    name: str
    slices: tuple[KeySlice, ...] = ()
    rules: tuple[str, ...] = ()
    hu: tuple[float, float] | None = None
    smoothing_mm: float = Field(SMOOTHING_MM, ge=0)
    opening_mm: float = Field(0.0, ge=0)
    closing_mm: float = Field(0.0, ge=0)
    over: tuple[str, ...] = ()
    doubt_mm: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _is_drawable(self) -> "Guide":
        unknown = {self.name, *self.over} - {*CLASSES, NOT_JUDGED, BACKGROUND}
        if unknown:
            raise ValueError(f"a guide names {sorted(unknown)}; known are {', '.join(CLASSES)}, {NOT_JUDGED}, {BACKGROUND}")
        heights = [key.z_mm for key in self.slices]
        if sorted(set(heights)) != heights:
            raise ValueError(f"key slices of {self.name} must rise, each height once: {heights}")
        if not (self.slices or self.rules or self.hu):
            raise ValueError(f"nothing bounds {self.name}: give slices, rules or hu")
        return self


class Guides(_Frozen):
    """All guides of one series, in the order in which they are painted, and whom to name for the CT and for the outlines."""

    series: str
    source: str
    licence: str
    attribution: str
    drawn_by: str
    structures: tuple[Guide, ...]


def read_guides(path: Path) -> Guides:
    """The guides of a TOML file."""
    return Guides.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


def guide_labels(volume: Volume, guides: Guides, rules: Segmentation | None = None) -> UInt8[np.ndarray, "z y x"]:
    """The label map of the guides on the grid of the volume.

    Args:
        volume: the series on its working grid (axes along left, back and head).
        guides: what was drawn on that series.
        rules: ``hu-rules`` on the same grid; made here when absent and a guide asks for it.
    """
    if rules is None and any(guide.rules for guide in guides.structures):
        rules = HuRules().segment(volume)
    smooth = {sigma: _smooth(volume, sigma) for sigma in {guide.smoothing_mm for guide in guides.structures if guide.hu}}
    labels = np.zeros(volume.grid.shape, dtype=np.uint8)
    for guide in guides.structures:
        mask = _guide_mask(guide, volume.grid, smooth, rules)
        if guide.over:
            mask &= np.isin(labels, [label_of(name) for name in guide.over])
        labels[mask] = label_of(guide.name)
        if guide.doubt_mm:
            labels[_border(mask, guide.doubt_mm, volume.grid) & np.isin(labels, (0, label_of(guide.name)))] = IGNORE
    return labels


def label_of(name: str) -> int:
    """The label of a name in a guide."""
    if name == NOT_JUDGED:
        return IGNORE
    return 0 if name == BACKGROUND else LABELS[name]


def outline_mask(slices: tuple[KeySlice, ...], grid: Grid) -> Mask:
    """Voxels whose centre lies inside the outlines, which are interpolated between the key slices.

    Raises:
        ValueError: the axes of the grid do not run along left, back and head.
    """
    axes = np.stack([grid.row_direction, grid.column_direction, grid.normal])
    if np.max(np.abs(axes - np.eye(3))) > 1e-3:
        raise ValueError("outlines need a grid along left, back and head: bring the volume to its working grid first")
    points = np.array([point for key in slices for polygon in key.polygons for point in polygon])
    x, columns = _places(grid.slice_origins_mm[0, 0], grid.pixel_spacing_mm[1], grid.shape[2], points[:, 0])
    y, rows = _places(grid.slice_origins_mm[0, 1], grid.pixel_spacing_mm[0], grid.shape[1], points[:, 1])
    distances = [signed_distance_mm(key.polygons, x, y) for key in slices]
    mask = np.zeros(grid.shape, dtype=np.bool_)
    half = grid.slice_spacing_mm / 2
    for k, z in enumerate(grid.slice_origins_mm[:, 2]):
        if slices[0].z_mm - half <= z <= slices[-1].z_mm + half:
            mask[k, rows, columns] = _inside_at(slices, distances, float(z), x, y)
    return mask


def _places(
    start_mm: float, step_mm: float, count: int, wanted: Float64[np.ndarray, "n"]
) -> tuple[Float64[np.ndarray, "m"], slice]:
    """Positions of the voxel centres of one axis that lie between the wanted ones, and which they are."""
    first = int(np.clip(np.floor((wanted.min() - start_mm) / step_mm), 0, count - 1))
    last = int(np.clip(np.ceil((wanted.max() - start_mm) / step_mm), 0, count - 1))
    return start_mm + np.arange(first, last + 1) * step_mm, slice(first, last + 1)


def _smooth(volume: Volume, sigma_mm: float) -> Float32[np.ndarray, "z y x"]:
    """CT numbers under a Gaussian."""
    return np.asarray(ndimage.gaussian_filter(volume.hu.astype(np.float32), [sigma_mm / s for s in volume.grid.spacing_mm]))


def _guide_mask(
    guide: Guide, grid: Grid, smooth: Mapping[float, Float32[np.ndarray, "z y x"]], rules: Segmentation | None
) -> Mask:
    """Where all that bounds the structure holds; ``smooth`` by its sigma in mm."""
    outline = outline_mask(guide.slices, grid) if guide.slices else np.ones(grid.shape, dtype=np.bool_)
    mask = outline.copy()
    if guide.rules and rules is not None:
        mask &= rules.mask(*guide.rules)
    if guide.hu is not None:
        hu = smooth[guide.smoothing_mm]
        mask &= (hu >= guide.hu[0]) & (hu <= guide.hu[1])
    if guide.closing_mm:
        mask = closing(mask, guide.closing_mm, grid.spacing_mm) & outline
    return opening(mask, guide.opening_mm, grid.spacing_mm) if guide.opening_mm else mask


def _border(mask: Mask, doubt_mm: float, grid: Grid) -> Mask:
    """Voxels within a distance of the border of the mask, on both sides."""
    return np.asarray(grow(mask, doubt_mm, grid.spacing_mm) & ~shrink(mask, doubt_mm, grid.spacing_mm))


def _inside_at(
    slices: tuple[KeySlice, ...], distances: list[Plane], z: float, x: Float64[np.ndarray, "x"], y: Float64[np.ndarray, "y"]
) -> Bool[np.ndarray, "y x"]:
    """Inside of the outlines at one height, which lies on or between two key slices or just beyond the last one."""
    for k, (below, above) in enumerate(pairwise(slices)):
        if below.z_mm < z < above.z_mm:
            share = (z - below.z_mm) / (above.z_mm - below.z_mm)
            low, high = distances[k], distances[k + 1]
            if _is_oblique_tube(below, above, low > 0, high > 0):
                along_x, along_y = _centre(above.polygons[0]) - _centre(below.polygons[0])
                low = signed_distance_mm(below.polygons, x - share * along_x, y - share * along_y)
                high = signed_distance_mm(above.polygons, x + (1 - share) * along_x, y + (1 - share) * along_y)
            return np.asarray((1 - share) * low + share * high > 0)
    nearest = min(range(len(slices)), key=lambda k: abs(slices[k].z_mm - z))
    return np.asarray(distances[nearest] > 0)


def _is_oblique_tube(below: KeySlice, above: KeySlice, low: Bool[np.ndarray, "y x"], high: Bool[np.ndarray, "y x"]) -> bool:
    """Whether two lone outlines of neighbouring key slices hardly overlap: what lies between them is slid, not blended."""
    smaller = int(min(low.sum(), high.sum()))
    is_lone = len(below.polygons) == 1 and len(above.polygons) == 1
    return is_lone and int((low & high).sum()) < LITTLE_OVERLAP * max(1, smaller)


def _centre(polygon: Iterable[Point]) -> Float64[np.ndarray, "2"]:
    """Middle of the box of a polygon; the mean of its points would follow where they lie dense."""
    points = np.array(list(polygon))
    return np.asarray((points.min(axis=0) + points.max(axis=0)) / 2)


def signed_distance_mm(
    polygons: tuple[tuple[Point, ...], ...], x: Float64[np.ndarray, "x"], y: Float64[np.ndarray, "y"]
) -> Plane:
    """Distance to the nearest edge at every (y, x), positive inside by the even-odd rule, negative outside."""
    column, row = np.asarray(x)[None, :], np.asarray(y)[:, None]
    is_inside = np.zeros((len(y), len(x)), dtype=np.bool_)
    square = np.full(is_inside.shape, np.inf)
    for polygon in polygons:
        for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
            dx, dy = x1 - x0, y1 - y0
            length = dx * dx + dy * dy
            along = np.clip(((column - x0) * dx + (row - y0) * dy) / length, 0.0, 1.0) if length else 0.0
            square = np.minimum(square, (x0 + along * dx - column) ** 2 + (y0 + along * dy - row) ** 2)
            if y0 != y1:
                is_inside ^= ((y0 > row) != (y1 > row)) & (column < x0 + (row - y0) * dx / dy)
    return np.asarray(np.where(is_inside, np.sqrt(square), -np.sqrt(square)))
