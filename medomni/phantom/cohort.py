"""What the person of a seed suffers from: one clinical picture, the diseases that come with it, and what age adds.

    seed, region -> tuple of Placed

About one person of four is healthy. Shares are plausible for a mixed hospital cohort, chosen by hand: they make every
disease reachable and common companions appear together; they are no epidemiology.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from medomni.phantom.disease import Placed
from medomni.phantom.person import make_person

HEALTHY = 0.25
"""Share of persons without any disease."""


class BodyRegion(StrEnum):
    """The part of the body that is scanned."""

    CHEST = "chest"
    ABDOMEN = "abdomen"


@dataclass(frozen=True)
class Picture:
    """A clinical picture: how often it is drawn and the chance of each disease in it.

    ``bilateral`` is the chance that a sided disease of the picture lies on both sides.
    """

    name: str
    share: float
    chances: dict[str, float]
    bilateral: float = 0.3


_CHEST = (
    Picture(
        "bacterial pneumonia",
        0.13,
        {
            "consolidation": 0.85,
            "lung_opacity": 0.75,
            "pleural_effusion": 0.3,
            "peribronchial_thickening": 0.25,
            "lymphadenopathy": 0.15,
            "atelectasis": 0.15,
        },
        0.2,
    ),
    Picture(
        "viral pneumonia",
        0.12,
        {"lung_opacity": 1.0, "consolidation": 0.35, "interlobular_septal_thickening": 0.2, "pulmonary_fibrotic_sequela": 0.15},
        0.7,
    ),
    Picture(
        "heart failure",
        0.12,
        {
            "cardiomegaly": 0.85,
            "pleural_effusion": 0.85,
            "interlobular_septal_thickening": 0.7,
            "lung_opacity": 0.35,
            "pericardial_effusion": 0.3,
            "atelectasis": 0.35,
            "peribronchial_thickening": 0.35,
            "medical_material": 0.3,
            "coronary_artery_wall_calcification": 0.5,
        },
        0.75,
    ),
    Picture(
        "chronic obstructive disease",
        0.13,
        {
            "emphysema": 0.9,
            "peribronchial_thickening": 0.55,
            "lung_nodule": 0.35,
            "bronchiectasis": 0.25,
            "mosaic_attenuation_pattern": 0.2,
            "coronary_artery_wall_calcification": 0.45,
            "arterial_wall_calcification": 0.45,
            "pulmonary_fibrotic_sequela": 0.25,
        },
        0.85,
    ),
    Picture(
        "tumour",
        0.13,
        {
            "lung_nodule": 1.0,
            "lymphadenopathy": 0.6,
            "pleural_effusion": 0.25,
            "atelectasis": 0.3,
            "medical_material": 0.3,
            "emphysema": 0.25,
            "pericardial_effusion": 0.1,
        },
        0.3,
    ),
    Picture(
        "old infection",
        0.08,
        {"pulmonary_fibrotic_sequela": 0.95, "bronchiectasis": 0.5, "lung_nodule": 0.3, "lymphadenopathy": 0.15},
        0.35,
    ),
    Picture(
        "disease of the airways",
        0.09,
        {"bronchiectasis": 0.8, "peribronchial_thickening": 0.8, "mosaic_attenuation_pattern": 0.75, "atelectasis": 0.2},
        0.6,
    ),
    Picture(
        "atherosclerosis",
        0.1,
        {
            "coronary_artery_wall_calcification": 0.9,
            "arterial_wall_calcification": 0.9,
            "cardiomegaly": 0.35,
            "medical_material": 0.5,
            "hiatal_hernia": 0.3,
            "vertebral_fracture": 0.15,
        },
    ),
    Picture(
        "after surgery",
        0.06,
        {
            "medical_material": 1.0,
            "pleural_effusion": 0.65,
            "atelectasis": 0.85,
            "consolidation": 0.3,
            "pericardial_effusion": 0.3,
        },
        0.5,
    ),
    Picture("inflammation of the serous sacs", 0.04, {"pericardial_effusion": 1.0, "pleural_effusion": 0.5, "cardiomegaly": 0.2}),
)
_ABDOMEN = (
    Picture("fatty liver", 0.3, {"steatosis": 1.0, "renal_stone": 0.15, "coronary_artery_wall_calcification": 0.15}),
    Picture("colic", 0.2, {"renal_stone": 1.0, "renal_cyst": 0.2, "steatosis": 0.2}, 0.25),
    Picture("blood disease", 0.15, {"splenomegaly": 1.0, "pleural_effusion": 0.3, "lymphadenopathy": 0.2}, 0.5),
    Picture(
        "old age",
        0.35,
        {
            "renal_cyst": 0.75,
            "arterial_wall_calcification": 0.8,
            "vertebral_fracture": 0.45,
            "hiatal_hernia": 0.35,
            "atelectasis": 0.25,
            "steatosis": 0.2,
        },
        0.35,
    ),
)
_PICTURES = {BodyRegion.CHEST: _CHEST, BodyRegion.ABDOMEN: _ABDOMEN}

_INCIDENTAL = {
    "coronary_artery_wall_calcification": (45, 0.35),
    "arterial_wall_calcification": (50, 0.4),
    "hiatal_hernia": (50, 0.12),
    "renal_cyst": (45, 0.15),
    "vertebral_fracture": (60, 0.12),
    "steatosis": (30, 0.14),
    "renal_stone": (30, 0.05),
    "splenomegaly": (30, 0.03),
    "lung_nodule": (40, 0.1),
    "pulmonary_fibrotic_sequela": (50, 0.1),
    "atelectasis": (50, 0.08),
    "medical_material": (60, 0.06),
}
"""Found by chance in an ill person: age at which it begins, and its chance 35 years later (linear between)."""
_ZONES = ("upper", "middle", "lower")
_ZONE_SHARES = {
    "emphysema": (0.7, 0.15, 0.15),
    "pleural_effusion": (0.0, 0.0, 1.0),
    "atelectasis": (0.1, 0.15, 0.75),
    "bronchiectasis": (0.2, 0.25, 0.55),
    "pulmonary_fibrotic_sequela": (0.5, 0.15, 0.35),
    "interlobular_septal_thickening": (0.2, 0.2, 0.6),
    "consolidation": (0.25, 0.2, 0.55),
    "lung_opacity": (0.25, 0.25, 0.5),
}
_SEVERITIES = ("mild", "moderate", "severe")


def draw_findings(seed: int, region: BodyRegion = BodyRegion.CHEST) -> tuple[Placed, ...]:
    """Return the diseases of a seed's default case, none in about one case of four."""
    rng = np.random.default_rng([seed, 5, _number(region)])
    picture = _draw_picture(rng, region)
    if picture is None:
        return ()
    chosen = [kind for kind, chance in picture.chances.items() if rng.random() < chance]
    if not chosen:
        chosen = [next(iter(picture.chances))]
    for kind, (begin, chance) in _INCIDENTAL.items():
        share = chance * min(max((make_person(seed).age_years - begin) / 35, 0.0), 1.0)
        if rng.random() < share and kind not in chosen:
            chosen.append(kind)
    return tuple(placed for kind in chosen for placed in _place(kind, picture, rng))


