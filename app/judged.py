"""Phantoms of the cohort as a draft meets them: scanned, segmented, measured and judged by the detectors, with their truth.

    seeds -> cases -> segmenter, detectors -> bank files whose ``info["judged"]`` holds findings, coverage and grid

The omni model's answers are fitted and scored on them, each set of seeds for one of both. Files that are there are left alone.
"""

import json
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from medomni.types.finding import Finding
from medomni.types.region import Coverage
from medomni.types.volume import Grid

if TYPE_CHECKING:
    from medomni.pipeline import Progress, Stages

_FINDINGS = TypeAdapter(tuple[Finding, ...])


@dataclass(frozen=True, eq=False)
class Judged:
    """What the detectors made of a phantom, and where it lies."""

    findings: tuple[Finding, ...]
    coverage: Coverage
    grid: Grid


def write(seeds: range, folder: Path, jobs: int, progress: "Progress") -> list[Path]:
    """Write what the folder lacks and return the files of all seeds whose phantoms could be drawn."""
    from app.cohort import in_processes

    folder.mkdir(parents=True, exist_ok=True)
    waiting = [seed for seed in seeds if not _file(folder, seed).exists()]
    in_processes(partial(write_one, folder=folder), waiting, len(seeds), jobs, progress)
    return [_file(folder, seed) for seed in seeds if _file(folder, seed).exists()]


def judged_of(info: dict[str, Any]) -> Judged:
    """What a file's ``info`` says of it."""
    told = info["judged"]
    findings, coverage = _FINDINGS.validate_python(told["findings"]), Coverage.model_validate(told["coverage"])
    return Judged(findings, coverage, _grid_of(told["grid"]))


def _grid_of(told: dict[str, Any]) -> Grid:
    return Grid(
        shape=tuple(told["shape"]),
        pixel_spacing_mm=tuple(told["pixel_spacing_mm"]),
        row_direction=np.array(told["row_direction"]),
        column_direction=np.array(told["column_direction"]),
        slice_origins_mm=np.array(told["slice_origins_mm"]),
        is_side_known=told["is_side_known"],
    )


def write_one(seed: int, folder: Path) -> None:
    """Write the file of a seed; none where a nodule of its draw finds no room."""
    from adapters.samples import save_sample
    from app import bank
    from medomni.phantom import draw_findings, make_case
    from preprocessing.scan import to_scan

    try:
        case = make_case(seed, draw_findings(seed))
    except ValueError:  # a nodule found no room
        return
    stages, volume = _stages(), case.volume
    segmentation = stages.segmenter.segment(volume, lambda _: None)
    regions = stages.measure(volume, segmentation)
    coverage, _ = stages.scope(volume, segmentation, regions)
    findings = stages.detect(volume, segmentation, regions, coverage, lambda _: None).findings
    scan, grid = to_scan(volume, segmentation), volume.grid
    info = bank.told(case, scan)
    info["judged"] = {
        "findings": _FINDINGS.dump_python(findings, mode="json"),
        "coverage": coverage.model_dump(mode="json"),
        "grid": {
            "shape": list(grid.shape),
            "pixel_spacing_mm": list(grid.pixel_spacing_mm),
            "row_direction": grid.row_direction.tolist(),
            "column_direction": grid.column_direction.tolist(),
            "slice_origins_mm": grid.slice_origins_mm.tolist(),
            "is_side_known": grid.is_side_known,
        },
    }
    inside = [bank.voxels_in_cells(lesion.mask, case.volume.grid, scan) for lesion in case.drawn]
    save_sample(_file(folder, seed), scan, inside, json.loads(json.dumps(info)))


def _file(folder: Path, seed: int) -> Path:
    return folder / f"{seed}.npz"


@cache
def _stages() -> "Stages":
    """One set of stages for each process, without what was kept of earlier drafts."""
    from app import wiring

    return wiring.stages(wiring.OWN_SEGMENTER, wiring.start())
