"""The bank that the vision encoder learns from: phantoms, segmented as a study would be, with the truth of each place.

    seeds -> bodies -> visits with diseases -> segmenter -> Scan -> bank file

Files that are there already are left alone, so a run that was stopped goes on.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medomni.phantom.cohort import BodyRegion

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from medomni.model.scan import Scan
    from medomni.phantom.case import PhantomCase
    from medomni.pipeline import Progress, Segmenter
    from medomni.types.volume import Grid

VISITS = 3
"""How often a body is drawn with other diseases."""
SHAPE = (120, 240, 240)
"""Voxels of a phantom, at the spacing of a scan."""


@dataclass(frozen=True)
class BankOrder:
    """One body to draw."""

    seed: int
    out: Path
    region: BodyRegion

    def file(self, visit: int) -> Path:
        """Where a visit will lie."""
        return self.out / f"{self.region}-{self.seed}-{visit}.npz"


def write(orders: list[BankOrder], jobs: int, progress: "Progress") -> None:
    """Write what the bank lacks."""
    from app.cohort import in_processes

    waiting = [order for order in orders if not order.file(VISITS - 1).exists()]
    for order in waiting[:1]:
        order.out.mkdir(parents=True, exist_ok=True)
    in_processes(write_one, waiting, len(orders), jobs, progress)


def digest(folder: Path) -> str:
    """A digest of the names and sizes of a bank's files; their content follows from the names."""
    listed = "".join(f"{file.name} {file.stat().st_size}\n" for file in sorted(folder.glob("*.npz")))
    return hashlib.sha256(listed.encode()).hexdigest()


def write_one(order: BankOrder) -> None:
    """Write the visits of one body."""
    from adapters.samples import save_sample
    from preprocessing.scan import to_scan

    segmenter = own_segmenter()
    for visit, case in _visits(order):
        scan = to_scan(case.volume, segmenter.segment(case.volume, lambda _: None))
        save_sample(
            order.file(visit),
            scan,
            [voxels_in_cells(lesion.mask, case.volume.grid, scan) for lesion in case.drawn],
            told(case, scan),
        )


@cache
def own_segmenter() -> "Segmenter":
    """One network for each process."""
    from preprocessing.segment.medomni_ct import MedomniCt

    return MedomniCt()


def _visits(order: BankOrder) -> Iterator[tuple[int, "PhantomCase"]]:
    """The cases of one body; a visit whose nodules find no room is drawn without them."""
    from medomni.model.scan import GRID_MM
    from medomni.phantom.case import copy_of, healthy_body, scan_person
    from medomni.phantom.disease.apply import prepare_person
    from medomni.phantom.mixture import of_body, of_visit
    from medomni.phantom.person import make_person

    rng = np.random.default_rng([order.seed, 77])
    always = of_body(rng)
    body = healthy_body(prepare_person(make_person(order.seed), always), SHAPE, GRID_MM, order.region)
    for visit in range(VISITS):
        placed = (*of_visit(rng, order.region), *always)
        for tried in (placed, tuple(item for item in placed if item.kind != "lung_nodule")):
            try:
                yield visit, scan_person(copy_of(body), tried, order.region, visit)
                break
            except ValueError:  # a nodule found no room
                continue


def voxels_in_cells(mask: "np.ndarray", grid: "Grid", scan: "Scan") -> "UInt8[np.ndarray, 'd h w']":
    """How many voxels of a lesion lie in each cell of a scan, by the nearest voxel of the mask's grid; axes as of a scan."""
    from medomni.model.scan import CELL, GRID_MM

    axes = np.stack([grid.normal, grid.column_direction, grid.row_direction])
    if not grid.is_uniform or not np.allclose(axes, np.eye(3)[::-1], atol=1e-3):
        raise ValueError("a mask must lie on even slices to the head, the back and the left")
    offset = (scan.grid.slice_origins_mm[0] - grid.slice_origins_mm[0])[::-1]
    places, inside = [], []
    for axis, count in enumerate(scan.grid.shape):
        index = np.rint((offset[axis] + np.arange(count) * GRID_MM[axis]) / grid.spacing_mm[axis]).astype(int)
        inside.append((index >= 0) & (index < mask.shape[axis]))
        places.append(np.clip(index, 0, mask.shape[axis] - 1))
    there = mask[np.ix_(*places)] & inside[0][:, None, None] & inside[1][:, None] & inside[2]
    z, y, x = scan.cells
    return np.asarray(there.reshape(z, CELL[0], y, CELL[1], x, CELL[2]).sum(axis=(1, 3, 5)).astype(np.uint8))


def told(case: "PhantomCase", scan: "Scan") -> dict[str, Any]:
    """All that is true of a case besides its voxels."""
    from medomni.phantom.truth import organs_in_view

    lesions = [{"kind": one.kind, "side": one.side, "box_mm": one.box_mm} for one in case.drawn]
    info = {
        "seed": case.seed,
        "region": str(case.region),
        "lesions": lesions,
        "facts": [asdict(fact) for fact in case.facts],
        "history": case.history,
        "age": case.age_years,
        "sex": case.sex,
        "phase": case.phase,
        "technique": asdict(case.technique),
        "organs": sorted(organs_in_view(case)),
        "start_mm": [float(value) for value in scan.grid.slice_origins_mm[0]],
    }
    return json.loads(json.dumps(info))  # type: ignore[no-any-return]  # as a file holds it
