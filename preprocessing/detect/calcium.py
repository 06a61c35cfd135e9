"""Case -> calcification of the coronary arteries and of the aortic wall, with a calcium score of a scan without ECG gating.

Without gating, motion blurs small spots and smears large ones, so the score is no risk score; it says how much calcium was
seen. Contrast medium hides calcium and metal feigns it: then only what is far denser than the blood counts, without a score.
Calcium counts where the omni model's near network finds it likely, for noise and bone feign it elsewhere; what the network sees
without a score counts as well. Some coronary calcifications are missed on the cohort, so one that is not seen is not excluded.
"""

from dataclasses import replace

import numpy as np

from medomni.types.finding import Evidence, Finding, Measurement, Presence
from preprocessing.detect.answer import judged, not_evaluated
from preprocessing.detect.calcium_score import (
    WEIGHTS_HU,
    Calcium,
    Slabs,
    calcium_evidence,
    calcium_outline,
    in_slabs,
    score_calcium,
    slabs_around,
)
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.place import Outline, evidence, outline
from preprocessing.detect.places import SOURCE, places
from preprocessing.detect.surroundings import has_contrast, near_metal
from preprocessing.morphology import Mask3D, grow, shrink

NOISE_SHARES = 4.0
"""Calcium rises above the mean of the blood by this many deviations of its noise."""
NOISIEST_HU = 45.0
"""Deviation in the blood, in slabs of 3 mm, from which noise passes for calcium."""
ABOVE_CONTRAST_HU = 250.0
"""How far above enhanced blood a spot must rise to be calcium and not a dense stream of contrast medium."""
DOUBTFUL_CEILING = 0.65
"""Calcium in enhanced vessels or in much noise is possible at most."""
WALL_MM = 2.5
"""How far outside the mask of a vessel its calcified wall may lie."""
SAC_MM = 1.0
"""The same for the heart, whose mask reaches to the pericardium."""
ARTERY_DEPTH_MM = 20.0
"""Coronary arteries run in the fat under the pericardium: this deep at most; valves and their rings lie deeper."""
STEM_MM = 10.0
"""The left main artery passes behind the pulmonary trunk: the trunk's mask this near to the heart belongs to the search."""
ROOT_MM = 3.0
"""Round the aorta its own wall and valve are calcified, not the coronary arteries."""
METAL_REACH_MM = 10.0
LIKELY, BESIDE_MM = 0.2, 4.0
"""Calcium counts within this reach of places that the network gives at least this probability."""
FOR_EACH_ML = 100.0
"""How much a mL of places counts that show calcium to the network: two of 0.18 mL as much as a score of 36, one is too little.

With 200, so that one was enough, 14 of 79 phantoms without calcium of the aorta had some, most of them with contrast medium.
"""
CELLS_MM = 10.0
"""How far from heart or aorta places of 6 mm lie that show calcium of their wall."""
CORE_MM = 6.0
"""Depth at which heart and aorta hold blood and muscle without fat."""
CORONARY, ARTERIAL = "coronary_artery_wall_calcification", "arterial_wall_calcification"


def coronary_calcification(case: Case) -> tuple[Finding, ...]:
    """Calcification of the coronary arteries."""
    if "heart" not in case.coverage.evaluated or not case.segmentation.has("heart"):
        return ()
    return (_finding(case, CORONARY, "heart", case.once(coronary_calcium)),)


def arterial_calcification(case: Case) -> tuple[Finding, ...]:
    """Calcification of the aortic wall; other arteries are not looked at."""
    if "great_vessels" not in case.coverage.evaluated or not case.segmentation.has("aorta"):
        return ()
    return (_finding(case, ARTERIAL, "aorta", case.once(aortic_calcium)),)


def coronary_amount(case: Case) -> float | None:
    """Score of the coronary arteries with what the network sees; None where metal is near or no heart."""
    return _amount(case, CORONARY, "heart", case.once(coronary_calcium))


def aortic_amount(case: Case) -> float | None:
    """Score of the aortic wall with what the network sees; None where metal is near or no aorta."""
    return _amount(case, ARTERIAL, "aorta", case.once(aortic_calcium))


def coronary_calcium(case: Case) -> Calcium | None:
    """Calcium in the fat at the surface of the heart, away from the aorta; None without a heart or in too much noise."""
    heart = case.mask("heart")
    deep = shrink(heart, ARTERY_DEPTH_MM, case.spacing_mm)
    aorta = grow(case.mask("aorta"), ROOT_MM, case.spacing_mm)
    stem = grow(heart, STEM_MM, case.spacing_mm) & case.mask("pulmonary_artery")
    return _calcium(case, CORONARY, (grow(heart, SAC_MM, case.spacing_mm) | stem) & ~deep & ~aorta, heart)


