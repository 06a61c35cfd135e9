"""What a forked child of the server does: one command line, many command lines, or the reader against the truth."""

import json
import os
import resource
import sys
from pathlib import Path

import numpy as np


def run_command(words: list[str]) -> int:
    """Run the program as a person would and return its exit code."""
    from app.cli import main

    sys.argv = ["medomni", *words]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def run_commands(lines: list[list[str]], result: Path) -> int:
    """Run many command lines one after the other; keep exit code, CPU time and stderr of each."""
    rows = []
    for words in lines:
        before, started = os.dup(2), _cpu_seconds()
        with (result.with_suffix(".stderr")).open("w+b") as errors:
            os.dup2(errors.fileno(), 2)
            code = run_command(words)
            sys.stderr.flush()
            os.dup2(before, 2)
            errors.seek(0)
            said = errors.read(100_000).decode("utf-8", "replace")
        os.close(before)
        rows.append({"code": code, "cpu_seconds": _cpu_seconds() - started, "stderr": said})
        result.write_text(json.dumps(rows))
    result.with_suffix(".stderr").unlink(missing_ok=True)
    return 0


def compare(studies: list[dict], result: Path) -> int:
    """Read studies with the reader alone and write how far each is from the truth of its chosen series."""
    from medomni.errors import MedOmniError

    rows = []
    for study in studies:
        try:
            rows.append(difference(Path(study["source"]), study["truths"]))
        except MedOmniError as error:
            rows.append({"error": str(error)})
    result.write_text(json.dumps(rows))
    return 0


def difference(source: Path, truths: dict[str, str]) -> dict[str, float]:
    """Return the largest error of value (HU) and place (mm), and of slices that should have been there."""
    from preprocessing.assemble import assemble
    from preprocessing.dicom import open_study

    study = open_study(source)
    volume = assemble(study, lambda _share: None)
    file = truths.get(study.identity.series_instance_uid)
    if file is None:
        return {"error": "a series was chosen that holds no truth"}
    truth = np.load(file)
    origins = truth["origins_mm" if "origins_mm" in truth else "ipp"]
    hu = truth["hu"].astype(np.float64)
    if hu.shape != volume.hu.shape:
        return {"error": f"shape {volume.hu.shape}, the truth is {hu.shape}"}
    error = np.abs(volume.hu - hu)
    error[(hu == -1024) & (volume.hu <= -1000) & (volume.hu >= -1024)] = 0
    axes = truth["orientation" if "orientation" in truth else "iop"].reshape(2, 3)
    turned = np.abs(np.stack([volume.grid.row_direction, volume.grid.column_direction]) - axes).max()
    return {
        "hu": float(error.max()),
        "mm": float(np.linalg.norm(volume.grid.slice_origins_mm - origins, axis=1).max()),
        "turn": float(turned),
    }


def refuse_all_then_read(sources: list[str], good: Path, truths: dict[str, str], result: Path) -> int:
    """Open bad studies one after the other in one process, with a good one before and after, and count what is left open."""
    from medomni.errors import MedOmniError
    from preprocessing.assemble import assemble
    from preprocessing.dicom import open_study

    rows: dict[str, object] = {"before": difference(good, truths), "files": _open_files()}
    refused = 0
    for source in sources:
        try:
            assemble(open_study(Path(source)), lambda _share: None)
        except MedOmniError:
            refused += 1
    rows |= {"after": difference(good, truths), "refused": refused, "files_after": _open_files()}
    result.write_text(json.dumps(rows))
    return 0


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no path is needed


def _cpu_seconds() -> float:
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
