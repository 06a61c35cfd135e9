"""Nodules of a case -> one finding for each, with diameters, volume, density, side, lobe and slice; or why none is stated.

Diameters and probability are those of ``nodule.py``. Finding none never means that there is none: of nodules of 6 mm and more
that were put into real lungs about a quarter is missed (``benchmarks/nodules.py``), and of patients' own it was not measured.
"""

import numpy as np

from medomni.reporting.hedge import presence_of
from medomni.types.finding import BoxMm, Evidence, Finding, Laterality, Measurement
from preprocessing.detect.answer import not_evaluated
from preprocessing.detect.case import Case
from preprocessing.detect.lung_lesions import lung_lesions
from preprocessing.detect.nodule import LABEL, Nodule, shows_nodules
from preprocessing.detect.place import fine_to_study
from preprocessing.detect.places import is_fine_enough
from preprocessing.detect.sides import midplane_mm
from preprocessing.measure.regions import LUNGS

MOST = 20
"""Nodules reported one by one; the largest come first."""
SOLID_PART_MM, WHOLLY_SOLID = 2.0, 0.8
"""Smallest solid part that is measured, and the share from which a nodule is solid throughout."""


def lung_nodules(case: Case) -> tuple[Finding, ...]:
    """The nodules of the lungs, unless the segmenter already lists its own."""
    if "lungs" not in case.coverage.evaluated or case.segmentation.has("nodule"):
        return ()
    if not shows_nodules(case.volume.grid):
        return (not_evaluated(LABEL, "resolution_too_low" if not is_fine_enough(case.volume.grid) else "not_excluded"),)
    found = case.once(lung_lesions).nodules
    if found:
        return tuple(_finding(case, nodule, number) for number, nodule in enumerate(found[:MOST], start=1))
    return (not_evaluated(LABEL, "not_excluded"),)


def _finding(case: Case, nodule: Nodule, number: int) -> Finding:
    place = _to_world(case, np.array(nodule.sized.centre))
    position = (float(place[0]), float(place[1]), float(place[2]))
    index = round(float(fine_to_study(case, np.array(nodule.sized.centre))[0]))
    index = min(max(index, 0), case.volume.grid.shape[0] - 1)
    box = _box_mm(case, nodule)
    lobe = _lobe(case, nodule)
    return Finding(
        id=f"lung-nodule-{number}",
        label=LABEL,
        presence=presence_of(nodule.probability),
        probability=nodule.probability,
        laterality=_side(case, position),
        anatomy=(lobe,) if lobe else (),
        measurements=_measurements(nodule, index),
        box_mm=box,
        evidence=(Evidence(structure="nodule", slice_index=index, position_mm=position, box_mm=box, source="nodule_network"),),
    )


def _measurements(nodule: Nodule, slice_index: int) -> tuple[Measurement, ...]:
    sized = nodule.sized
    figures = [
        ("long_diameter", sized.long_mm, "mm", 0),
        ("short_diameter", sized.short_mm, "mm", 0),
        ("mean_diameter", sized.mean_mm, "mm", 0),
        ("volume", sized.volume_ml, "mL", 1),
        ("mean_hu", sized.mean_hu, "[hnsf'U]", 0),
    ]
    if sized.solid_mm >= SOLID_PART_MM and sized.solid_share < WHOLLY_SOLID:
        figures.insert(3, ("solid_diameter", min(sized.solid_mm, sized.mean_mm), "mm", 0))
    return tuple(
        Measurement(name=name, value=value, unit=unit, structure="nodule", decimals=decimals, slice_index=slice_index)
        for name, value, unit, decimals in figures
    )


def _to_world(case: Case, place: np.ndarray) -> np.ndarray:
    return case.volume.grid.to_world_mm(fine_to_study(case, place)).round(1)


def _box_mm(case: Case, nodule: Nodule) -> BoxMm:
    """The box (LPS millimetres) around the middles of the nodule's voxels."""
    sized = nodule.sized
    voxels = np.argwhere(sized.mask) + [part.start for part in sized.box]
    ends = np.stack([voxels.min(axis=0), voxels.max(axis=0)]) if len(voxels) else np.tile(sized.centre, (2, 1))
    corners = np.array([[z, y, x] for z in ends[:, 0] for y in ends[:, 1] for x in ends[:, 2]])
    world = _to_world(case, corners)
    low, high = world.min(axis=0), world.max(axis=0)
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))


def _lobe(case: Case, nodule: Nodule) -> str:
    """The lobe that holds most of the nodule; "" where the segmenter knows no lobes."""
    lobes = {label: name for label, name in case.segmentation.names.items() if name in LUNGS and "_lobe_" in name}
    if not lobes:
        return ""
    labels = case.coarse.full.view(case.segmentation.labels)[nodule.sized.box][nodule.sized.mask]
    counts = {name: int((labels == label).sum()) for label, name in lobes.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def _side(case: Case, position_mm: tuple[float, float, float]) -> Laterality:
    """The patient's side, by the midplane between the lungs."""
    if not case.volume.grid.is_side_known:
        return Laterality.UNKNOWN
    return Laterality.LEFT if position_mm[0] > midplane_mm(case.regions) else Laterality.RIGHT
