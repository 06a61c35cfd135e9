"""Volume + masks + report -> key images: the slices a reader would want to see first, as PNG with captions.

Axial slices in radiological convention (the patient's right at the left of the picture) in a lung window with the evidence
outlined, and one coronal overview with the lungs outlined. Nothing is written into the picture; a source with burned-in
text gives no picture at all, because it could show a name.
"""

from io import BytesIO

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image
from scipy import ndimage

from medomni.export.html import KeyImage
from medomni.export.words import name, say
from medomni.types.finding import Evidence, Finding, Laterality, Presence
from medomni.types.report import Report
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
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

Plane = Float32[np.ndarray, "y x"]


def key_images(volume: Volume, segmentation: Segmentation, lesions: Segmentation, report: Report) -> tuple[KeyImage, ...]:
    """Return the key images of a report in the order of its findings, the overview last."""
    if report.acquisition.has_burned_in_annotation:
        return ()
    view = canonical(volume)
    images = [
        KeyImage(
            _slice(
                view,
                volume,
                lesions if lesions.has(evidence.structure) else segmentation,
                evidence.slice_index,
                evidence.structure,
            ),
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


def _slice(view: Canonical, volume: Volume, source: Segmentation, index: int, structure: str) -> bytes:
    """One slice of the study with a structure outlined: front up, or head up when the stack is not axial."""
    labels = [label for label, named in source.names.items() if named == structure]
    across = view.order.index(0)
    hu, shown = (np.squeeze(view.view(array[index : index + 1]), across) for array in (volume.hu, source.labels))
    rows, columns = (view.spacing_mm[axis] for axis in range(3) if axis != across)
    up = slice(None, None, 1 if across == 0 else -1)
    return _png(np.asarray(hu[up], np.float32), np.isin(shown[up], labels), (rows, columns))


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
    rgb: UInt8[np.ndarray, "y x 3"] = np.repeat(picture[..., None], 3, axis=2)
    drawn = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)) > 0
    rgb[ndimage.binary_dilation(drawn) & ~drawn] = OUTLINE_RGB
    stream = BytesIO()
    Image.fromarray(rgb).save(stream, "PNG", optimize=True)
    return stream.getvalue()
