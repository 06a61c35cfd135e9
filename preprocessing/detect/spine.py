"""Case -> trabecular density of the lowest vertebral bodies in view, and low bone density.

Low trabecular CT numbers on a CT made for another reason point to osteoporosis: 110 HU and less at L1 is specific, 160 HU and
more all but excludes it (Pickhardt, Ann Intern Med 2013). Thoracic bodies read somewhat higher than L1.
"""

import numpy as np

from medomni.types.finding import Finding, Measurement, Presence
from preprocessing.detect.answer import judged
from preprocessing.detect.calibration import calibrated
from preprocessing.detect.case import Case
from preprocessing.detect.place import evidence, slice_index
from preprocessing.detect.surroundings import near_metal
from preprocessing.detect.vertebrae import vertebral_bodies

LOWEST = 3
"""The lowest bodies in view speak for the density: they lie nearest to L1."""
METAL_REACH_MM = 10.0


def trabecular_hu(case: Case) -> float | None:
    """Median over the lowest bodies of their mean trabecular CT number; None when no body is in view."""
    bodies = case.once(vertebral_bodies)[:LOWEST]
    return float(np.median([body.mean_hu for body in bodies])) if bodies else None


def bone_density(case: Case) -> tuple[Finding, ...]:
    """The trabecular density as a measurement, and low bone density where it is low."""
    density = trabecular_hu(case)
    if density is None or "bones" not in case.coverage.evaluated or near_metal(case, case.mask("vertebrae"), METAL_REACH_MM):
        return ()
    bodies = case.once(vertebral_bodies)[:LOWEST]
    region = np.logical_or.reduce([body.region for body in bodies])
    proof = evidence(case, region, "vertebrae", "segmentation")
    figure = Measurement(
        name="trabecular_hu",
        value=density,
        unit="[hnsf'U]",
        structure="vertebrae",
        slice_index=slice_index(case, sum(bodies[0].z_range) // 2, bodies[0].region),
    )
    measured = Finding(
        id="trabecular-density",
        label="trabecular_density",
        presence=Presence.PRESENT,
        measurements=(figure,),
        box_mm=proof.box_mm,
        evidence=(proof,),
    )
    return measured, judged("low_bone_density", calibrated("low_bone_density", -density), proof, (figure,))
