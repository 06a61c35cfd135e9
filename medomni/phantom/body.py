"""A healthy person drawn on a canvas: noise-free HU, the mask of every named structure, centre lines and lung trees.

    canvas, person -> pose -> scene -> Body

Diseases and the scanner come later (``disease``, ``case.py``); they change ``hu`` and ``parts`` in place.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from medomni.anatomy import LOBES, SEGMENTED
from medomni.phantom import abdomen, bowel, vessels
from medomni.phantom.bones import draw_bones, spine_path
from medomni.phantom.canvas import Canvas, Field, Path3, Radii
from medomni.phantom.contrast import tissue_hu
from medomni.phantom.heart import draw_frame, paint_coronaries, paint_heart, shape_heart
from medomni.phantom.parenchyma import fill_lungs
from medomni.phantom.person import Person
from medomni.phantom.pleura import mediastinum, shape_lungs
from medomni.phantom.pose import draw_pose
from medomni.phantom.scene import Scene
from medomni.phantom.sketch import make_sketch
from medomni.phantom.trees import Tree
from medomni.phantom.wall import draw_wall, open_scene
from medomni.types.volume import Mask

LUNG_PARTS = (*LOBES["left"], *LOBES["right"])
"""The five lobes, in the order of their labels."""

_INNER = ("skin", "fat", "bone_other")
"""Owners that are no structure of their own outside this package."""


@dataclass(frozen=True, eq=False)
class Body:
    """A drawn person.

    Attributes:
        hu: noise-free HU of the body and of the air around it.
        parts: mask of each structure by its name in ``medomni/data/anatomy.toml``. ``body`` is everything inside the
            skin, ``bone`` all bones, ``pericardium`` the sac with the heart and its fat; lobes hold their vessels and small
            bronchi. The structures of ``SEGMENTED`` share no voxel.
        paths: centre lines (mm) with the radius at each point (mm); ``spine`` has the half depth of the vertebral bodies.
        trees: ``artery_right``, ``vein_right``, ``artery_left`` and ``vein_left``; bronchi run beside the arteries.
    """

    canvas: Canvas
    person: Person
    hu: Field
    parts: dict[str, Mask]
    paths: dict[str, tuple[Path3, Radii]]
    trees: dict[str, Tree]


def draw_body(canvas: Canvas, person: Person, rng: np.random.Generator) -> Body:
    """Return the healthy body of a person on a canvas; the same generator state gives the same bytes.

    Every shape comes from streams that don't depend on the canvas, so another sampling or window shows the same person.
    """
    scene, entropy = begin_body(canvas, person, rng)
    draw_wall(scene)
    abdomen.paint_diaphragm(scene)
    trees = _draw_chest(scene, np.random.default_rng([entropy, 3]))
    _draw_belly(scene)
    draw_bones(scene)
    scene.keep_path("spine", *spine_path())
    return Body(canvas, person, scene.hu, _parts(scene), scene.paths, trees)


def begin_body(canvas: Canvas, person: Person, rng: np.random.Generator) -> tuple[Scene, int]:
    """Return the empty drawing of a person in a pose, and the number that seeds its textures."""
    entropy = int(rng.integers(2**62))
    facts = np.random.default_rng([entropy, 2])
    pose = draw_pose(person.size, facts)
    return open_scene(make_sketch(canvas, pose), person, tissue_hu(person.phase, person.age_years, facts), entropy), entropy


def structure_labels(body: Body) -> UInt8[np.ndarray, "z y x"]:
    """The label map of the anatomical structures: 0 is background, else the place in ``SEGMENTED`` counted from 1."""
    labels = np.zeros(body.canvas.shape, dtype=np.uint8)
    for label, name in enumerate(SEGMENTED, start=1):
        np.copyto(labels, np.uint8(label), where=body.parts[name])
    return labels


def _draw_chest(scene: Scene, texture: np.random.Generator) -> dict[str, Tree]:
    """Paint lungs, heart and vessels; the aorta and the lower vena cava go down into the belly."""
    frame, heart = draw_frame(scene), shape_heart(scene)
    aorta, arteries = vessels.aorta(scene, frame), vessels.pulmonary_artery(scene, frame)
    veins, branches = vessels.chest_veins(scene), vessels.arch_branches(scene)
    gullet, airways = vessels.oesophagus(scene), vessels.airway(scene)
    tubes = [aorta, *arteries, *veins, *branches, vessels.Vessel("esophagus", *gullet, 0.0)]
    tubes += [vessels.Vessel(name, *airways[name], 0.0) for name in vessels.MAIN_AIRWAYS]
    trees: dict[str, Tree] = {}
    patch = scene.patch((-160, -140, -40), (160, 100, 310))
    if patch is not None:
        solid = mediastinum(scene, patch, heart, tubes)
        trees = fill_lungs(scene, shape_lungs(scene, patch, solid), airways, texture)
    if heart is not None:
        paint_heart(scene, heart)
    vessels.paint_thyroid(scene)
    for vessel in (*veins, *branches, *arteries, aorta):
        vessels.paint_vessel(scene, vessel)
    vessels.paint_oesophagus(scene, *gullet)
    vessels.paint_airway(scene, airways)
    paint_coronaries(scene, frame)
    for vessel in (aorta, *(v for v in veins if v.name)):
        scene.keep_path(vessel.name, vessel.path, vessel.radii)
        vessels.reserve_vessel(scene, vessel)
    scene.keep_path("pulmonary_artery_left", arteries[0].path, arteries[0].radii)
    scene.keep_path("pulmonary_artery_right", arteries[1].path, arteries[1].radii)
    scene.keep_path("esophagus", *gullet)
    for name, (path, radii) in airways.items():
        scene.keep_path(name, path, radii)
    return trees


def _draw_belly(scene: Scene) -> None:
    """Paint the organs of the abdomen in the order of their claim to space."""
    facts = abdomen.draw_facts(scene)
    abdomen.reserve_back(scene)
    abdomen.draw_kidneys(scene, facts)
    abdomen.draw_gallbladder(scene, facts)
    abdomen.draw_liver(scene, facts)
    abdomen.draw_spleen(scene)
    abdomen.draw_pancreas(scene)
    bowel.draw_stomach(scene)
    bowel.draw_colon(scene)
    bowel.draw_small_bowel(scene)


def _parts(scene: Scene) -> dict[str, Mask]:
    """The mask of every structure that owns a voxel, and of those that hold others."""
    parts = {name: scene.mask(name) for name in scene.names[1:] if name not in _INNER}
    for name in SEGMENTED:
        parts.setdefault(name, np.zeros(scene.owner.shape, dtype=bool))
    body = scene.owner > 0
    others = scene.mask("bone_other")
    parts["bone"] = others | parts["vertebrae"] | parts["ribs"]
    parts["body"] = body
    parts["pericardium"] = parts.get("pericardium", np.zeros_like(body)) | parts["heart"]
    return parts
