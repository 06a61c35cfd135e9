"""Claim: every sentence that the embedded drafter writes says what its statement says.

    python benchmarks/wording.py [--json] [--count 40] [--first-seed 90000] [--adapter chest_ct]

Statements are drawn as in the training of the adapter, by seeds it never saw, and worded by SmolLM2 with the adapter inside its
grammar; the guard reads each sentence. The grammar holds only sentences that the guard knows, so this shows that the way works as
a whole; it says nothing about the model without its grammar (``decode.py`` does). One thread. Exits with 1 when a sentence may
not stand, or the decoder is missing.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from evaluation.scorecard import all_hold, as_line, at_least, row


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--count", type=int, default=40, help="prompts of one to six statements")
    words.add_argument("--first-seed", type=int, default=90_000)
    words.add_argument("--adapter", default="chest_ct", help="one that ships, with the recipe of its name")
    given = words.parse_args()
    from adapters import wordings
    from app import wiring
    from app.commands import adapt
    from medomni.model import weights
    from medomni.model.backends.smollm2 import WEIGHTS, SmolLm2
    from medomni.reporting.guard import objection
    from medomni.settings import load

    home = load(os.environ).home
    if not weights.is_pulled(home, WEIGHTS):
        sys.stderr.write("the decoder is not here (medomni weights pull decoder): nothing was measured\n")
        return 1
    drafter = SmolLm2(home, wiring.adapter_folder(Path(given.adapter)))
    labels = adapt.read(Path(given.adapter))[1]["labels"]
    asked = [wordings.draw(np.random.default_rng(given.first_seed + number), labels) for number in range(given.count)]
    drafter.word(asked[0], "en")
    start = time.process_time()
    said = [drafter.word(statements, "en") for statements in asked]
    spent = time.process_time() - start
    pairs = [pair for statements, texts in zip(asked, said, strict=True) for pair in zip(statements, texts, strict=True)]
    kept = float(np.mean([objection(text, statement, "en") is None for statement, text in pairs]))
    rows = [
        at_least(f"share of sentences that the guard lets stand (n = {len(pairs)})", kept, 1.0),
        row("CPU-seconds a sentence", spent / len(pairs)),
        row("different sentences", float(len({text for _, text in pairs}))),
    ]
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
