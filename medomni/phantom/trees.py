"""Branching trees inside a lung: a root, many end points, and radii that thin out by Murray's law."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from medomni.phantom.canvas import Canvas, Field
from medomni.types.volume import Mask

MURRAY = 2.7
"""Exponent of r_parent^m = sum of r_child^m; 2.7 for pulmonary arteries (Mauroy and Bokov, Phys Biol 2010)."""
_STEP_MM = 11.0


@dataclass(frozen=True, eq=False)
class Tree:
    """Nodes (x, y, z in mm), the parent of each node (-1 for the root) and the radius at each node."""

    nodes: Float64[np.ndarray, "n 3"]
    parents: Int64[np.ndarray, "n"]
    radii: Float64[np.ndarray, "n"]


def grow(root: tuple[float, float, float], ends: Float64[np.ndarray, "e 3"], tip_mm: float, rng: np.random.Generator) -> Tree:
    """Return a tree from ``root`` to every end point; near ends are joined first, each to its cheapest place."""
    order = np.argsort(np.linalg.norm(ends - root, axis=1))
    capacity = 1 + len(ends) * 30
    nodes, parents, length = np.zeros((capacity, 3)), np.full(capacity, -1), np.zeros(capacity)
    nodes[0] = root
    count, leaves = 1, []
    for end in ends[order]:
        distance = np.linalg.norm(nodes[:count] - end, axis=1)
        parent = int(np.argmin(distance + 0.2 * length[:count]))
        steps = min(28, max(1, int(distance[parent] / _STEP_MM)))
        for share in np.arange(1, steps + 1) / steps:
            wobble = rng.normal(0, 0.9, 3) * (share < 1)
            nodes[count] = nodes[parent] + (end - nodes[parent]) / max(1, round((1 - share) * steps) + 1) + wobble
            parents[count], length[count] = parent, length[parent] + float(np.linalg.norm(nodes[count] - nodes[parent]))
            parent, count = count, count + 1
        leaves.append(parent)
    return Tree(nodes[:count], parents[:count], _radii(parents[:count], leaves, tip_mm))


def draw_vessels(canvas: Canvas, tree: Tree, filled: Field) -> None:
    """Draw every branch of the tree into ``filled`` in place."""
    for node in range(1, len(tree.nodes)):
        parent = tree.parents[node]
        path = tree.nodes[[parent, node]]
        canvas.add_tube(filled, path, np.array([min(tree.radii[parent], 1.25 * tree.radii[node]), tree.radii[node]]))


def draw_bronchi(canvas: Canvas, tree: Tree, wall: Field, lumen: Field) -> None:
    """Draw an airway beside every branch of an artery tree that is wide enough to show one, in place."""
    for node in range(1, len(tree.nodes)):
        parent = tree.parents[node]
        radius = 0.85 * tree.radii[[parent, node]]
        if radius[1] < 0.95:
            continue
        path = tree.nodes[[parent, node]] + (0.0, 2.1, 0.0) * tree.radii[[parent, node], None]
        canvas.add_tube(wall, path, np.minimum(radius, 1.25 * radius[1]) + 0.7)
        canvas.add_tube(lumen, path, np.minimum(radius, 1.25 * radius[1]))


def end_points(canvas: Canvas, inside: Mask, count: int, rng: np.random.Generator) -> Float64[np.ndarray, "e 3"]:
    """Random points (x, y, z in mm) inside a mask; fewer when the mask is nearly empty."""
    flat = np.flatnonzero(inside)
    if not len(flat):
        return np.zeros((0, 3))
    z, y, x = np.unravel_index(rng.choice(flat, size=min(count, len(flat)), replace=False), canvas.shape)
    return np.stack([canvas.x.ravel()[x], canvas.y.ravel()[y], canvas.z.ravel()[z]], axis=1).astype(np.float64)


def _radii(parents: Int64[np.ndarray, "n"], leaves: list[int], tip_mm: float) -> Float64[np.ndarray, "n"]:
    flow = np.zeros(len(parents))
    flow[leaves] = 1.0
    for node in range(len(parents) - 1, 0, -1):
        flow[parents[node]] += max(flow[node], 0.2)
    return np.asarray(tip_mm * np.maximum(flow, 1.0) ** (1 / MURRAY))
