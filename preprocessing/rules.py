"""The identity of a set of rules: rules have no weights, so their own source is what a digest must cover."""

import hashlib
from functools import cache
from pathlib import Path

SHARED = ("coarse.py", "morphology.py", "orient.py")
"""What every rule works with: another coarse grid or another opening gives other results."""


@cache
def rules_digest(*patterns: str) -> str:
    """sha256 of the source files of some rules (patterns below this folder) and of what every rule works with.

    Raises:
        ValueError: a pattern names no file, so that its rules would go undigested.
    """
    here = Path(__file__).parent
    files = {pattern: set(here.glob(pattern)) for pattern in (*patterns, *SHARED)}
    if not all(files.values()):
        raise ValueError(f"no such rules: {[pattern for pattern, found in files.items() if not found]}")
    digest = hashlib.sha256()
    for path in sorted(set.union(*files.values())):
        digest.update(path.read_bytes())
    return digest.hexdigest()
