"""One phantom case: a chest CT, what is true about it, and the patient's history.

    seed, diseases -> person -> torso -> lungs -> scan -> PhantomCase

Every case is computed; nothing comes from a real person.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16
from scipy import ndimage

from medomni import __version__
from medomni.phantom.canvas import Canvas, Field
from medomni.phantom.disease import Placed
from medomni.phantom.lung import Lungs, Nodule, fill_lungs
from medomni.phantom.person import HEIGHT_MM, Person, make_person
from medomni.phantom.torso import Torso, draw_torso
from medomni.phantom.words import history
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Mask, Volume

DEFAULT_SHAPE = (120, 256, 256)
DEFAULT_SPACING_MM = (2.5, 1.4, 1.4)
_LESION_ORDER = ("low_attenuation", "lung_opacity", "consolidation", "nodule", "pleural_effusion")


@dataclass(frozen=True, eq=False)
class PhantomCase:
    """A phantom CT with its truth.

    ``truth`` labels body, lung_right, lung_left, airway and bone (what ``hu-rules`` looks for) and heart, aorta, liver,
    spleen and stomach; ``lesions`` the placed diseases. Labels exclude each other: ``body`` is what is in the body and
    nothing else named. ``measurements`` holds true values under the measurement names of a report. ``history`` is keyed
    by language.
    """

    seed: int
    volume: Volume
    truth: Segmentation
    lesions: Segmentation
    placed: tuple[Placed, ...]
    nodules: tuple[Nodule, ...]
    measurements: dict[str, float]
    age_years: int
    sex: str
    history: dict[str, str]


def make_case(
    seed: int,
    findings: tuple[Placed, ...] = (),
    shape: tuple[int, int, int] = DEFAULT_SHAPE,
    spacing_mm: tuple[float, float, float] = DEFAULT_SPACING_MM,
) -> PhantomCase:
    """Return the phantom case of a seed; the same arguments give the same bytes.

    The chest is 300 mm high and up to 340 mm wide whatever the sampling: a coarser grid shows the same person.

    Raises:
        ValueError: a nodule does not fit into its zone.
    """
    canvas = Canvas(shape, spacing_mm, middle_z_mm=HEIGHT_MM / 2)
    person = make_person(seed)
    torso = draw_torso(canvas, person, np.random.default_rng([seed, 2]))
    lungs = fill_lungs(canvas, person, torso, findings, np.random.default_rng([seed, 3]))
    hu = _scan(canvas, person, torso, np.random.default_rng([seed, 4]))
    truth = _truth(canvas, torso, lungs)
    lesions = _label(canvas, {name: lungs.lesions[name] for name in _LESION_ORDER if name in lungs.lesions})
    return PhantomCase(
        seed=seed,
        volume=Volume(hu, canvas.grid),
        truth=truth,
        lesions=lesions,
        placed=findings,
        nodules=lungs.nodules,
        measurements=_measure(canvas, lungs, hu),
        age_years=person.age_years,
        sex=person.sex,
        history={language: history(person, findings, language) for language in ("en", "zh")},
    )


def draw_findings(seed: int) -> tuple[Placed, ...]:
    """Return the diseases of a seed's default case: none in about one case of four, else one to three."""
    rng = np.random.default_rng([seed, 5])
    chosen = []
    for kind in rng.permutation(("lung_opacity", "consolidation", "pleural_effusion", "emphysema", "lung_nodule"))[
        : rng.choice(4, p=(0.25, 0.4, 0.25, 0.1))
    ]:
        side = ("left", "right")[int(rng.integers(2))]
        zone = "lower" if kind == "pleural_effusion" else ("upper", "middle", "lower")[int(rng.integers(3))]
        severity = ("mild", "moderate", "severe")[int(rng.choice(3, p=(0.4, 0.4, 0.2)))]
        chosen.append(Placed(str(kind), side, zone, severity))
    return tuple(chosen)


def _scan(canvas: Canvas, person: Person, torso: Torso, rng: np.random.Generator) -> Int16[np.ndarray, "z y x"]:
    """Return the HU a scanner would show: table, blur of the focus and the kernel, correlated noise."""
    hu = torso.hu
    _draw_table(canvas, hu, torso)
    blur = (0.45, 0.55, 0.55)
    hu = ndimage.gaussian_filter(hu, blur, truncate=3)
    noise = rng.standard_normal(canvas.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, (0.0, 0.75, 0.75), truncate=3)
    deviation = float(rng.uniform(11, 19)) * (1 + 0.5 * np.clip((canvas.z - 235) / 40, 0, 1))
    hu += noise * (deviation / np.float32(noise.std()))
    return np.asarray(np.clip(np.rint(hu), -1024, 3071), dtype=np.int16)


def _draw_table(canvas: Canvas, hu: Field, torso: Torso) -> None:
    rows = np.flatnonzero(torso.body.any(axis=(0, 2)))
    back = float(canvas.y.flat[rows[-1]])
    top = canvas.y - (back + 10 - 0.0005 * canvas.x**2)
    half = max(1.3, 0.6 * canvas.spacing_mm[1])
    shell = (np.abs(top) < half) | (np.abs(top - 24) < half)
    core = (top > 0) & (top < 24)
    for part, value in ((core, -955), (shell, -260)):
        np.copyto(hu, np.float32(value), where=part & (np.abs(canvas.x) < 172) & ~torso.body)


def _truth(canvas: Canvas, torso: Torso, lungs: Lungs) -> Segmentation:
    parts: dict[str, Mask] = {"body": torso.body, "lung_right": lungs.right, "lung_left": lungs.left}
    solid = {name: mask for name, mask in torso.parts.items() if name in ("heart", "aorta", "liver", "spleen", "stomach")}
    return _label(canvas, {**parts, "airway": lungs.airway, "bone": torso.bone, **solid})


def _label(canvas: Canvas, parts: dict[str, Mask]) -> Segmentation:
    labels = np.zeros(canvas.shape, dtype=np.uint8)
    for label, mask in enumerate(parts.values(), start=1):
        labels[mask] = label
    return Segmentation(labels, canvas.grid, dict(enumerate(parts, start=1)), f"phantom {__version__}", "")


def _measure(canvas: Canvas, lungs: Lungs, hu: Int16[np.ndarray, "z y x"]) -> dict[str, float]:
    values: dict[str, float] = {}
    for side, lung in (("right", lungs.right), ("left", lungs.left)):
        inside = hu[lung]
        values[f"lung_volume_{side}"] = float(lung.sum() * canvas.voxel_ml)
        values[f"mean_hu_{side}"] = float(inside.mean())
        values[f"laa950_{side}"] = float((inside < -950).mean() * 100)
        where = np.asarray(canvas.x < 0) if side == "right" else np.asarray(canvas.x >= 0)
        names = {"lung_opacity": "opacity", "consolidation": "consolidation", "pleural_effusion": "effusion"}
        for lesion, name in names.items():
            volume = float((lungs.lesions[lesion] & where).sum() * canvas.voxel_ml) if lesion in lungs.lesions else 0.0
            values[f"{name}_volume_{side}"] = volume
        values[f"opacity_percent_{side}"] = 100 * values[f"opacity_volume_{side}"] / values[f"lung_volume_{side}"]
    values["lung_volume_total"] = values["lung_volume_right"] + values["lung_volume_left"]
    return values
