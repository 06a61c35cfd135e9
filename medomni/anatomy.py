"""The anatomy table: organs, segmentable structures and lung zones, with their names in English and Chinese.

Reads ``medomni/data/anatomy.toml`` once. Knows nothing about voxels.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

SIDES = ("left", "right")
LOBES = {
    "right": ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"),
    "left": ("lung_upper_lobe_left", "lung_lower_lobe_left"),
}
"""The lobes of each lung, upper ones first."""
SEGMENTED = (
    *LOBES["left"],
    *LOBES["right"],
    *("airway", "heart", "aorta", "pulmonary_artery", "esophagus", "vertebrae", "ribs", "liver", "spleen"),
    *("kidney_right", "kidney_left", "stomach", "pancreas", "gallbladder"),
)
"""The anatomy that ``medomni-ct`` outlines and a phantom holds; the label of a structure is its place counted from 1."""
SEGMENTED_LESIONS = ("pleural_effusion", "pericardial_effusion", "lung_opacity", "nodule", "lymph_node")
"""The lesions that ``medomni-ct`` outlines; their labels follow those of ``SEGMENTED``."""
_SIDE_WORDS = {"l": "left", "lt": "left", "left": "left", "r": "right", "rt": "right", "right": "right"}


@dataclass(frozen=True)
class Organ:
    """An organ a report speaks about; ``order`` is its place in the report, ``region`` chest, abdomen, neck or any."""

    key: str
    en: str
    zh: str
    order: int
    region: str


@dataclass(frozen=True)
class Structure:
    """One segmentable structure; ``organ`` is the organ that mentions it ("" for none), ``side`` left, right or ""."""

    name: str
    en: str
    zh: str
    organ: str
    side: str


@dataclass(frozen=True)
class Zone:
    """One of the six lung zones."""

    name: str
    en: str
    zh: str
    side: str


@dataclass(frozen=True)
class Anatomy:
    """The whole table; organs come in report order."""

    organs: Mapping[str, Organ]
    structures: Mapping[str, Structure]
    zones: Mapping[str, Zone]
    spellings: Mapping[str, str]

    @property
    def lung_places(self) -> tuple[str, ...]:
        """Names of the places within a lung: its zones, then its lobes."""
        lobes = (structure.name for structure in self.structures_of("lungs") if "_lobe_" in structure.name)
        return (*self.zones, *lobes)

    def structures_of(self, organ: str) -> tuple[Structure, ...]:
        """Structures that a report mentions under an organ."""
        return tuple(structure for structure in self.structures.values() if structure.organ == organ)

    def words(self, key: str, language: str) -> str:
        """The name of a structure, zone or organ in ``en`` or ``zh``; an unknown key as plain words."""
        entry = self.structures.get(key) or self.zones.get(key) or self.organs.get(key)
        if entry is None:
            return key.replace("_", " ")
        return entry.zh if language == "zh" else entry.en

    def name_of(self, spelling: str) -> str | None:
        """The structure a model's own label means, or None when the table holds none.

        >>> anatomy().name_of("Left Lung"), anatomy().name_of("Lung_L"), anatomy().name_of("IVC")
        ('lung_left', 'lung_left', 'inferior_vena_cava')
        """
        plain = slug(spelling)
        exact = {slug(name): name for name in self.structures}
        if plain in exact:
            return exact[plain]
        words = plain.split("_")
        sides = [_SIDE_WORDS[word] for word in words if word in _SIDE_WORDS]
        if len(sides) > 1:
            return None
        rest = "_".join(word for word in words if word not in _SIDE_WORDS)
        for stem in (rest, self.spellings.get(rest, rest)):
            parts = stem.split("_")
            for place in range(len(parts), -1, -1):
                name = exact.get("_".join([*parts[:place], *sides, *parts[place:]]))
                if name is not None:
                    return name
        return None


@cache
def anatomy() -> Anatomy:
    """Return the anatomy table."""
    table = tomllib.loads((files("medomni.data") / "anatomy.toml").read_text(encoding="utf-8"))
    organs = sorted((Organ(key=key, **row) for key, row in table["organs"].items()), key=lambda organ: organ.order)
    return Anatomy(
        organs=MappingProxyType({organ.key: organ for organ in organs}),
        structures=MappingProxyType({name: Structure(name=name, **row) for name, row in table["structures"].items()}),
        zones=MappingProxyType({name: Zone(name=name, **row) for name, row in table["zones"].items()}),
        spellings=MappingProxyType(table["spellings"]),
    )


def slug(text: str) -> str:
    """Return text as a safe name: lower-case ASCII words joined by "_", at most 64 characters.

    >>> slug("Lesion #2 (left)")
    'lesion_2_left'
    """
    return "_".join(re.findall(r"[a-z0-9]+", text.lower()))[:64].strip("_")
