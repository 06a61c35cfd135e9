"""Lungs and a body to fall ill in tests: a smooth lung made of arrays, and one coarse phantom body drawn once."""

from dataclasses import replace
from functools import cache

import numpy as np

from medomni.phantom.body import Body, draw_body
from medomni.phantom.canvas import Canvas
from medomni.phantom.disease.site import Site, window
from medomni.phantom.person import make_person

SPACING_MM = (3.0, 2.5, 2.5)


def chest(shape=(60, 70, 84), spacing_mm=SPACING_MM, noise_hu=15.0):
    """HU and the lungs of a chest of two ellipsoids in soft tissue, the right one of 1.4 litres and a little vessel in each."""
    canvas = Canvas(shape, spacing_mm, 0.0)
    rng = np.random.default_rng(0)
    hu = np.full(shape, -1000.0, dtype=np.float32)
    hu[canvas.ellipsoid((0, 0, 0), (100, 84, 400))] = 35
    lungs = {}
    for side, x in (("right", -46.0), ("left", 46.0)):
        lung = canvas.ellipsoid((x, 0.0, 0.0), (38, 62, 78))
        hu[lung] = -850
        vessel = canvas.tube(
            np.array([(x - np.sign(x) * 30, 0.0, 0.0), (x, 5.0, 20.0), (x + np.sign(x) * 12, 12.0, 40.0)]), np.full(3, 3.0)
        )
        hu += np.where(lung, vessel * (40 - hu), 0).astype(np.float32)
        lungs[f"lung_{side}"] = lung
    return (hu + rng.normal(0, noise_hu, shape)).astype(np.float32), lungs


def site(side="right"):
    """The lung of a side of the noise-free chest, split into an upper and a lower lobe by an oblique plane."""
    hu, lungs = chest(noise_hu=0.0)
    canvas = Canvas(hu.shape, SPACING_MM, 0.0)
    lung = lungs[f"lung_{side}"]
    frame = window(canvas, lung, 8.0)
    inside = lung[frame.box]
    low = np.asarray(frame.y - 0.8 * frame.z > 0)
    lobes = {f"lung_lower_lobe_{side}": inside & low, f"lung_upper_lobe_{side}": inside & ~low}
    return Site(frame, hu[frame.box].copy(), inside, side, lobes)


@cache
def _body(seed: int) -> Body:
    canvas = Canvas((80, 84, 124), (4.0, 3.5, 3.5), 110.0)
    return draw_body(canvas, make_person(seed), np.random.default_rng([seed, 2]))


def body(seed=0):
    """A phantom body from the kidneys to the neck that a test may change."""
    drawn = _body(seed)
    return replace(drawn, hu=drawn.hu.copy(), parts={name: mask.copy() for name, mask in drawn.parts.items()})
