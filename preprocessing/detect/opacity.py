"""Case -> masks of lung opacity and consolidation: the segmenter proposes, density confirms; or density, size and shape alone.

Where the segmenter looks for opacities, its parts count when they are denser than the patient's own lung and no hilar
vessels (networks take those for consolidation), and what only the density rule sees counts for less in the probability
(``agreed_ml``). The omni model's near network tells opacity, consolidation and collapse apart, and what is none of them.

Opacity is lung denser than the patient's own aerated lung over more than a vessel's width. Hilar and other vessels are
as dense as a consolidation but have no ground-glass around or within, so a part counts only when much of it is ground
glass, or when it is too thick for a vessel, or dense, large and against the chest wall. Measured on real CT: ground-glass
share 0.65 to 1.0 in marked opacities, 0.19 to 0.42 in hilar vessels (docs/explanation/experiments.md).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from preprocessing.coarse import CoarseVolume
from preprocessing.detect.case import Case
from preprocessing.detect.nodule import Nodule
from preprocessing.detect.places import places
from preprocessing.measure.regions import LUNGS
from preprocessing.morphology import Mask3D, grow, opening

LOWEST_HU = -700.0
"""Densest CT number of normal aerated lung in inspiration; ground glass begins here."""
ABOVE_OWN_LUNG_HU = 150.0
"""An opacity is at least this much denser than the median of the patient's own lung, which rises in expiration."""
VESSEL_MM = 4.0
"""Radius of the ball that an opacity holds and a vessel beyond the hilum does not (segmental arteries: 5 to 8 mm across)."""
THIN_MM = 3.0
"""Up to this slice spacing the opening removes the partial-volume layer at the diaphragm by itself."""
DENSE_HU = -250.0
"""Upper CT number of ground glass: vessels stay visible in it; above it is consolidation or soft tissue."""
GROUND_GLASS_SHARE = 0.5
"""Least share of ground glass in a part that is called an opacity (hilar vessels 0.42 at most, see above)."""
SMALLEST_ML = 0.5
"""Parts below this are partial-volume rims of vessels and fissures."""
THICK_MM, THICK_ML = 7.0, 5.0
"""A dense part that still holds this much after an opening by a ball of this radius is no vessel (hilar arteries: 0 mL)."""
SMALLEST_THICK_ML = 2.0
"""The same for slices further apart than ``THIN_MM``: up to 1.9 mL on phantoms of 5 mm slices without disease."""
CONFIRMED_SHARE, OVERLAP_SHARE = 0.5, 0.1
"""A proposal of the segmenter needs half of it dense; a part of the rule is agreed when a tenth of it was proposed."""
DISPUTED_SHARE = 0.25
"""How much a millilitre counts that the density rule sees and one of segmenter and network looked for and did not see."""
AIRLESS = ("consolidation", "lung_opacity", "atelectasis")
"""What the network calls lung that lost air."""
SHOWN_SHARE = 0.3
"""Least mean probability of an opacity or a collapse in a part that counts."""
SOLID_SHARE = 0.3
"""How likely a consolidation is to the network, as a share of an opacity of any kind, from where on dense lung is one."""
LEAST_SOLID = 0.1
"""The same in itself."""
COLLAPSED_SHARE = 0.5
"""An opacity is left out where so much of it is collapsed."""
NODULE_RIM_MM = 3.0
"""Blurred border of a nodule, kept out of the opacities."""
WALL_ML, WALL_CONTACT = 10.0, 0.3
"""A dense part without ground glass counts when it is this large and so much of its surface lies on the chest wall."""
RIB_MM, BONE_HU = 14.0, 200.0
"""Chest wall is the lung's border this close to bone; the hilum, where large vessels leave the lung, lies deeper."""


@dataclass(frozen=True, eq=False)
class Opacities:
    """Masks on the coarse grid; consolidation lies inside opacity, collapsed lung outside of it.

    ``agreed_ml`` is the volume that counts for the probability: all of it where segmenter (if it looks for opacities), density
    and the model's near network agree, and a share of the rest. ``dropped_ml`` is what the density alone sees.
    """

    opacity: Mask3D
    consolidation: Mask3D
    collapsed: Mask3D
    agreed_ml: float
    dropped_ml: float


