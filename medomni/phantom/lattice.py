"""Smooth random fields that are fixed in patient space, so that every sampling of a person shows the same person.

Knows nothing about anatomy.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

_LOW_MM = (-360.0, -240.0, -300.0)
"""First node (z, y, x) of every lattice."""
_HIGH_MM = (460.0, 240.0, 300.0)
_DEVIATION = 0.33
"""Deviation of white noise after a cubic B-spline along three axes: (151/315)^(3/2)."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """A cubic B-spline field of mean 0 and about unit deviation on nodes ``step_mm`` apart."""

    values: Float32[np.ndarray, "k j i"]
    step_mm: float

    def on(
        self, z: Float32[np.ndarray, "z"], y: Float32[np.ndarray, "y"], x: Float32[np.ndarray, "x"]
    ) -> Float32[np.ndarray, "z y x"]:
        """The field on a grid given by its axes in millimetres."""
        along = [self._weights(axis, low, count) for axis, low, count in zip((z, y, x), _LOW_MM, self.values.shape, strict=True)]
        field = self.values @ along[2].T
        field = np.matmul(along[1], field)
        return np.asarray((along[0] @ field.reshape(len(field), -1)).reshape(len(z), len(y), len(x)))

    def _weights(self, axis: Float32[np.ndarray, "n"], low: float, count: int) -> Float32[np.ndarray, "n k"]:
        place = (axis.astype(np.float64) - low) / self.step_mm
        node = np.floor(place).astype(int)
        weights = np.zeros((len(axis), count), dtype=np.float32)
        for tap, share in enumerate(_shares(place - node).T, start=-1):
            np.add.at(weights, (np.arange(len(axis)), np.clip(node + tap, 0, count - 1)), share)
        return weights


def values_at(lattices: tuple[Lattice, ...], points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n lattice"]:
    """The fields of lattices of one step at points (x, y, z) in millimetres."""
    shape, step = lattices[0].values.shape, lattices[0].step_mm
    place = (points[:, ::-1] - np.array(_LOW_MM)) / step
    low = np.floor(place).astype(int)
    shares = _shares(place - low)
    nodes = [np.clip(low[:, axis, None] + np.arange(-1, 3), 0, shape[axis] - 1) for axis in range(3)]
    index = (nodes[0][:, :, None, None] * shape[1] + nodes[1][:, None, :, None]) * shape[2] + nodes[2][:, None, None, :]
    weight = shares[:, 0, :, None, None] * shares[:, 1, None, :, None] * shares[:, 2, None, None, :]
    return np.stack([np.einsum("nkji,nkji->n", weight, lattice.values.ravel()[index]) for lattice in lattices], axis=1)


def draw_lattice(rng: np.random.Generator, step_mm: float) -> Lattice:
    """Return a random lattice; it takes the same number of draws whatever will be drawn with it."""
    count = [int((high - low) / step_mm) + 4 for low, high in zip(_LOW_MM, _HIGH_MM, strict=True)]
    return Lattice(rng.standard_normal(count, dtype=np.float32) / np.float32(_DEVIATION), step_mm)


def _shares(t: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "... 4"]:
    """Weights of the four nodes around a place, a share ``t`` after the second (cubic B-spline)."""
    return np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=-1) / 6
