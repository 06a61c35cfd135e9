"""Makes the training maps: ``python -m preprocessing.segment.training.bank --out DIR --phantoms N [--atlas DIR] [--ct DIR]``.

Phantoms are drawn by seed; an atlas comes from a folder of meshes; real CT from series that have a guide (``guides/*.toml``) and
lie in a folder as ``<id>/`` or ``<id>.tar.xz``. Maps that are there already are left alone, so a stopped run goes on.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from medomni.phantom.body import LUNG_PARTS, Body, draw_body, structure_labels
from medomni.phantom.canvas import Canvas
from medomni.phantom.case import MIDDLE_Z_MM
from medomni.phantom.cohort import BodyRegion, draw_findings
from medomni.phantom.disease import Lesion, Placed
from medomni.phantom.disease.apply import add_diseases, prepare_person
from medomni.phantom.insert import insert_arrays
from medomni.phantom.person import make_person
from preprocessing.assemble import read_packed, read_volume
from preprocessing.resample import to_working
from preprocessing.segment.classes import GRID_MM, LABELS
from preprocessing.segment.training import tissues as t
from preprocessing.segment.training.atlas import voxelise
from preprocessing.segment.training.guides import guide_labels, read_guides
from preprocessing.segment.training.samples import Case, save_case

FIRST_SEED = 1_000_000
"""Seeds of training phantoms begin here; what is measured uses seeds below (``benchmarks``)."""
SHAPE = (124, 118, 140)
"""Voxels of a training phantom: 372 x 354 x 420 mm."""
RARE = {"lymphadenopathy": 0.4, "hiatal_hernia": 0.25}
"""Share of the phantoms that show what the cohort shows seldom."""
VESSELS = {"_vein": t.VEIN, "vena_cava": t.VEIN, "brachiocephalic": t.ARTERY, "carotid": t.ARTERY, "subclavian": t.ARTERY}
"""Tissue of the vessels that are no class, by a word in their name; the first word counts."""
LEAST_LUNG_MM3 = 50_000.0
"""A lobe with less than 50 mL in view takes no lesion."""


def phantom_case(seed: int) -> Case:
    """Return the training map of a phantom: every third an abdomen, diseases as in the cohort and some more."""
    rng = np.random.default_rng([seed, 77])
    region = BodyRegion.ABDOMEN if seed % 3 == 0 else BodyRegion.CHEST
    placed = (*draw_findings(seed, region), *(_more(rng) if region is BodyRegion.CHEST else ()))
    canvas = Canvas(SHAPE, (GRID_MM, GRID_MM, GRID_MM), MIDDLE_Z_MM[region] + float(rng.uniform(-40, 40)))
    person = prepare_person(make_person(seed), placed)
    for attempt in range(3):
        body = draw_body(canvas, person, np.random.default_rng([seed, 2]))
        try:
            drawn = add_diseases(body, placed[: len(placed) - attempt], np.random.default_rng([seed, 3]))
        except ValueError:  # a nodule found no room
            continue
        return Case("phantom", _tissues(body, drawn), np.clip(np.rint(body.hu), -1024, 3000).astype(np.int16))
    return Case("phantom", _tissues(body, ()), np.clip(np.rint(body.hu), -1024, 3000).astype(np.int16))


def _more(rng: np.random.Generator) -> tuple[Placed, ...]:
    """Lesions that the network has a class for, at random, beside the cohort's own."""
    kinds = ("lung_opacity", "consolidation", "pleural_effusion", "pericardial_effusion", "lung_nodule")
    chosen = [str(kind) for kind in rng.permutation(kinds)[: int(rng.choice(4, p=(0.3, 0.4, 0.2, 0.1)))]]
    chosen += [kind for kind, share in RARE.items() if rng.random() < share]
    return tuple(_placed(kind, rng) for kind in chosen)


def _placed(kind: str, rng: np.random.Generator) -> Placed:
    zone = "lower" if kind == "pleural_effusion" else str(rng.choice(("upper", "middle", "lower", "")))
    return Placed(kind, str(rng.choice(("left", "right"))), zone, str(rng.choice(("mild", "moderate", "severe"))))


def _tissues(body: Body, drawn: tuple[Lesion, ...]) -> np.ndarray:
    """Structures and lesions by their label, other vessels as such; everything else in the body by its CT number."""
    found = structure_labels(body)
    for name, mask in body.parts.items():
        kind = next((tissue for word, tissue in VESSELS.items() if word in name), None)
        if kind is not None:
            np.copyto(found, np.uint8(kind), where=mask & (found == 0))
    other = np.select([body.hu < -300, body.hu < -40, body.hu > 150], [t.GAS, t.FAT, t.BONE], t.MUSCLE).astype(np.uint8)
    tissues = np.where(found > 0, found, np.where(body.parts["body"], other, 0)).astype(np.uint8)
    _paint_lesions(tissues, drawn)
    return tissues


