"""Case -> how likely each label is at each place, as the near network of the omni model sees it.

One pass over the chest serves every detector of what has no sharp border or no density of its own, and the model's own look
after them, which begins where the network ends. Knows no finding.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from medomni.model.config import LABELS
from medomni.model.omni_folder import SHIPPED
from medomni.model.scan import CELL
from medomni.types.volume import Grid
from preprocessing.detect.case import Case
from preprocessing.detect.place import world_mm
from preprocessing.morphology import Mask3D
from preprocessing.resample import index_axes
from preprocessing.scan import to_scan

SHOWN = 0.5
"""Probability from which a place shows a label."""
COARSEST_SLICE_MM, COARSEST_PIXEL_MM = 5.5, 2.5
"""Sampling up to which opacities are judged, for beyond it partial volume at the diaphragm looked like ground glass, and up to
which the network looks: it was shown slices of 5 mm at most."""
SOURCE = "omni_network"
"""Source of the evidence that rests on it."""


@dataclass(frozen=True, eq=False)
class Places:
    """What the network sees.

    Attributes:
        probability: of each label of the model in cells of 5 x 6 x 6 mm.
        grid: that of the scan they are cells of.
        is_blind: whether the study's voxels are too far apart for it; that nothing is likely then speaks against nothing.
    """

    probability: Float32[np.ndarray, "label z y x"]
    grid: Grid
    is_blind: bool = False

    def on_coarse(self, label: str, case: Case) -> Float32[np.ndarray, "z y x"]:
        """Probability of a label on the case's coarse grid, 0 outside of what the network saw."""
        cells = np.pad(self.probability[LABELS.index(label)], 1)  # cell -1 and cell n are those outside
        through = case.coarse.full.order.index(0)  # the axis of the study's slices, which may be shifted against each other
        along = []
        for axis in range(3):
            counts = [n if k in (axis, through) else 1 for k, n in enumerate(case.coarse.hu.shape)]
            index = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1)
            along.append(self._cells_at(case, index)[..., axis])
        return np.asarray(cells[tuple(along)])

    def shown(self, label: str, case: Case) -> Mask3D:
        """Where the case shows a label, on its coarse grid."""
        return self.on_coarse(label, case) >= SHOWN

    def _cells_at(self, case: Case, index: Int64[np.ndarray, "... 3"]) -> Int64[np.ndarray, "... 3"]:
        """The padded cells in which coarse voxels lie."""
        offset: Float64[np.ndarray, "... 3"] = world_mm(case, index) - self.grid.slice_origins_mm[0]
        voxel = offset @ index_axes(self.grid).T
        cell = np.floor((voxel + 0.5) / np.array(CELL)).astype(np.int64)
        return np.asarray(np.clip(cell, -1, np.array(self.probability.shape[1:])) + 1)


def is_fine_enough(grid: Grid) -> bool:
    """Whether the sampling tells an opacity from the partial volume at diaphragm, vessels and fluid."""
    slice_mm, row_mm, column_mm = grid.spacing_mm
    return slice_mm <= COARSEST_SLICE_MM and max(row_mm, column_mm) <= COARSEST_PIXEL_MM


def places(case: Case) -> Places:
    """Return what the network sees; keep it with ``case.once(places)``."""
    from medomni.model.omni_runtime import cells_of

    scan = to_scan(case.volume, case.segmentation).focused()
    if not is_fine_enough(case.volume.grid):
        return Places(np.zeros((len(LABELS), *scan.cells), np.float32), scan.grid, is_blind=True)
    return Places(cells_of(SHIPPED, scan.codes, scan.structures), scan.grid)
