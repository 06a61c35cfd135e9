"""One phantom case: a CT, what is true about it, and the patient's history.

    seed, diseases -> person -> body -> diseases -> scan -> PhantomCase

Every case is computed; nothing comes from a real person.
"""

from dataclasses import dataclass, replace

import numpy as np

from medomni import __version__
from medomni.anatomy import SEGMENTED
from medomni.phantom.body import LUNG_PARTS, Body, draw_body, structure_labels
from medomni.phantom.canvas import Canvas
from medomni.phantom.cohort import BodyRegion
from medomni.phantom.contrast import Phase
from medomni.phantom.disease import Lesion, Placed
from medomni.phantom.disease.apply import add_diseases, prepare_person
from medomni.phantom.facts import FINDINGS, ORGAN_CHANGES, Fact, gather
from medomni.phantom.history import history
from medomni.phantom.measure import measure
from medomni.phantom.person import HEIGHT_MM, Person, make_person
from medomni.phantom.scan import Technique, draw_technique, scan
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Mask, Volume

DEFAULT_SHAPE = (120, 256, 256)
DEFAULT_SPACING_MM = (2.5, 1.4, 1.4)
MIDDLE_Z_MM = {BodyRegion.CHEST: HEIGHT_MM / 2, BodyRegion.ABDOMEN: -60.0}
"""Height of the middle of the scan: 150 mm above the level below the lung bases from which heights are counted, or below it."""
WEIGHT = {BodyRegion.CHEST: (*FINDINGS, *ORGAN_CHANGES), BodyRegion.ABDOMEN: (*ORGAN_CHANGES, *FINDINGS)}
"""Kinds in the order in which a reader of the region cares about them."""
KERNELS_OF = {BodyRegion.CHEST: ("SOFT", "STANDARD", "LUNG"), BodyRegion.ABDOMEN: ("SOFT", "STANDARD")}

EXTRA_LABELS = 40
"""First label of the structures that no segmenter looks for; 20 to 39 are left to lesions."""
LESION_NAMES = (
    *("steatosis", "splenomegaly", "cardiomegaly", "emphysema", "mosaic_attenuation_pattern"),
    *("interlobular_septal_thickening", "bronchiectasis", "peribronchial_thickening", "pulmonary_fibrotic_sequela"),
    *("lung_opacity", "atelectasis", "consolidation", "pleural_effusion", "pericardial_effusion", "hiatal_hernia"),
    *("lymphadenopathy", "vertebral_fracture", "renal_cyst", "renal_stone", "nodule"),
    *("arterial_wall_calcification", "coronary_artery_wall_calcification", "medical_material"),
)
"""Lesions by label (the place counted from 1): what is wide comes first, and later ones win a shared voxel."""


@dataclass(frozen=True, eq=False)
class PhantomCase:
    """A phantom CT with its truth.

    Attributes:
        truth: the structures of ``SEGMENTED`` under their labels, then other organs, and ``body``: what is inside the skin
            and nothing else named. Labels exclude each other. Lobes hold diseased lung, but no pleural fluid.
        lesions: the placed diseases under ``LESION_NAMES``; a later name wins a shared voxel, ``drawn`` has the whole masks.
        drawn: each disease with its mask, box and true measurements.
        facts: the same as a report would speak of it.
        measurements: true values under the measurement names of a report.
        history: the clinical history by language.
    """

    seed: int
    volume: Volume
    truth: Segmentation
    lesions: Segmentation
    placed: tuple[Placed, ...]
    drawn: tuple[Lesion, ...]
    facts: tuple[Fact, ...]
    measurements: dict[str, float]
    age_years: int
    sex: str
    history: dict[str, str]
    region: BodyRegion
    phase: str
    technique: Technique

    @property
    def nodules(self) -> tuple[Fact, ...]:
        """The placed nodules."""
        return tuple(fact for fact in self.facts if fact.kind == "lung_nodule")


