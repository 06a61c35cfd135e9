"""Label maps of the network drawn by hand, with what the CT numbers would show beside them."""

import numpy as np

from preprocessing.segment.classes import LABELS
from preprocessing.segment.density import Density

SHAPE = (30, 40, 60)
VOXEL_ML = 0.027


def box(z, y, x):
    """A part of the map from three (start, stop) pairs."""
    return tuple(slice(*ends) for ends in (z, y, x))


def label_map(**parts):
    """A map with each named structure in its boxes (one, or a list), drawn in the order of the arguments."""
    labels = np.zeros(SHAPE, np.uint8)
    for name, boxes in parts.items():
        for part in boxes if isinstance(boxes, list) else [boxes]:
            labels[part] = LABELS[name]
    return labels


def density(lungs=(), bone=(), other_gas=(), fat=()):
    """A body that fills all but the outer voxel, with aerated lung, bone, fat, and gas that is no lung in the given boxes."""
    body = np.zeros(SHAPE, bool)
    body[1:-1, 1:-1, 1:-1] = True
    masks = [np.zeros(SHAPE, bool) for _ in range(4)]
    for mask, boxes in zip(masks, ([*lungs, *other_gas], lungs, bone, [*lungs, *other_gas, *fat]), strict=True):
        for part in boxes:
            mask[part] = True
    return Density(body, *masks, VOXEL_ML)


RIGHT, LEFT = box((5, 25), (8, 30), (6, 24)), box((5, 25), (8, 30), (36, 54))
"""Boxes of the two lungs."""
