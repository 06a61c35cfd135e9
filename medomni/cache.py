"""Results of stages, kept by what they were made of: the same input, code and weights give the same bytes, without the work.

    key (sha256) -> bytes, or None

Bounded: the least recently used go first. Verified: every file begins with the digest of its content, and one that does not
fit is dropped. A cache that cannot be read or written costs time, never a draft. Keys and files hold no identifier and no word
of a history; what is kept are masks and measurements of a study, so the folder is readable by its owner alone.
"""

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DIGEST_BYTES = 32
SUFFIX, PARTIAL = ".kept", ".part-"
FORGOTTEN_S = 3600.0
"""Age in seconds from which a half-written file is nobody's."""


@dataclass(frozen=True)
class Cache:
    """A folder of kept results; nothing is kept when ``limit_bytes`` is 0."""

    folder: Path
    limit_bytes: int

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key, None when there is nothing that can be trusted."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content[DIGEST_BYTES:]).digest() != content[:DIGEST_BYTES]:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return content[DIGEST_BYTES:]

    def put(self, key: str, content: bytes) -> None:
        """Keep a result; what is larger than the whole cache is not kept."""
        if len(content) + DIGEST_BYTES > self.limit_bytes:
            return
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, partial = tempfile.mkstemp(prefix=PARTIAL, dir=self.folder)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(hashlib.sha256(content).digest())
                    stream.write(content)
                Path(partial).replace(self._path(key))
            finally:
                Path(partial).unlink(missing_ok=True)
            self._evict()

    def drop(self, key: str) -> None:
        """Forget what is kept under a key: it cannot be read."""
        with suppress(OSError):
            self._path(key).unlink()

    def _evict(self) -> None:
        """Drop the least recently used until the rest fits, and what a stopped process left half written."""
        found = []
        for path in self.folder.glob(f"{PARTIAL}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > FORGOTTEN_S:
                    path.unlink()
        for path in self.folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):
                found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.limit_bytes:
                return
            with suppress(OSError):
                path.unlink()
                total -= size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"


def key_of(*parts: str) -> str:
    """The key of a result: a digest of everything that it was made of."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()
