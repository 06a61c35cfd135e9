"""Drafts to word and to review: a few telling cases, built from the shared factories."""

import numpy as np

from medomni.reporting.compose import compose
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.region import Coverage
from preprocessing.history import understand
from tests import factories

CLINICAL = tuple(
    name for name, entry in vocabulary().labels.items() if entry.is_always_answered and not entry.is_measurement_only
)
DETECTED = ("lung_opacity", "consolidation", "pleural_effusion", "emphysema")
OUT_OF_VIEW = ("liver", "gallbladder", "spleen", "pancreas", "kidneys", "adrenals", "stomach_and_bowel")
NO_DETECTOR = ("airways", "heart", "mediastinum", "great_vessels", "thyroid", "upper_abdomen", "bones", "soft_tissues", "devices")

COVERAGE = Coverage(
    region="chest",
    evaluated=("lungs", "pleura"),
    not_evaluated=dict.fromkeys(NO_DETECTOR, "no_detector") | dict.fromkeys(OUT_OF_VIEW, "outside_field_of_view"),
    z_range_mm=(-300.0, 0.0),
)


def grid(slices=154, is_side_known=True):
    """A chest grid: 1.5 mm slices of 0.7 mm pixels (only its numbers matter here)."""
    return factories.grid((slices, 4, 4), (1.5, 0.7, 0.7), is_side_known=is_side_known)


def measured(name, unit="mL", decimals=0, **values):
    """Measurements ``name_<key>`` of the given values."""
    return tuple(Measurement(name=f"{name}_{key}", value=value, unit=unit, decimals=decimals) for key, value in values.items())


def seen(label, presence=Presence.PRESENT, structure="", slice_index=None, **changes):
    """A finding that is there, or may be, with a mask as evidence."""
    proof = (Evidence(structure=structure or label, slice_index=slice_index, source="rule"),)
    return Finding(
        **{"id": label.replace("_", "-"), "label": label, "presence": presence, "evidence": proof, **changes},
    )


def opacity(**changes):
    """An opacity of the right lower and middle zone."""
    parts = measured("opacity_volume", right=120.4) + measured("opacity_percent", "%", 1, right=4.44)
    zones = measured("opacity_volume", right_lower_zone=100.2, right_middle_zone=20.2)
    values = {
        "probability": 0.99,
        "laterality": Laterality.RIGHT,
        "anatomy": ("right_lower_zone", "right_middle_zone"),
        "measurements": parts + zones,
        "slice_index": 44,
    }
    return seen("lung_opacity", **{**values, **changes})


def nodule(number=1, long_mm=8.2, short_mm=6.1, **changes):
    """A nodule of the left upper zone."""
    size = (
        Measurement(name="long_diameter", value=long_mm, unit="mm", decimals=1, slice_index=87),
        Measurement(name="short_diameter", value=short_mm, unit="mm", decimals=1, slice_index=87),
        Measurement(name="volume", value=0.21, unit="mL", decimals=2),
    )
    values = {"id": f"lung-nodule-{number}", "laterality": Laterality.LEFT, "anatomy": ("left_upper_zone",), "slice_index": 87}
    return seen("lung_nodule", structure="nodule", **{**values, "measurements": size, **changes})


def effusion(**changes):
    """A possible effusion on both sides."""
    values = {
        "presence": Presence.UNCERTAIN,
        "probability": 0.6,
        "laterality": Laterality.BILATERAL,
        "measurements": measured("effusion_volume", right=240.0, left=62.0),
    }
    return seen("pleural_effusion", **{**values, **changes})


def one_lung(side="right"):
    """The measurement of one lung where the other was not found."""
    found = measured("lung_volume", **{side: 999.0, "total": 999.0})
    return seen("lung_volume", structure=f"lung_{side}", measurements=found)


def emphysema(side=Laterality.RIGHT, **changes):
    """An emphysema by densitometry, worse on one side, as the detector makes it: both lungs are compared."""
    proof = tuple(Evidence(structure=f"lung_{name}", source="densitometry") for name in ("right", "left"))
    worse, other = (15.2, 3.1) if side is not Laterality.LEFT else (3.1, 15.2)
    shares = measured("laa950", "%", 1, right=worse, left=other, total=9.4)
    return seen("emphysema", **{"laterality": side, "measurements": shares, "evidence": proof, **changes})


def dense(side="right", **changes):
    """A consolidation inside the opacity of one side."""
    parts = measured("consolidation_volume", **{side: 33.0})
    return seen("consolidation", **{"laterality": Laterality(side), "measurements": parts, **changes})


def lungs():
    """The measurements of two healthy lungs."""
    figures = (
        ("lung_volume", measured("lung_volume", right=2712.0, left=2204.0, total=4916.0)),
        ("lung_density", measured("mean_hu", "[hnsf'U]", right=-842.3, left=-838.1)),
        ("low_attenuation_area", measured("laa950", "%", 1, right=1.22, left=0.02, total=0.7)),
        ("high_attenuation_area", measured("haa", "%", 1, right=3.0, left=3.4, total=3.2)),
    )
    return tuple(
        seen(label, structure="lung_right", measurements=found, laterality=Laterality.BILATERAL) for label, found in figures
    )


def findings(*present, absent=DETECTED):
    """All 18 labels: those given, then those absent, the rest not evaluated; and the measurements of the lungs."""
    given = {finding.label for finding in present}
    others = tuple(
        Finding(
            id=label.replace("_", "-"),
            label=label,
            presence=Presence.ABSENT if label in absent else Presence.NOT_EVALUATED,
            reason="" if label in absent else "no_detector",
        )
        for label in CLINICAL
        if label not in given
    )
    return (*present, *others, *lungs())


def draft(found=None, language="en", history="", coverage=COVERAGE, **changes):
    """The draft of a chest with the findings in the language; ``changes`` go to the study's parts by name."""
    on = changes.pop("grid", None)
    study = factories.study(on if on is not None else grid(), sex=changes.pop("sex", "F"), age_years=changes.pop("age", 70.0))
    context = understand(history, study)
    return compose(
        context=changes.pop("context", context),
        acquisition=changes.pop("acquisition", study.acquisition),
        grid=study.grid,
        coverage=coverage,
        findings=findings() if found is None else found,
        prior=changes.pop("prior", None),
        notices=changes.pop("notices", ()),
        style=changes.pop("style", None),
        language=language,
    )


def technique_only(region, language="en"):
    """The draft of a study outside the supported regions."""
    reasons = dict.fromkeys((*NO_DETECTOR, *OUT_OF_VIEW, "lungs", "pleura"), "region_not_supported")
    found = tuple(
        Finding(id=label.replace("_", "-"), label=label, presence=Presence.NOT_EVALUATED, reason="region_not_supported")
        for label in CLINICAL
    )
    return draft(found, language, coverage=Coverage(region=region, not_evaluated=reasons))


def text(of):
    """All words of a draft, section by section."""
    return "\n".join(f"{s.heading}: " + " ".join(x.text for x in s.sentences) for s in of.sections.values())


def upside_down(slices=10):
    """A grid whose slices run from head to feet."""
    return factories.oblique_grid(np.diag([1.0, -1.0, -1.0]), (slices, 4, 4))
