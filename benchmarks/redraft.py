"""Claim: a chest CT is drafted in 25 CPU-seconds, and again in 3, with the same bytes; its encoding is kept whatever is told.

    python benchmarks/redraft.py [--json] [STUDY]

``medomni draft`` runs in fresh children with one thread and a home of its own, in which only the converted networks are kept from
a first draft that does not count. Then the kept results are dropped and the study is drafted three times: cold, again, and with a
history that was not there before. The study is a phantom of full size, or the one given. CPU-seconds are those of the whole
process, imports included, as ``run.json`` has them. In a draft the encoding begins with the detectors, on the same network.
So the stage *look* is also timed by itself in one more child: fresh, on a hit, and with the same CT and another history.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from evaluation.scorecard import all_hold, as_line, at_least, at_most, row

COLD_BAR_S, AGAIN_BAR_S, RATIO_BAR, MEMORY_BAR_MIB = 25.0, 3.0, 10.0, 3072.0
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MEDOMNI_THREADS"), "1")
KEPT_STAGES = ("segment", "measure", "detect", "look")
HISTORY, OTHER_HISTORY = "Cough and fever for three days.", "Known emphysema. Dyspnea."
LOOKS = """
import json, sys, time
from pathlib import Path
from app import wiring
from medomni.types.dictation import Told
settings = wiring.start()
stages = wiring.stages(wiring.OWN_SEGMENTER, settings)
still = lambda share: None
volume = stages.assemble(stages.read(Path(sys.argv[1])), still)
labels = stages.segmenter.segment(volume, still)
stages.look(volume, labels, Told(history="Pain."))
for file in (settings.home / "kept").glob("*.kept"):
    file.unlink()
spent, opinions = {}, {}
for name, history in (("fresh", sys.argv[2]), ("hit", sys.argv[2]), ("other history", sys.argv[3])):
    start = time.process_time()
    opinions[name] = stages.look(volume, labels, Told(history=history))
    spent[name] = time.process_time() - start
largest = max(file.stat().st_size for file in (settings.home / "kept").glob("*.kept"))
print(json.dumps({"spent": spent, "bytes": largest, "same": opinions["fresh"] == opinions["hit"]}))
"""
"""A child in which the network is loaded and warm, as in a reading room that serves."""


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("study", nargs="?", type=Path)
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="medomni-redraft-") as scratch:
        work = Path(scratch)
        study = given.study or phantom(work)
        draft(study, work, "first")
        shutil.rmtree(work / "home" / "kept")
        cold, again = draft(study, work, "cold"), draft(study, work, "again")
        other = draft(study, work, "other", "--history", OTHER_HISTORY)
        rows = [*compare(cold, again), *other_history(other), *looks(study, work)]
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


def phantom(work: Path) -> Path:
    """A chest of 512 x 512 pixels and 240 slices."""
    from medomni.phantom import draw_findings, make_case
    from medomni.phantom.write import write_dicom

    case = make_case(129, draw_findings(129), shape=(240, 512, 512), spacing_mm=(1.25, 0.7, 0.7))
    return write_dicom(case, work / "study")


def draft(study: Path, work: Path, name: str, *more: str) -> dict:
    """Draft once in a child; returns the run record."""
    out = work / name
    child(work, "from app.cli import main; main()", "draft", str(study), "--out", str(out), "--quiet", *more)
    return json.loads((out / "run.json").read_text())


def child(work: Path, script: str, *given: str) -> str:
    """Run a script in a process of its own, with one thread and the home of this benchmark; returns what it printed."""
    command, home = [sys.executable, "-c", script, *given], {"MEDOMNI_HOME": str(work / "home")}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | ONE_THREAD | home).stdout


def other_history(other: dict) -> list[dict]:
    """Rows of a draft whose CT was drafted before, without a history."""
    spent = {stage["stage"]: stage["cpu_seconds"] for stage in other["stages"]}
    return [
        row("same CT, another history, look: CPU-seconds, imports included", spent["look"]),
        row("same CT, another history: CPU-seconds", other["cpu_seconds"]),
    ]


def looks(study: Path, work: Path) -> list[dict]:
    """Rows of the stage that encodes, by itself."""
    told = json.loads(child(work, LOOKS, str(study), HISTORY, OTHER_HISTORY).splitlines()[-1])
    spent = told["spent"]
    return [
        *(row(f"look, {name}: CPU-seconds", seconds) for name, seconds in spent.items()),
        at_least("look on a hit: times as fast", spent["fresh"] / max(spent["hit"], 1e-3), RATIO_BAR),
        at_least("look with another history: times as fast", spent["fresh"] / max(spent["other history"], 1e-3), RATIO_BAR),
        at_least("share of opinions on a hit that are the same", float(told["same"]), 1.0),
        row("MiB kept of what the model sees of the scan", told["bytes"] / 2**20),
    ]


def compare(cold: dict, again: dict) -> list[dict]:
    """Rows of cost, ratio and sameness."""
    spent = [{stage["stage"]: stage["cpu_seconds"] for stage in run["stages"]} for run in (cold, again)]
    worked = [sum(stages[name] for name in KEPT_STAGES) for stages in spent]
    same = {name: digest for name, digest in cold["files"].items() if not name.startswith("fhir")}
    is_same = all(again["files"][name] == digest for name, digest in same.items())
    peak = max(stage["peak_mib"] for stage in cold["stages"])
    return [
        *(row(f"cold, {name}: CPU-seconds", seconds) for name, seconds in spent[0].items()),
        at_most("cold: CPU-seconds", cold["cpu_seconds"], COLD_BAR_S),
        at_most("again: CPU-seconds", again["cpu_seconds"], AGAIN_BAR_S),
        at_least("segmenting, measuring, finding, looking: times as fast again", worked[0] / max(worked[1], 1e-3), RATIO_BAR),
        at_least("share of files with the same bytes (FHIR holds the time of day)", float(is_same), 1.0),
        at_most("peak memory, MiB", peak, MEMORY_BAR_MIB),
    ]


if __name__ == "__main__":
    sys.exit(main())
