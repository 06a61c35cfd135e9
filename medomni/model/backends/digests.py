"""The digest of a folder of weights that is too large to be read at each draft: sha256 over names and digests of its files.

The digest of a file is reckoned once and kept under its path, size and time of last change; as long as these stay, it stands. It
tells which files wrote a report; it is no proof against somebody who changes a file and sets its clock back.
"""

import hashlib
from pathlib import Path

from medomni.cache import Cache, key_of
from medomni.model.weights import sha256_of

ENDINGS = (".json", ".safetensors", ".txt", ".jinja")
"""Files that make a model or an adapter; texts for people and weights in other forms, which are not read, do not count."""
LARGEST_CACHE = 1 << 20
"""Bytes of kept digests: some ten thousand files."""


def digests_in(home: Path) -> Cache:
    """Where digests are kept under a home."""
    return Cache(home / "digests", LARGEST_CACHE)


def folder_digest(folder: Path, kept: Cache) -> str:
    """Return the sha256 of what makes the model or adapter of a folder.

    Raises:
        OSError: a file cannot be read.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in ENDINGS and path.is_file())
    lines = "".join(f"{path.name} {_file_digest(path, kept)}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_digest(path: Path, kept: Cache) -> str:
    whole = path.resolve()
    known = whole.stat()
    key = key_of("file", str(whole), str(known.st_size), str(known.st_mtime_ns))
    found = kept.get(key)
    if found is None:
        found = sha256_of(whole).encode()
        kept.put(key, found)
    return found.decode()
