"""A large heart: how a person is changed before it is drawn, and the cardiothoracic ratio of what was drawn."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32

from medomni.anatomy import LOBES
from medomni.phantom.body import Body, begin_body
from medomni.phantom.canvas import Canvas
from medomni.phantom.disease.host import lesion_from
from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.placed import Placed
from medomni.phantom.heart import shape_heart
from medomni.phantom.person import Person

LARGEST_SCALE = 1.8
"""No heart grows beyond this: it would reach the wall of the chest."""
HEALTHY_RATIO = 0.49
"""Largest cardiothoracic ratio of a person without cardiomegaly; 0.5 is the limit that readers use."""
_DRAFT = Canvas((18, 40, 100), (8.0, 8.0, 4.0), 130.0)
"""The grid on which heart and chest are sketched to see how wide they are; about 0.05 CPU-seconds."""
_WALL_MM = 4.0
"""The lung begins this far inside the chest cavity of the sketch."""


def with_large_heart(person: Person, placed: Placed) -> Person:
    """Return the person with a heart whose cardiothoracic ratio is about ``placed.size`` (to 0.03)."""
    return _with_ratio(person, placed.size)


def with_healthy_heart(person: Person) -> Person:
    """Return the person with a heart that is not too wide for the chest."""
    return _with_ratio(person, HEALTHY_RATIO) if sketched_ratio(person) > HEALTHY_RATIO else person


def sketched_ratio(person: Person) -> float:
    """The cardiothoracic ratio that a person will be drawn with, from the bare shapes of heart and chest."""
    scene, _ = begin_body(_DRAFT, person, np.random.default_rng([person.seed, 2]))
    heart = shape_heart(scene)
    if heart is None:
        return 0.0
    chest: Bool[np.ndarray, "z x"] = np.asarray(np.max(scene.cavity, axis=1) > _WALL_MM)
    last, first = chest.shape[1] - np.argmax(chest[:, ::-1], axis=1), np.argmax(chest, axis=1)
    widest = int(np.max((last - first)[chest.any(axis=1)]))
    return _extent(heart.whole.max(axis=(0, 1))) / widest


def _with_ratio(person: Person, wanted: float) -> Person:
    for _ in range(3):
        ratio = sketched_ratio(person)
        if ratio <= 0 or abs(ratio - wanted) < 0.008:
            break
        person = replace(person, heart_scale=min(LARGEST_SCALE, person.heart_scale * wanted / ratio))
    return person


def _extent(depth: Float32[np.ndarray, "x"]) -> float:
    """Number of nodes between the places where a row of depths crosses zero, with the fraction between two nodes."""
    inside = np.flatnonzero(depth > 0)
    if not len(inside):
        return 0.0
    first, last = int(inside[0]), int(inside[-1])
    before = depth[first] / (depth[first] - depth[first - 1]) if first else 0.5
    after = depth[last] / (depth[last] - depth[last + 1]) if last + 1 < len(depth) else 0.5
    return float(last - first + before + after)


def cardiothoracic_ratio(body: Body) -> float:
    """Widest extent of the heart to both sides over the widest extent of the chest inside the ribs."""
    heart = np.flatnonzero(body.parts["heart"].any(axis=(0, 1)))
    lungs = np.logical_or.reduce([body.parts[name] for side in LOBES.values() for name in side]).any(axis=1)
    if not len(heart) or not lungs.any():
        return 0.0
    first = np.argmax(lungs, axis=1)
    last = lungs.shape[1] - 1 - np.argmax(lungs[:, ::-1], axis=1)
    return float(len(range(int(heart[0]), int(heart[-1]) + 1)) / (last - first + 1)[lungs.any(axis=1)].max())


def cardiomegaly(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Return the large heart of a person who was prepared for it: nothing is drawn here."""
    mask = body.parts["heart"].copy()
    return lesion_from(body.canvas, placed.kind, mask, {"cardiothoracic_ratio": cardiothoracic_ratio(body)})
