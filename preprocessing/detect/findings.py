"""Volume + Segmentation + Regions + Coverage -> Detection: findings with evidence, and the masks that prove them.

Every one of the 18 labels is answered: present, uncertain or absent by a rule stated in its module, or not evaluated with the
reason. ``DETECTORS`` is the whole list; each turns the one Case into findings and knows nothing of the others.
"""

from collections.abc import Callable, Iterator

from medomni.pipeline import Detection, Progress
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Finding
from medomni.types.notice import Notice
from medomni.types.region import Coverage, Region
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.detect.abdomen import kidney_stones, splenomegaly, steatosis
from preprocessing.detect.answer import not_evaluated
from preprocessing.detect.calcium import arterial_calcification, coronary_calcification
from preprocessing.detect.case import Case
from preprocessing.detect.devices import medical_material
from preprocessing.detect.diffuse import diffuse_findings
from preprocessing.detect.emphysema import emphysema
from preprocessing.detect.heart import cardiomegaly, pericardial_effusion
from preprocessing.detect.hernia import hiatal_hernia
from preprocessing.detect.lesion_findings import segmented_lesions
from preprocessing.detect.lung import lung_findings
from preprocessing.detect.lung_measures import lung_measures, organ_measures
from preprocessing.detect.nodes import enlarged_node
from preprocessing.detect.nodule_findings import lung_nodules
from preprocessing.detect.pleura import pleural_effusion
from preprocessing.detect.proofs import proofs
from preprocessing.detect.spine import bone_density

Detector = Callable[[Case], tuple[Finding, ...]]

DETECTORS: tuple[Detector, ...] = (
    lung_measures,
    lung_findings,
    emphysema,
    lung_nodules,
    diffuse_findings,
    pleural_effusion,
    segmented_lesions,
    enlarged_node,
    hiatal_hernia,
    cardiomegaly,
    pericardial_effusion,
    coronary_calcification,
    arterial_calcification,
    medical_material,
    organ_measures,
    steatosis,
    splenomegaly,
    kidney_stones,
    bone_density,
)
"""Every detector, in the order of the findings of a draft."""
WIDE_CONSOLIDATION_ML = 20.0
"""A consolidation of about a subsegment: from here on the lung mask is doubted."""


def detect(
    volume: Volume, segmentation: Segmentation, regions: tuple[Region, ...], coverage: Coverage, progress: Progress
) -> Detection:
    """Return all findings of one volume; each of the 18 labels occurs at least once."""
    case = Case(volume, segmentation, regions, coverage)
    found: tuple[Finding, ...] = ()
    for k, detector in enumerate(DETECTORS):
        progress(k / len(DETECTORS))
        found += detector(case)
    return Detection(
        findings=(*found, *_not_evaluated(found, coverage)),
        notices=tuple(_notices(found)),
        lesions=proofs(case, found),
    )


def _not_evaluated(found: tuple[Finding, ...], coverage: Coverage) -> tuple[Finding, ...]:
    """A finding with its reason for each label that no detector answered."""
    answered = {finding.label for finding in found}
    return tuple(
        not_evaluated(entry.name, coverage.not_evaluated.get(entry.organ, "no_detector"))
        for entry in vocabulary().labels.values()
        if entry.is_always_answered and not entry.is_measurement_only and entry.name not in answered
    )


def _notices(found: tuple[Finding, ...]) -> Iterator[Notice]:
    """A wide consolidation reaches where density rules cannot follow: its lung is larger than its mask."""
    dense_ml = sum(m.value for finding in found if finding.label == "consolidation" for m in finding.measurements)
    if dense_ml >= WIDE_CONSOLIDATION_ML:
        yield Notice(code="lung_beyond_consolidation", fields={"label": "consolidation"})
