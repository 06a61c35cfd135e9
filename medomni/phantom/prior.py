"""An earlier scan of the same person: when it was, and what was there then.

    seed, today's diseases -> Visit

Only what changes within months changes: nodules, effusions, opacities. Bones, vessels and organs stay as they are.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from medomni.phantom.disease import Lesion, Placed

CHANGING = (
    *("lung_nodule", "pleural_effusion", "lung_opacity", "consolidation", "pericardial_effusion", "lymphadenopathy"),
    *("atelectasis", "interlobular_septal_thickening"),
)
"""Kinds that come, grow, shrink and go within months."""
PRIOR_SHARE = 0.2
"""Share of the ill who have been scanned before."""
_MONTHS = (2, 3, 4, 6, 6, 12, 12, 18, 24)
_FIRST_DAY = date(2023, 1, 9)
_GROWTH = {"larger": (0.45, 0.75), "same": (0.98, 1.02), "smaller": (1.4, 1.9)}
"""Earlier amount relative to today's for a disease that is larger, the same or smaller today."""
_NODULE_GROWTH = {"larger": (0.55, 0.8), "same": (0.99, 1.01), "smaller": (1.2, 1.4)}


@dataclass(frozen=True)
class Visit:
    """A scan before today's: how many months, on which date (YYYYMMDD), with which diseases."""

    months: int
    study_date: str
    placed: tuple[Placed, ...]


def study_date(seed: int) -> str:
    """The date of a seed's study (YYYYMMDD): a working day within two years."""
    day = _FIRST_DAY + timedelta(days=(seed * 137) % 700)
    return f"{day - timedelta(days=max(0, day.weekday() - 4)):%Y%m%d}"


def has_prior(seed: int, placed: tuple[Placed, ...]) -> bool:
    """Whether the person of a seed was scanned before."""
    rng = np.random.default_rng([seed, 9])
    return any(item.kind in CHANGING for item in placed) and bool(rng.random() < PRIOR_SHARE)


def earlier_visit(seed: int, drawn: tuple[Lesion, ...], placed: tuple[Placed, ...]) -> Visit:
    """Return the visit before today's; a nodule lies where it lies today.

    Args:
        seed: of the case.
        drawn: today's diseases as they came out.
        placed: today's diseases as they were placed.
    """
    rng = np.random.default_rng([seed, 10])
    months = int(rng.choice(_MONTHS))
    today = date.fromisoformat(study_date(seed))
    then = today - timedelta(days=round(months * 30.44))
    earlier = []
    nodules = [lesion for lesion in drawn if lesion.kind == "lung_nodule"]
    for item in placed:
        was = _before(item, rng)
        if was is not None and item.kind == "lung_nodule":
            lesion = next(lesion for lesion in nodules if lesion.side == item.side)
            nodules.remove(lesion)
            was = replace(was, variant=lesion.variant, margin=lesion.margin, at_mm=lesion.centre_mm)
        if was is not None:
            earlier.append(was)
    return Visit(months, f"{then:%Y%m%d}", tuple(earlier))


def _before(item: Placed, rng: np.random.Generator) -> Placed | None:
    """The disease at the earlier visit, None when it had not begun."""
    course = str(rng.choice(("larger", "same", "smaller", "new"), p=(0.4, 0.2, 0.25, 0.15)))
    share = float(rng.uniform())
    if item.kind not in CHANGING:
        return item
    if course == "new":
        return None
    low, high = (_NODULE_GROWTH if item.kind in ("lung_nodule", "lymphadenopathy") else _GROWTH)[course]
    return replace(item, amount=round(item.size * (low + (high - low) * share), 2))
