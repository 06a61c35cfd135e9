"""Volume + Regions of a segmenter that outlines body and lungs -> which part of the body is shown, or why nothing can be judged.

The image decides, not the header: BodyPartExamined is often empty or wrong.
"""

from collections.abc import Mapping

import numpy as np

from medomni.types.region import Region
from medomni.types.volume import Volume
from preprocessing.measure.regions import LUNGS, lung_ml, total

NOTHING_ML, BODY_MIN_ML = 20.0, 300.0
"""Less tissue than the first is noise or a table; less than the second (a slab of 1 cm) is too little to judge."""
LUNG_MIN_ML = 150.0
"""Less aerated lung than this is not enough to judge the lungs."""
SMOOTH_CORRELATION = 0.5
"""Correlation of neighbouring voxels: above 0.95 in CT of a patient, near 0 in noise."""
BELOW_LUNG_MM = 60.0
"""A volume without trachea that shows this much below the lungs is an abdomen with lung bases."""
UPPER_ABDOMEN_MM = 120.0
"""A chest with this much below the lungs shows the upper abdomen as a whole."""
HEAD_BONE_SHARE = 0.09
"""Bone share of body volume: skull and neck 0.1 to 0.25, trunk 0.02 to 0.07."""
BONES = ("bone", "vertebrae", "ribs")
"""Structures that hold bone; a segmenter that names some bones calls the others "bone"."""
TRUNK_CM2 = 200.0
"""Mean cross-section of a trunk, at least; limbs are thinner."""


def image_problem(volume: Volume, regions: Mapping[str, Region]) -> str:
    """Reason code when nothing at all can be judged, else an empty text."""
    planes = volume.hu[:: max(1, len(volume.hu) // 16)].astype(np.float32)
    if float(planes.std()) < 1.0:
        return "no_anatomy_found"
    here, beside = planes[:, :, :-1].ravel(), planes[:, :, 1:].ravel()
    if np.corrcoef(here, beside)[0, 1] < SMOOTH_CORRELATION:
        return "unusual_image"
    body_ml = _body_ml(regions)
    if body_ml < NOTHING_ML:
        return "no_anatomy_found"
    return "too_little_shown" if body_ml < BODY_MIN_ML else ""


def body_part(volume: Volume, regions: Mapping[str, Region]) -> str:
    """The body part: chest, abdomen, chest_abdomen, head or other."""
    if lung_ml(regions) < LUNG_MIN_ML:
        if total((regions[name] for name in BONES if name in regions), "volume") / _body_ml(regions) > HEAD_BONE_SHARE:
            return "head"
        height_cm = float(volume.grid.slice_extents_mm.sum()) / 10.0
        return "abdomen" if _body_ml(regions) / height_cm > TRUNK_CM2 else "other"
    shown_below_mm = _below_lungs_mm(volume, regions)
    airway = regions.get("airway")
    if airway is None or not airway.is_found:
        return "abdomen" if shown_below_mm > BELOW_LUNG_MM else "chest"
    return "chest_abdomen" if shown_below_mm > UPPER_ABDOMEN_MM else "chest"


def _below_lungs_mm(volume: Volume, regions: Mapping[str, Region]) -> float:
    """Millimetres shown below (towards the feet of) the lowest lung voxel."""
    lowest = min(r.box_mm[0][2] for r in regions.values() if r.structure in LUNGS and r.box_mm)
    return max(0.0, lowest - float(volume.grid.slice_origins_mm[:, 2].min()))


def _body_ml(regions: Mapping[str, Region]) -> float:
    return sum(region.value("volume") or 0.0 for region in regions.values())
