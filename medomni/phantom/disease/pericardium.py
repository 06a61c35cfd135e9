"""Fluid in the pericardial sac: a ring round the heart that is widest behind and below (the patient lies on the back)."""

import numpy as np
from scipy import ndimage

from medomni.phantom.body import Body
from medomni.phantom.disease.host import firm, lesion_from, take_from_lungs
from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.record import on_whole
from medomni.phantom.disease.site import window

FLUID_HU = (2.0, 20.0)
"""HU of simple pericardial fluid."""


def pericardial_effusion(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Draw fluid whose ring is ``placed.size`` mm thick at its widest; the heart keeps its shape, lung and fat give way."""
    sac = body.parts.get("pericardium", body.parts["heart"]) | body.parts["heart"]
    frame = window(body.canvas, sac, placed.size + 6)
    inner = sac[frame.box]
    away = np.asarray(ndimage.distance_transform_edt(~inner, sampling=frame.spacing_mm), dtype=np.float32)
    middle = [float(axis.mean()) for axis in (frame.z, frame.y, frame.x)]
    reach = [float(np.ptp(axis)) / 2 for axis in (frame.z, frame.y, frame.x)]
    back, up = (frame.y - middle[1]) / reach[1], (frame.z - middle[0]) / reach[0]
    width = 0.62 + 0.33 * np.clip(back, -1, 1) - 0.12 * np.clip(up, -1, 1) + 0.07 * frame.soft_noise(rng, 45)
    # towards the great vessels the sac ends: no fluid above the roots
    width = np.clip(width, 0.2, 1) * np.clip((0.92 - up) / 0.25, 0, 1)
    free = ~firm(body)[frame.box] & body.parts["body"][frame.box] & ~inner
    step = float(np.cbrt(np.prod(frame.spacing_mm)))
    share = np.clip((np.float32(placed.size) * width - (away - step / 2)) / np.float32(step) + 0.5, 0, 1) * free
    share = np.asarray(ndimage.gaussian_filter(share, 0.3) * free, dtype=np.float32)
    mask = share > 0.5
    hu = body.hu[frame.box]
    hu += share * (np.float32(rng.uniform(*FLUID_HU)) + np.float32(1.5) * frame.soft_noise(rng, 25) - hu)
    whole = on_whole(frame, np.asarray(mask))
    take_from_lungs(body, whole)
    thickest = float(away[mask].max()) if mask.any() else 0.0
    return lesion_from(body.canvas, placed.kind, whole, {"thickness": thickest})
