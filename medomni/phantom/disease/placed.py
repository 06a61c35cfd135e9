"""What can be placed into a person: one value for each disease, with its side, place and severity.

Knows nothing about arrays; ``apply.py`` draws what is placed here into a body, ``medomni/phantom/insert.py`` into a CT.
"""

from dataclasses import dataclass

from medomni.anatomy import LOBES

SEVERITIES = ("mild", "moderate", "severe")

AMOUNTS = {
    "lung_opacity": (6.0, 15.0, 32.0),
    "consolidation": (4.0, 9.0, 18.0),
    "pleural_effusion": (120.0, 350.0, 800.0),
    "emphysema": (5.0, 14.0, 28.0),
    "lung_nodule": (7.0, 14.0, 26.0),
    "pericardial_effusion": (7.0, 14.0, 23.0),
    "atelectasis": (1.0, 4.0, 12.0),
    "bronchiectasis": (1.6, 2.1, 2.8),
    "peribronchial_thickening": (1.4, 2.0, 3.0),
    "interlobular_septal_thickening": (12.0, 30.0, 60.0),
    "mosaic_attenuation_pattern": (18.0, 32.0, 48.0),
    "pulmonary_fibrotic_sequela": (1.5, 5.0, 12.0),
    "coronary_artery_wall_calcification": (40.0, 200.0, 700.0),
    "arterial_wall_calcification": (250.0, 1200.0, 5000.0),
    "cardiomegaly": (0.54, 0.58, 0.64),
    "hiatal_hernia": (30.0, 48.0, 75.0),
    "lymphadenopathy": (12.0, 17.0, 26.0),
    "medical_material": (1.0, 2.0, 4.0),
    "steatosis": (17.0, 27.0, 47.0),
    "splenomegaly": (130.0, 155.0, 190.0),
    "renal_stone": (4.0, 8.0, 15.0),
    "renal_cyst": (15.0, 30.0, 60.0),
    "vertebral_fracture": (23.0, 33.0, 48.0),
}
"""Size of each severity.

% of the lung: lung_opacity, consolidation, emphysema, atelectasis (collapsed tissue), interlobular_septal_thickening and
mosaic_attenuation_pattern (affected region), pulmonary_fibrotic_sequela. mL: pleural_effusion (large ones hold more than about
500 mL). Millimetres: lung_nodule (mean diameter), pericardial_effusion (thickness: small below 10, large above 20 mm; ESC
guideline 2015), peribronchial_thickening (bronchial wall, about 1 mm in health), hiatal_hernia (width), lymphadenopathy (short
axis, 10 mm and more is enlarged), splenomegaly (length, 120 mm and more is enlarged), renal_stone, renal_cyst. Ratio:
bronchiectasis (bronchial lumen to artery, above 1 to 1.5; Fleischner glossary 2008), cardiomegaly (heart to chest width, above
0.5). Cubic millimetres above 130 HU: both calcifications (volume score). medical_material: number of devices. steatosis: HU below
the healthy liver (Boyce, AJR 2010: 40 HU and less is at least moderate).
vertebral_fracture: % of height lost (Genant: 20, 25, 40).
"""

SIDED = frozenset(
    (
        *("lung_opacity", "consolidation", "pleural_effusion", "emphysema", "lung_nodule", "atelectasis", "bronchiectasis"),
        *("peribronchial_thickening", "interlobular_septal_thickening", "mosaic_attenuation_pattern"),
        *("pulmonary_fibrotic_sequela", "renal_stone", "renal_cyst"),
    )
)
"""Kinds that lie on the stated side; the side of the others says nothing."""

IN_LOBES = frozenset(
    (
        *("lung_opacity", "consolidation", "emphysema", "lung_nodule", "atelectasis", "bronchiectasis"),
        *("peribronchial_thickening", "interlobular_septal_thickening", "pulmonary_fibrotic_sequela"),
    )
)
"""Kinds that can be placed in a named lobe. Fluid takes its own way, and mosaic attenuation spreads over the whole lung."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "lung_opacity": ("peripheral", "rounded", "crazy_paving", "central", "nodular", "mixed", "subpleural_band"),
    "consolidation": ("lobar", "segmental", "patchy", "rounded"),
    "pleural_effusion": ("free", "loculated"),
    "emphysema": ("centrilobular", "paraseptal", "panlobular", "bulla"),
    "lung_nodule": ("solid", "part_solid", "ground_glass", "calcified"),
    "atelectasis": ("plate", "dependent", "lobar"),
    "bronchiectasis": ("cylindrical", "varicose", "cystic"),
    "pulmonary_fibrotic_sequela": ("bands", "reticulation", "honeycombing"),
    "lymphadenopathy": ("mediastinal", "hilar", "axillary"),
    "medical_material": (
        *("pacemaker", "port", "central_line", "sternal_wires", "valve", "coronary_stent", "clips"),
        *("endotracheal_tube", "feeding_tube"),
    ),
    "vertebral_fracture": ("wedge", "biconcave", "crush"),
}
"""Forms of a kind; a ``Placed`` without one is drawn in a form that chance (and severity) picks."""

KINDS = tuple(AMOUNTS)
MARGINS = ("smooth", "lobulated", "spiculated")
CONTACTS = ("free", "pleura", "vessel")
ZONES = ("lower", "middle", "upper", "")


@dataclass(frozen=True)
class Placed:
    """One disease to place.

    ``side`` says where the kinds of ``SIDED`` lie; of the others (nodes, devices, heart, vessels) it says nothing. ``zone`` is
    upper, middle, lower or "" (anywhere); ``lobe`` a structure name that narrows it further, for the kinds of ``IN_LOBES`` (a
    large lesion may reach beyond it; dependent atelectasis follows gravity and takes none); ``amount`` overrides the severity's
    size; ``variant`` is one of ``VARIANTS``; ``margin`` and ``contact`` are those of a nodule; "" leaves it to chance.
    ``at_mm`` (x, y, z) is where a nodule lies, whatever its zone; None leaves it to chance.
    """

    kind: str
    side: str = "right"
    zone: str = "lower"
    severity: str = "moderate"
    amount: float | None = None
    lobe: str = ""
    variant: str = ""
    margin: str = ""
    contact: str = ""
    at_mm: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        known = self.kind in KINDS and self.side in ("left", "right") and self.zone in ZONES
        known = known and self.variant in ("", *VARIANTS.get(self.kind, ()))
        known = known and self.margin in ("", *MARGINS) and self.contact in ("", *CONTACTS)
        known = known and (not self.lobe or self.lobe in LOBES[self.side])
        if not known or self.severity not in SEVERITIES or self.size <= 0:
            raise ValueError(f"cannot place {self}")
        if self.lobe and (self.kind not in IN_LOBES or self.variant == "dependent"):
            raise ValueError(f"cannot place {self.variant or self.kind} in a lobe; found {self.lobe}; name a zone instead")

    @property
    def size(self) -> float:
        """How much of it, in the unit of ``AMOUNTS``."""
        if self.amount is not None:
            return self.amount
        return AMOUNTS[self.kind][SEVERITIES.index(self.severity)]

    @property
    def is_sided(self) -> bool:
        """Whether the side of the disease says where it lies."""
        return self.kind in SIDED
