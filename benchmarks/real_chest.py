"""Claim: every real chest series is drafted in English and Chinese within 20 CPU-seconds and 2 GB, with a valid FHIR bundle.

    python benchmarks/real_chest.py [--json] [--data FOLDER]

FOLDER (default ``../shared/data/ct``) holds one ``chest-*.tar.xz`` per series, unpacked here into a temporary folder. Each
draft is a fresh child of the command line; CPU time is user and system with children, memory the child's peak. Where a
series has slice labels (``*.labels.json``), the sides with marked infection stand beside the sides of the drafted opacity.
A series that is refused is listed with the reason. Linux or macOS.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CPU_BAR_S, MEMORY_BAR_MB = 20.0, 2000.0
SERIES = "chest-*.tar.xz"


def main() -> int:
    """Draft all series and print one row for each."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="print rows as JSON")
    words.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "ct")
    given = words.parse_args()
    archives = sorted(given.data.glob(SERIES))
    if not archives:
        sys.stderr.write(f"no {SERIES} in {given.data.name}: nothing was measured\n")
        return 0
    rows = [row for archive in archives for row in measure_series(archive)]
    for row in rows:
        sys.stdout.write((json.dumps(row) if given.json else as_line(row)) + "\n")
    return 0 if all(row["ok"] for row in rows) else 1


def measure_series(archive: Path) -> list[dict[str, object]]:
    """Draft one series in both languages."""
    name = archive.name.removesuffix(".tar.xz")
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
        return [measure_draft(name, Path(scratch), language, marked_sides(archive)) for language in ("en", "zh")]


def measure_draft(name: str, folder: Path, language: str, marked: set[str] | None) -> dict[str, object]:
    """One draft in a fresh child: its cost, and what came out."""
    from medomni.export.fhir_check import check_bundle

    out = folder / f"out-{language}"
    command = [
        sys.executable,
        "-c",
        "from app.cli import main; main()",
        "draft",
        str(folder),
        "--lang",
        language,
        "--out",
        str(out),
        "--quiet",
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=Path(__file__).parents[1]) as child:
        refusal = child.stderr.read().decode() if child.stderr else ""
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    unit = 1e6 if sys.platform == "darwin" else 1e3
    row: dict[str, object] = {
        "figure": round(cpu, 2),
        "peer": CPU_BAR_S,
        "ratio": round(cpu / CPU_BAR_S, 3),
        "series": name,
        "language": language,
        "exit": child.returncode,
        "peak_mb": round(used.ru_maxrss / unit),
    }
    if child.returncode:
        return row | {"ok": child.returncode == 3, "refused": refusal.strip().splitlines()[-1] if refusal.strip() else ""}
    report = json.loads((out / "report.json").read_text())
    problems = check_bundle(json.loads((out / "fhir-r4.json").read_text()))
    opacity = next(finding for finding in report["findings"] if finding["label"] == "lung_opacity")
    seen = {"bilateral": {"left", "right"}}.get(opacity["laterality"], {opacity["laterality"]} - {"none"})
    seen = seen if opacity["presence"] in ("present", "uncertain") else set()
    is_right = marked is None or (marked <= seen if marked else not seen)
    return row | {
        "fhir_problems": len(problems),
        "opacity": f"{opacity['presence']} {opacity['laterality']}",
        "marked": sorted(marked) if marked is not None else "no labels",
        "ok": bool(not problems and is_right and cpu <= CPU_BAR_S and used.ru_maxrss / unit <= MEMORY_BAR_MB),
    }


def marked_sides(archive: Path) -> set[str] | None:
    """Sides with marked infection, from the labels beside a series; None when there are none."""
    labels = archive.with_name(archive.name.replace(".tar.xz", ".labels.json"))
    if not labels.exists():
        return None
    table = json.loads(labels.read_text())
    lobes = [lobe for row in table["lobe_infection"] for lobe, mark in zip(("L", "L", "R", "R", "R"), row, strict=True) if mark]
    return {{"L": "left", "R": "right"}[side] for side in lobes}


def as_line(row: dict[str, object]) -> str:
    """A row as a person reads it."""
    if row["exit"]:
        return f"{row['series']:36s} {row['language']}  exit {row['exit']}  {row.get('refused', '')}"
    return (
        f"{row['series']:36s} {row['language']}  {row['figure']:6} CPU-s  {row['peak_mb']:5} MB"
        f"  FHIR problems {row['fhir_problems']}"
        f"  opacity {row['opacity']} (marked: {row['marked']})  {'ok' if row['ok'] else 'NOT OK'}"
    )


if __name__ == "__main__":
    sys.exit(main())
