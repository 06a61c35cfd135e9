"""Volume + masks + report -> key images: the slices a reader would want to see first, as PNG with captions.

Axial slices in radiological convention (the patient's right at the left of the picture) in a lung window with the evidence
outlined, and one coronal overview with the lungs outlined. Nothing is written into the picture; a source with burned-in
text gives no picture at all, because it could show a name.
"""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image
from scipy import ndimage

from medomni.export.html import KeyImage
from medomni.export.words import name, say
from medomni.types.finding import BoxMm, Evidence, Finding, Laterality, Presence
from medomni.types.report import Report
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Grid, Volume
from preprocessing.measure.regions import LUNGS
from preprocessing.orient import Canonical, canonical

LUNG_WINDOW_HU = (-1350.0, 150.0)
"""Lung window: level -600, width 1500 HU (the usual preset of CT consoles)."""
MOST_IMAGES = 5
"""Key images in one report, the overview included."""
LARGEST_PIXELS = 512
"""Long edge of a key image; larger ones are reduced, so that a report stays below about 1 MB."""
OUTLINE_RGB = (255, 176, 0)
"""Amber: told from tissue and from each other by readers with colour-vision defects."""
AMBER = 255
"""Its place in the palette, whose others are grey."""

Plane = Float32[np.ndarray, "y x"]


def key_images(volume: Volume, segmentation: Segmentation, lesions: Segmentation, report: Report) -> tuple[KeyImage, ...]:
    """Return the key images of a report in the order of its findings, the overview last."""
    if report.acquisition.has_burned_in_annotation:
        return ()
    view = canonical(volume)
    images = [
        KeyImage(
            _slice(view, volume, _shown(evidence, lesions if lesions.has(evidence.structure) else segmentation, volume.grid)),
            _caption(finding, evidence, evidence.slice_index, report.language),
        )
        for finding in report.findings
        if finding.presence in (Presence.PRESENT, Presence.UNCERTAIN)
        for evidence in finding.evidence
        if evidence.slice_index is not None
    ]
    lungs = segmentation.mask(*LUNGS)
    if lungs.any():
        images = [*images[: MOST_IMAGES - 1], _overview(view, lungs, report.language)]
    return tuple(images[:MOST_IMAGES])


@dataclass(frozen=True, eq=False)
class _Shown:
    """A slice of a study and what is outlined in it."""

    index: int
    outlined: Bool[np.ndarray, "y x"]


def _shown(evidence: Evidence, source: Segmentation, grid: Grid) -> _Shown:
    """The structure of a piece of evidence in its slice; its box where it names no structure."""
    index = evidence.slice_index or 0
    if evidence.structure or evidence.box_mm is None:
        labels = [label for label, named in source.names.items() if named == evidence.structure]
        return _Shown(index, np.isin(source.labels[index], labels))
    return _Shown(index, _in_box(evidence.box_mm, index, grid))


def _in_box(box_mm: BoxMm, index: int, grid: Grid) -> Bool[np.ndarray, "y x"]:
    """The pixels of a slice that lie within a box."""
    corners = np.array([[box_mm[i][0], box_mm[j][1], box_mm[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    offset = corners - grid.slice_origins_mm[index]
    rows = offset @ grid.column_direction / grid.pixel_spacing_mm[0]
    columns = offset @ grid.row_direction / grid.pixel_spacing_mm[1]
    inside = np.zeros(grid.shape[1:], bool)
    low, high = (np.clip([limit(rows), limit(columns)], 0, grid.shape[1:]).astype(int) for limit in (np.min, np.max))
    inside[low[0] : high[0] + 1, low[1] : high[1] + 1] = True
    return inside


def _slice(view: Canonical, volume: Volume, shown: _Shown) -> bytes:
    """One slice of the study with what is outlined: front up, or head up when the stack is not axial."""
    across = view.order.index(0)
    flat = (volume.hu[shown.index : shown.index + 1], shown.outlined[None])
    hu, outlined = (np.squeeze(view.view(array), across) for array in flat)
    rows, columns = (view.spacing_mm[axis] for axis in range(3) if axis != across)
    up = slice(None, None, 1 if across == 0 else -1)
    return _png(np.asarray(hu[up], np.float32), np.asarray(outlined[up]), (rows, columns))


def _caption(finding: Finding, evidence: Evidence, index: int, language: str) -> str:
    side = "" if finding.laterality is Laterality.NONE else f" ({say(f'side_{_side(finding, evidence)}', language)})"
    return f"{name(finding.label, language)}{side}, {say('image_count', language, number=str(index + 1))}"


def _side(finding: Finding, evidence: Evidence) -> Laterality:
    """The side of one piece of evidence: of a bilateral finding, the order is right, then left."""
    if finding.laterality is not Laterality.BILATERAL or len(finding.evidence) != 2:
        return finding.laterality
    return Laterality.RIGHT if evidence == finding.evidence[0] else Laterality.LEFT


def _overview(view: Canonical, lungs: Bool[np.ndarray, "a b c"], language: str) -> KeyImage:
    """The coronal slice that shows most lung, head up, lungs outlined."""
    mask = view.view(lungs)
    row = int(np.argmax(mask.sum(axis=(0, 2))))
    spacing = (view.spacing_mm[0], view.spacing_mm[2])
    picture = _png(np.asarray(view.hu[::-1, row], np.float32), mask[::-1, row], spacing)
    return KeyImage(picture, say("image_overview", language))


def _png(hu: Plane, mask: Bool[np.ndarray, "y x"], spacing_mm: tuple[float, float]) -> bytes:
    """A windowed grey picture with square pixels and the outline of a mask, as PNG bytes."""
    low, high = LUNG_WINDOW_HU
    grey = np.clip((hu - low) * (255.0 / (high - low)), 0.0, 255.0).astype(np.uint8)
    edge = min(spacing_mm)
    scale = min(1.0, LARGEST_PIXELS / max(n * s / edge for n, s in zip(hu.shape, spacing_mm, strict=True)))
    size = tuple(max(1, round(n * s / edge * scale)) for n, s in zip(hu.shape, spacing_mm, strict=True))
    picture = np.asarray(Image.fromarray(grey).resize(size[::-1], Image.Resampling.BILINEAR))
    drawn = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)) > 0
    coloured: UInt8[np.ndarray, "y x"] = np.minimum(picture, AMBER - 1)
    coloured[ndimage.binary_dilation(drawn) & ~drawn] = AMBER
    image, stream = Image.fromarray(coloured), BytesIO()
    image.putpalette([level for grey in range(AMBER) for level in (grey, grey, grey)] + list(OUTLINE_RGB))
    image.save(stream, "PNG")
    return stream.getvalue()
