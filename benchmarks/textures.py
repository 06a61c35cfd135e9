"""Claim: in phantoms never trained on, lungs with a diffuse disease show more of its texture than lungs without.

    python benchmarks/textures.py [--json] [--phantoms 10] [--samples FOLDER] [--jobs 2]

Each phantom gets three sets of diseases, many of them together in one lung; FOLDER keeps what ``texture_samples.py`` makes of
them (a folder of its own without). Printed for each disease: the area under the curve of the volume that shows its texture in
the worse lung, on true lung masks. The threshold of a report is none of it. Seeds: from 2,000,500 on.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from evaluation.scorecard import Row, as_line, row

FIRST_SEED = 2_000_500


def main() -> int:
    """Print one row for each disease."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--phantoms", type=int, default=10)
    words.add_argument("--samples", type=Path, help="folder of samples, made if it is not there")
    words.add_argument("--jobs", type=int, default=2)
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        samples = given.samples or Path(scratch) / "samples"
        if not samples.is_dir():
            make_samples(samples, given.phantoms, given.jobs)
        for one in rows_of(samples, Path(scratch) / "rows.jsonl"):
            print(json.dumps(one) if given.json else as_line(one))
    return 0


def make_samples(folder: Path, phantoms: int, jobs: int) -> None:
    """Draw the phantoms by the command that makes the training samples."""
    numbers = ("--phantoms", str(phantoms), "--first-seed", str(FIRST_SEED), "--jobs", str(jobs))
    command = (sys.executable, "-m", "preprocessing.detect.texture_samples", "--out", str(folder), *numbers)
    subprocess.run(command, check=True)


def rows_of(samples: Path, kept: Path) -> list[Row]:
    """Measure every sample as ``calibrate textures`` does."""
    from sklearn.metrics import roc_auc_score

    from preprocessing.detect.calibrate import measure_samples, read_rows

    measure_samples(samples, kept)
    measured = read_rows(kept)
    rows = []
    for label in measured[0].measures:
        is_there = [label in one.kinds for one in measured]
        if 0 < sum(is_there) < len(is_there):
            area = float(roc_auc_score(is_there, [one.measures[label] or 0.0 for one in measured]))
            rows.append(row(f"area under the curve of {label} (n = {sum(is_there)} of {len(is_there)})", area))
    return rows


if __name__ == "__main__":
    sys.exit(main())
