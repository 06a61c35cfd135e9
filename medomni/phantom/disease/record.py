"""A painted layer -> the lesion it is: the mask on the whole canvas, its place and its true measurements."""

import numpy as np
from jaxtyping import Bool

from medomni.phantom.canvas import Canvas
from medomni.phantom.disease.lesion import Lesion, box_of, centre_of, lobe_of
from medomni.phantom.disease.site import Layer, Site, Window
from medomni.types.volume import Mask


def record(kind: str, layer: Layer, site: Site, share_of: Mask | None = None) -> Lesion:
    """Return the lesion that a layer on a site is.

    ``share_of`` is the lung that percentages refer to; the site's own when it is None.
    """
    ml = float(layer.mask.sum()) * site.canvas.voxel_ml
    whole_lung = site.lung if share_of is None else share_of
    facts = {"volume": ml, "percent": 100 * float(layer.mask.sum()) / max(1, int(whole_lung.sum())), **layer.facts}
    return Lesion(
        kind=kind,
        variant=layer.variant,
        mask=on_whole(site.canvas, layer.mask),
        side=site.side,
        lobe=lobe_of(site.lobes, layer.mask),
        centre_mm=layer.centre_mm or centre_of(site.canvas, layer.mask),
        box_mm=box_of(site.canvas, layer.mask),
        measurements=facts,
        parts={name: on_whole(site.canvas, part) for name, part in layer.parts.items() if part.any()},
        margin=layer.margin,
    )


def on_whole(canvas: Canvas, mask: Mask) -> Bool[np.ndarray, "whole_z whole_y whole_x"]:
    """Return the mask of a window on the canvas that the window was cut from."""
    if not isinstance(canvas, Window):
        return mask
    whole = np.zeros(canvas.whole.shape, dtype=bool)
    whole[canvas.box] = mask
    return whole
