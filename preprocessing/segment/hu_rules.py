"""Volume -> Segmentation of body, lungs, airway and bone by CT numbers alone: no weights, a few CPU-seconds.

The rules: the body is the largest solid thing in each slice stack with its holes filled; lungs are the large gas spaces
inside it that hold tissue (bowel gas does not); the airway is the dark lumen that goes on down from the trachea; dense tissue
pockets in and beside the aerated lung are closed into it, so that a consolidation stays lung as far as its
surroundings show it; left and right are parted where the bridge between them is thinnest. All of it happens on a coarse
grid of about 2 mm; only the thin shell along each border is decided at full resolution. Knows nothing about files.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from medomni.types.notice import Notice, NoticeLevel
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.coarse import WORKING_MM, CoarseVolume, coarse_volume
from preprocessing.morphology import Mask3D, grow, largest_part, shrink
from preprocessing.rules import rules_digest
from preprocessing.segment.airway import find_airway
from preprocessing.segment.lungs import LUNG_HU, find_lungs

NAMES = {1: "body", 2: "lung_right", 3: "lung_left", 4: "airway", 5: "bone"}
SIDELESS_NAMES = {1: "body", 2: "lung", 4: "airway", 5: "bone"}
"""Names on a grid whose orientation is not stated: no voxel may then be called left or right."""
BODY, LUNG_RIGHT, LUNG_LEFT, AIRWAY, BONE = NAMES

BODY_HU = -500.0
"""Half way between air (-1000) and soft tissue (0): the half-maximum edge of the skin."""
BONE_HU = 200.0
"""Lower CT number of trabecular bone at 120 kVp."""
EVEN_HU = 45.0
"""Standard deviation below which dense tissue is blood with contrast, not bone."""


class HuRules:
    """The embedded segmenter: needs no weights, works on any CT, knows five structures."""

    name = "hu-rules"

    def segment(self, volume: Volume, progress: Callable[[float], None] = lambda _: None) -> Segmentation:
        """Return body, lungs, airway and bone on the volume's own grid."""
        coarse = coarse_volume(volume)
        progress(0.2)
        body = _body(coarse)
        gas = body & (coarse.hu < LUNG_HU)
        airway = find_airway(coarse, body, gas)
        progress(0.4)
        right, left = find_lungs(coarse, body, gas, airway)
        progress(0.7)
        bone = _bone(coarse, body)
        progress(0.8)
        labels = _paint(coarse, {BODY: body, BONE: bone, LUNG_RIGHT: right, LUNG_LEFT: left, AIRWAY: airway})
        if not volume.grid.is_side_known:
            labels[labels == LUNG_LEFT] = LUNG_RIGHT
        progress(1.0)
        return Segmentation(
            labels=coarse.full.restore(labels),
            grid=volume.grid,
            names=NAMES if volume.grid.is_side_known else SIDELESS_NAMES,
            segmenter=f"{self.name} 1",
            notices=(Notice(code="lungs_by_density", level=NoticeLevel.INFO),) if right.any() or left.any() else (),
            digest=rules_digest("segment/hu_rules.py", "segment/lungs.py", "segment/airway.py"),
        )


def _body(coarse: CoarseVolume) -> Mask3D:
    """The patient without table and clothes: largest solid part after an opening, with the gas inside it."""
    solid = coarse.hu > BODY_HU
    core = largest_part(shrink(solid, 2 * WORKING_MM, coarse.spacing_mm))
    if not core.any():
        return core
    body = grow(core, 2 * WORKING_MM + 0.5, coarse.spacing_mm) & solid
    return with_inside(coarse, body)


def with_inside(coarse: CoarseVolume, body: Mask3D) -> Mask3D:
    """The body's solid part with the gas inside it, slice by slice, also where the field of view cuts through the lung."""
    edge = _field_edge(coarse)
    return np.stack([ndimage.binary_fill_holes(plane | _bridge(plane, edge)) for plane in body])


def _field_edge(coarse: CoarseVolume) -> Bool[np.ndarray, "y x"]:
    """The rim of the reconstructed field: the image border, or the circle beyond which all slices hold only padding."""
    field = coarse.hu.max(axis=0) > -1023.0
    return np.asarray(field & ~ndimage.binary_erosion(field, iterations=2))


def _bridge(body: Bool[np.ndarray, "y x"], edge: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """The stretch of the field's edge that cuts off the body on each side: lung at the cut then still lies inside."""
    bridge = np.zeros_like(edge)
    middle = edge.shape[1] // 2
    for side in (np.s_[:, :middle], np.s_[:, middle:]):
        rows = np.flatnonzero((body[side] & edge[side]).any(axis=1))
        if rows.size:
            bridge[side][rows[0] : rows[-1] + 1] = edge[side][rows[0] : rows[-1] + 1]
    return bridge


def _bone(coarse: CoarseVolume, body: Mask3D) -> Mask3D:
    """Dense and uneven tissue: bone has a cortex and trabeculae, blood with contrast is dense but even."""
    dense = body & (coarse.hu > BONE_HU)
    mean = ndimage.uniform_filter(coarse.hu, 3)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(coarse.hu**2, 3) - mean**2, 0.0))
    even = shrink(dense & (spread < EVEN_HU), 2.1, coarse.spacing_mm)
    blood = grow(even, 9.0, coarse.spacing_mm) if even.any() else even
    parts, count = ndimage.label(dense & ~blood)
    sizes_ml = np.bincount(parts.ravel(), minlength=count + 1) * coarse.voxel_ml
    sizes_ml[0] = 0.0
    return np.asarray(sizes_ml[parts] >= 1.0)


def _paint(coarse: CoarseVolume, structures: Mapping[int, Mask3D]) -> UInt8[np.ndarray, "full_z full_y full_x"]:
    """Labels at full resolution: coarse structures drawn in order, gas borders by each voxel's own CT number."""
    small = np.zeros(coarse.hu.shape, np.uint8)
    for label, mask in structures.items():
        small[mask] = label
    gas_labels = np.isin(small, (LUNG_RIGHT, LUNG_LEFT)) & (coarse.hu < LUNG_HU)
    near = np.where(small == BODY, ndimage.grey_dilation(np.where(gas_labels, small, 0), 3), 0).astype(np.uint8)
    rim = gas_labels & ndimage.binary_dilation(small == BODY)
    labels = coarse.enlarge(small)
    is_gas = coarse.full.hu < LUNG_HU
    gained = coarse.enlarge(near)
    np.copyto(labels, gained, where=(gained > 0) & is_gas)
    np.copyto(labels, BODY, where=coarse.enlarge(rim) & ~is_gas)
    return labels
