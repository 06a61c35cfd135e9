"""Volume -> Segmentation with MedOmni's own network: organs, lobes, bones and lesions in one pass at 3 mm.

The volume is brought to 3 mm, cropped to the body and labelled whole; the winning class is taken at 3 mm, made plausible, and
only then brought to the study's grid, where each voxel's own CT number decides the border of the lung. What density rules see
of the lungs stands beside the network's: gas they are sure of is lung, and where the two disagree a warning says so.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from medomni.errors import BadInput, MissingPart
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.measure.body_part import HEAD_BONE_SHARE, LUNG_MIN_ML, TRUNK_CM2
from preprocessing.morphology import Mask3D, bounding_box
from preprocessing.resample import AIR_HU, to_working
from preprocessing.rules import rules_digest
from preprocessing.segment.borders import keep_airless, sharpen, sharpen_heart
from preprocessing.segment.bundle_image import orient, prepare, restore, working_spacing_mm
from preprocessing.segment.classes import CLASSES, LABELS
from preprocessing.segment.density import Density, by_density
from preprocessing.segment.lobes import ANATOMY, LESIONS, part_lesions
from preprocessing.segment.lungs import LUNG_HU
from preprocessing.segment.monai_bundle import MonaiBundle
from preprocessing.segment.paint import paint
from preprocessing.segment.plausible import LOBES, LabelMap, plausible
from preprocessing.segment.runtime import Runtime, TorchRuntime, open_runtime

SHIPPED = Path(__file__).parent / "shipped" / "medomni_ct"
"""The bundle that comes with MedOmni."""
LUNGS_AGREE = 0.9
"""Dice of aerated lung by network and by density rules below which a warning is given: rules alone reach 0.97 and more."""
MARGIN_VOXELS = 2
"""Air kept around the body: the skin must not lie on the image border."""
MOST_VOXELS, OVERLAP_VOXELS = 3_000_000, 24
"""Largest image inferred whole (three chests; about 1 GB), and how far the parts of a larger one overlap (72 mm)."""
RULES = ("medomni_ct", "classes", "density", "plausible", "lobes", "finer", "paint", "borders", "hu_rules", "lungs", "airway")
"""Modules of this folder that have a say in the labels besides the network."""
SIDELESS = {"lung": LOBES, "kidney": (LABELS["kidney_right"], LABELS["kidney_left"])}
"""Names on a grid whose orientation is not stated: no voxel may then be called left or right."""


@dataclass(frozen=True)
class MedomniCt:
    """The default segmenter: a bundle whose classes are those of ``classes.py``.

    ``cache`` keeps the network as the runtime wants it; without one it is converted at each start (some CPU-seconds).
    ``threads`` is how many CPU threads the network may use, ``device`` as of ``MonaiBundle``.
    """

    folder: Path = SHIPPED
    cache: Path | None = None
    threads: int = 1
    device: str = "cpu"

    name = "medomni-ct"

    def check(self) -> None:
        """Do nothing when the network can be used.

        Raises:
            MissingPart: its weights are not there.
            BadInput: the bundle is not one of this network.
        """
        _ = self._bundle

    @cached_property
    def digest(self) -> str:
        """sha256 over the bundle and over the rules that judge its labels."""
        rules = rules_digest(*(f"segment/{name}.py" for name in RULES), "resample.py")
        return hashlib.sha256(f"{self._bundle.digest} {rules}".encode()).hexdigest()

    @cached_property
    def runtime(self) -> Runtime:
        """What runs the network."""
        return open_runtime(self._bundle, self.threads, self.cache)

    def segment(self, volume: Volume, progress: Callable[[float], None] = lambda _: None) -> Segmentation:
        """Return anatomy on the volume's own grid, with the lesions that were seen as ``lesions``.

        Raises:
            MissingPart, BadInput: as of ``check``.
        """
        progress(0.0)
        plan = self._bundle.plan
        working = to_working(volume, working_spacing_mm(plan, volume))
        density = by_density(working)
        progress(0.15)
        seen = self.infer(working.hu, density.body) if is_trunk(working, density) else np.zeros(working.hu.shape, np.uint8)
        progress(0.7)
        agreement = lungs_agreement(seen, working.hu, density)
        anatomy, lesions = part_lesions(plausible(seen, density), density)
        full_lesions = sharpen(anatomy, lesions, working, volume)
        progress(0.8)
        names = ANATOMY
        if not volume.grid.is_side_known:
            anatomy, names = without_sides(anatomy)
        full = paint(anatomy, working, volume)
        sharpen_heart(full, anatomy, working, volume)
        keep_airless(full, full_lesions, anatomy, working.grid, volume.grid)
        progress(1.0)
        return Segmentation(
            labels=full,
            grid=volume.grid,
            names=names,
            segmenter=self._stamp,
            digest=self.digest,
            notices=self._notices(agreement),
            lesions=Segmentation(full_lesions, volume.grid, LESIONS, self._stamp, self.digest),
        )

    @cached_property
    def _bundle(self) -> MonaiBundle:
        if not (self.folder / "models" / "model.safetensors").is_file():
            raise MissingPart(
                "the network of medomni-ct is not in this installation",
                found="no models/model.safetensors",
                remedy="choose --segmenter hu-rules, or install MedOmni with its weights",
                where=self.folder.name,
            )
        bundle = MonaiBundle(self.folder, device=self.device)
        if tuple(bundle.plan.channels.items()) != tuple(enumerate(CLASSES, start=1)):
            raise BadInput(
                "the bundle's classes are not those of medomni-ct",
                found=f"{len(bundle.plan.channels)} classes",
                remedy="give the folder itself as the segmenter, which takes any bundle",
                where=self.folder.name,
            )
        return bundle

    @property
    def _stamp(self) -> str:
        return f"{self.name} {self._bundle.plan.version or '0'}"

    def infer(self, hu: Float32[np.ndarray, "z y x"], body: Mask3D) -> LabelMap:
        """The network's labels on the working grid, 0 outside the box of the body."""
        plan = self._bundle.plan
        seen = np.zeros(hu.shape, np.uint8)
        box = bounding_box(body, float(MARGIN_VOXELS - 1), (1.0, 1.0, 1.0))
        for part, kept in _slabs(box, hu.shape) if box else ():
            inside = hu[part]
            sizes = [-(-n // plan.divisor) * plan.divisor for n in inside.shape]
            padded = np.full(sizes, AIR_HU, np.float32)
            padded[tuple(slice(0, n) for n in inside.shape)] = inside
            winners = restore(self.runtime.winners(prepare(orient(padded, plan.axcodes), plan.intensity)), plan.axcodes)
            offset = kept.start - part[0].start
            seen[kept, part[1], part[2]] = winners[offset : offset + kept.stop - kept.start, : inside.shape[1], : inside.shape[2]]
        return seen

    def _notices(self, agreement: float) -> tuple[Notice, ...]:
        notices = [Notice(code="outlined_by_network", level=NoticeLevel.INFO)]
        if agreement < LUNGS_AGREE:
            notices.append(Notice(code="lungs_disagree", fields={"overlap": f"{agreement:.2f}"}))
        if isinstance(self.runtime, TorchRuntime) and self.device == "cpu":
            notices.append(Notice(code="network_on_torch", level=NoticeLevel.INFO))
        return tuple(notices)


def is_trunk(working: Volume, density: Density) -> bool:
    """Whether chest or abdomen is shown, all that the network was trained on: there is lung, or a wide body of little bone."""
    if density.lungs.sum() * density.voxel_ml >= LUNG_MIN_ML:
        return True
    body = density.body.sum()
    slices = density.body.any(axis=(1, 2)).sum()
    area_cm2 = body * density.voxel_ml / max(1e-6, slices * working.grid.spacing_mm[0] / 10.0)
    return bool(area_cm2 > TRUNK_CM2 and density.bone.sum() <= HEAD_BONE_SHARE * body)


def lungs_agreement(seen: LabelMap, hu: Float32[np.ndarray, "z y x"], density: Density) -> float:
    """Dice of the aerated lung that the network and the density rules see; 1.0 where both see next to none."""
    lungs = np.isin(seen, (*LOBES, LABELS["lung_opacity"], LABELS["nodule"])) & (hu < LUNG_HU)
    both = float(lungs.sum() + density.lungs.sum())
    if both * density.voxel_ml < LUNG_MIN_ML:
        return 1.0
    return 2.0 * float((lungs & density.lungs).sum()) / both


def without_sides(anatomy: LabelMap) -> tuple[LabelMap, dict[int, str]]:
    """The same anatomy with both sides under one label each, and its names."""
    table = np.arange(256, dtype=np.uint8)
    names = dict(ANATOMY)
    for name, labels in SIDELESS.items():
        table[list(labels)] = min(labels)
        for label in labels:
            names.pop(label)
        names[min(labels)] = name
    return table[anatomy], dict(sorted(names.items()))


def _slabs(box: tuple[slice, ...], shape: tuple[int, ...]) -> list[tuple[tuple[slice, ...], slice]]:
    """The parts in which a box is inferred, each with the slices that are kept of it; one part unless it is very long."""
    z, y, x = (slice(s.start, min(s.stop, n)) for s, n in zip(box, shape, strict=True))
    area = (y.stop - y.start) * (x.stop - x.start)
    height = z.stop - z.start
    most = max(4 * OVERLAP_VOXELS, MOST_VOXELS // area)
    count = 1 if height <= most else ceil(height / (most - 2 * OVERLAP_VOXELS))
    cuts = np.linspace(z.start, z.stop, count + 1).astype(int)
    return [
        ((slice(max(z.start, int(a) - OVERLAP_VOXELS), min(z.stop, int(b) + OVERLAP_VOXELS)), y, x), slice(int(a), int(b)))
        for a, b in pairwise(cuts)
    ]
