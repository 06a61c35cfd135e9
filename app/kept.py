"""The costly stages of a draft through a cache: segmentation, measurements, findings and looks at a study drafted before.

    stage, Cache -> the same stage; a hit gives the same values, bit for bit

A result is kept under the voxels, the segmenter, the libraries that compute and every file of our code, tables and weights:
after any change it is made anew. What the model sees of a scan is kept apart from what it thinks of it: another history or
dictation runs the small networks alone. Only our own segmenters are kept: what a plug-in or a bundle does may depend on more.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import TypeAdapter

from medomni.cache import Cache, key_of
from medomni.model.omni_runtime import Viewed
from medomni.pipeline import Detection, Progress, Segmenter, Stages, volume_digest
from medomni.types.dictation import Told
from medomni.types.finding import Finding
from medomni.types.notice import Notice
from medomni.types.opinion import Opinion
from medomni.types.region import Coverage, Region
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Grid, Volume
from preprocessing.look import OmniLook, Sighted

MADE_OF = ("*.py", "*.toml", "*.json", "*.safetensors")
"""Files of our packages that have a say in a result."""
LIBRARIES = ("numpy", "scipy", "torch", "monai", "openvino")
OWN = ("medomni-ct", "hu-rules")
"""Segmenters whose results follow from the voxels, our code and our weights alone."""
Result = TypeVar("Result")
_LESIONS, _FACTS, _LABELS = "lesions", "facts.json", "labels.npy"
_NAMES = TypeAdapter(dict[int, str])
_NOTICES = TypeAdapter(tuple[Notice, ...])
_FINDINGS = TypeAdapter(tuple[Finding, ...])
_REGIONS = TypeAdapter(tuple[Region, ...])
_SCOPE = TypeAdapter(tuple[Coverage, tuple[Notice, ...]])
_FACTS_OF = TypeAdapter(dict[str, str])


def through(cache_: Cache, stages: Stages) -> Stages:
    """The stages with the costly ones behind a cache, where the segmenter is one of ours."""
    if not cache_.limit_bytes or stages.segmenter.name not in OWN:
        return stages
    kept = KeptStages(cache_, stages)
    segmenter = KeptSegmenter(cache_, stages.segmenter)
    return replace(stages, segmenter=segmenter, measure=kept.measure, scope=kept.scope, detect=kept.detect, look=kept.look)


def kept_or_made(
    cache_: Cache, key: str, read: Callable[[bytes], Result], make: Callable[[], Result], write: Callable[[Result], bytes]
) -> Result:
    """What is kept under a key, or made now and kept; what cannot be read is dropped."""
    found = cache_.get(key)
    if found is not None:
        try:
            return read(found)
        except (ValueError, KeyError, zipfile.BadZipFile, EOFError, zlib.error):
            cache_.drop(key)
    made = make()
    cache_.put(key, write(made))
    return made


@dataclass(frozen=True)
class KeptSegmenter:
    """A segmenter behind a cache."""

    cache: Cache
    segmenter: Segmenter

    @property
    def name(self) -> str:
        """The segmenter's name."""
        return self.segmenter.name

    def segment(self, volume: Volume, progress: Progress) -> Segmentation:
        """See ``medomni.pipeline.Segmenter``."""
        weights = str(getattr(self.segmenter, "digest", ""))
        return kept_or_made(
            self.cache,
            key_of("segment", code_digest(), volume_digest(volume), self.segmenter.name, weights),
            lambda content: segmentation_of(content, volume.grid),
            lambda: self.segmenter.segment(volume, progress),
            segmentation_bytes,
        )


@dataclass(frozen=True)
class KeptStages:
    """Measurements, findings and the model's opinion behind a cache."""

    cache: Cache
    stages: Stages

    def measure(self, volume: Volume, segmentation: Segmentation) -> tuple[Region, ...]:
        """See ``medomni.pipeline.Stages``."""
        return kept_or_made(
            self.cache,
            self._key("measure", volume, segmentation),
            _REGIONS.validate_json,
            lambda: self.stages.measure(volume, segmentation),
            _REGIONS.dump_json,
        )

    def scope(
        self, volume: Volume, segmentation: Segmentation, regions: tuple[Region, ...]
    ) -> tuple[Coverage, tuple[Notice, ...]]:
        """See ``medomni.pipeline.Stages``."""
        return kept_or_made(
            self.cache,
            self._key("scope", volume, segmentation),
            _SCOPE.validate_json,
            lambda: self.stages.scope(volume, segmentation, regions),
            _SCOPE.dump_json,
        )

    def detect(
        self, volume: Volume, segmentation: Segmentation, regions: tuple[Region, ...], coverage: Coverage, progress: Progress
    ) -> Detection:
        """See ``medomni.pipeline.Stages``."""
        return kept_or_made(
            self.cache,
            self._key("detect", volume, segmentation),
            lambda content: detection_of(content, volume.grid),
            lambda: self.stages.detect(volume, segmentation, regions, coverage, progress),
            detection_bytes,
        )

    def look(self, volume: Volume, segmentation: Segmentation, told: Told) -> Opinion:
        """See ``medomni.pipeline.Stages``; of the texts only a digest together with that of the voxels is in the key."""
        words = hashlib.sha256(f"{volume_digest(volume)} {told.texts}".encode("utf-8", "surrogatepass")).hexdigest()
        return kept_or_made(
            self.cache,
            key_of(self._key("look", volume, segmentation), str(getattr(self.stages.look, "digest", "")), words),
            Opinion.model_validate_json,
            lambda: self._thought(volume, segmentation, told),
            lambda opinion: opinion.model_dump_json().encode(),
        )

    def _thought(self, volume: Volume, segmentation: Segmentation, told: Told) -> Opinion:
        """What the model thinks, of what it saw before where that is kept; the texts have no say in it."""
        look = self.stages.look
        if not isinstance(look, OmniLook):
            return look(volume, segmentation, told)
        sighted = kept_or_made(
            self.cache,
            key_of(self._key("see", volume, segmentation), look.digest),
            sighted_of,
            lambda: look.see(volume, segmentation),
            sighted_bytes,
        )
        return look.think(sighted, volume.grid, segmentation, told)

    @staticmethod
    def _key(stage: str, volume: Volume, segmentation: Segmentation) -> str:
        return key_of(stage, code_digest(), volume_digest(volume), segmentation.segmenter, segmentation.digest)


