"""Volume + Segmentation + Regions + Coverage -> Detection: findings with evidence, and the masks that prove them.

Every one of the 18 labels is answered: present, uncertain or absent by a rule stated in its module, or not evaluated with the
reason. ``DETECTORS`` is the whole list; each turns the one Case into findings and knows nothing of the others.
"""

import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from medomni.model.omni_folder import SHIPPED, digest_of, require
from medomni.pipeline import Detection, Progress
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Finding, Presence
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
from preprocessing.detect.masks import CONSOLIDATION, LESIONS, OPACITY, find_lesions
from preprocessing.detect.nodes import enlarged_node
from preprocessing.detect.nodule_findings import lung_nodules
from preprocessing.detect.pleura import pleural_effusion
from preprocessing.detect.spine import bone_density
from preprocessing.rules import rules_digest

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
FINDING_OF = {"nodule": "lung_nodule"}
"""Finding of a lesion mask where the names differ."""
RULES = ("detect/*.py", "detect/*.toml", "detect/shipped/*/*.safetensors", "scan.py")
"""What the lesion masks follow from, beside the omni model: rules, curves and the weights of the nodule network."""
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
        lesions=_lesions(case, found),
    )


def _lesions(case: Case, found: tuple[Finding, ...]) -> Segmentation:
    """The masks of what was found; a mask below its finding's threshold is dropped, so that nobody takes it for one."""
    seen = {f.label for f in found if f.presence in (Presence.PRESENT, Presence.UNCERTAIN)}
    names = {label: name for label, name in LESIONS.items() if FINDING_OF.get(name, name) in seen}
    kept = np.zeros(case.volume.grid.shape, np.uint8)
    if names:
        labels = case.once(find_lesions)
        kept = np.where(np.isin(labels, list(names)), labels, 0).astype(np.uint8)
        if "consolidation" not in seen and "lung_opacity" in seen:
            kept[labels == CONSOLIDATION] = OPACITY
    digest = hashlib.sha256(f"{rules_digest(*RULES)} {digest_of(require(SHIPPED))}".encode()).hexdigest()
    return Segmentation(kept, case.volume.grid, names, "lesion-rules 2", digest)


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
