"""Calcium in the walls of arteries: plaques along the coronary arteries and in the aorta.

The truth is what a non-gated scan shows: voxels of 130 HU and more, their volume score (mm3) and an Agatston-like score
(Agatston, JACC 1990: area per slice weighted by the peak, scaled from 3 mm slices).
"""

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from medomni.phantom.body import Body
from medomni.phantom.canvas import Canvas, Field, Path3
from medomni.phantom.disease.host import lesion_from
from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.record import on_whole
from medomni.phantom.disease.site import window
from medomni.types.volume import Mask

CALCIUM_HU = 130.0
PLAQUE_HU = (350.0, 1100.0)
"""Peak of plaques of a millimetre and more at 120 kV; partial volume lowers what small ones show."""
_CORONARIES = ("coronary_left_anterior_descending", "coronary_left_main", "coronary_circumflex", "coronary_right")
_SHARES = (0.5, 0.1, 0.18, 0.22)


def coronary_calcification(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Draw plaques along the coronary arteries until about ``placed.size`` mm3 show 130 HU."""
    paths = {name: body.paths[name][0] for name in _CORONARIES if name in body.paths}
    if not paths:
        paths = _surface_paths(body)
    frame = window(body.canvas, body.parts["heart"], 12)
    hu = body.hu[frame.box]
    healthy = hu.copy()
    chances = np.array([_SHARES[_CORONARIES.index(name)] for name in paths])
    for _ in range(80):
        if _volume_mm3(frame, _calcium(hu, healthy)) >= placed.size:
            break
        line = list(paths.values())[int(rng.choice(len(paths), p=chances / chances.sum()))]
        plaque = np.zeros(frame.shape, dtype=np.float32)
        start = float(rng.beta(1.2, 2.2)) * 0.85
        piece = _piece(line, start, float(rng.uniform(2, 5 + placed.size**0.4)))
        radius = float(rng.uniform(0.7, 1.2 + 0.1 * placed.size ** (1 / 3)))
        frame.add_tube(plaque, piece, np.full(len(piece), radius))
        hu += plaque * np.maximum(np.float32(rng.uniform(*PLAQUE_HU)) - hu, 0)
    return _calcified(body.canvas, placed.kind, on_whole(frame, _calcium(hu, healthy)), body.hu)


def arterial_calcification(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Draw plaques in the wall of the aorta, ``placed.size`` mm3 of them, more in the arch and the lower aorta."""
    frame = window(body.canvas, body.parts["aorta"], 4)
    aorta, canvas = body.parts["aorta"][frame.box], body.canvas
    # the wall is the outermost 1.6 mm, one voxel at least
    depth = ndimage.distance_transform_edt(aorta, sampling=frame.spacing_mm)
    rim = aorta & (depth <= max(1.6, 1.05 * min(frame.spacing_mm)))
    high, low = np.max(frame.z[aorta.any(axis=(1, 2))]), np.min(frame.z[aorta.any(axis=(1, 2))])
    up = (frame.z - low) / max(1.0, float(high - low))
    score = frame.soft_noise(rng, 11) + 0.6 * frame.soft_noise(rng, 35) + 0.8 * np.abs(up - 0.5)
    values = score[rim]
    count = int(np.clip(round(placed.size / 1000 / canvas.voxel_ml), 1, max(1, len(values) - 1)))
    chosen = np.zeros_like(rim)
    chosen[rim] = values >= np.partition(values, len(values) - count)[len(values) - count] if len(values) else False
    hu = body.hu[frame.box]
    peak = np.float32(rng.uniform(*PLAQUE_HU)) * (1 + 0.25 * frame.soft_noise(rng, 8))
    hu[chosen] = np.maximum(peak, 180)[chosen]
    return _calcified(canvas, placed.kind, on_whole(frame, chosen), body.hu)


def _calcium(hu: Field, healthy: Field) -> Mask:
    """Voxels that show calcium; in enhanced blood they must also stand out."""
    return np.asarray((hu >= CALCIUM_HU) & (hu > healthy + 60))


def agatston(hu: Field, mask: Mask, spacing_mm: tuple[float, float, float]) -> float:
    """Agatston-like score of the calcified voxels of a mask, each slice weighted by its peaks."""
    total = 0.0
    for k in np.flatnonzero(mask.any(axis=(1, 2))):
        parts, count = ndimage.label(mask[k])
        if not count:
            continue
        owner = parts[mask[k]] - 1
        areas = np.bincount(owner, minlength=count) * spacing_mm[1] * spacing_mm[2]
        peaks = np.full(count, -np.inf)
        np.maximum.at(peaks, owner, hu[k][mask[k]])
        total += float((areas * np.clip(np.floor(peaks / 100), 1, 4)).sum())
    return total * spacing_mm[0] / 3


def _calcified(canvas: Canvas, kind: str, mask: Mask, hu: Field) -> Lesion:
    facts = {"calcium_volume_mm3": _volume_mm3(canvas, mask), "agatston": agatston(hu, mask, canvas.spacing_mm)}
    return lesion_from(canvas, kind, mask, facts)


def _volume_mm3(canvas: Canvas, mask: Mask) -> float:
    return float(mask.sum()) * canvas.voxel_ml * 1000


def _piece(line: Path3, start: float, length_mm: float) -> Float64[np.ndarray, "4 3"]:
    """A stretch of a line that begins at a share of its length."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    places = np.linspace(start * along[-1], min(along[-1], start * along[-1] + length_mm), 4)
    return np.stack([np.interp(places, along, line[:, a]) for a in range(3)], axis=1)


def _surface_paths(body: Body) -> dict[str, Path3]:
    """Courses on the surface of the heart where a body names none: down the front, round the left and the right border."""
    places = np.argwhere(body.parts["heart"])
    if not len(places):
        return {"coronary_left_anterior_descending": np.zeros((2, 3))}
    canvas = body.canvas
    z, y, x = (axis.ravel()[places[:, a]].astype(np.float64) for a, axis in enumerate((canvas.z, canvas.y, canvas.x)))
    low, high = np.percentile(z, (15, 90))
    lines: dict[str, Float64[np.ndarray, "n 3"]] = {}
    for name, along, across in (
        ("coronary_left_anterior_descending", -0.9, 0.45),
        ("coronary_circumflex", 0.3, 0.95),
        ("coronary_right", -0.5, -0.85),
    ):
        points = []
        for height in np.linspace(high, low, 8):
            near = np.abs(z - height) < 1.5 * canvas.spacing_mm[0]
            if near.any():
                best = int(np.argmax(along * y[near] + across * x[near]))
                points.append((x[near][best], y[near][best], height))
        lines[name] = np.array(points)
    return lines
