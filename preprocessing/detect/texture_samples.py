"""Training samples of the texture network: ``python -m preprocessing.detect.texture_samples --out DIR --phantoms N``.

    lungs of phantoms with drawn disease, lungs of real CT with inserted disease -> Sample -> sample-*.npz

Real lungs take what can be put into a CT; diseases of the bronchi are drawn with the arteries beside them, so phantoms alone
show those. Samples that are there already are left alone, so a stopped run goes on.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int16, UInt16

from medomni.phantom.case import DEFAULT_SHAPE, DEFAULT_SPACING_MM, copy_of, healthy_body, scan_person
from medomni.phantom.cohort import BodyRegion
from medomni.phantom.disease import Lesion, Placed
from medomni.phantom.disease.apply import prepare_person
from medomni.phantom.insert import INSERTABLE, insert_arrays
from medomni.phantom.person import make_person
from preprocessing.assemble import read_packed, read_volume
from preprocessing.detect.texture_kinds import GRID_MM, KINDS
from preprocessing.measure.regions import LUNG_PARTS
from preprocessing.morphology import Mask3D, bounding_box
from preprocessing.resample import to_working
from preprocessing.segment.hu_rules import HuRules

FIRST_SEED = 2_000_000
"""Seeds of these phantoms begin here; what is measured uses seeds below 1,000,000."""
VISITS = 3
"""How often a body is drawn with other diseases: the body costs more than they do."""
VOXEL_ML = GRID_MM[0] * GRID_MM[1] * GRID_MM[2] / 1000.0
LEAST_LUNG_ML = 150.0
"""A lung of which less is in view takes no disease."""
MARGIN_MM = 12.0
"""Tissue kept around the lungs."""
LUNG_BIT = 15
"""Bit of ``Sample.truth`` that says lung; bit k says ``KINDS[k]``."""
SEVERITIES, SHARES = ("mild", "moderate", "severe"), (0.5, 0.35, 0.15)


@dataclass(frozen=True, eq=False)
class Sample:
    """The box of the lungs about on the network's grid: CT numbers, and a bit for each disease of a voxel."""

    hu: Int16[np.ndarray, "z y x"]
    truth: UInt16[np.ndarray, "z y x"]


def load_sample(path: Path) -> Sample:
    """Read one sample."""
    with np.load(path) as stored:
        return Sample(stored["hu"], stored["truth"])


def draw_diseases(kinds: tuple[str, ...], rng: np.random.Generator) -> tuple[Placed, ...]:
    """Up to four diseases of the lungs, often on both sides, none in one sample of six."""
    count = int(rng.choice(5, p=(0.16, 0.24, 0.27, 0.2, 0.13)))
    placed = []
    for kind in rng.permutation(kinds)[:count]:
        sides = [("left", "right")[int(rng.integers(2))]] if rng.random() < 0.6 else ["left", "right"]
        for side in sides:
            zone = str(rng.choice(("upper", "middle", "lower", "")))
            placed.append(Placed(str(kind), side, zone, str(rng.choice(SEVERITIES, p=SHARES))))
    return tuple(placed)


def phantom_samples(seed: int) -> Iterator[Sample]:
    """The same body with several sets of diseases, at the phantom's own spacing, which is near the network's grid."""
    rng = np.random.default_rng([seed, 91])
    body = healthy_body(prepare_person(make_person(seed), ()), DEFAULT_SHAPE, DEFAULT_SPACING_MM, BodyRegion.CHEST)
    kinds = (*KINDS, "pleural_effusion", "lung_nodule")
    for visit in range(VISITS):
        drawn = copy_of(body)
        try:
            case = scan_person(drawn, draw_diseases(kinds, rng), BodyRegion.CHEST, visit)
        except ValueError:  # a nodule found no room
            continue
        names = [name for side in ("right", "left") for name in LUNG_PARTS[side] if name in drawn.parts]
        lungs = np.logical_or.reduce([drawn.parts[name] for name in names])
        yield _sample(case.volume.hu, lungs, case.drawn, DEFAULT_SPACING_MM)


def real_samples(path: Path, rounds: int) -> Iterator[Sample]:
    """The lungs of a real CT as they are, then with diseases put into them."""
    volume = read_volume(path) if path.name.endswith(".nii.gz") else read_packed(path)
    working = to_working(volume, GRID_MM)
    found = HuRules().segment(working)
    lungs = {name: found.mask(name) for name in ("lung_right", "lung_left") if found.mask(name).sum() * VOXEL_ML > LEAST_LUNG_ML}
    sides = tuple(name.removeprefix("lung_") for name in lungs)
    for number in range(rounds):
        rng = np.random.default_rng([number, 92])
        placed = draw_diseases(tuple(kind for kind in INSERTABLE if kind in (*KINDS, "lung_nodule", "pleural_effusion")), rng)
        placed = tuple(item for item in placed if item.side in sides) if number else ()
        try:
            made = insert_arrays(working.hu, GRID_MM, lungs, placed, rng)
        except ValueError:  # a nodule found no room
            continue
        yield _sample(made.hu, np.logical_or.reduce(list(lungs.values())), made.placed, GRID_MM)


def _sample(hu: np.ndarray, lungs: Mask3D, drawn: tuple[Lesion, ...], spacing_mm: tuple[float, float, float]) -> Sample:
    truth = lungs.astype(np.uint16) << LUNG_BIT
    for lesion in drawn:
        if lesion.kind in KINDS:
            truth[lesion.mask] |= np.uint16(1 << KINDS.index(lesion.kind))
    box = bounding_box(lungs, MARGIN_MM, spacing_mm)
    if box is None:
        raise ValueError("a sample without lungs")
    return Sample(np.clip(np.rint(hu[box]), -1024, 1000).astype(np.int16), np.ascontiguousarray(truth[box]))


def _write_phantom(task: tuple[Path, int]) -> None:
    out, seed = task
    if not (out / f"phantom-{seed}-{VISITS - 1}.npz").exists():
        for number, sample in enumerate(phantom_samples(seed)):
            np.savez(out / f"phantom-{seed}-{number}.npz", hu=sample.hu, truth=sample.truth)


def main() -> None:
    """The command line of this module."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--phantoms", type=int, default=80)
    words.add_argument("--first-seed", type=int, default=FIRST_SEED)
    words.add_argument("--data", type=Path, help="folder with real series")
    words.add_argument("--series", nargs="*", default=(), help="names of files in that folder")
    words.add_argument("--rounds", type=int, default=10, help="samples of each real series")
    words.add_argument("--jobs", type=int, default=1)
    given = words.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.series:
        for number, sample in enumerate(real_samples(given.data / name, given.rounds)):
            np.savez(given.out / f"real-{name.split('.')[0]}-{number}.npz", hu=sample.hu, truth=sample.truth)
        sys.stderr.write(f"{name}\n")
    with ProcessPoolExecutor(given.jobs) as pool:
        tasks = [(given.out, seed) for seed in range(given.first_seed, given.first_seed + given.phantoms)]
        for done, _ in enumerate(pool.map(_write_phantom, tasks), start=1):
            sys.stderr.write(f"{done} of {len(tasks)} phantoms\n")


if __name__ == "__main__":
    main()