def make_case(
    seed: int,
    findings: tuple[Placed, ...] = (),
    shape: tuple[int, int, int] = DEFAULT_SHAPE,
    spacing_mm: tuple[float, float, float] = DEFAULT_SPACING_MM,
    region: BodyRegion = BodyRegion.CHEST,
) -> PhantomCase:
    """Return the phantom case of a seed; the same arguments give the same bytes.

    A coarser grid shows the same person.

    Raises:
        ValueError: a nodule does not fit into its zone.
    """
    person = prepare_person(make_person(seed), findings)
    return scan_person(healthy_body(person, shape, spacing_mm, region), findings, region)


def healthy_body(person: Person, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], region: BodyRegion) -> Body:
    """Return the body of a person before diseases are drawn into it."""
    canvas = Canvas(shape, spacing_mm, middle_z_mm=MIDDLE_Z_MM[region])
    return draw_body(canvas, person, np.random.default_rng([person.seed, 2]))


def copy_of(body: Body) -> Body:
    """The same body with arrays of its own: diseases and the scan use a body up."""
    return replace(body, hu=body.hu.copy(), parts={name: mask.copy() for name, mask in body.parts.items()})


def scan_person(body: Body, findings: tuple[Placed, ...], region: BodyRegion, visit: int = 0) -> PhantomCase:
    """Draw diseases into a healthy body, scan it and return the case; ``body`` is used up.

    ``visit`` numbers the scans of one person: another visit has other noise and another technique.
    """
    canvas, person = body.canvas, body.person
    drawn = add_diseases(body, findings, np.random.default_rng([person.seed, 3]))
    order = WEIGHT[region]
    technique = draw_technique(
        np.random.default_rng([person.seed, 7, visit]),
        canvas.spacing_mm[0],
        KERNELS_OF[region],
        has_contrast=person.phase is not Phase.NONE,
    )
    truth = _truth(body)
    hu = scan(canvas, body.hu, body.parts["body"], technique, np.random.default_rng([person.seed, 4, visit]))
    return PhantomCase(
        seed=person.seed,
        volume=Volume(hu, canvas.grid),
        truth=truth,
        lesions=_lesions(canvas, drawn),
        placed=findings,
        drawn=drawn,
        facts=gather(drawn, findings, {name: body.parts[name] for name in LUNG_PARTS}, order),
        measurements=measure(canvas, body.parts, drawn, hu),
        age_years=person.age_years,
        sex=person.sex,
        history={language: history(person, findings, language, order) for language in ("en", "zh")},
        region=region,
        phase="" if person.phase is Phase.NONE else str(person.phase),
        technique=technique,
    )


def _truth(body: Body) -> Segmentation:
    labels = structure_labels(body)
    names = dict(enumerate(SEGMENTED, start=1))
    extra = [name for name in body.parts if name not in SEGMENTED and name != "body"]
    for label, name in enumerate((*extra, "body"), start=EXTRA_LABELS):
        labels[body.parts[name] & (labels == 0)] = label
        names[label] = name
    return _segmentation(labels, body.canvas, names)


def _lesions(canvas: Canvas, drawn: tuple[Lesion, ...]) -> Segmentation:
    labels = np.zeros(canvas.shape, dtype=np.uint8)
    names: dict[int, str] = {}
    for label, name in enumerate(LESION_NAMES, start=1):
        masks: list[Mask] = [lesion.mask for lesion in drawn if _lesion_name(lesion.kind) == name]
        for mask in masks:
            labels[mask] = label
        if masks:
            names[label] = name
    return _segmentation(labels, canvas, names)


def _lesion_name(kind: str) -> str:
    return "nodule" if kind == "lung_nodule" else kind


def _segmentation(labels: np.ndarray, canvas: Canvas, names: dict[int, str]) -> Segmentation:
    return Segmentation(labels, canvas.grid, names, f"phantom {__version__}", "")
