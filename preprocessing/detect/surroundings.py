"""Case -> what several detectors need to know first: the body outline, the density of the blood, and metal.

Each is a function of the Case alone; call it through ``case.once`` so that it runs once for a study.
"""

import numpy as np
from jaxtyping import Shaped
from scipy import ndimage

from preprocessing.detect.case import Case
from preprocessing.morphology import Mask3D, grow, largest_part, shrink

AIR_HU = -300.0
"""Half way between air and skin or fat in a coarse voxel."""
CONTRAST_HU = 90.0
"""Unenhanced blood reads 30 to 55 HU (70 at most, in dense blood); from here on the vessels hold contrast medium."""
CORE_MM = 4.0
"""Depth at which a vessel is free of wall and partial volume."""
LEAST_BLOOD_ML = 1.0
METAL_HU = 2000.0
"""Denser than cortical bone (up to 1,900 HU) and calcified plaque; metal fills the range of CT numbers (3,071 HU)."""


def body(case: Case) -> Mask3D:
    """The body on the coarse grid, with the air inside it, without table and clothes."""
    if case.segmentation.has("body"):
        outside = ~(case.structures > 0)
    else:
        dense = ndimage.binary_opening(case.coarse.hu > AIR_HU, np.ones((1, 3, 3)))
        outside = ~largest_part(dense)
    return np.stack([ndimage.binary_fill_holes(~plane) for plane in outside])


def blood_hu(case: Case) -> float | None:
    """Median CT number inside the aorta, else inside the heart; None when neither was segmented."""
    inside = (_inside_hu(case, name) for name in ("aorta", "heart"))
    return next((hu for hu in inside if hu is not None), None)


def densest_blood_hu(case: Case) -> float | None:
    """The same of whichever is denser, aorta or pulmonary artery: early after injection that outshines all else."""
    known = [hu for hu in (case.once(blood_hu), _inside_hu(case, "pulmonary_artery")) if hu is not None]
    return max(known, default=None)


def _inside_hu(case: Case, name: str) -> float | None:
    """Median CT number deep inside a structure; None where there is too little of it."""
    core = shrink(case.mask(name), CORE_MM, case.spacing_mm)
    return float(np.median(case.coarse.hu[core])) if case.millilitres(core) >= LEAST_BLOOD_ML else None


def has_contrast(case: Case) -> bool:
    """Whether the blood holds contrast medium, as far as vessels were segmented."""
    blood = case.once(blood_hu)
    return blood is not None and blood >= CONTRAST_HU


def metal(case: Case) -> Mask3D:
    """Coarse voxels that hold metal inside the body."""
    dense = case.once(block_maximum) >= METAL_HU
    if not dense.any():
        return dense
    return np.asarray(dense & shrink(case.once(body), 4.0, case.spacing_mm))


def near_metal(case: Case, mask: Mask3D, reach_mm: float) -> bool:
    """Whether metal lies within a reach of a mask, where its streaks make false densities."""
    return bool((grow(case.once(metal), reach_mm, case.spacing_mm) & mask).any())


def block_maximum(case: Case) -> Shaped[np.ndarray, "z y x"]:
    """Largest CT number of the study's voxels in each coarse block."""
    hu = case.fine_hu
    for axis, size in enumerate(case.coarse.block):
        if size > 1:
            hu = np.maximum.reduceat(hu, np.arange(0, hu.shape[axis], size), axis=axis)
    return np.asarray(hu)
