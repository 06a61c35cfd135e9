"""A box of lung with what a test puts into it: cheap to make, and exact in size and place."""

import numpy as np

from medomni.model.config import LABELS
from medomni.model.scan import CELL
from medomni.types.region import Coverage
from medomni.types.volume import Volume
from preprocessing.detect.case import Case
from preprocessing.detect.places import Places, places
from preprocessing.measure.regions import measure
from tests import factories

SPACING_MM = (1.5, 1.0, 1.0)
SHAPE = (48, 72, 96)
LUNG_HU, TISSUE_HU = -860, 40


def lung_case(paint=None, noise_hu=8.0, spacing_mm=SPACING_MM, shape=SHAPE):
    """Two lungs of 38 mm width in a block of tissue; ``paint(hu, world_mm)`` changes the float HU in place."""
    origin = tuple(-(n - 1) * s / 2 for n, s in zip(shape[::-1], spacing_mm[::-1], strict=True))
    on = factories.grid(shape, spacing_mm, origin)
    world = factories.world_mm(on)
    x, y, z = world[..., 0], world[..., 1], world[..., 2]
    box = (np.abs(y) < shape[1] * spacing_mm[1] / 2 - 6) & (np.abs(z) < shape[0] * spacing_mm[0] / 2 - 4)
    half = shape[2] * spacing_mm[2] / 2 - 5
    right, left = (box & (sign * x > 5) & (sign * x < half) for sign in (-1, 1))
    hu = np.where(right | left, float(LUNG_HU), float(TISSUE_HU))
    if paint is not None:
        paint(hu, world)
    hu += np.random.default_rng(1).normal(0.0, noise_hu, hu.shape)
    volume = Volume(np.rint(hu).astype(np.int16), on)
    segmentation = factories.segmentation({"lung_right": right, "lung_left": left}, on)
    return Case(volume, segmentation, measure(volume, segmentation), Coverage(region="chest", evaluated=("lungs",)))


def ball(hu, world, centre_mm, diameter_mm, value_hu, blur_mm=0.7):
    """Put a ball with a blurred border into ``hu`` in place."""
    distance = np.linalg.norm(world - np.asarray(centre_mm), axis=-1)
    share = np.clip((diameter_mm / 2 - distance) / (2 * blur_mm) + 0.5, 0.0, 1.0)
    hu += share * (value_hu - hu)


def rod(hu, world, centre_mm, radius_mm, value_hu):
    """Put a vessel along x into ``hu`` in place."""
    distance = np.hypot(world[..., 1] - centre_mm[1], world[..., 2] - centre_mm[2])
    share = np.clip((radius_mm - distance) + 0.5, 0.0, 1.0) * (hu < -500)
    hu += share * (value_hu - hu)


def shown(case, **masks):
    """The case as if the network saw each label in all voxels of a mask and nowhere else; a cell is a voxel here."""
    on = case.volume.grid
    probability = np.zeros((len(LABELS), *on.shape), np.float32)
    for label, mask in masks.items():
        probability[LABELS.index(label)][mask] = 0.9
    fine = np.array(on.spacing_mm) / CELL
    corner = on.to_world_mm(np.array([-0.5, -0.5, -0.5]) + 0.5 / np.array(CELL))
    cells = factories.grid(tuple((np.array(on.shape) * CELL).tolist()), tuple(fine.tolist()), tuple(corner))
    case._made[places] = Places(probability, cells)
    return case
