"""Volume + Segmentation + Regions + Coverage -> Detection: findings with evidence, and the masks that prove them.

Every one of the 18 labels is answered: present, uncertain or absent by a rule stated here, or not evaluated with the reason.
A probability of a rule is a fixed function of the measured size (docs/explanation/findings.md), not calibrated on patients.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from medomni.pipeline import Detection
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Finding, Presence
from medomni.types.notice import Notice
from medomni.types.region import Coverage, Region
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.detect.lesion_findings import nodule_candidates, segmented_lesions
from preprocessing.detect.lung import lung_findings
from preprocessing.detect.lung_measures import lung_measures, organ_measures
from preprocessing.detect.masks import CONSOLIDATION, LESIONS, NODULE, OPACITY, find_lesions
from preprocessing.rules import rules_digest

FINDING_OF = {"nodule": "lung_nodule"}
"""Finding of a lesion mask where the names differ."""
PARTIAL = frozenset(("lung_nodule",))
"""Labels whose detector sees some cases only, so that finding none leaves them open."""
WIDE_CONSOLIDATION_ML = 20.0
"""A consolidation of about a subsegment: from here on the lung mask is doubted."""


def detect(volume: Volume, segmentation: Segmentation, regions: tuple[Region, ...], coverage: Coverage) -> Detection:
    """Return all findings of one volume; each of the 18 labels occurs at least once."""
    labels = np.zeros(segmentation.labels.shape, np.uint8)
    found: tuple[Finding, ...] = ()
    if "lungs" in coverage.evaluated:
        labels = find_lesions(volume, segmentation)
        found = (*lung_measures(regions), *lung_findings(labels, segmentation, regions, coverage))
        if not segmentation.has("nodule"):
            found = (*found, *nodule_candidates(volume, labels == NODULE, regions))
    found = (*found, *organ_measures(regions, coverage), *segmented_lesions(volume, segmentation, regions))
    return Detection(
        findings=(*found, *_not_evaluated(found, coverage)),
        notices=tuple(_notices(found)),
        lesions=_lesions(labels, found, segmentation),
    )


def _lesions(labels: UInt8[np.ndarray, "z y x"], found: tuple[Finding, ...], segmentation: Segmentation) -> Segmentation:
    """The masks of what was found; a mask below its finding's threshold is dropped, so that nobody takes it for one."""
    seen = {f.label for f in found if f.presence in (Presence.PRESENT, Presence.UNCERTAIN)}
    names = {label: name for label, name in LESIONS.items() if FINDING_OF.get(name, name) in seen}
    kept = np.where(np.isin(labels, list(names)), labels, 0).astype(np.uint8)
    if "consolidation" not in seen and "lung_opacity" in seen:
        kept[labels == CONSOLIDATION] = OPACITY
    return Segmentation(kept, segmentation.grid, names, "lesion-rules 1", rules_digest("detect/*.py"))


def _not_evaluated(found: tuple[Finding, ...], coverage: Coverage) -> tuple[Finding, ...]:
    """A finding with its reason for each label that no detector answered."""
    answered = {finding.label for finding in found}
    return tuple(
        Finding(
            id=entry.name.replace("_", "-"),
            label=entry.name,
            presence=Presence.NOT_EVALUATED,
            reason=coverage.not_evaluated.get(entry.organ, "not_excluded" if entry.name in PARTIAL else "no_detector"),
        )
        for entry in vocabulary().labels.values()
        if not entry.is_measurement_only and entry.name not in answered
    )


def _notices(found: tuple[Finding, ...]) -> Iterator[Notice]:
    """A wide consolidation reaches where density rules cannot follow: its lung is larger than its mask."""
    dense_ml = sum(m.value for finding in found if finding.label == "consolidation" for m in finding.measurements)
    if dense_ml >= WIDE_CONSOLIDATION_ML:
        yield Notice(code="lung_beyond_consolidation")
