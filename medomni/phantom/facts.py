"""What is true of a case, as a report would speak of it: one fact for each disease, and how it changed since before.

    lesions, lobes -> Fact -> (prior facts) -> Fact with its change

Knows nothing about words.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from medomni.phantom.disease import SEVERITIES, Lesion, Placed
from medomni.types.finding import BoxMm
from medomni.types.volume import Mask

FINDINGS = (
    *("consolidation", "pericardial_effusion", "pleural_effusion", "lung_nodule", "lung_opacity", "lymphadenopathy"),
    *("atelectasis", "interlobular_septal_thickening", "cardiomegaly", "emphysema", "bronchiectasis"),
    *("pulmonary_fibrotic_sequela", "mosaic_attenuation_pattern", "peribronchial_thickening"),
    *("coronary_artery_wall_calcification", "arterial_wall_calcification", "hiatal_hernia", "medical_material"),
)
"""The 18 labels of the vocabulary, most important first."""
ORGAN_CHANGES = ("steatosis", "splenomegaly", "renal_stone", "renal_cyst", "vertebral_fracture")
"""Changes of organs that a phantom may show beyond the 18 labels."""

SIZES = {
    "lung_nodule": ("mean_diameter", "long_diameter"),
    "pericardial_effusion": ("thickness", "largest_thickness"),
    "lymphadenopathy": ("short_diameter", "short_axis"),
    "peribronchial_thickening": ("wall_thickness", "thickness"),
    "hiatal_hernia": ("width", "long_diameter"),
    "splenomegaly": ("length", "long_diameter"),
    "renal_stone": ("long_diameter", "mean_diameter"),
    "renal_cyst": ("long_diameter", "mean_diameter"),
}
"""The length (mm) that a report states, the first that was measured."""
_SAME = {"lung_nodule": 1.5, "pericardial_effusion": 2.0, "lymphadenopathy": 2.0}
"""Differences in mm that count as no change (nodules: Fleischner Society 2017)."""
_SAME_SHARE = 0.15
_SAME_PLACE_MM = 15.0
"""Nodules further apart are two nodules: patients lie and breathe differently, but not by that much here."""
_LOBE_SHARE = 0.12


@dataclass(frozen=True)
class Fact:
    """One disease, on one side or both.

    Attributes:
        side: left, right, both, or "" when the kind has none.
        lobes: the structures that hold it, the fullest first.
        change: larger, smaller, same or new since the prior study; "" without one.
        before: the measured value at the prior study under its name, empty when there is none.
    """

    kind: str
    variant: str = ""
    side: str = ""
    lobes: tuple[str, ...] = ()
    severity: str = "moderate"
    margin: str = ""
    measurements: dict[str, float] = field(default_factory=dict)
    box_mm: BoxMm | None = None
    centre_mm: tuple[float, float, float] | None = None
    change: str = ""
    before: dict[str, float] = field(default_factory=dict)

    @property
    def size_name(self) -> str:
        """The name of the length that stands for the size, "" when none was measured."""
        return next((name for name in SIZES.get(self.kind, ()) if name in self.measurements), "")


def gather(
    lesions: tuple[Lesion, ...], placed: tuple[Placed, ...], lobes: dict[str, Mask], order: tuple[str, ...]
) -> tuple[Fact, ...]:
    """Return a fact for each lesion in view, sorted by kind as in ``order``."""
    waiting = list(placed)
    facts = []
    for lesion in lesions:
        if not lesion.mask.any():
            continue
        match = next((item for item in waiting if item.kind == lesion.kind and lesion.side in ("", item.side)), None)
        if match is not None:
            waiting.remove(match)
        facts.append(_fact(lesion, match, lobes))
    return tuple(sorted(facts, key=lambda fact: order.index(fact.kind)))


def compare(now: tuple[Fact, ...], before: tuple[Fact, ...]) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    """Return the facts with their change since the prior study, and the prior facts that are gone."""
    left = list(before)
    changed = []
    for fact in now:
        earlier = _partner(fact, left)
        if earlier is None:
            changed.append(replace(fact, change="new"))
            continue
        left.remove(earlier)
        changed.append(_with_change(fact, earlier))
    return tuple(changed), tuple(left)


def _fact(lesion: Lesion, placed: Placed | None, lobes: dict[str, Mask]) -> Fact:
    severity = _severity_of(placed) if placed else "mild"
    return Fact(
        kind=lesion.kind,
        variant=lesion.variant,
        side=lesion.side,
        lobes=_lobes_of(lesion, lobes),
        severity=severity,
        margin=lesion.margin,
        measurements={name: round(float(value), 3) for name, value in lesion.measurements.items()},
        box_mm=lesion.box_mm,
        centre_mm=lesion.centre_mm,
    )


def _severity_of(placed: Placed) -> str:
    """The severity whose usual amount is nearest to what was placed."""
    if placed.amount is None:
        return placed.severity
    usual = [Placed(placed.kind, severity=severity).size for severity in SEVERITIES]
    return SEVERITIES[int(np.argmin([abs(np.log(placed.amount / size)) for size in usual]))]


def _lobes_of(lesion: Lesion, lobes: dict[str, Mask]) -> tuple[str, ...]:
    if not lesion.lobe:
        return ()
    if lesion.kind == "lung_nodule":
        return (lesion.lobe,)
    where = np.flatnonzero(lesion.mask)
    inside = {name: int(mask.ravel()[where].sum()) for name, mask in lobes.items()}
    held = [name for name in sorted(inside, key=lambda name: -inside[name]) if inside[name] > _LOBE_SHARE * len(where)]
    return tuple(held) or (lesion.lobe,)


def _partner(fact: Fact, earlier: list[Fact]) -> Fact | None:
    """The prior fact of the same kind and side, the nearest one when there are several."""
    same = [other for other in earlier if other.kind == fact.kind and other.side == fact.side]
    nearest = min(same, key=lambda other: _distance(fact, other), default=None)
    if nearest is None or (fact.kind == "lung_nodule" and _distance(fact, nearest) > _SAME_PLACE_MM):
        return None
    return nearest


def _distance(one: Fact, other: Fact) -> float:
    if one.centre_mm is None or other.centre_mm is None:
        return 0.0
    return float(np.linalg.norm(np.subtract(one.centre_mm, other.centre_mm)))


def _with_change(now: Fact, before: Fact) -> Fact:
    name = now.size_name if now.size_name in before.measurements else "volume"
    if name not in now.measurements or name not in before.measurements:
        return replace(now, change="same")
    value, earlier = now.measurements[name], before.measurements[name]
    tolerance = _SAME.get(now.kind, _SAME_SHARE * max(earlier, 1e-6)) if name != "volume" else _SAME_SHARE * max(earlier, 1e-6)
    change = "same" if abs(value - earlier) <= tolerance else "larger" if value > earlier else "smaller"
    return replace(now, change=change, before={name: earlier})
