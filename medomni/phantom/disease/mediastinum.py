"""What grows in the mediastinum: enlarged lymph nodes and the hiatal hernia; both take their room from fat and lung.

A node is enlarged from a short axis of 10 mm on (Munden, JACR 2018).
"""

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from medomni.phantom.body import Body
from medomni.phantom.canvas import Field
from medomni.phantom.disease.host import firm, lesion_from, lung_of, moved, take_from_lungs
from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.placed import SEVERITIES, Placed
from medomni.phantom.disease.record import on_whole
from medomni.phantom.disease.site import Window, box_around, cut, window
from medomni.types.volume import Mask

NODE_HU = (25.0, 48.0)
"""HU of unenhanced nodes; a little above muscle where blood is enhanced."""
_TRIES = 30


def lymphadenopathy(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Draw one to five nodes; the largest has a short axis of ``placed.size`` mm in the axial plane."""
    variant = placed.variant or str(rng.choice(("mediastinal", "hilar", "axillary"), p=(0.6, 0.28, 0.12)))
    number = 1 + int(rng.integers(0, 2)) + SEVERITIES.index(placed.severity)
    blocked = firm(body) | ~body.parts["body"] | (body.hu > 140)
    mask = np.zeros(body.canvas.shape, dtype=bool)
    sizes, hu = [], np.float32(rng.uniform(*NODE_HU))
    for index in range(number):
        short = placed.size if index == 0 else max(8.0, placed.size * float(rng.uniform(0.5, 0.85)))
        drawn = _draw_node(body, _stations(body, variant), short, blocked | mask, float(hu), rng)
        if drawn is not None:
            mask |= drawn[0]
            sizes.append(drawn[1])
    take_from_lungs(body, mask)
    largest = max(sizes, default=(0.0, 0.0))
    facts = {"short_diameter": largest[0], "long_diameter": largest[1], "nodes": float(len(sizes))}
    return lesion_from(body.canvas, placed.kind, mask, facts, variant)


def hiatal_hernia(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Draw stomach above the diaphragm behind the heart, ``placed.size`` mm wide, with fluid, gas on top and fat around."""
    line = body.paths["esophagus"][0]
    dome = _hiatus_z(body, line)
    centre_z = dome + 0.42 * placed.size
    x, y = (float(np.interp(centre_z, line[::-1, 2], line[::-1, a])) for a in (0, 1))
    shift_x = -0.12 * placed.size if rng.random() < 0.5 else 0.12 * placed.size
    centre = np.array([x + shift_x, y - 0.1 * placed.size, centre_z])
    radii = np.array([0.5, 0.42, 0.55]) * placed.size
    frame, depth = _ball(body, centre, radii, 9)
    free = ~(firm(body, but=("esophagus", "stomach")) | ~body.parts["body"] | (body.hu > 140))[frame.box]
    pouch = free & (depth > 0)
    fat = free & (depth > -6) & ~pouch & (body.hu[frame.box] < -150)
    hu = body.hu[frame.box]
    hu[fat] = -100
    hu[pouch] = 38
    hollow = pouch & (depth > 3.5)
    hu[hollow] = np.float32(rng.uniform(5, 30)) + (4 * frame.soft_noise(rng, 9))[hollow]
    level = centre[1] - float(rng.uniform(-0.1, 0.25)) * placed.size
    hu[hollow & (frame.y < level)] = -950
    whole = on_whole(frame, pouch)
    body.parts["esophagus"] &= ~whole
    body.parts["stomach"] |= whole
    take_from_lungs(body, on_whole(frame, pouch | fat))
    found = np.flatnonzero(pouch.any(axis=(0, 1)))
    width = float(found[-1] - found[0] + 1) * frame.spacing_mm[2] if len(found) else 0.0
    return lesion_from(body.canvas, placed.kind, whole, {"width": width})


def axial_diameters_mm(mask: Mask, spacing_mm: tuple[float, float, float]) -> tuple[float, float]:
    """Short and long diameter of a mask in the axial plane of its largest area: the longest extent, and the one across it."""
    if not mask.any():
        return 0.0, 0.0
    plane = mask[int(np.argmax(mask.sum(axis=(1, 2))))]
    y, x = np.nonzero(plane)
    angle = np.deg2rad(np.arange(0, 180, 3))
    along = np.outer(x * spacing_mm[2], np.cos(angle)) + np.outer(y * spacing_mm[1], np.sin(angle))
    extent = along.max(axis=0) - along.min(axis=0) + 0.9 * min(spacing_mm[1:])
    best = int(np.argmax(extent))
    return float(extent[(best + 30) % 60]), float(extent[best])


def _draw_node(
    body: Body, stations: Float64[np.ndarray, "n 3"], short_mm: float, blocked: Mask, hu: float, rng: np.random.Generator
) -> tuple[Mask, tuple[float, float]] | None:
    """Draw one bean-shaped node where it has most room; return its mask and its measured short and long axis."""
    radii = np.array([short_mm / 2, short_mm / 2 * rng.uniform(1.1, 1.6), short_mm / 2 * rng.uniform(1.1, 1.8)])
    best: tuple[float, Window, Field] | None = None
    for _ in range(_TRIES):
        place = stations[int(rng.integers(len(stations)))] + rng.normal(0, 5, 3)
        if box_around(body.canvas, place - 2, place + 2) is None:
            continue
        frame, depth = _ball(body, place, radii, 2)
        inside = depth > 0
        room = float((inside & ~blocked[frame.box]).sum()) / max(1, int(inside.sum()))
        if best is None or room > best[0]:
            best = (room, frame, depth)
        if room > 0.97:
            break
    if best is None or best[0] < 0.35:
        return None
    _, frame, depth = best
    step = float(np.cbrt(np.prod(frame.spacing_mm)))
    share = np.asarray(np.clip(depth / np.float32(step) + 0.5, 0, 1) * ~blocked[frame.box], dtype=np.float32)
    parts, count = ndimage.label(share > 0.5)
    if not count:
        return None
    keep = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    share *= ndimage.binary_dilation(keep)
    inner = body.hu[frame.box]
    inner += share * (hu - inner)
    return on_whole(frame, np.asarray(keep)), axial_diameters_mm(np.asarray(keep), frame.spacing_mm)


def _stations(body: Body, variant: str) -> Float64[np.ndarray, "n 3"]:
    """Where nodes of a group lie: beside and below the trachea, at the hila, in the armpits."""
    trachea, radius = body.paths["trachea"]
    carina = trachea[np.argmin(trachea[:, 2])]
    r = float(np.mean(radius))
    if variant == "mediastinal":
        offsets = [(-r - 9, -6, 22), (-r - 8, -8, 38), (1, 8, -22), (2, 10, -30), (r + 11, -6, 8), (-3, -24, 42)]
        return np.asarray(carina + np.array(offsets, dtype=np.float64))
    if variant == "hilar":
        ends = [body.paths[name][0][-1] for name in ("bronchus_right", "bronchus_left") if name in body.paths]
        ends = ends or [moved(carina, -38, -5, -30), moved(carina, 44, -3, -30)]
        around = [(0, -14, 4), (0, 12, -6), (0, 0, -18), (0, -8, 16)]
        outwards = [np.array([np.sign(end[0] - carina[0]) * 8, 0, 0]) for end in ends]
        return np.array([end + out + np.array(a) for end, out in zip(ends, outwards, strict=True) for a in around])
    lungs = np.flatnonzero((lung_of(body, "right") | lung_of(body, "left")).any(axis=(0, 1)))
    ends = [float(body.canvas.x.flat[lungs[k]]) for k in (0, -1)] if len(lungs) else [-130.0, 130.0]
    high = ((24, -12, 24), (28, 2, 34), (22, -24, 40), (30, 8, 48))
    return np.array([(end + np.sign(end) * x, y, carina[2] + z) for end in ends for x, y, z in high])


def _hiatus_z(body: Body, line: Float64[np.ndarray, "n 3"]) -> float:
    """Height at which the oesophagus passes the diaphragm: the top of the stomach, 15 mm above it at most."""
    stomach = np.flatnonzero(body.parts["stomach"].any(axis=(1, 2)))
    top = float(body.canvas.z.flat[stomach[-1]]) if len(stomach) else float(line[:, 2].min()) + 40
    return min(top, float(np.percentile(line[:, 2], 70)))


def _ball(
    body: Body, centre: Float64[np.ndarray, "3"], radii: Float64[np.ndarray, "3"], margin_mm: float
) -> tuple[Window, Field]:
    """A window round an ellipsoid and the depth of each voxel inside it (mm, negative outside)."""
    reach = np.max(radii) + margin_mm
    box = box_around(body.canvas, centre - reach, centre + reach)
    if box is None:
        frame = window(body.canvas, body.parts["heart"], 0)
        return frame, np.full(frame.shape, -1.0, dtype=np.float32)
    frame = cut(body.canvas, box)
    square = [((axis - c) / r) ** 2 for axis, c, r in zip((frame.x, frame.y, frame.z), centre, radii, strict=True)]
    rho = np.sqrt(square[0] + square[1] + square[2])
    return frame, np.asarray((1 - rho) * float(np.min(radii)), dtype=np.float32)
