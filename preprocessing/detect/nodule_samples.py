"""CT with lungs -> labelled patches for the nodule network: inserted and known nodules against everything else that looks round.

Used by ``train_nodule.py`` only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from medomni.phantom.disease.placed import Placed
from medomni.phantom.insert import insert
from medomni.types.region import Coverage
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Grid, Mask, Volume
from preprocessing.detect.candidates import candidate_places
from preprocessing.detect.case import Case
from preprocessing.detect.nodule_patches import Patches, patches_at
from preprocessing.measure.regions import LUNG_PARTS

SIDES = ("right", "left")
SMALLEST_LUNG_ML = 100.0
"""A cut lung smaller than this is no place for nodules."""
NO_COVERAGE = Coverage(region="chest")
"""Patches are cut wherever lungs are, whatever a report would say about the rest."""
NEAR_MM, APART_MM = 5.0, 16.0
"""A candidate this close to a known nodule shows it; one farther than the second does not."""

Places = Float64[np.ndarray, "n 3"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Patches and whether each shows a nodule."""

    patches: Patches
    is_nodule: Bool[np.ndarray, "n"]


@dataclass(frozen=True)
class InsertedNodule:
    """A nodule that was put into a CT: LPS centre, true mean diameter and kind."""

    centre_mm: tuple[float, float, float]
    mean_mm: float
    variant: str


def joined(parts: Sequence[Samples]) -> Samples:
    """All samples in one value."""
    return Samples(np.concatenate([p.patches for p in parts]), np.concatenate([p.is_nodule for p in parts]))


