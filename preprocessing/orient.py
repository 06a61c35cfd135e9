"""Volume -> the same voxels in patient order: (z up to the head, y to the back, x to the left), and back again.

Only whole axes are swapped or flipped, so nothing is resampled and nothing is copied; a tilted stack stays tilted.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Shaped

from medomni.types.volume import Grid, Volume


@dataclass(frozen=True, eq=False)
class Canonical:
    """A view of an array with axes in patient order.

    Attributes:
        hu: the volume's CT numbers, axes (feet to head, front to back, right to left).
        spacing_mm: distance of neighbouring voxels along those axes.
        order: source axis of each canonical axis.
        flips: whether each canonical axis runs against its source axis.
    """

    hu: Shaped[np.ndarray, "z y x"]
    spacing_mm: tuple[float, float, float]
    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def view(self, array: Shaped[np.ndarray, "a b c"]) -> Shaped[np.ndarray, "z y x"]:
        """An array of the study's grid, seen in patient order."""
        return array.transpose(self.order)[_steps(self.flips)]

    def restore(self, array: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "a b c"]:
        """An array in patient order, put back on the study's grid."""
        return np.ascontiguousarray(array[_steps(self.flips)].transpose(np.argsort(self.order)))


def canonical(volume: Volume) -> Canonical:
    """The volume seen in patient order; where no orientation is stated, the usual one (rows run to the left) is assumed."""
    axes = grid_axes(volume.grid)
    order = _assign(np.abs(axes[:, ::-1]))
    flips = tuple(bool(axes[source, 2 - target] < 0) for target, source in enumerate(order))
    plain = Canonical(volume.hu, volume.grid.spacing_mm, order, flips)  # type: ignore[arg-type]
    spacing = tuple(volume.grid.spacing_mm[source] for source in order)
    return Canonical(plain.view(volume.hu), spacing, order, flips)  # type: ignore[arg-type]


def grid_axes(grid: Grid) -> Float64[np.ndarray, "3 3"]:
    """Unit vectors (LPS) of the grid's (slice, row, column) axes."""
    return np.stack([grid.normal, grid.column_direction, grid.row_direction])


def _assign(strength: Float64[np.ndarray, "3 3"]) -> tuple[int, int, int]:
    """Give each patient axis (columns: z, y, x) the source axis that lies closest to it, strongest first."""
    order = [-1, -1, -1]
    left = strength.copy()
    for _ in range(3):
        source, target = np.unravel_index(int(np.argmax(left)), (3, 3))
        order[target] = int(source)
        left[source, :], left[:, target] = -1.0, -1.0
    return order[0], order[1], order[2]


def _steps(flips: tuple[bool, bool, bool]) -> tuple[slice, slice, slice]:
    return tuple(slice(None, None, -1 if flip else 1) for flip in flips)  # type: ignore[return-value]
