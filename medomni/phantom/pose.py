"""How a person lies in the scanner: size, turn, bends of the spine and a smooth drift, as one reversible map.

Person space is the millimetre frame in which the anatomy of a mean adult is written (``person.py``); world space is the scan.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from medomni.phantom.canvas import Canvas
from medomni.phantom.lattice import Lattice, draw_lattice, values_at

_PIVOT = np.array([0.0, 0.0, 150.0])
_DRIFT_STEP_MM = 95.0
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Pose:
    """The map between person space and world space.

    Attributes:
        scale: size along x, y, z relative to the mean adult.
        turn: rotation matrix from person to world.
        bend_mm: sideways (scoliosis) and backward (kyphosis) swing of the trunk axis.
        phase: where along the trunk the swings peak (radians).
        drift_mm: deviation of the smooth drift.
        drift: one lattice for each of x, y, z.
    """

    scale: Float64[np.ndarray, "3"]
    turn: Float64[np.ndarray, "3 3"]
    bend_mm: tuple[float, float]
    phase: tuple[float, float]
    drift_mm: float
    drift: tuple[Lattice, Lattice, Lattice]

    def to_person(self, canvas: Canvas) -> tuple[Float32[np.ndarray, "z y x"], ...]:
        """Person coordinates x, y, z of every voxel of a canvas."""
        axes = (canvas.z.ravel(), canvas.y.ravel(), canvas.x.ravel())
        swing = self._swing(axes[0].astype(np.float64))
        moved = [np.float32(-self.drift_mm) * lattice.on(*axes) for lattice in self.drift]
        moved[0] += canvas.x - swing[0].astype(np.float32)[:, None, None]
        moved[1] += canvas.y - swing[1].astype(np.float32)[:, None, None]
        moved[2] += canvas.z - np.float32(_PIVOT[2])
        back = (self.turn.T / self.scale[:, None]).astype(np.float32)
        found = [row[0] * moved[0] + row[1] * moved[1] + row[2] * moved[2] for row in back]
        found[2] += np.float32(_PIVOT[2])
        return tuple(found)

    def to_world(self, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        """World coordinates of points in person space (fixed-point rounds; exact to about 0.01 mm)."""
        turned = (np.asarray(points, dtype=np.float64) - _PIVOT) * self.scale @ self.turn.T + _PIVOT
        world = turned.copy()
        for _ in range(_ROUNDS):
            world = turned + self.drift_mm * values_at(self.drift, world)
            sideways, backward = self._swing(world[:, 2])
            world[:, 0] += sideways
            world[:, 1] += backward
        return np.asarray(world)

    def _swing(self, z: Float64[np.ndarray, "n"]) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
        angle = (z - 150) / 320 * np.pi
        return self.bend_mm[0] * np.sin(angle + self.phase[0]), self.bend_mm[1] * np.cos(angle + self.phase[1])


def draw_pose(scale: tuple[float, float, float], rng: np.random.Generator) -> Pose:
    """Return a random pose of a person of the given size."""
    turn = _rotation(np.deg2rad(np.clip(rng.normal(0, (2.5, 2.0, 3.0)), -8, 8)))
    return Pose(
        scale=np.array(scale),
        turn=turn,
        bend_mm=(float(rng.normal(0, 4)), float(rng.normal(0, 4))),
        phase=(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(-0.5, 0.5))),
        drift_mm=float(rng.uniform(1.5, 4.5)),
        drift=(draw_lattice(rng, _DRIFT_STEP_MM), draw_lattice(rng, _DRIFT_STEP_MM), draw_lattice(rng, _DRIFT_STEP_MM)),
    )


def _rotation(angles: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        matrix = step @ matrix
    return matrix
