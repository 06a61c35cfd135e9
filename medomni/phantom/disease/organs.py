"""Changes of the organs below the diaphragm: fatty liver, large spleen, renal stone and cyst."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from medomni.phantom.body import Body, draw_body
from medomni.phantom.canvas import Canvas, Field
from medomni.phantom.disease.host import firm, lesion_from, take_from_lungs
from medomni.phantom.disease.lesion import Lesion
from medomni.phantom.disease.mediastinum import axial_diameters_mm
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.record import on_whole
from medomni.phantom.disease.site import Window, window
from medomni.phantom.person import Person
from medomni.types.volume import Mask

LARGEST_SPLEEN = 2.2
"""No spleen grows beyond this multiple of its size."""
_DRAFT = Canvas((34, 36, 44), (8.0, 7.0, 7.0), 0.0)
"""The grid on which a person is drawn to see how long the spleen is."""
STONE_HU = (400.0, 1300.0)
CYST_HU = (0.0, 15.0)
"""HU of stones (uric acid from 400, calcium up to 1500) and of simple cysts (at most 20; Bosniak I)."""


def steatosis(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Darken the liver by ``placed.size`` HU; its vessels, which hold no fat, then stand out."""
    liver = body.parts["liver"]
    if not liver.any():
        return lesion_from(body.canvas, placed.kind, liver.copy(), {})
    frame = window(body.canvas, liver, 2)
    inside, hu = liver[frame.box], body.hu[frame.box]
    middle = float(np.median(hu[inside]))
    parenchyma = np.clip(1 - np.abs(hu - middle) / 25, 0, 1) * inside
    patchy = 1 + np.float32(0.06) * frame.soft_noise(rng, 35)
    hu -= np.float32(placed.size) * np.asarray(np.sqrt(parenchyma) * patchy, dtype=np.float32)
    spleen = body.parts["spleen"]
    facts = {"mean_hu": float(np.median(hu[inside]))}
    if spleen.any():
        facts["spleen_hu"] = float(np.median(body.hu[spleen]))
    return lesion_from(body.canvas, placed.kind, liver.copy(), facts)


def with_large_spleen(person: Person, placed: Placed) -> Person:
    """Return the person with a spleen that is about ``placed.size`` mm long (to 12 mm)."""
    for _ in range(2):
        drawn = draw_body(_DRAFT, person, np.random.default_rng([person.seed, 2])).parts["spleen"]
        length = length_mm(drawn, _DRAFT.spacing_mm)
        if not length or abs(length - placed.size) < 6:
            break
        person = replace(person, spleen_scale=min(LARGEST_SPLEEN, person.spleen_scale * placed.size / length))
    return person


def splenomegaly(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Return the large spleen of a person who was prepared for it: nothing is drawn here."""
    mask = body.parts["spleen"].copy()
    facts = {"length": length_mm(mask, body.canvas.spacing_mm)} if mask.any() else {}
    return lesion_from(body.canvas, placed.kind, mask, facts)


def renal_stone(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Draw a stone of ``placed.size`` mm in the collecting system, deep in the kidney."""
    kidney = body.parts[f"kidney_{placed.side}"]
    frame, centre = _point_in(body, kidney, (0.7, 1.0), 4.0, rng)
    if centre is None:
        return lesion_from(body.canvas, placed.kind, np.zeros_like(kidney), {}, side=placed.side)
    share = _ball_share(frame, centre, placed.size / 2 * np.array([1.0, rng.uniform(0.75, 1), rng.uniform(0.75, 1)]))
    hu = body.hu[frame.box]
    hu += share * (np.float32(rng.uniform(*STONE_HU)) - hu)
    mask = share > min(0.5, 0.9 * float(share.max()))
    facts = {"long_diameter": placed.size, "mean_hu": float(hu[mask].mean()) if mask.any() else 0.0}
    return lesion_from(body.canvas, placed.kind, on_whole(frame, mask), facts, side=placed.side)


def renal_cyst(body: Body, placed: Placed, rng: np.random.Generator) -> Lesion:
    """Draw a cyst of ``placed.size`` mm that bulges out of the kidney into fat."""
    name = f"kidney_{placed.side}"
    kidney = body.parts[name]
    frame, centre = _point_in(body, kidney, (0.0, 0.35), placed.size, rng)
    if centre is None:
        return lesion_from(body.canvas, placed.kind, np.zeros_like(kidney), {}, side=placed.side)
    hu = body.hu[frame.box]
    free = ~firm(body, but=(name,))[frame.box] & body.parts["body"][frame.box] & (hu < 200)
    share = _ball_share(frame, centre, np.full(3, placed.size / 2)) * free
    hu += share * (np.float32(rng.uniform(*CYST_HU)) - hu)
    mask = np.asarray(share > 0.5)
    short, long = axial_diameters_mm(mask, frame.spacing_mm)
    whole = on_whole(frame, mask)
    take_from_lungs(body, whole)
    body.parts[name] |= whole
    facts = {"long_diameter": long, "short_diameter": short, "mean_hu": float(hu[mask].mean()) if mask.any() else 0.0}
    return lesion_from(body.canvas, placed.kind, whole, facts, side=placed.side)


def length_mm(mask: Mask, spacing_mm: tuple[float, float, float]) -> float:
    """Longest extent of a mask in space, over 60 directions."""
    edge = mask & ~ndimage.binary_erosion(mask)
    places = np.argwhere(edge)
    if not len(places):
        return 0.0
    points = places * np.array(spacing_mm)
    count = 60
    height = (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    flat = np.sqrt(1 - height**2)
    ways = np.stack([height, flat * np.sin(turn), flat * np.cos(turn)], axis=1)
    along = points @ ways.T
    return float((along.max(axis=0) - along.min(axis=0)).max() + min(spacing_mm))


def _point_in(
    body: Body, kidney: Mask, depths: tuple[float, float], margin_mm: float, rng: np.random.Generator
) -> tuple[Window, Float64[np.ndarray, "3"] | None]:
    """A window round a kidney and a point (x, y, z) whose depth is a share of the deepest; None without a kidney."""
    frame = window(body.canvas, kidney, margin_mm)
    inside = kidney[frame.box]
    if not kidney.any():
        return frame, None
    depth = ndimage.distance_transform_edt(inside, sampling=frame.spacing_mm)
    fits = inside & (depth >= depths[0] * depth.max()) & (depth <= depths[1] * depth.max())
    places = np.argwhere(fits if fits.any() else inside)
    z, y, x = (int(v) for v in places[rng.integers(len(places))])
    return frame, np.array([float(frame.x.flat[x]), float(frame.y.flat[y]), float(frame.z.flat[z])])


def _ball_share(frame: Window, centre: np.ndarray, radii: np.ndarray) -> Field:
    """Share of each voxel that an ellipsoid fills; one smaller than a voxel keeps its volume."""
    step = float(np.cbrt(np.prod(frame.spacing_mm)))
    square = [((axis - c) / r) ** 2 for axis, c, r in zip((frame.x, frame.y, frame.z), centre, radii, strict=True)]
    depth = (1 - np.sqrt(square[0] + square[1] + square[2])) * float(radii.min())
    fade = min(1.0, float((radii.min() / (0.55 * step)) ** 3))
    return np.asarray(np.clip(depth / step + 0.5, 0, 1) * fade, dtype=np.float32)
