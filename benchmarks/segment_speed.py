"""Claim: a full chest is pre-segmented in 3 CPU-seconds and 1.5 GB, five times as fast as MONAI's sliding window at equal Dice.

    python benchmarks/segment_speed.py [--json] [--bundle FOLDER] [--slices 300] [--rounds 3] [--seed 31]

The chest is a phantom of 3 mm whose voxels are blown up to 512 x 512 pixels and 1 mm slices, with noise of their own; it is
kept in the temporary folder. ``medomni-ct`` segments it whole: resampling, network, plausibility, labels on all 79 million
voxels. Torch runs the same network on the same body as a peer, with the share of voxels of the body that it labels otherwise
(bar: the tolerance that ``preprocessing/segment/runtime.py`` states). The other peer is
``monai.inferers.sliding_window_inference`` of the same network on the same grid of 3 mm (window 96, gaussian) with its argmax,
beside the same step of ``medomni-ct``. All parties take turns in fresh children with one thread, each warmed up by a small
image; the smallest CPU time counts (user and system). Memory is the child's VmHWM, imports and volume included. Dice is the
mean over the classes that the phantom holds at least 5 mL of. Ratios hold within one run only. Linux.
Exits with 1 when a figure misses its bar.
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from evaluation.scorecard import all_hold

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "preprocessing" / "segment" / "shipped" / "medomni_ct"
MINE = "medomni-ct"
TORCH = "torch, one pass"
PEERS = {"MONAI sliding window, overlap 0.5": 0.5, "MONAI sliding window, overlap 0.25": 0.25}
BLOCK = (3, 4, 4)
GRID_MM = 3.0
CPU_BAR_S, MEMORY_BAR_MB, RATIO_BAR, DICE_BAR_POINTS = 3.0, 1500.0, 5.0, 0.5
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> int:
    """Print one row for each claim."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--bundle", type=Path, default=SHIPPED, help="MONAI bundle with the classes of medomni-ct")
    words.add_argument("--slices", type=int, default=300)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--seed", type=int, default=31, help="seed of the phantom")
    words.add_argument("--one", nargs=2, metavar=("PARTY", "CHEST"), help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.one:
        party, chest = given.one
        print(json.dumps(measure_here(party, Path(chest), given.bundle)))
        return 0
    if not (given.bundle / "models").is_dir():
        sys.stderr.write(f"no network in {given.bundle.name}: nothing was measured\n")
        return 0
    rows = compare(chest_file(given.seed, given.slices), given.bundle, given.rounds)
    for row in rows:
        if given.json:
            print(json.dumps(row))
        else:
            figures = f"ours {row['ours']:8.2f}   {row['peer']:36s} {row['theirs']:8.2f}   ratio {row['ratio']:6.2f}"
            print(f"{row['figure']:58s} {figures}   {'holds' if row['ok'] else 'MISSED'}")
    return 0 if all_hold(rows) else 1


def chest_file(seed: int, slices: int) -> Path:
    """Return the file with the chest (``hu``) and its true labels at 3 mm (``truth``), made when it is not there."""
    sources = sorted((ROOT / "medomni" / "phantom").rglob("*.py"))
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"medomni-chest-{seed}-{slices}-{key}.npz"
    if not path.exists():
        from medomni.phantom import make_case
        from preprocessing.segment.classes import LABELS

        case = make_case(seed, shape=(-(-slices // BLOCK[0]), 512 // BLOCK[1], 512 // BLOCK[2]), spacing_mm=(GRID_MM,) * 3)
        truth = np.zeros(case.volume.hu.shape, np.uint8)
        for name, label in LABELS.items():
            truth[case.truth.mask(name)] = label
        rng = np.random.default_rng(seed)
        hu = np.empty((slices, 512, 512), np.int16)
        for k in range(slices):
            plane = case.volume.hu[k // BLOCK[0]].repeat(BLOCK[1], axis=0).repeat(BLOCK[2], axis=1)
            hu[k] = np.clip(plane + rng.normal(0, 20, plane.shape), -1024, 3071)
        np.savez(path, hu=hu, truth=truth)
    return path


def measure_here(party: str, path: Path, bundle: Path) -> dict[str, float]:
    """Segment the chest once in this process; return CPU-seconds, peak memory (MB) and mean Dice (points)."""
    from medomni.types.volume import Grid, Volume

    stored = np.load(path)
    hu = stored["hu"]
    origins = np.arange(len(hu))[:, None] * np.array([0.0, 0.0, GRID_MM / BLOCK[0]])
    grid = Grid(hu.shape, (GRID_MM / BLOCK[1],) * 2, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), origins)
    run = {MINE: run_mine, TORCH: run_torch}.get(party, run_peer)
    figures, labels = run(Volume(hu, grid), bundle, PEERS.get(party, 0.0))
    return figures | {"peak_mb": peak_mb(), "dice": mean_dice(labels, stored["truth"])}


def run_mine(volume: object, bundle: Path, _: float) -> tuple[dict[str, float], np.ndarray]:
    """The whole segmenter, and its network's pass alone."""
    from preprocessing.resample import to_working
    from preprocessing.segment.density import by_density
    from preprocessing.segment.medomni_ct import MedomniCt

    segmenter = MedomniCt(bundle, cache=Path(tempfile.gettempdir()) / "medomni-segment-speed")
    segmenter.runtime.winners(np.zeros((32, 32, 32), np.float32))
    _ = segmenter.digest
    start = cpu_seconds()
    segmenter.segment(volume)
    whole = cpu_seconds() - start
    working = to_working(volume, (GRID_MM,) * 3)
    body = by_density(working).body
    start = cpu_seconds()
    labels = segmenter.infer(working.hu, body)
    return {"cpu": whole, "pass_cpu": cpu_seconds() - start}, labels


def run_torch(volume: object, bundle: Path, _: float) -> tuple[dict[str, float], np.ndarray]:
    """The pass in torch, and the share of the body's voxels to which the default runtime gives another label."""
    from preprocessing.resample import to_working
    from preprocessing.segment.density import by_density
    from preprocessing.segment.medomni_ct import MedomniCt
    from preprocessing.segment.monai_bundle import MonaiBundle
    from preprocessing.segment.runtime import TorchRuntime

    default, segmenter = MedomniCt(bundle, cache=Path(tempfile.gettempdir()) / "medomni-segment-speed"), MedomniCt(bundle)
    segmenter.__dict__["runtime"] = TorchRuntime(MonaiBundle(bundle), 1)
    segmenter.runtime.winners(np.zeros((32, 32, 32), np.float32))
    working = to_working(volume, (GRID_MM,) * 3)
    body = by_density(working).body
    start = cpu_seconds()
    labels = segmenter.infer(working.hu, body)
    used = cpu_seconds() - start
    differing = float(np.mean(labels[body] != default.infer(working.hu, body)[body]))
    return {"cpu": used, "pass_cpu": used, "differing": differing}, labels


def run_peer(volume: object, bundle: Path, overlap: float) -> tuple[dict[str, float], np.ndarray]:
    """MONAI's sliding window over the same grid, and the argmax of its scores."""
    import torch
    from monai.inferers import sliding_window_inference

    from preprocessing.resample import to_working
    from preprocessing.segment.bundle_image import orient, prepare, restore
    from preprocessing.segment.monai_bundle import MonaiBundle

    torch.set_num_threads(1)
    theirs = MonaiBundle(bundle)
    plan, network = theirs.plan, theirs.network
    working = to_working(volume, (GRID_MM,) * 3)
    image = torch.from_numpy(prepare(orient(working.hu, plan.axcodes), plan.intensity))[None, None]
    with torch.inference_mode():
        network(torch.zeros(1, 1, 32, 32, 32))
        start = cpu_seconds()
        scores = sliding_window_inference(image, (96, 96, 96), 1, network, overlap=overlap, mode="gaussian")
        labels = scores[0].argmax(dim=0).to(torch.uint8).numpy()
        used = cpu_seconds() - start
    return {"cpu": used, "pass_cpu": used}, restore(labels, plan.axcodes)


def mean_dice(labels: np.ndarray, truth: np.ndarray) -> float:
    """Mean Dice in points over the classes of at least 5 mL."""
    from evaluation.metrics.overlap import dice

    scores = []
    for label in np.unique(truth):
        mine, theirs = labels == label, truth == label
        if label and theirs.sum() * GRID_MM**3 >= 5000:
            scores.append(100.0 * dice(mine, theirs))
    return float(np.mean(scores)) if scores else 0.0


def cpu_seconds() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """Peak resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


def run_child(party: str, chest: Path, bundle: Path) -> dict[str, float]:
    """Measure one party in a fresh process."""
    command = [sys.executable, __file__, "--one", party, str(chest), "--bundle", str(bundle)]
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(chest: Path, bundle: Path, rounds: int) -> list[dict]:
    """Return the rows of the table."""
    from preprocessing.segment.runtime import MOST_DIFFERING as MOST

    run_child(MINE, chest, bundle)  # the first run converts the network and keeps it
    runs: dict[str, list[dict[str, float]]] = {party: [] for party in (MINE, TORCH, *PEERS)}
    for _ in range(rounds):
        for party, done in runs.items():
            done.append(run_child(party, chest, bundle))
    cpu, passes = ({party: min(run[key] for run in done) for party, done in runs.items()} for key in ("cpu", "pass_cpu"))
    dice = {party: done[0]["dice"] for party, done in runs.items()}
    peak = max(run["peak_mb"] for run in runs[MINE])
    differing = runs[TORCH][0]["differing"]
    about = {"rounds": rounds, "load_average": round(os.getloadavg()[0], 2), "python": platform.python_version()}
    about |= {name: version(name) for name in ("torch", "monai", "openvino")}
    rows = [
        row("CPU-seconds to pre-segment the chest after load", "bar", cpu[MINE], CPU_BAR_S, cpu[MINE] <= CPU_BAR_S),
        row("peak memory of the process, MB", "bar", peak, MEMORY_BAR_MB, peak <= MEMORY_BAR_MB),
    ]
    rows.append(row("CPU-seconds of pass and argmax", TORCH, passes[MINE], passes[TORCH], passes[MINE] <= passes[TORCH]))
    rows.append(row("parts in a million labelled otherwise than by torch", "bar", 1e6 * differing, 1e6 * MOST, differing <= MOST))
    for peer in PEERS:
        is_fast, is_right = passes[peer] >= RATIO_BAR * passes[MINE], dice[MINE] >= dice[peer] - DICE_BAR_POINTS
        rows.append(row("CPU-seconds of pass and argmax", peer, passes[MINE], passes[peer], is_fast))
        rows.append(row("mean Dice of pass and argmax, points", peer, dice[MINE], dice[peer], is_right))
    return [one | about for one in rows]


def row(figure: str, peer: str, ours: float, theirs: float, ok: bool) -> dict:
    """One row; the ratio is theirs over ours."""
    ratio = round(theirs / ours, 2) if ours else 0.0
    return {"figure": figure, "peer": peer, "ratio": ratio, "ours": round(ours, 3), "theirs": round(theirs, 3), "ok": ok}


if __name__ == "__main__":
    sys.exit(main())
