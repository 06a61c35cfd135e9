"""Case + findings -> the masks that prove what was found, as one label map on the study's own grid.

A voxel holds one label, so the masks are drawn one over the other: what is wide or has the border of cells first, what is small
and specific last. Opacity, consolidation, pleural fluid and nodules lie over everything that is wide. A mask whose finding stays
below its threshold is left out, so that nobody takes it for one.
"""

import hashlib
from collections.abc import Callable

import numpy as np

from medomni.model.omni_folder import SHIPPED, digest_of, require
from medomni.types.finding import Finding, Presence
from medomni.types.segmentation import Segmentation
from preprocessing.detect.calcium import ARTERIAL, CORONARY, aortic_outline, coronary_outline
from preprocessing.detect.case import Case
from preprocessing.detect.devices import material_outline
from preprocessing.detect.diffuse import shown_outline
from preprocessing.detect.emphysema import emphysema_outline
from preprocessing.detect.heart import pericardial_outline
from preprocessing.detect.hernia import hernia_outline
from preprocessing.detect.masks import CONSOLIDATION, LESIONS, OPACITY, find_lesions
from preprocessing.detect.nodes import node_outline
from preprocessing.detect.place import Outline
from preprocessing.rules import rules_digest

Outlined = Callable[[Case], tuple[Outline, ...]]

WIDE: dict[str, Outlined] = {
    "mosaic_attenuation_pattern": shown_outline("mosaic_attenuation_pattern"),
    "low_attenuation": emphysema_outline,
    "interlobular_septal_thickening": shown_outline("interlobular_septal_thickening"),
    "peribronchial_thickening": shown_outline("peribronchial_thickening"),
    "bronchiectasis": shown_outline("bronchiectasis"),
    "pulmonary_fibrotic_sequela": shown_outline("pulmonary_fibrotic_sequela"),
    "atelectasis": shown_outline("atelectasis"),
    "hiatal_hernia": hernia_outline,
    "pericardial_effusion": pericardial_outline,
}
"""What lies under the lesions of ``masks.py``, the widest first."""
SMALL: dict[str, Outlined] = {
    "lymph_node": node_outline,
    ARTERIAL: aortic_outline,
    CORONARY: coronary_outline,
    "medical_material": material_outline,
}
"""What lies over them."""
NAMES = LESIONS | dict(enumerate((*WIDE, *SMALL), start=len(LESIONS) + 1))
"""Labels of the map."""
FINDING_OF = {"nodule": "lung_nodule", "lymph_node": "lymphadenopathy", "low_attenuation": "emphysema"}
"""Finding of a mask where the names differ."""
RULES = ("detect/*.py", "detect/*.toml", "detect/shipped/*/*.safetensors", "scan.py")
"""What the masks follow from, beside the omni model: rules, curves and the weights of the nodule network."""


def proofs(case: Case, found: tuple[Finding, ...]) -> Segmentation:
    """Return the masks of the findings that are present or uncertain."""
    seen = {f.label for f in found if f.presence in (Presence.PRESENT, Presence.UNCERTAIN)}
    wanted = {label: name for label, name in NAMES.items() if FINDING_OF.get(name, name) in seen}
    kept = np.zeros(case.volume.grid.shape, np.uint8)
    view = case.coarse.full.view(kept)
    drawn = {label for label, name in wanted.items() if name in WIDE and _drawn(view, label, WIDE[name](case))}
    lesions = wanted.keys() & LESIONS.keys()
    if lesions:
        labels = case.once(find_lesions)
        np.copyto(kept, labels, where=np.isin(labels, list(lesions)))
        if OPACITY in lesions and CONSOLIDATION not in lesions:
            kept[labels == CONSOLIDATION] = OPACITY
    drawn |= {label for label, name in wanted.items() if name in SMALL and _drawn(view, label, SMALL[name](case))}
    names = {label: name for label, name in wanted.items() if label in lesions or label in drawn}
    digest = hashlib.sha256(f"{rules_digest(*RULES)} {digest_of(require(SHIPPED))}".encode()).hexdigest()
    return Segmentation(kept, case.volume.grid, names, "lesion-rules 3", digest)


def _drawn(view: np.ndarray, label: int, outlines: tuple[Outline, ...]) -> bool:
    """Draw the outlines of one mask over what is there; whether there are any."""
    for one in outlines:
        view[one.box][one.mask] = label
    return bool(outlines)