def thicker(volume: Volume, segmentation: Segmentation, slices: int) -> tuple[Volume, Segmentation]:
    """The same CT with so many neighbouring slices averaged into one."""
    if slices == 1:
        return volume, segmentation
    count = volume.hu.shape[0] // slices * slices
    shape = (count // slices, *volume.hu.shape[1:])
    hu = volume.hu[:count].reshape(shape[0], slices, *shape[1:]).mean(axis=1)
    on = volume.grid
    origins = on.slice_origins_mm[:count].reshape(shape[0], slices, 3).mean(axis=1)
    grid = Grid(shape, on.pixel_spacing_mm, on.row_direction, on.column_direction, origins, on.is_side_known)
    labels = np.ascontiguousarray(segmentation.labels[:count][slices // 2 :: slices])
    return Volume(np.rint(hu).astype(np.int16), grid), replace(segmentation, labels=labels, grid=grid, lesions=None)


def found_samples(
    volume: Volume,
    segmentation: Segmentation,
    nodules_mm: Places,
    left_out_mm: Float64[np.ndarray, "m 3"],
    looks: int,
    rng: np.random.Generator,
) -> Samples:
    """Everything round in a CT as it is: the known nodules, seen from several places, and the rest as no nodule."""
    case = Case(volume, segmentation, (), NO_COVERAGE)
    places = candidate_places(case)
    spacing = np.array(case.fine_spacing_mm)
    known, doubtful = (_to_patient_order(case, mm) for mm in (nodules_mm, left_out_mm))
    distance = _nearest_mm(places, known, spacing)
    is_nodule = distance < NEAR_MM
    is_other = (distance > APART_MM) & (_nearest_mm(places, doubtful, spacing) > NEAR_MM)
    shown = np.repeat(places[is_nodule], looks, axis=0)
    shown = shown + rng.normal(0.0, 0.5, shown.shape) / spacing
    patches = patches_at(case.coarse, np.concatenate([shown, places[is_other]]))
    return Samples(patches, np.arange(len(patches)) < len(shown))


def inserted_samples(
    volume: Volume,
    segmentation: Segmentation,
    count: int,
    diameter_mm: tuple[float, float],
    looks: int,
    rng: np.random.Generator,
) -> Samples:
    """Nodules put into a CT, each seen from several places off its middle."""
    changed, truth = insert_nodules(volume, segmentation, count, diameter_mm, rng)
    case = Case(changed, segmentation, (), NO_COVERAGE)
    spacing = np.array(case.fine_spacing_mm)
    places = _to_patient_order(case, np.array([nodule.centre_mm for nodule in truth]).reshape(-1, 3))
    size = np.array([nodule.mean_mm for nodule in truth])
    shown, reach = np.repeat(places, looks, axis=0), np.repeat(size, looks)[:, None]
    shown = shown + rng.normal(0.0, 0.1, shown.shape) * reach / spacing
    return Samples(patches_at(case.coarse, shown), np.ones(len(shown), bool))


def pneumonia_samples(volume: Volume, segmentation: Segmentation, rng: np.random.Generator) -> Samples:
    """Round things in opacities that were put into a CT: no nodules."""
    lungs = _lungs(volume, segmentation)
    kinds = (("lung_opacity", "severe"), ("lung_opacity", "moderate"), ("consolidation", "moderate"))
    placed = [Placed(kind, name.removeprefix("lung_"), "", severity) for name in lungs for kind, severity in kinds]
    lesion = np.zeros(volume.hu.shape, bool)
    for item in placed:
        made = insert(volume, dict(lungs), (item,), rng)
        volume = made.volume
        lesion |= made.placed[0].mask
    case = Case(volume, segmentation, (), NO_COVERAGE)
    places = candidate_places(case)
    index = np.rint(places).astype(int)
    inside = ndimage.binary_dilation(case.coarse.full.view(lesion), iterations=4)[tuple(index.T)]
    patches = patches_at(case.coarse, places[inside])
    return Samples(patches, np.zeros(len(patches), bool))


def _lungs(volume: Volume, segmentation: Segmentation) -> dict[str, Mask]:
    """The lungs that are large enough to hold lesions, by name."""
    voxel_ml = float(np.median(volume.grid.voxel_volumes_ml))
    lungs = {f"lung_{side}": segmentation.mask(*LUNG_PARTS[side]) for side in SIDES}
    return {name: mask for name, mask in lungs.items() if mask.sum() * voxel_ml > SMALLEST_LUNG_ML}


def insert_nodules(
    volume: Volume, segmentation: Segmentation, count: int, diameter_mm: tuple[float, float], rng: np.random.Generator
) -> tuple[Volume, tuple[InsertedNodule, ...]]:
    """The CT with up to ``count`` random nodules in its lungs; those that do not fit are left out."""
    lungs = _lungs(volume, segmentation)
    placed: list[InsertedNodule] = []
    for _ in range(count):
        item = draw_nodule(tuple(lungs), diameter_mm, rng)
        try:
            made = insert(volume, dict(lungs), (item,), rng)
        except ValueError:  # no room for it in this lung
            continue
        truth = made.placed[0]
        centre = np.array(truth.centre_mm)
        if any(np.linalg.norm(centre - other.centre_mm) < (item.size + other.mean_mm) / 2 + APART_MM / 2 for other in placed):
            continue
        volume = made.volume
        placed.append(InsertedNodule(truth.centre_mm, item.size, truth.variant))
    return volume, tuple(placed)


def draw_nodule(lungs: Sequence[str], diameter_mm: tuple[float, float], rng: np.random.Generator) -> Placed:
    """A nodule of any kind somewhere in one of the lungs; ground glass from 5 mm on, as smaller ones are not reported."""
    side = str(rng.choice(list(lungs))).removeprefix("lung_")
    variant = str(rng.choice(("solid", "part_solid", "ground_glass", "calcified"), p=(0.45, 0.2, 0.28, 0.07)))
    low, high = np.log(diameter_mm)
    size = float(np.exp(rng.uniform(low, high)))
    size = max(size, 5.0) if variant == "ground_glass" else size
    contact = str(rng.choice(("free", "pleura", "vessel"), p=(0.45, 0.3, 0.25)))
    return Placed("lung_nodule", side, "", amount=size, variant=variant, contact=contact)


def _to_patient_order(case: Case, places_mm: Places) -> Places:
    """(z, y, x) on the study's voxels in patient order of LPS places."""
    if not len(places_mm):
        return np.zeros((0, 3))
    grid, full = case.volume.grid, case.coarse.full
    axes = np.stack([grid.normal, grid.column_direction, grid.row_direction])
    index = (places_mm - grid.slice_origins_mm[0]) @ axes.T / grid.spacing_mm
    ordered = index[:, full.order]
    last = np.array(full.hu.shape) - 1
    return np.asarray(np.where(full.flips, last - ordered, ordered))


def _nearest_mm(places: Places, others: Float64[np.ndarray, "m 3"], spacing_mm: np.ndarray) -> Float64[np.ndarray, "n"]:
    """Distance of each place to the nearest of the others; infinite when there is none."""
    if not len(others):
        return np.full(len(places), np.inf)
    return np.asarray(np.linalg.norm((places[:, None] - others[None]) * spacing_mm, axis=-1).min(axis=1))
