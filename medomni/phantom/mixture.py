"""What the phantoms of a training suffer from: half of them as the cohort, half with each disease equally often.

    seed, visit, region -> diseases of the body, diseases of the visit

Diseases that make a different body (a large heart, a large spleen) are drawn once for a body; the others anew for each visit,
since a body costs more than what is drawn into it.
"""

import numpy as np

from medomni.phantom.cohort import BodyRegion, draw_findings
from medomni.phantom.disease import SEVERITIES, Placed
from medomni.phantom.facts import FINDINGS, ORGAN_CHANGES

OF_BODY = {"cardiomegaly": 0.28, "splenomegaly": 0.12}
"""Diseases of the body, and the share of bodies that have them."""
AS_COHORT, RICH, POOR = 0.45, 0.2, 0.07
"""Share of visits as the cohort has them; chance of each disease in most of the others, and in the rest."""
RICH_SHARE = 0.73
"""Of the visits that are not as the cohort: how many hold many diseases."""
BOTH_SIDES = 0.35
SEVERITY_SHARES = (0.42, 0.36, 0.22)
ZONES = ("upper", "middle", "lower", "")
FIRST_SEED, LAST_SEED = 3_000_000, 9_000_000
"""Seeds of training phantoms; what is measured uses seeds below 1,000,000."""


def of_body(rng: np.random.Generator) -> tuple[Placed, ...]:
    """Diseases that make a different body."""
    return tuple(item for kind, share in OF_BODY.items() if rng.random() < share for item in place(kind, rng))


def of_visit(rng: np.random.Generator, region: BodyRegion) -> tuple[Placed, ...]:
    """Diseases that are drawn into a body."""
    chance = rng.random()
    if chance < AS_COHORT:
        drawn = draw_findings(int(rng.integers(FIRST_SEED, LAST_SEED)), region)
        return tuple(item for item in drawn if item.kind not in OF_BODY)
    share = RICH if chance < AS_COHORT + (1 - AS_COHORT) * RICH_SHARE else POOR
    more = 0.6 if region is BodyRegion.CHEST else 1.5
    kinds = [kind for kind in FINDINGS if rng.random() < share] + [kind for kind in ORGAN_CHANGES if rng.random() < share * more]
    return tuple(item for kind in kinds if kind not in OF_BODY for item in place(kind, rng))


def place(kind: str, rng: np.random.Generator) -> tuple[Placed, ...]:
    """One disease somewhere, on one side or both, or up to three nodules."""
    first = _one(kind, ("left", "right")[int(rng.integers(2))], rng)
    if not first.is_sided:
        return (first,)
    if kind == "lung_nodule":
        count = int(rng.choice((0, 1, 2), p=(0.6, 0.25, 0.15)))
        return (first, *(_one(kind, ("left", "right")[int(rng.integers(2))], rng) for _ in range(count)))
    other = "left" if first.side == "right" else "right"
    return (first, _one(kind, other, rng)) if rng.random() < BOTH_SIDES else (first,)


def _one(kind: str, side: str, rng: np.random.Generator) -> Placed:
    return Placed(kind, side, str(rng.choice(ZONES)), str(rng.choice(SEVERITIES, p=SEVERITY_SHARES)))