def opacities(case: Case, nodules: tuple[Nodule, ...]) -> Opacities:
    """Return the opacities of both lungs, without the nodules and their blurred border."""
    coarse = case.coarse
    lungs = case.mask(*LUNGS) & ~_nodules(case, nodules)
    opacity = find_opacities(coarse, lungs)
    if not case.knows_lesion("lung_opacity"):
        return _parted(case, opacity, opacity, np.zeros_like(opacity))
    proposed = case.lesion_mask("lung_opacity") & lungs
    agreed = _confirmed(coarse, proposed, lungs) | _touching(opacity, proposed)
    return _parted(case, opacity | agreed, agreed, agreed)


def _parted(case: Case, opacity: Mask3D, agreed: Mask3D, vouched: Mask3D) -> Opacities:
    """Airless lung by what took its air.

    Collapse is no opacity, and ground glass however dense is no consolidation; to the network a consolidation is an opacity too.
    What the network takes for nothing counts for less where the segmenter vouches for it, and is dropped elsewhere.
    """
    solid, any_opacity, collapse = (case.once(places).on_coarse(kind, case) for kind in AIRLESS)
    shown = _parts_where(opacity, np.maximum(any_opacity, collapse), SHOWN_SHARE)
    collapsed = shown & (collapse > np.maximum(any_opacity, solid))
    seen = _parts_where(shown & ~_wholly(shown, collapsed), np.maximum(any_opacity, solid), SHOWN_SHARE)
    unseen = opacity & ~shown
    rest = seen | (unseen & vouched)
    counted = (seen & agreed).sum() + DISPUTED_SHARE * (rest & ~(seen & agreed)).sum()
    dense = seen & (case.coarse.hu > DENSE_HU)
    consolidation = _parts_where(dense, solid - SOLID_SHARE * any_opacity, 0.0) & _parts_where(dense, solid, LEAST_SOLID)
    dropped = unseen & ~vouched
    return Opacities(rest, consolidation, collapsed, float(counted * case.coarse.voxel_ml), case.millilitres(dropped))


def _parts_where(mask: Mask3D, value: Float32[np.ndarray, "z y x"], least: float) -> Mask3D:
    """The connected parts of a mask with a mean value of at least ``least``."""
    parts, count = ndimage.label(mask)
    index = np.arange(1, count + 1)
    return np.isin(parts, index[ndimage.mean(value, parts, index) >= least])


def _wholly(opacity: Mask3D, collapsed: Mask3D) -> Mask3D:
    """The collapsed parts with what hangs on them: an opacity that is collapse for the most part is its blurred border."""
    parts, count = ndimage.label(opacity)
    total = np.maximum(np.bincount(parts.ravel(), minlength=count + 1), 1)
    mostly = np.bincount(parts[collapsed], minlength=count + 1) >= COLLAPSED_SHARE * total
    mostly[0] = False
    return np.asarray(collapsed | mostly[parts])


def _nodules(case: Case, nodules: tuple[Nodule, ...]) -> Mask3D:
    """Coarse voxels of the nodules with their border."""
    mask = np.zeros(case.coarse.hu.shape, bool)
    block = np.asarray(case.coarse.block)
    size = case.coarse.hu.shape
    z, y, x = np.arange(size[0])[:, None, None], np.arange(size[1])[:, None], np.arange(size[2])
    for nodule in nodules:
        centre = np.asarray(nodule.sized.centre) / block - 0.5
        reach_mm = nodule.sized.long_mm / 2 + NODULE_RIM_MM
        along = ((axis - c) * step for axis, c, step in zip((z, y, x), centre, case.spacing_mm, strict=True))
        mask |= sum(a**2 for a in along) <= reach_mm**2
    return mask


