"""Placed diseases -> a body that has them, and the truth about each: the one place where the order of drawing is kept.

person, placed -> prepare_person -> draw_body -> add_diseases(body, placed) -> lesions
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from medomni.anatomy import LOBES
from medomni.phantom.body import Body
from medomni.phantom.disease.airspace import consolidation, opacity
from medomni.phantom.disease.atelectasis import atelectasis
from medomni.phantom.disease.bronchi import bronchiectasis, peribronchial_thickening
from medomni.phantom.disease.calcium import arterial_calcification, coronary_calcification
from medomni.phantom.disease.devices import medical_material
from medomni.phantom.disease.emphysema import emphysema
from medomni.phantom.disease.fluid import effusion, pressed_lung
from medomni.phantom.disease.heart import cardiomegaly, with_healthy_heart, with_large_heart
from medomni.phantom.disease.host import box_of_site, site_of, take_from_lungs
from medomni.phantom.disease.interstitium import fibrosis, mosaic, septal_thickening
from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.mediastinum import hiatal_hernia, lymphadenopathy
from medomni.phantom.disease.nodule import nodule
from medomni.phantom.disease.organs import renal_cyst, renal_stone, splenomegaly, steatosis, with_large_spleen
from medomni.phantom.disease.pericardium import pericardial_effusion
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.record import record
from medomni.phantom.disease.site import Layer, Site, paint
from medomni.phantom.disease.spine import vertebral_fracture
from medomni.phantom.person import Person

OnSite = Callable[[Site, Placed, np.random.Generator], Layer]
OnBody = Callable[[Body, Placed, np.random.Generator], Lesion]

PRESSED_ML = 60.0
"""Effusions from this volume on press a visible rim of lung airless."""

_ON_BODY: dict[str, OnBody] = {
    "cardiomegaly": cardiomegaly,
    "steatosis": steatosis,
    "splenomegaly": splenomegaly,
    "renal_cyst": renal_cyst,
    "renal_stone": renal_stone,
    "vertebral_fracture": vertebral_fracture,
    "hiatal_hernia": hiatal_hernia,
    "lymphadenopathy": lymphadenopathy,
    "pericardial_effusion": pericardial_effusion,
    "bronchiectasis": bronchiectasis,
    "peribronchial_thickening": peribronchial_thickening,
    "coronary_artery_wall_calcification": coronary_calcification,
    "arterial_wall_calcification": arterial_calcification,
    "medical_material": medical_material,
}
ON_SITE: dict[str, OnSite] = {
    "mosaic_attenuation_pattern": mosaic,
    "emphysema": emphysema,
    "atelectasis": atelectasis,
    "pulmonary_fibrotic_sequela": fibrosis,
    "interlobular_septal_thickening": septal_thickening,
    "consolidation": consolidation,
    "lung_opacity": opacity,
    "lung_nodule": nodule,
}
"""Diseases of one lung that need no more than the lung itself, drawn or real."""
DRAWING_ORDER = (
    *("cardiomegaly", "steatosis", "splenomegaly", "renal_cyst", "renal_stone", "vertebral_fracture"),
    *("hiatal_hernia", "lymphadenopathy", "pericardial_effusion", "pleural_effusion", "mosaic_attenuation_pattern"),
    *("emphysema", "atelectasis", "pulmonary_fibrotic_sequela", "interlobular_septal_thickening"),
    *("peribronchial_thickening", "bronchiectasis", "consolidation", "lung_opacity", "lung_nodule"),
    *("coronary_artery_wall_calcification", "arterial_wall_calcification", "medical_material"),
)
"""What takes room comes first, then what changes lung, then what fills it, then what lies on top."""
_FILLING = ("consolidation", "lung_opacity", "atelectasis", "pulmonary_fibrotic_sequela", "lung_nodule")


def prepare_person(person: Person, placed: tuple[Placed, ...]) -> Person:
    """Return the person as diseases shape it before it is drawn: a large heart or spleen is a different person, not painted."""
    large = [item for item in placed if item.kind == "cardiomegaly"]
    person = with_large_heart(person, large[0]) if large else with_healthy_heart(person)
    for item in placed:
        if item.kind == "splenomegaly":
            person = with_large_spleen(person, item)
    return person


def add_diseases(body: Body, placed: tuple[Placed, ...], rng: np.random.Generator) -> tuple[Lesion, ...]:
    """Draw diseases into a healthy body in place and return what is true of them, in ``DRAWING_ORDER``.

    The chance of a disease does not depend on the others: without one of them, or with less of it, the rest stay where they are.

    Raises:
        ValueError: a nodule does not fit into its zone.
    """
    lesions: list[Lesion] = []
    entropy, drawn = int(rng.integers(2**62)), Counter[tuple[str, str]]()
    for item in sorted(placed, key=lambda item: DRAWING_ORDER.index(item.kind)):
        number = drawn[item.kind, item.side]
        drawn[item.kind, item.side] += 1
        chance = np.random.default_rng([entropy, DRAWING_ORDER.index(item.kind), int(item.side == "left"), number])
        if item.kind in _ON_BODY:
            lesions.append(_ON_BODY[item.kind](body, item, chance))
        elif item.kind == "pleural_effusion":
            lesions += _add_fluid(body, item, chance)
        else:
            lesions.append(_add_to_lung(body, item, lesions, chance))
    return tuple(lesions)


def _add_to_lung(body: Body, item: Placed, before: list[Lesion], rng: np.random.Generator) -> Lesion:
    site = site_of(body, item.side)
    box = box_of_site(site)
    free = site
    if item.kind == "lung_nodule":
        taken = [lesion.mask[box] for lesion in before if lesion.kind in _FILLING]
        free = replace(site, lung=site.lung & ~np.logical_or.reduce([np.zeros_like(site.lung), *taken]))
    layer = ON_SITE[item.kind](free, item, rng)
    paint(body.hu[box], layer)
    lesion = record(item.kind, layer, site)
    if lesion.variant == "lobar" and item.kind == "atelectasis":
        _fill_with_neighbour(body, lesion, item.side)
    return lesion


def _fill_with_neighbour(body: Body, lesion: Lesion, side: str) -> None:
    """Give the room that a collapsed lobe left to the lobe beside it, in place."""
    others = [name for name in LOBES[side] if name != lesion.lobe]
    left = body.parts[lesion.lobe] & ~lesion.mask
    body.parts[lesion.lobe] &= lesion.mask
    body.parts[max(others, key=lambda name: int(body.parts[name].sum()))] |= left


def _add_fluid(body: Body, item: Placed, rng: np.random.Generator) -> list[Lesion]:
    """Fluid in the pleural space; a large amount presses the lung beside it airless, which is atelectasis."""
    site = site_of(body, item.side)
    box = box_of_site(site)
    fluid = effusion(site, item, rng)
    lesions = [record(item.kind, fluid, site)]
    take_from_lungs(body, lesions[0].mask)
    if lesions[0].measurements["volume"] >= PRESSED_ML:
        beside = replace(site, lung=site.lung & ~fluid.mask)
        rim = pressed_lung(beside, fluid.mask, rng)
        paint(body.hu[box], rim)
        lesions.append(record("atelectasis", rim, beside))
    paint(body.hu[box], fluid)
    return lesions
