"""Volume, Segmentation, Regions and Coverage of one study as one value: what every detector reads.

    Case -> (detector) -> Finding, Finding...

Detectors work on the coarse grid in patient order (z to the head, y to the back, x to the left); the averages and label maps
they share are made once and kept. This module knows no finding.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar, cast

import numpy as np
from jaxtyping import Float32, Shaped, UInt8
from scipy import ndimage

from medomni.types.region import Coverage, Region
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.coarse import CoarseVolume, coarse_volume
from preprocessing.morphology import Mask3D

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Case:
    """One study, ready for detectors. Masks named without more are on the coarse grid of ``coarse``."""

    volume: Volume
    segmentation: Segmentation
    regions: tuple[Region, ...]
    coverage: Coverage
    _made: dict[Callable[["Case"], object], object] = field(default_factory=dict, init=False, repr=False)

    def once(self, make: Callable[["Case"], Made]) -> Made:
        """What the function makes of this case, made at the first call and kept: ``case.once(find_lesions)``."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast(Made, self._made[make])

    @cached_property
    def coarse(self) -> CoarseVolume:
        """The CT numbers averaged to about 2 mm, in patient order."""
        return coarse_volume(self.volume)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """(z, y, x) spacing of the coarse grid."""
        return self.coarse.spacing_mm

    @cached_property
    def structures(self) -> UInt8[np.ndarray, "z y x"]:
        """The segmenter's labels on the coarse grid."""
        return self.coarse.reduce(self.segmentation.labels)

    @cached_property
    def lesion_structures(self) -> UInt8[np.ndarray, "z y x"]:
        """The labels of the segmenter's lesion map on the coarse grid; all 0 when it made none."""
        lesions = self.segmentation.lesions
        return np.zeros_like(self.structures) if lesions is None else self.coarse.reduce(lesions.labels)

    @cached_property
    def fine_hu(self) -> Shaped[np.ndarray, "z y x"]:
        """The study's own voxels in patient order (a view)."""
        return self.coarse.full.hu

    @property
    def fine_spacing_mm(self) -> tuple[float, float, float]:
        """(z, y, x) spacing of the study's own voxels in patient order."""
        return self.coarse.full.spacing_mm

    @cached_property
    def smooth_hu(self) -> Float32[np.ndarray, "z y x"]:
        """Coarse CT numbers of soft tissue (clipped to -200 and 200 HU) after a Gaussian of 3 mm: noise below 3 HU."""
        soft = np.clip(self.coarse.hu, -200.0, 200.0)
        return np.asarray(ndimage.gaussian_filter(soft, [3.0 / step for step in self.spacing_mm]))

    def has(self, *structures: str) -> bool:
        """Whether the segmenter looked for any of the structures and found it."""
        found = {region.structure for region in self.regions if region.is_found}
        return bool(found.intersection(structures))

    def mask(self, *structures: str) -> Mask3D:
        """Coarse mask of the named structures; all False when none was found."""
        return _named(self.structures, self.segmentation, structures)

    def fine_mask(self, *structures: str) -> Mask3D:
        """Mask of the named structures on the study's own voxels in patient order."""
        return self.coarse.full.view(self.segmentation.mask(*structures))

    def knows_lesion(self, name: str) -> bool:
        """Whether the segmenter itself looked for that kind of lesion."""
        lesions = self.segmentation.lesions
        return lesions is not None and lesions.has(name)

    def lesion_mask(self, *names: str) -> Mask3D:
        """Coarse mask of the segmenter's own lesions; all False when it looked for none."""
        lesions = self.segmentation.lesions
        return np.zeros(self.structures.shape, bool) if lesions is None else _named(self.lesion_structures, lesions, names)

    def millilitres(self, mask: Mask3D) -> float:
        """Volume of a coarse mask."""
        return float(mask.sum()) * self.coarse.voxel_ml


def _named(labels: UInt8[np.ndarray, "z y x"], segmentation: Segmentation, names: tuple[str, ...]) -> Mask3D:
    wanted = [label for label, name in segmentation.names.items() if name in names]
    return np.asarray(labels == wanted[0]) if len(wanted) == 1 else np.isin(labels, wanted)
