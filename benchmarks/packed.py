"""Claim: the omni model looks at a scan from one file without torch, within 4 GB, and answers as torch does.

    python benchmarks/packed.py [--json] [--seed 0]

Packs the shipped model and looks at a drawn chest twice: in torch here, and from the file in a process in which torch cannot be
imported. One thread. Not the whole draft: segmentation is given, and the detectors need torch.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from evaluation.scorecard import all_hold, as_line, at_most, row

MEMORY_BAR_MIB, DIFFERENCE_BAR = 4096.0, 0.01
HISTORY = "Cough and fever for three days. Known emphysema."
ELSEWHERE = """
import json, resource, sys, time
sys.modules["torch"] = None  # the import system's way to say "not there"
import numpy as np
from pathlib import Path
from medomni.model.omni_runtime import open_runtime
start = time.process_time()
scan = np.load(sys.argv[2])
runtime = open_runtime(Path(sys.argv[1]), 1)
raw = runtime.answer(runtime.see(scan["codes"], scan["structures"]), [("history", sys.argv[3])])
spent = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"whole": raw.whole.tolist(), "seconds": spent, "peak": peak}))
"""


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--seed", type=int, default=0, help="of the phantom")
    given = words.parse_args()
    from medomni.model import omni_runtime
    from medomni.model.omni_folder import SHIPPED
    from medomni.phantom import draw_findings, make_case
    from preprocessing.detect.calibrate import true_segmentation
    from preprocessing.scan import to_scan

    case = make_case(given.seed, draw_findings(given.seed))
    scan = to_scan(case.volume, true_segmentation(case)).focused()
    runtime = omni_runtime.InTorch(SHIPPED, 1)
    by_torch = runtime.answer(runtime.see(scan.codes, scan.structures), [("history", HISTORY)])
    with tempfile.TemporaryDirectory() as scratch:
        packed, file = Path(scratch) / f"omni{omni_runtime.PACKED}", Path(scratch) / "scan.npz"
        omni_runtime.pack(SHIPPED, packed)
        np.savez(file, codes=scan.codes, structures=scan.structures)
        command = [sys.executable, "-c", ELSEWHERE, str(packed), str(file), HISTORY]
        done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        size = packed.stat().st_size / 1e6
    difference = float(np.abs(np.array(done["whole"]) - by_torch.whole).max())
    rows = [
        row("megabytes of the file", size),
        row(f"CPU-seconds of a look at {scan.codes.shape[0]} slices, the file read and compiled", done["seconds"]),
        at_most("MiB of memory at most, without torch", done["peak"], MEMORY_BAR_MIB),
        at_most("largest difference of a logit from torch", difference, DIFFERENCE_BAR),
    ]
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