def aortic_calcium(case: Case) -> Calcium | None:
    """Calcium in and at the wall of the aorta; None without an aorta or in too much noise."""
    aorta = case.mask("aorta")
    return _calcium(case, ARTERIAL, grow(aorta, WALL_MM, case.spacing_mm), aorta)


def coronary_outline(case: Case) -> tuple[Outline, ...]:
    """Outline of the calcium of the coronary arteries."""
    return _outline(case, CORONARY, "heart", case.once(coronary_calcium))


def aortic_outline(case: Case) -> tuple[Outline, ...]:
    """Outline of the calcium of the aortic wall."""
    return _outline(case, ARTERIAL, "aorta", case.once(aortic_calcium))


def _calcium(case: Case, label: str, region: Mask3D, vessel: Mask3D) -> Calcium | None:
    slabs = slabs_around(case, region)
    if slabs is None:
        return None
    mean_hu, noise_hu = _blood(case, vessel, slabs)
    if noise_hu > NOISIEST_HU:
        return None
    above_hu = ABOVE_CONTRAST_HU if case.once(has_contrast) else NOISE_SHARES * noise_hu
    look, floor_hu = case.once(places), max(WEIGHTS_HU[0], mean_hu + above_hu)
    if look.is_blind:
        return score_calcium(case, region, slabs, floor_hu)
    likely = grow(look.on_coarse(label, case) >= LIKELY, BESIDE_MM, case.spacing_mm)
    found = score_calcium(case, region & likely, slabs, floor_hu)
    return found if found.score else replace(found, doubted=score_calcium(case, region, slabs, floor_hu).score)


def _blood(case: Case, vessel: Mask3D, slabs: Slabs) -> tuple[float, float]:
    """Median and robust deviation of the slabs deep inside a vessel or the heart."""
    core = in_slabs(case, shrink(vessel, CORE_MM, case.spacing_mm), slabs)
    values = slabs.hu[core if core.any() else in_slabs(case, vessel, slabs)]
    if not values.size:
        return 0.0, 0.0
    median = float(np.median(values))
    return median, 1.4826 * float(np.median(np.abs(values - median)))


def _finding(case: Case, label: str, structure: str, found: Calcium | None) -> Finding:
    amount = _amount(case, label, structure, found)
    if amount is None:
        return not_evaluated(label, "metal" if case.has(structure) else "outside_field_of_view")
    is_scored = found is not None and found.score > 0.0
    probability = calibrated(label, amount)
    if found is None or case.once(has_contrast):
        finding = judged(label, min(DOUBTFUL_CEILING, probability), _proof(case, label, structure, found), ())
        unsaid = "contrast_medium" if found else "image_too_noisy"
        return not_evaluated(label, unsaid) if finding.presence is Presence.ABSENT else finding
    figures = (
        Measurement(name="calcium_score", value=found.score, unit="1", structure=structure),
        Measurement(name="calcium_volume", value=found.volume_mm3 / 1000.0, unit="mL", structure=structure, decimals=2),
    )
    finding = judged(label, probability, _proof(case, label, structure, found), figures if is_scored else ())
    if finding.presence is Presence.ABSENT and (structure == "heart" or found.doubted):
        return not_evaluated(label, "not_excluded")
    return finding


def _proof(case: Case, label: str, structure: str, found: Calcium | None) -> Evidence:
    """The scored calcium, or where the network sees some without a score."""
    if found is not None and found.score > 0.0:
        return calcium_evidence(case, found, label)
    return evidence(case, _shown(case, label, structure), label, SOURCE)


def _outline(case: Case, label: str, structure: str, found: Calcium | None) -> tuple[Outline, ...]:
    """The outline of what ``_proof`` tells the place of."""
    if found is not None and found.score > 0.0:
        return calcium_outline(case, found)
    return outline(case, _shown(case, label, structure))


def _amount(case: Case, label: str, structure: str, found: Calcium | None) -> float | None:
    if not case.has(structure) or near_metal(case, case.mask(structure), METAL_REACH_MM):
        return None
    seen = FOR_EACH_ML * case.millilitres(_shown(case, label, structure))
    return seen + (0.0 if found is None else found.score)


def _shown(case: Case, label: str, structure: str) -> Mask3D:
    """Where the network sees calcium at the heart or the aorta."""
    shown = case.once(places).shown(label, case)
    return shown & grow(case.mask(structure), CELLS_MM, case.spacing_mm) if shown.any() else shown