def _confirmed(coarse: CoarseVolume, proposed: Mask3D, lungs: Mask3D) -> Mask3D:
    """The connected parts of a proposal that are dense and, by their density and shape, no hilar vessels."""
    dense = lungs & (coarse.hu > _lowest_hu(coarse, lungs))
    parts, count = ndimage.label(proposed)
    total = np.bincount(parts.ravel(), minlength=count + 1)
    share = np.bincount(parts[dense], minlength=count + 1) / np.maximum(total, 1)
    kept = [
        label
        for label, box in enumerate(ndimage.find_objects(parts), start=1)
        if share[label] >= CONFIRMED_SHARE and _is_opacity(coarse, lungs, parts == label, box)
    ]
    return np.isin(parts, kept) if kept else np.zeros_like(lungs)


def _touching(opacity: Mask3D, proposed: Mask3D) -> Mask3D:
    """The parts of the rule's opacity that the segmenter proposes too, at least in part."""
    parts, count = ndimage.label(opacity)
    total = np.bincount(parts.ravel(), minlength=count + 1)
    keep = np.bincount(parts[proposed], minlength=count + 1) >= OVERLAP_SHARE * total
    keep[0] = False
    return np.asarray(keep[parts])


def _lowest_hu(coarse: CoarseVolume, lungs: Mask3D) -> float:
    """Lower CT number of an opacity, by the patient's own aerated lung."""
    aerated = coarse.hu[lungs & (coarse.hu < -500.0)]
    own = float(np.median(aerated)) if aerated.size else LOWEST_HU
    return max(LOWEST_HU, own + ABOVE_OWN_LUNG_HU)


def find_opacities(coarse: CoarseVolume, lungs: Mask3D) -> Mask3D:
    """Return what is dense inside the lungs and no vessel; empty when the lungs are."""
    aerated = lungs & (coarse.hu < -500.0)
    if not aerated.any():
        return np.zeros_like(lungs)
    dense_lung = lungs & (coarse.hu > _lowest_hu(coarse, lungs)) & ~_partial_volume(coarse, lungs)
    parts, count = ndimage.label(opening(dense_lung, VESSEL_MM, coarse.spacing_mm))
    kept = [
        label for label, box in enumerate(ndimage.find_objects(parts), start=1) if _is_opacity(coarse, lungs, parts == label, box)
    ]
    return np.isin(parts, kept) if count else np.zeros_like(lungs)


def _partial_volume(coarse: CoarseVolume, lungs: Mask3D) -> Mask3D:
    """Lung directly above or below other tissue in thick slices, where a voxel holds both."""
    if coarse.spacing_mm[0] <= THIN_MM:
        return np.zeros_like(lungs)
    tissue = ~lungs & (coarse.hu > DENSE_HU)
    return np.asarray(lungs & ndimage.binary_dilation(tissue, np.ones((3, 1, 1))))


def _is_opacity(coarse: CoarseVolume, lungs: Mask3D, part: Mask3D, box: tuple[slice, ...]) -> bool:
    """Whether one dense part of the lung is an opacity and not a vessel or the hilum."""
    values = coarse.hu[part]
    volume_ml = values.size * coarse.voxel_ml
    if volume_ml < (SMALLEST_ML if coarse.spacing_mm[0] <= THIN_MM else SMALLEST_THICK_ML):
        return False
    if np.mean(values < DENSE_HU) >= GROUND_GLASS_SHARE:
        return True
    reach = [int(RIB_MM / step) + 2 for step in coarse.spacing_mm]
    around = tuple(slice(max(0, s.start - n), s.stop + n) for s, n in zip(box, reach, strict=True))
    thick = opening(part[around] & (coarse.hu[around] > DENSE_HU), THICK_MM, coarse.spacing_mm)
    if thick.sum() * coarse.voxel_ml >= THICK_ML:
        return True
    if volume_ml < WALL_ML:
        return False
    rim = ndimage.binary_dilation(part[around]) & ~part[around]
    wall = rim & ~lungs[around] & grow(coarse.hu[around] > BONE_HU, RIB_MM, coarse.spacing_mm)
    return bool(wall.sum() >= WALL_CONTACT * rim.sum())