def real_case(series: Path, guide: Path) -> Case:
    """Return the training map of a real CT (a folder or a tar archive) with its guide."""
    volume = read_packed(series) if series.is_file() else read_volume(series)
    working = to_working(volume, (GRID_MM, GRID_MM, GRID_MM))
    labels = guide_labels(working, read_guides(guide))
    other = np.select([working.hu < -300, working.hu < -40, working.hu > 150], [0, t.FAT, t.BONE], t.MUSCLE).astype(np.uint8)
    tissues = np.where(labels > 0, labels, other).astype(np.uint8)
    return Case("real", tissues, np.clip(np.rint(working.hu), -1024, 3000).astype(np.int16))


def with_lesions(case: Case, seed: int) -> Case:
    """Return a real map with lesions put into its lungs; voxels of unknown lobe are left alone."""
    rng = np.random.default_rng([seed, 78])
    if case.hu is None:
        raise ValueError("a map of shapes only takes no lesions")
    lungs = {name: case.tissues == LABELS[name] for name in LUNG_PARTS}
    lungs = {name: mask for name, mask in lungs.items() if mask.sum() * GRID_MM**3 > LEAST_LUNG_MM3}
    sides = sorted({name.rsplit("_", 1)[1] for name in lungs})
    kinds = rng.permutation(("lung_opacity", "consolidation", "pleural_effusion", "lung_nodule"))[: int(rng.integers(1, 4))]
    placed = [Placed(str(kind), str(rng.choice(sides)), "", str(rng.choice(("mild", "moderate", "severe")))) for kind in kinds]
    try:
        made = insert_arrays(case.hu.astype(np.float32), (GRID_MM, GRID_MM, GRID_MM), lungs, tuple(placed), rng)
    except ValueError:  # a nodule found no room
        return case
    tissues = case.tissues.copy()
    _paint_lesions(tissues, made.placed)
    return Case("real", tissues, np.clip(np.rint(made.hu), -1024, 3000).astype(np.int16))


def _paint_lesions(tissues: np.ndarray, drawn: tuple[Lesion, ...]) -> None:
    for name in ("lymph_node", "pericardial_effusion", "pleural_effusion", "lung_opacity", "nodule"):
        for lesion in drawn:
            if lesion.structure == name:
                tissues[lesion.mask] = LABELS[name]


def write_real_cases(ct: Path, out: Path, variants: int) -> None:
    """Write the map of each guided series in the folder ``ct``, and copies of it with lesions put in."""
    folder = files("preprocessing.segment.training") / "guides"
    for name in sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml")):
        series = next((path for path in (ct / name, ct / f"{name}.tar.xz") if path.exists()), None)
        if series is None:
            sys.stderr.write(f"{name}: not there, left out\n")
            continue
        with as_file(folder / f"{name}.toml") as guide:
            case = real_case(series, guide)
        save_case(case, out / f"real-{name}.npz")
        for number in range(variants):
            save_case(with_lesions(case, number), out / f"real-{name}-{number}.npz")


def _write_phantom(task: tuple[Path, int]) -> None:
    out, seed = task
    path = out / f"phantom-{seed}.npz"
    if not path.exists():
        save_case(phantom_case(seed), path)


def main() -> None:
    """The command line of this module."""
    summary = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m preprocessing.segment.training.bank", description=summary)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--phantoms", type=int, default=240)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--variants", type=int, default=8, help="copies of each real CT with lesions put in")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--atlas", type=Path, help="folder with the meshes of the SPL Abdominal Atlas (*.vtk)")
    parser.add_argument("--ct", type=Path, help="folder with the guided series")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.atlas:
        save_case(Case("atlas", voxelise(given.atlas), None), given.out / "atlas-spl.npz")
    if given.ct:
        write_real_cases(given.ct, given.out, given.variants)
    tasks = [(given.out, seed) for seed in range(given.first_seed, given.first_seed + given.phantoms)]
    with ProcessPoolExecutor(given.jobs) as pool:
        for done, _ in enumerate(pool.map(_write_phantom, tasks), start=1):
            if done % 20 == 0:
                sys.stderr.write(f"{done} of {len(tasks)} phantoms\n")


if __name__ == "__main__":
    main()
