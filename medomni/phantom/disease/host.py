"""A drawn body as diseases see it: sites of its lungs, room for what grows, and lesions recorded from masks.

Changes ``body.hu`` and ``body.parts`` in place; a disease that takes room takes it from fat and lung.
"""

import numpy as np
from jaxtyping import Float64

from medomni.anatomy import LOBES
from medomni.phantom.body import Body
from medomni.phantom.canvas import Canvas
from medomni.phantom.disease.lesion import Lesion, box_of, centre_of
from medomni.phantom.disease.site import Box, Site, Window, window
from medomni.phantom.trees import draw_bronchi
from medomni.types.volume import Mask

FIRM = (
    *("heart", "aorta", "pulmonary_artery", "airway", "esophagus", "vertebrae", "ribs", "liver", "spleen"),
    *("kidney_right", "kidney_left", "stomach", "pancreas", "gallbladder"),
)
"""Structures that nothing grows into."""


def lung_of(body: Body, side: str) -> Mask:
    """All lobes of a side."""
    return np.asarray(np.logical_or.reduce([body.parts[name] for name in LOBES[side]]))


def site_of(body: Body, side: str) -> Site:
    """The lung of a side, with its lobes and bronchi, on a window of the body."""
    lung = lung_of(body, side)
    frame = window(body.canvas, lung, 8.0)
    lobes = {name: body.parts[name][frame.box] for name in LOBES[side]}
    wall, lumen = (np.zeros(frame.shape, dtype=np.float32) for _ in range(2))
    tree = body.trees.get(f"artery_{side}")
    if tree is not None:
        draw_bronchi(frame, tree, wall, lumen)
    return Site(frame, body.hu[frame.box].copy(), lung[frame.box], side, lobes, lumen)


def box_of_site(site: Site) -> Box:
    """Where the window of a site lies in the body."""
    assert isinstance(site.canvas, Window)  # noqa: S101  (our own mistake: sites of a body are windows)
    return site.canvas.box


def take_from_lungs(body: Body, mask: Mask) -> None:
    """Remove what is no lung any more from every lobe, in place."""
    for name in (*LOBES["right"], *LOBES["left"]):
        body.parts[name] &= ~mask


def firm(body: Body, *, but: tuple[str, ...] = ()) -> Mask:
    """Everything that keeps its place when something grows beside it."""
    return np.asarray(np.logical_or.reduce([body.parts[name] for name in FIRM if name not in but]))


def lesion_from(canvas: Canvas, kind: str, mask: Mask, facts: dict[str, float], variant: str = "", side: str = "") -> Lesion:
    """Return a lesion that is no change of a lung."""
    volume = float(mask.sum()) * canvas.voxel_ml
    centre, box = centre_of(canvas, mask), box_of(canvas, mask)
    return Lesion(kind, variant, mask, side, "", centre, box, {"volume": volume, **facts}, {})


def moved(point: Float64[np.ndarray, "3"], x_mm: float, y_mm: float, z_mm: float) -> Float64[np.ndarray, "3"]:
    """The point a step further to the left, to the back and to the head."""
    return np.asarray(point + np.array([x_mm, y_mm, z_mm]))