def _number(region: BodyRegion) -> int:
    return list(BodyRegion).index(region)


def _draw_picture(rng: np.random.Generator, region: BodyRegion) -> Picture | None:
    if rng.random() < HEALTHY:
        return None
    pictures = _PICTURES[region]
    shares = np.array([picture.share for picture in pictures])
    return pictures[int(rng.choice(len(pictures), p=shares / shares.sum()))]


def _place(kind: str, picture: Picture, rng: np.random.Generator) -> list[Placed]:
    """One disease, or one on each side, or several nodules."""
    first = Placed(
        kind,
        side=("left", "right")[int(rng.random() < 0.55)],
        zone=_zone(kind, rng),
        severity=_SEVERITIES[int(rng.choice(3, p=(0.4, 0.4, 0.2)))],
    )
    if not first.is_sided:
        return [first]
    count = int(rng.choice((1, 2, 3), p=(0.6, 0.25, 0.15))) if kind == "lung_nodule" else 1
    sides = [first.side] * count
    if kind == "lung_nodule":
        sides = [first.side, *(("left", "right")[int(rng.integers(2))] for _ in range(count - 1))]
    elif rng.random() < picture.bilateral:
        sides.append("left" if first.side == "right" else "right")
    return [first, *(_companion(first, side, rng) for side in sides[1:])]


def _companion(first: Placed, side: str, rng: np.random.Generator) -> Placed:
    """The same disease again: as severe as the first or a step milder."""
    step = _SEVERITIES.index(first.severity)
    severity = _SEVERITIES[max(0, step - int(rng.random() < 0.5))]
    return Placed(first.kind, side, _zone(first.kind, rng), severity)


def _zone(kind: str, rng: np.random.Generator) -> str:
    return str(rng.choice(_ZONES, p=_ZONE_SHARES.get(kind, (0.34, 0.3, 0.36))))
