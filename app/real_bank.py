"""Real CT for the bank: a series as it is, then with diseases put into its lungs.

    series, visit -> lungs -> insert -> segmenter -> Scan -> bank file whose ``info["unknown"]`` names what nobody has judged

Every second visit is drawn as if no contrast had been given: hila look otherwise then, and few series are at hand.
What is inserted is true where it lies. Of what a series had before, a label counts as absent only where a person has looked;
metal is medical material. Visits that are there already are left alone.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects

if TYPE_CHECKING:
    from medomni.phantom.disease import Placed
    from medomni.phantom.disease.lesion import Lesion
    from medomni.pipeline import Progress
    from medomni.types.segmentation import Segmentation
    from medomni.types.volume import Mask, Volume

LEAST_LUNG_ML = 150.0
"""A lung of which less is in view takes no disease."""
LEFT_OF_CONTRAST = 0.04
"""What is left of the contrast of a scan with it: its noise."""
SEED = 93
SEVERITIES, SHARES = ("mild", "moderate", "severe"), (0.5, 0.35, 0.15)


@dataclass(frozen=True)
class Visit:
    """One series (``tar.xz`` or NIfTI) with the diseases of a number, none for 0.

    ``unknown`` are labels that nobody has judged in it.
    """

    archive: Path
    number: int
    unknown: tuple[str, ...]
    out: Path

    @property
    def file(self) -> Path:
        """Where it will lie."""
        judged = hashlib.sha256(" ".join(self.unknown).encode()).hexdigest()[:6]
        return self.out / f"{self.archive.name.split('.')[0]}-{judged}-{self.number}.npz"


def write(visits: list[Visit], jobs: int, progress: "Progress") -> None:
    """Write what is lacking."""
    from app.cohort import in_processes

    waiting = [visit for visit in visits if not visit.file.exists()]
    for visit in waiting[:1]:
        visit.out.mkdir(parents=True, exist_ok=True)
    if waiting:
        in_processes(write_one, waiting, len(visits), jobs, progress)


def write_one(visit: Visit) -> None:
    """Write one visit; none where a nodule finds no room."""
    from adapters.samples import save_sample
    from app import bank
    from preprocessing.detect.surroundings import METAL_HU
    from preprocessing.measure.regions import box_mm
    from preprocessing.scan import to_scan

    volume, lungs = _opened(visit.archive, is_plain=visit.number % 2 == 1)
    metal = volume.hu >= METAL_HU
    try:
        volume, lesions = with_disease(volume, lungs, visit.number)
    except ValueError:
        return
    scan = to_scan(volume, _segmented(volume))
    found = [(lesion.kind, lesion.box_mm, lesion.mask) for lesion in lesions]
    if metal.any():
        found.append(("medical_material", box_mm(find_objects(metal.astype(np.uint8))[0], volume.grid), metal))
    told = [{"kind": kind, "box_mm": box} for kind, box, _ in found]
    info = {"start_mm": [float(v) for v in scan.grid.slice_origins_mm[0]], "lesions": told, "unknown": list(visit.unknown)}
    inside = [bank.voxels_in_cells(mask, volume.grid, scan) for _, _, mask in found]
    save_sample(visit.file, scan, inside, json.loads(json.dumps(info)))


@cache
def _opened(archive: Path, *, is_plain: bool) -> "tuple[Volume, dict[str, Mask]]":
    """A series, with or without its contrast, and its lungs, once for all its visits in a process."""
    volume, found = _read(archive)
    if is_plain:
        return without_contrast(volume, found), _opened(archive, is_plain=False)[1]
    return volume, lungs_of(found)


@cache
def _read(archive: Path) -> "tuple[Volume, Segmentation]":
    from preprocessing.assemble import read_packed, read_volume

    volume = read_packed(archive) if archive.suffix == ".xz" else read_volume(archive)
    return volume, _segmented(volume)


def without_contrast(volume: "Volume", found: "Segmentation") -> "Volume":
    """The series with blood between and in the lungs as dense as it is without contrast; the spine stays as it is.

    Whatever lies between the outermost air of the lungs in its row and is denser than blood is taken for blood.
    """
    from medomni.anatomy import LOBES
    from medomni.types.volume import Volume
    from preprocessing.morphology import largest_part
    from preprocessing.segment.training.samples import BLOOD_HU

    lungs = found.mask(*(name for lobes in LOBES.values() for name in lobes))
    within = np.maximum.accumulate(lungs, axis=2) & np.maximum.accumulate(lungs[:, :, ::-1], axis=2)[:, :, ::-1]
    bright = within & (volume.hu > BLOOD_HU) & ~largest_part(found.mask("vertebrae"))
    hu = volume.hu.copy()
    hu[bright] = np.rint(BLOOD_HU + LEFT_OF_CONTRAST * (hu[bright] - BLOOD_HU)).astype(hu.dtype)
    return Volume(hu, volume.grid)


def _segmented(volume: "Volume") -> "Segmentation":
    from app import bank

    return bank.own_segmenter().segment(volume, lambda _: None)


def lungs_of(found: "Segmentation") -> "dict[str, Mask]":
    """The lobes of the lungs that are large enough to take a disease."""
    from medomni.anatomy import LOBES

    lungs: dict[str, Mask] = {}
    for lobes in LOBES.values():
        side = {name: found.mask(name) for name in lobes if found.has(name)}
        amount = sum(float((mask.sum(axis=(1, 2)) * found.grid.voxel_volumes_ml).sum()) for mask in side.values())
        lungs |= side if amount >= LEAST_LUNG_ML else {}
    return lungs


def with_disease(volume: "Volume", lungs: "dict[str, Mask]", number: int) -> "tuple[Volume, tuple[Lesion, ...]]":
    """The series with the diseases of a number in its lungs, and where they lie; as it is for 0 and without lungs.

    Raises:
        ValueError: a nodule finds no room.
    """
    from medomni.phantom.insert import INSERTABLE, insert

    if number == 0 or not lungs:
        return volume, ()
    sides = {name.rpartition("_")[2] for name in lungs}
    rng = np.random.default_rng([number, SEED])
    placed = tuple(item for item in draw_diseases(INSERTABLE, rng) if item.side in sides)
    made = insert(volume, lungs, placed, rng)
    return made.volume, made.placed


def draw_diseases(kinds: tuple[str, ...], rng: np.random.Generator) -> "tuple[Placed, ...]":
    """Up to four diseases of the lungs, often on both sides, none in one series of six."""
    from medomni.phantom.disease import Placed

    count = int(rng.choice(5, p=(0.16, 0.24, 0.27, 0.2, 0.13)))
    placed = []
    for kind in rng.permutation(kinds)[:count]:
        sides = [("left", "right")[int(rng.integers(2))]] if rng.random() < 0.6 else ["left", "right"]
        for side in sides:
            zone = str(rng.choice(("upper", "middle", "lower", "")))
            placed.append(Placed(str(kind), side, zone, str(rng.choice(SEVERITIES, p=SHARES))))
    return tuple(placed)
