"""Claim: `medomni phantom --count 20` costs at most 60 CPU-seconds in all, and the same seed gives the same bytes.

    python benchmarks/phantom.py [--json] [--count 20] [--seed 0] [--jobs 0]

The whole command counts, start and gallery included (user and system time of the process and its children). The second row
writes three seeds twice, in one process and in two, and compares every file.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

BAR_CPU_SECONDS_PER_CASE = 3.0


def main() -> int:
    """Print one row for the cost and one for the bytes; 1 when a claim does not hold."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="print rows as JSON")
    words.add_argument("--count", type=int, default=20)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--jobs", type=int, default=0)
    given = words.parse_args()
    rows = [cost(given.count, given.seed, given.jobs), same_bytes(given.seed)]
    for row in rows:
        text = f"{row['claim']}: {row['figure']} (bar {row['peer']})"
        sys.stdout.write((json.dumps(row) if given.json else text) + "\n")
    return 0 if all(row["holds"] for row in rows) else 1


def cost(count: int, seed: int, jobs: int) -> dict[str, object]:
    """CPU-seconds of the command."""
    with tempfile.TemporaryDirectory() as folder:
        before = cpu_seconds()
        write(Path(folder) / "out", count, seed, jobs)
        spent = cpu_seconds() - before
    bar = BAR_CPU_SECONDS_PER_CASE * count
    claim = f"CPU-seconds of medomni phantom --count {count}" + (f" --jobs {jobs}" if jobs else "")
    return {"claim": claim, "figure": round(spent, 1), "peer": bar, "ratio": round(spent / bar, 3), "holds": spent <= bar}


def same_bytes(seed: int) -> dict[str, object]:
    """Files that differ between one process and two."""
    with tempfile.TemporaryDirectory() as folder:
        digests = []
        for jobs in (1, 2):
            out = Path(folder) / f"jobs-{jobs}"
            write(out, 3, seed, jobs)
            digests.append(digests_of(out))
    differing = sum(digests[0].get(name) != digests[1].get(name) for name in digests[0].keys() | digests[1].keys())
    claim = f"files of {len(digests[0])} that differ between --jobs 1 and --jobs 2"
    return {"claim": claim, "figure": differing, "peer": 0, "ratio": None, "holds": differing == 0}


def write(out: Path, count: int, seed: int, jobs: int) -> None:
    """Run the command as a person would."""
    program = [sys.executable, "-c", "from app.cli import main; main()", "phantom", "--quiet", "--out", str(out)]
    subprocess.run(
        [*program, "--count", str(count), "--seed", str(seed), "--jobs", str(jobs)], check=True, stdout=subprocess.DEVNULL
    )


def digests_of(folder: Path) -> dict[str, str]:
    """The digest of every file by its name in the folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def cpu_seconds() -> float:
    """User and system time of finished children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
