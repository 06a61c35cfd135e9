"""Claim: nodules of 6 mm and more put into real lungs are found with sensitivity 0.85 at 2 false positives a scan or fewer.

    python benchmarks/nodules.py [--json] [--data FOLDER] [--series NAME ...] [--seeds N] [--nodules N] [--phantoms N]
                                 [--segmenter hu-rules|medomni-ct]

FOLDER (default ``../shared/data/ct``) holds one ``chest-*.tar.xz`` per series. Only series that the network was not trained on
are used by default; two of them show pneumonia. Each seed puts nodules of 4 to 28 mm (solid, part-solid, ground-glass,
calcified; free, on vessel or pleura) into each series, into lungs of ``hu-rules``. The nodules are looked for in the lungs of
``--segmenter``: by default ``hu-rules`` on the series as it was, whose figures the documents hold; ``medomni-ct``, the default
of drafts, segments each changed series anew. Printed: the free-response curve (sensitivity for nodules of 6 mm and more against
false positives of 6 mm and more per scan), the same without the scans in which a wide pneumonia makes round ground glass an
opacity, sensitivity by kind at the shipped threshold, the error of the mean diameter, the candidates in each series as it is,
and healthy phantoms that get one. A real nodule in a series counts as a false positive.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.scorecard import Row, all_hold, as_line, at_most, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medomni.types.segmentation import Segmentation
    from medomni.types.volume import Volume
    from preprocessing.detect.nodule_samples import InsertedNodule

SENSITIVITY_BAR, FALSE_POSITIVE_BAR, DIAMETER_BAR_MM = 0.85, 2.0, 1.5
SMALLEST_MM = 6.0
UNSEEN = ("chest-covid-ct-md-normal001", "chest-covid-ct-md-p001", "chest-covid-ct-md-cap002")
DIAMETERS_MM = (4.0, 28.0)
POINTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which the curve is printed."""


@dataclass(frozen=True)
class Hit:
    """A detection: its probability, its mean diameter and the nodule it shows (None: a false positive)."""

    probability: float
    mean_mm: float
    nodule: int | None


@dataclass(frozen=True)
class True_:
    """An inserted nodule: its diameter and kind."""

    mean_mm: float
    kind: str


@dataclass(frozen=True)
class Scan:
    """One series with inserted nodules, or as it is; ``is_wide``: beside them lies a wide pneumonia."""

    name: str
    truth: tuple[True_, ...]
    hits: tuple[Hit, ...]
    is_wide: bool
    cpu_s: float


