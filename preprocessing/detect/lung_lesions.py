"""Case -> the focal lesions of the lungs, each called one thing: nodules, and opacities without them.

A round ground-glass focus is a nodule where it stands alone and part of the disease in a lung with wide opacities (pneumonia is
patchy and often round); a solid one there must have clear lung around it.
"""

from dataclasses import dataclass

from preprocessing.detect.case import Case
from preprocessing.detect.nodule import Nodule, reported_nodules
from preprocessing.detect.opacity import Opacities, opacities

WIDE_ML = 50.0
"""Opacities of this volume beside the nodules are a pneumonia with many foci; a nodule in less of it is more likely its own."""
SOLID_SHARE = 0.4
"""A nodule less solid than this is ground glass: foci of two real pneumonias measured 0 to 0.26."""
CLEAR_AIR_SHARE = 0.7
"""Share of aerated lung around a nodule that stands beside wide opacities: solid ones put into those two had 0.79 and more."""


@dataclass(frozen=True, eq=False)
class LungLesions:
    """The nodules that are reported, largest first, the opacities, and whether these are wide beside the nodules."""

    nodules: tuple[Nodule, ...]
    opacities: Opacities
    is_wide: bool


def lung_lesions(case: Case) -> LungLesions:
    """Return nodules and opacities; keep them with ``case.once(lung_lesions)``."""
    nodules = reported_nodules(case)
    distinct = tuple(nodule for nodule in nodules if is_distinct(nodule))
    without_distinct = opacities(case, distinct)
    beside_ml = without_distinct.agreed_ml - sum(n.sized.volume_ml for n in nodules if n not in distinct)
    is_wide = beside_ml >= WIDE_ML
    if is_wide or len(distinct) == len(nodules):
        return LungLesions(distinct, without_distinct, is_wide)
    return LungLesions(nodules, opacities(case, nodules), is_wide)


def is_distinct(nodule: Nodule) -> bool:
    """Whether it is a nodule even beside pneumonia."""
    return nodule.sized.solid_share >= SOLID_SHARE and nodule.sized.air_share >= CLEAR_AIR_SHARE
