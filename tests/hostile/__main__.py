"""Writes the corpus: ``python -m tests.hostile OUT [--seed N] [--only ID ...]``."""

import argparse
import sys
from pathlib import Path

from tests.hostile.corpus import write_corpus

if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("out", type=Path, help="new folder")
    words.add_argument("--seed", type=int, default=1, help="another seed, other bytes (default 1)")
    words.add_argument("--only", nargs="+", metavar="ID", help="write only these cases")
    given = words.parse_args()
    cases = write_corpus(given.out, given.seed, given.only)
    sys.stdout.write(f"{len(cases)} cases in {given.out}\n")
