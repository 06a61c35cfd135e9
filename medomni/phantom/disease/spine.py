"""A vertebra that has lost height: wedge, biconcave or crush fracture (Genant, J Bone Miner Res 1993)."""

import numpy as np
from jaxtyping import Float64

from medomni.phantom.body import Body
from medomni.phantom.canvas import Field
from medomni.phantom.disease.host import lesion_from
from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.record import on_whole
from medomni.phantom.disease.site import Window, box_around, cut
from medomni.types.volume import Mask

BODY_SHARE = 0.78
"""Share of a vertebra and the disc below it that its body takes."""
SCLEROSIS_HU = 70.0
"""Pressed trabeculae are denser than before."""
_DISC_HU = 75.0
_WIDTH_MM = 25.0


def vertebral_fracture(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Press one vertebral body so that it loses ``placed.size`` percent of its height in front, in the middle or everywhere.

    The vertebra lies in the middle of the volume; without a vertebra in view nothing is drawn.
    """
    variant = placed.variant or str(rng.choice(("wedge", "biconcave", "crush"), p=(0.6, 0.25, 0.15)))
    chosen = _choose(body, rng)
    if chosen is None:
        return lesion_from(body.canvas, placed.kind, np.zeros(body.canvas.shape, dtype=bool), {"height_loss": 0.0}, variant)
    top, bottom, half_depth = chosen
    middle = (top + bottom) / 2
    reach = np.array([_WIDTH_MM, half_depth + 4, 0.5 * (top[2] - bottom[2]) + 3])
    box = box_around(body.canvas, middle - reach, middle + reach)
    assert box is not None  # noqa: S101  (the chosen vertebra lies in the canvas)
    frame = cut(body.canvas, box)
    height = BODY_SHARE * float(top[2] - bottom[2])
    forward = np.clip((middle[1] - frame.y) / (2 * half_depth) + 0.5, 0, 1).astype(np.float32)
    loss = placed.size / 100 * _pattern(variant, forward)
    below_top = np.asarray(top[2] - frame.z + 0 * frame.x + 0 * frame.y, dtype=np.float32)
    in_body = (below_top >= -0.5) & (below_top <= height) & (frame.y < middle[1] + half_depth)
    source = height - (height - below_top) / np.maximum(1 - loss, 0.2)
    bone = body.parts["vertebrae"][box]
    hu = body.hu[box]
    pressed, moved = _along_z(frame, hu, source, below_top), _nearest_along_z(frame, bone, source, below_top)
    emptied = in_body & (source < 0) & bone
    was = bone & in_body
    hu[in_body] = np.where(moved, pressed + SCLEROSIS_HU * loss, hu)[in_body]
    hu[emptied] = _DISC_HU
    bone[in_body] = (moved & (source >= 0))[in_body]
    facts = {"height_loss": placed.size, "level_z": float(middle[2])}
    return lesion_from(body.canvas, placed.kind, on_whole(frame, np.asarray(was & bone)), facts, variant)


def _choose(body: Body, rng: np.random.Generator) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"], float] | None:
    """Top and bottom (mm) of a vertebra that is wholly in view, and half its depth."""
    if "spine" not in body.paths:
        return None
    points, half_depth = body.paths["spine"]
    low, high = float(body.canvas.z.min()) + 4, float(body.canvas.z.max()) - 4
    seen = [k for k in range(len(points) - 1) if points[k + 1, 2] > low and points[k, 2] < high]
    if not seen:
        return None
    # fractures gather at the thoracolumbar junction, then in the middle of the thoracic spine
    middle = len(seen) // 2
    k = seen[int(np.clip(round(float(rng.normal(middle, 0.2 * len(seen)))), 0, len(seen) - 1))]
    return points[k], points[k + 1], float(half_depth[k])


def _pattern(variant: str, forward: Field) -> Field:
    """Share of the loss at each place between the back (0) and the front (1) of the body."""
    if variant == "wedge":
        return np.asarray(forward, dtype=np.float32)
    if variant == "biconcave":
        return np.asarray(1 - np.abs(2 * forward - 1) ** 2, dtype=np.float32)
    return np.ones_like(forward)


def _along_z(frame: Window, hu: Field, source: Field, below_top: Field) -> Field:
    place = _index(frame, source, below_top)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, hu.shape[0] - 1)
    part = place - low
    return np.asarray(np.take_along_axis(hu, low, 0) * (1 - part) + np.take_along_axis(hu, high, 0) * part, dtype=np.float32)


def _nearest_along_z(frame: Window, mask: Mask, source: Field, below_top: Field) -> Mask:
    return np.asarray(np.take_along_axis(mask, np.rint(_index(frame, source, below_top)).astype(np.intp), 0))


def _index(frame: Window, source: Field, below_top: Field) -> Field:
    """Slice from which each voxel takes its value; the top of the body moves down, so the source lies above."""
    own = np.arange(frame.shape[0], dtype=np.float32)[:, None, None]
    return np.asarray(np.clip(own + (below_top - source) / frame.spacing_mm[0], 0, frame.shape[0] - 1), dtype=np.float32)