def main() -> int:
    """Measure all series and print the rows."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="print rows as JSON")
    words.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "ct")
    words.add_argument("--series", nargs="*", default=list(UNSEEN))
    words.add_argument("--seeds", type=int, default=2)
    words.add_argument("--nodules", type=int, default=12)
    words.add_argument("--phantoms", type=int, default=10)
    words.add_argument("--segmenter", default="hu-rules", choices=("hu-rules", "medomni-ct"), help="whose lungs are searched")
    given = words.parse_args()
    archives = [path for name in given.series if (path := given.data / f"{name}.tar.xz").exists()]
    if not archives:
        sys.stderr.write(f"no series in {given.data.name}: nothing was measured\n")
        return 0
    plain, inserted = [], []
    for archive in archives:
        made = measure_series(archive, range(given.seeds), given.nodules, given.segmenter)
        plain.append(made[0])
        inserted += made[1:]
    rows = [
        *plain_rows(plain),
        healthy_row(given.phantoms, given.segmenter),
        *scan_rows(inserted),
        *curve_rows(inserted),
        *kind_rows(inserted),
        diameter_row(inserted),
        cost_row(inserted),
    ]
    for one in rows:
        sys.stdout.write((json.dumps(one) if given.json else as_line(one)) + "\n")
    return 0 if all_hold(rows) else 1


def measure_series(archive: Path, seeds: range, count: int, segmenter: str) -> list[Scan]:
    """The series as it is, then with the nodules of each seed."""
    from preprocessing.assemble import read_packed
    from preprocessing.detect.nodule_samples import insert_nodules
    from preprocessing.segment.hu_rules import HuRules

    name = archive.name.removesuffix(".tar.xz")
    volume = read_packed(archive)
    lungs = HuRules().segment(volume)
    scans = [_scan(name, volume, lungs if segmenter == "hu-rules" else searched(volume, segmenter), [])]
    for seed in seeds:
        rng = np.random.default_rng([seed, 20])
        changed, truth = insert_nodules(volume, lungs, count, DIAMETERS_MM, rng)
        scans.append(_scan(name, changed, lungs if segmenter == "hu-rules" else searched(changed, segmenter), truth))
        sys.stderr.write(f"{name}: seed {seed}, {len(truth)} nodules, {scans[-1].cpu_s:.1f} CPU-s\n")
    return scans


def searched(volume: "Volume", segmenter: str) -> "Segmentation":
    """What the segmenter sees, as a draft would have it."""
    return _segmenter(segmenter).segment(volume, lambda _: None)


@cache
def _segmenter(name: str):  # noqa: ANN202
    from app import wiring

    return wiring.stages(name, wiring.start()).segmenter


def _scan(name: str, volume: "Volume", segmentation: "Segmentation", truth: "Sequence[InsertedNodule]") -> Scan:
    """Find nodules in one volume, as the product does at any threshold, and say which of the true ones each shows."""
    from medomni.types.region import Coverage
    from preprocessing.detect.calibration import calibrated
    from preprocessing.detect.case import Case
    from preprocessing.detect.lung_lesions import is_distinct, lung_lesions
    from preprocessing.detect.nodule import find_nodules
    from preprocessing.detect.place import fine_to_study

    case = Case(volume, segmentation, (), Coverage(region="chest"))
    before = time.process_time()
    is_wide = case.once(lung_lesions).is_wide
    found = [nodule for nodule in case.once(find_nodules) if not is_wide or is_distinct(nodule)]
    cpu_s = time.process_time() - before
    hits = []
    for nodule in found:
        place = volume.grid.to_world_mm(fine_to_study(case, np.array(nodule.sized.centre)))
        near = [k for k, item in enumerate(truth) if np.linalg.norm(place - item.centre_mm) < max(item.mean_mm / 2, 3.0)]
        hits.append(Hit(calibrated("lung_nodule", nodule.logit), nodule.sized.mean_mm, near[0] if near else None))
    return Scan(name, tuple(True_(item.mean_mm, item.variant) for item in truth), tuple(hits), is_wide, cpu_s)


def healthy_row(count: int, segmenter: str) -> Row:
    """How many of the first healthy phantoms get a nodule that is not there."""
    from medomni.phantom import make_case

    called = []
    for seed in range(1, count + 1):
        case = make_case(seed)
        scan = _scan("phantom", case.volume, searched(case.volume, segmenter), [])
        called += [seed] if any(hit.probability >= possible() for hit in scan.hits) else []
    return row(f"healthy phantoms with a nodule called, of {count}", len(called)) | {"note": called}


def plain_rows(scans: list[Scan]) -> list[dict[str, object]]:
    """What is called in each series without inserted nodules."""
    rows: list[dict[str, object]] = []
    for scan in scans:
        called = [round(hit.mean_mm, 1) for hit in scan.hits if hit.probability >= possible()]
        large = sum(mm >= SMALLEST_MM for mm in called)
        score = at_most if "normal" in scan.name else row
        rows.append(score(f"called in {scan.name}", large, 1) | {"note": called})
    return rows


def scan_rows(scans: list[Scan]) -> list[dict[str, object]]:
    """Sensitivity and false positives of each scan, as shipped."""
    rates = [(scan.name, *_rates([scan], possible())) for scan in scans]
    return [row(f"sensitivity, {name}, at {wrong:.0f} false positives", found, SENSITIVITY_BAR) for name, found, wrong in rates]


def possible() -> float:
    """The probability from which a finding is written."""
    from medomni.reporting.vocabulary import vocabulary

    return min(hedge.at_least for hedge in vocabulary().hedges)


def curve_rows(scans: list[Scan]) -> list[dict[str, object]]:
    """Sensitivity at fixed false positives per scan, and at the shipped threshold."""
    thresholds = sorted({hit.probability for scan in scans for hit in scan.hits}, reverse=True)
    curve = [(threshold, *_rates(scans, threshold)) for threshold in thresholds]
    rows: list[dict[str, object]] = []
    for point in POINTS:
        best = max((sensitivity for _, sensitivity, wrong in curve if wrong <= point), default=0.0)
        rows.append(row(f"sensitivity at {point:g} false positives a scan", best, SENSITIVITY_BAR))
    sensitivity, wrong = _rates(scans, possible())
    ok = sensitivity >= SENSITIVITY_BAR and wrong <= FALSE_POSITIVE_BAR
    clear = [scan for scan in scans if not scan.is_wide]
    found, wrong_clear = _rates(clear, possible())
    return [
        *rows,
        row(f"sensitivity as shipped, at {wrong:.2f} false positives a scan", sensitivity, SENSITIVITY_BAR) | {"ok": ok},
        row(f"the same in {len(clear)} scans without wide pneumonia, at {wrong_clear:.2f} false positives a scan", found),
    ]


def _rates(scans: list[Scan], threshold: float) -> tuple[float, float]:
    """Sensitivity for nodules of 6 mm and more, and false positives of 6 mm and more per scan."""
    found = total = wrong = 0
    for scan in scans:
        seen = {hit.nodule for hit in scan.hits if hit.probability >= threshold}
        large = [k for k, item in enumerate(scan.truth) if item.mean_mm >= SMALLEST_MM]
        total += len(large)
        found += sum(k in seen for k in large)
        wrong += sum(hit.nodule is None and hit.probability >= threshold and hit.mean_mm >= SMALLEST_MM for hit in scan.hits)
    return found / max(total, 1), wrong / max(len(scans), 1)


def kind_rows(scans: list[Scan]) -> list[dict[str, object]]:
    """Sensitivity as shipped by kind and by size."""
    groups: dict[str, list[bool]] = {}
    for scan in scans:
        seen = {hit.nodule for hit in scan.hits if hit.probability >= possible()}
        for k, item in enumerate(scan.truth):
            size = "4 to 6 mm" if item.mean_mm < SMALLEST_MM else "6 to 10 mm" if item.mean_mm < 10 else "10 mm and more"
            for group in (size, *([item.kind] if item.mean_mm >= SMALLEST_MM else [])):
                groups.setdefault(group, []).append(k in seen)
    return [
        row(f"sensitivity, {group} (n = {len(seen)})", float(np.mean(seen)), SENSITIVITY_BAR)
        for group, seen in sorted(groups.items())
    ]


def diameter_row(scans: list[Scan]) -> dict[str, object]:
    """Median error of the mean diameter of what was found."""
    errors = [abs(hit.mean_mm - scan.truth[hit.nodule].mean_mm) for scan in scans for hit in scan.hits if hit.nodule is not None]
    median = float(np.median(errors)) if errors else float("inf")
    return at_most(f"median error of the mean diameter, mm (n = {len(errors)})", median, DIAMETER_BAR_MM)


def cost_row(scans: list[Scan]) -> dict[str, object]:
    """CPU-seconds of the detector for the dearest scan."""
    return row("CPU-seconds, dearest scan", max(scan.cpu_s for scan in scans), 2.0)


if __name__ == "__main__":
    sys.exit(main())
