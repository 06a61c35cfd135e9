"""Branching trees inside a lung: a trunk, many end points, and radii that thin out by Murray's law."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from medomni.phantom.canvas import Canvas, Field, Path3
from medomni.types.volume import Mask

MURRAY = 2.7
"""Exponent of r_parent^m = sum of r_child^m; Murray (1926) derives 3, less makes thinner twigs."""
_STEP_MM = 11.0
_THICK_MM = 3.2
"""Branches wider than this are drawn as cones one by one; the many thinner ones together as threads."""


@dataclass(frozen=True, eq=False)
class Tree:
    """Nodes (x, y, z in mm), the parent of each node (-1 for the root) and the radius at each node."""

    nodes: Float64[np.ndarray, "n 3"]
    parents: Int64[np.ndarray, "n"]
    radii: Float64[np.ndarray, "n"]


def grow(root: tuple[float, float, float], ends: Float64[np.ndarray, "e 3"], tip_mm: float, rng: np.random.Generator) -> Tree:
    """Return a tree from ``root`` to every end point."""
    return grow_trunks([np.array([root], dtype=np.float64)], [ends], tip_mm, rng)


def grow_trunks(
    trunks: list[Float64[np.ndarray, "_ 3"]], ends: list[Float64[np.ndarray, "_ 3"]], tip_mm: float, rng: np.random.Generator
) -> Tree:
    """Return a tree of several trunks that leave one root; each trunk feeds its own end points.

    Near ends are joined first, each to the place that costs the least way from the root.
    """
    nodes, parents = [trunks[0][:1]], [np.array([-1])]
    leaves: list[int] = []
    count = 1
    for trunk, goals in zip(trunks, ends, strict=True):
        branch, up, tips = _grow_one(trunk, goals, rng)
        shifted = np.where(up > 0, up + count - 1, 0)
        nodes.append(branch[1:])
        parents.append(shifted[1:])
        leaves.extend(int(tip) + count - 1 for tip in tips if tip > 0)
        count += len(branch) - 1
    all_parents = np.concatenate(parents)
    return Tree(np.concatenate(nodes), all_parents, _radii(all_parents, leaves, tip_mm))


def draw_vessels(canvas: Canvas, tree: Tree, filled: Field) -> None:
    """Draw every branch of the tree into ``filled`` (share of each voxel) in place."""
    child = np.arange(1, len(tree.nodes))
    up = tree.parents[child]
    first = np.minimum(tree.radii[up], 1.25 * tree.radii[child])
    _draw(canvas, filled, tree.nodes[up], tree.nodes[child], first, tree.radii[child])


def draw_bronchi(canvas: Canvas, tree: Tree, wall: Field, lumen: Field) -> None:
    """Draw an airway beside every branch of an artery tree that is wide enough to show one, in place."""
    child = np.arange(1, len(tree.nodes))
    radius = 0.85 * tree.radii[child]
    child, radius = child[radius >= 0.95], radius[radius >= 0.95]
    up = tree.parents[child]
    first = np.minimum(0.85 * tree.radii[up], 1.25 * radius)
    start, stop = tree.nodes[up].copy(), tree.nodes[child].copy()
    start[:, 1] += 2.1 * tree.radii[up]
    stop[:, 1] += 2.1 * tree.radii[child]
    _draw(canvas, wall, start, stop, first + 0.8, radius + 0.8)
    _draw(canvas, lumen, start, stop, first, radius)


def end_points(canvas: Canvas, inside: Mask, count: int, rng: np.random.Generator) -> Float64[np.ndarray, "e 3"]:
    """Random points (x, y, z in mm) inside a mask, the same for every sampling of one person; fewer when it is nearly empty."""
    points = rng.uniform((-175, -140, -60), (175, 120, 340), (60 * count, 3))
    index = []
    for axis, place in zip((canvas.z, canvas.y, canvas.x), points.T[::-1], strict=True):
        step = float(axis.flat[1] - axis.flat[0]) if axis.size > 1 else 1.0
        index.append(np.rint((place - float(axis.flat[0])) / step).astype(int))
    known = np.all([(k >= 0) & (k < n) for k, n in zip(index, canvas.shape, strict=True)], axis=0)
    points, index = points[known], [k[known] for k in index]
    return np.asarray(points[inside[index[0], index[1], index[2]]][:count])


def _grow_one(
    trunk: Float64[np.ndarray, "t 3"], goals: Float64[np.ndarray, "e 3"], rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "m 3"], Int64[np.ndarray, "m"], list[int]]:
    """Nodes, parents and leaves of the tree of one trunk."""
    order = np.argsort(np.linalg.norm(goals - trunk[-1], axis=1))
    capacity = len(trunk) + len(goals) * 30
    nodes, parents, length = np.zeros((capacity, 3)), np.full(capacity, -1), np.zeros(capacity)
    count = len(trunk)
    nodes[:count], parents[:count] = trunk, np.arange(-1, count - 1)
    length[1:count] = np.cumsum(np.linalg.norm(np.diff(trunk, axis=0), axis=1))
    # nothing grows off the stem: it only leads into the lobe
    stem, leaves = max(count - 2, 0), []
    for end in goals[order]:
        away = nodes[stem:count] - end
        distance = np.sqrt(np.einsum("ij,ij->i", away, away))
        parent = stem + int(np.argmin(distance + 0.2 * length[stem:count]))
        span = float(distance[parent - stem])
        steps = min(28, max(1, int(span / _STEP_MM)))
        share = (np.arange(1, steps + 1) / steps)[:, None]
        wobble = rng.normal(0, 0.07 * min(span, 40.0) / steps**0.5, (steps, 3)) * (share < 1)
        nodes[count : count + steps] = nodes[parent] + (end - nodes[parent]) * share + wobble
        parents[count : count + steps] = [parent, *range(count, count + steps - 1)]
        length[count : count + steps] = length[parent] + span * share[:, 0]
        count += steps
        leaves.append(count - 1)
    return nodes[:count], parents[:count], leaves


def _draw(canvas: Canvas, filled: Field, start: Path3, stop: Path3, first: np.ndarray, last: np.ndarray) -> None:
    thick = np.maximum(first, last) > _THICK_MM
    for k in np.flatnonzero(thick):
        canvas.add_tube(filled, np.stack([start[k], stop[k]]), np.array([first[k], last[k]]))
    for low, high in ((0.0, 1.0), (1.0, 1.8), (1.8, _THICK_MM)):
        chosen = ~thick & (np.maximum(first, last) > low) & (np.maximum(first, last) <= high)
        if chosen.any():
            canvas.add_threads(filled, start[chosen], stop[chosen], first[chosen], last[chosen])


def _radii(parents: Int64[np.ndarray, "n"], leaves: list[int], tip_mm: float) -> Float64[np.ndarray, "n"]:
    flow = np.zeros(len(parents))
    flow[leaves] = 1.0
    for node in range(len(parents) - 1, 0, -1):
        flow[parents[node]] += max(flow[node], 0.2)
    return np.asarray(tip_mm * np.maximum(flow, 1.0) ** (1 / MURRAY))