def segmentation_bytes(of: Segmentation) -> bytes:
    """A segmentation as bytes, without its grid."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        _write(archive, "", of)
    return stream.getvalue()


def segmentation_of(content: bytes, grid: Grid) -> Segmentation:
    """The segmentation that was kept, on its grid."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return _read(archive, "", grid)


def detection_bytes(of: Detection) -> bytes:
    """Findings and masks as bytes, without their grid."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        _write(archive, "", of.lesions)
        archive.writestr("findings.json", _FINDINGS.dump_json(of.findings))
        archive.writestr("notices.json", _NOTICES.dump_json(of.notices))
    return stream.getvalue()


def detection_of(content: bytes, grid: Grid) -> Detection:
    """The findings and masks that were kept, on their grid."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        findings = _FINDINGS.validate_json(archive.read("findings.json"))
        notices = _NOTICES.validate_json(archive.read("notices.json"))
        return Detection(findings, _read(archive, "", grid), notices)


def sighted_bytes(of: Sighted) -> bytes:
    """What the model sees of a scan as bytes."""
    grid, stream = of.grid, io.BytesIO()
    spacing, is_side_known = np.array(grid.pixel_spacing_mm), np.array(grid.is_side_known)
    directions = np.stack([grid.row_direction, grid.column_direction])
    where = {"spacing": spacing, "is_side_known": is_side_known, "directions": directions, "origins": grid.slice_origins_mm}
    arrays = where | {"shape": np.array(grid.shape), "cells": of.viewed.cells, "structures": of.structures}
    np.savez(stream, *of.viewed.sight, **arrays)  # type: ignore[arg-type]
    return zlib.compress(stream.getvalue(), 1)


def sighted_of(content: bytes) -> Sighted:
    """What the model saw of a scan, as it was kept."""
    with np.load(io.BytesIO(zlib.decompress(content)), allow_pickle=False) as stored:
        count = sum(name.startswith("arr_") for name in stored.files)  # numpy's names of what is stored without one
        sight = tuple(stored[f"arr_{number}"] for number in range(count))
        (depth, height, width), (row_mm, column_mm) = stored["shape"].tolist(), stored["spacing"].tolist()
        directions, is_side_known = stored["directions"], bool(stored["is_side_known"])
        grid = Grid((depth, height, width), (row_mm, column_mm), directions[0], directions[1], stored["origins"], is_side_known)
        return Sighted(Viewed(stored["cells"], sight), stored["structures"], grid)


def _write(archive: zipfile.ZipFile, stem: str, of: Segmentation) -> None:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(of.labels))
    archive.writestr(stem + _LABELS, stream.getvalue())
    facts = {"segmenter": of.segmenter, "digest": of.digest, "names": _NAMES.dump_json(dict(of.names)).decode()}
    facts["notices"] = _NOTICES.dump_json(of.notices).decode()
    archive.writestr(stem + _FACTS, _FACTS_OF.dump_json(facts))
    if of.lesions is not None:
        _write(archive, f"{_LESIONS}/", of.lesions)


def _read(archive: zipfile.ZipFile, stem: str, grid: Grid) -> Segmentation:
    labels = np.load(io.BytesIO(archive.read(stem + _LABELS)), allow_pickle=False)
    facts = _FACTS_OF.validate_json(archive.read(stem + _FACTS))
    inner = f"{_LESIONS}/"
    has_lesions = not stem and inner + _LABELS in archive.namelist()
    return Segmentation(
        labels,
        grid,
        _NAMES.validate_json(facts["names"]),
        facts["segmenter"],
        facts["digest"],
        _NOTICES.validate_json(facts["notices"]),
        _read(archive, inner, grid) if has_lesions else None,
    )


@cache
def code_digest() -> str:
    """A digest of every file of ours that has a say in a result, and of the versions of the libraries that compute."""
    root, digest = Path(__file__).parents[1], hashlib.sha256(Path(__file__).read_bytes())
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            digest.update(f"{library} {version(library)}".encode())
    for package in ("medomni", "preprocessing"):
        for path in sorted(path for pattern in MADE_OF for path in (root / package).rglob(pattern)):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
