"""Case -> medical material in the body: metal, and dense thin lines inside the chest such as catheters and tubes.

Metal is denser than any bone. A line is long, thin, dense and lies between the lungs' outer edges, not in bone, not in the wall
of the aorta. What a device is, and whether it lies well, is not told; plastic without a marker is missed.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medomni.types.finding import Finding, Measurement, Presence
from preprocessing.detect.answer import judged, not_evaluated
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.place import Outline, evidence, outline
from preprocessing.detect.surroundings import METAL_HU, block_maximum, densest_blood_hu, metal
from preprocessing.measure.regions import LUNGS
from preprocessing.morphology import Mask3D, grow

LABEL = "medical_material"
LINE_HU = 350.0
"""Densest voxel of a marked catheter, at least; above calcified nodes of the same width only by its length."""
ABOVE_BLOOD_HU = 250.0
"""In enhanced vessels a line must rise this far above the blood."""
LENGTH_MM, WIDTH_MM2 = 40.0, 40.0
"""A line is this long, and its mean cross-section at most this large (a rib: 80 mm2 and more)."""
TUBE_HU, TUBE_MM = 150.0, 80.0
"""A feeding tube in the oesophagus is denser than its wall, thinner than swallowed contrast medium, and at least this long."""
WALL_MM = 4.0
"""Dense spots this close to the aorta are its calcified wall."""
WALL_SHARE = 0.5
BONE_MM = 2.0
INSIDE_SHARE = 0.8
"""Least share of a line that lies between the outer edges of the lungs: calcified rib cartilage lies in front of them."""


@dataclass(frozen=True, eq=False)
class Material:
    """What was found: metal and lines on the coarse grid, the volume of the metal and the length of the lines."""

    metal: Mask3D
    lines: Mask3D
    metal_mm3: float
    line_mm: float


def material_amount(case: Case) -> float | None:
    """Metal in mm3 plus lines in mm; None where the lungs give no room to look in."""
    if not case.has(*LUNGS):
        return None
    found = case.once(find_material)
    return found.metal_mm3 + found.line_mm


def medical_material(case: Case) -> tuple[Finding, ...]:
    """Material inside the body."""
    if "devices" not in case.coverage.evaluated:
        return ()
    amount = material_amount(case)
    if amount is None:
        return (not_evaluated(LABEL, "not_segmented"),)
    found = case.once(find_material)
    figures = (Measurement(name="metal_volume", value=found.metal_mm3 / 1000.0, unit="mL", structure=LABEL, decimals=1),)
    proof = evidence(case, found.metal | found.lines, LABEL)
    finding = judged(LABEL, calibrated(LABEL, amount), proof, figures if found.metal_mm3 else ())
    return (not_evaluated(LABEL, "not_excluded") if finding.presence is Presence.ABSENT and amount else finding,)


def find_material(case: Case) -> Material:
    """Metal and lines of a case."""
    found, lines = case.once(metal), _lines(case) | _tubes(case)
    metal_mm3 = _fine_mm3(case, found)
    return Material(found, lines, metal_mm3, _length_mm(lines, case.spacing_mm))


def material_outline(case: Case) -> tuple[Outline, ...]:
    """The study's own voxels of metal, and the lines as blocks of about 2 mm."""
    found = case.once(find_material)
    dense = (Outline(one.box, one.mask & (case.fine_hu[one.box] >= METAL_HU)) for one in outline(case, found.metal))
    return (*dense, *outline(case, found.lines))


def _fine_mm3(case: Case, mask: Mask3D) -> float:
    """Volume of the study's own voxels of metal inside a coarse mask."""
    if not mask.any():
        return 0.0
    voxels = np.count_nonzero((case.fine_hu >= METAL_HU) & case.coarse.enlarge(mask))
    return float(voxels * np.prod(case.fine_spacing_mm))


def _lines(case: Case) -> Mask3D:
    floor_hu = max(LINE_HU, (densest_blood_hu(case) or 0.0) + ABOVE_BLOOD_HU)
    parts, count = ndimage.label(case.once(block_maximum) >= floor_hu, np.ones((3, 3, 3)))
    inside = np.bincount(parts[_between_lungs(case)], minlength=count + 1)
    in_wall = np.bincount(parts[grow(case.mask("aorta"), WALL_MM, case.spacing_mm)], minlength=count + 1)
    size = np.bincount(parts.ravel(), minlength=count + 1)
    keep = (inside >= INSIDE_SHARE * size) & (in_wall <= WALL_SHARE * size)
    keep[0] = False
    for label, box in enumerate(ndimage.find_objects(parts), start=1):
        keep[label] = keep[label] and _is_line(parts[box] == label, case)
    return np.asarray(keep[parts])


def _tubes(case: Case) -> Mask3D:
    """Lines that run down the oesophagus."""
    parts, _ = ndimage.label((case.once(block_maximum) >= TUBE_HU) & case.mask("esophagus"), np.ones((3, 3, 3)))
    boxes = enumerate(ndimage.find_objects(parts), start=1)
    return np.isin(parts, [label for label, box in boxes if _is_line(parts[box] == label, case, TUBE_MM)])


def _is_line(part: Mask3D, case: Case, least_mm: float = LENGTH_MM) -> bool:
    length_mm = _length_mm(part, case.spacing_mm)
    return length_mm >= least_mm and case.millilitres(part) * 1000.0 / length_mm <= WIDTH_MM2


def _length_mm(mask: Mask3D, spacing_mm: tuple[float, float, float]) -> float:
    """Diagonal of the box round a mask."""
    voxels = np.argwhere(mask)
    return float(np.linalg.norm(np.ptp(voxels, axis=0) * spacing_mm)) if len(voxels) else 0.0


def _between_lungs(case: Case) -> Mask3D:
    """The lungs, and voxels with lung both to their right and to their left; no rib and no rib cartilage lies there."""
    lungs = case.mask(*LUNGS)
    from_right = np.maximum.accumulate(lungs, axis=2)
    from_left = np.maximum.accumulate(lungs[:, :, ::-1], axis=2)[:, :, ::-1]
    return np.asarray(from_right & from_left & ~grow(case.mask("vertebrae", "ribs"), BONE_MM, case.spacing_mm))
