"""The truth of a case as JSON: coded findings, instances with box and measurements, label names, technique.

PhantomCase, Told -> truth.json
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from medomni.phantom.case import PhantomCase
from medomni.phantom.cohort import BodyRegion
from medomni.phantom.facts import FINDINGS, ORGAN_CHANGES, Fact
from medomni.phantom.picture import outlined
from medomni.phantom.report import ORGAN_OF, Told
from medomni.reporting import vocabulary

_ALWAYS_IN_VIEW = {
    BodyRegion.CHEST: ("lungs", "airways", "pleura", "heart", "great_vessels", "mediastinum", "bones", "devices"),
    BodyRegion.ABDOMEN: ("great_vessels", "bones", "devices"),
}
_VOCABULARY_NAMES = {"steatosis": "hepatic_steatosis", "vertebral_fracture": "vertebral_height_loss"}
"""Kinds that the vocabulary of findings has under another name."""
_WHOLE = {"liver": ("liver",), "spleen": ("spleen",), "kidneys": ("kidney_right", "kidney_left"), "heart": ("heart",)}
"""Organs that a report calls normal only when the scan holds them whole."""


def organs_in_view(case: PhantomCase) -> frozenset[str]:
    """The organs of which a report may speak: those that the region always shows, those shown whole, and those with a finding."""
    labels = case.truth.labels
    edges = np.unique(labels[[0, -1]])
    shown = {case.truth.names[int(label)] for label in np.unique(labels) if label}
    cut = {case.truth.names[int(label)] for label in edges if label}
    whole = [organ for organ, names in _WHOLE.items() if all(name in shown and name not in cut for name in names)]
    found = [ORGAN_OF[fact.kind] for fact in case.facts]
    return frozenset((*_ALWAYS_IN_VIEW[case.region], *whole, *found))


def write_truth(case: PhantomCase, told: Told, path: Path, language: str) -> None:
    """Write the truth of a case; ``language`` is the one of its dictation, "" when there is none."""
    text = json.dumps(_truth(case, told, language), indent=1, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def _truth(case: PhantomCase, told: Told, language: str) -> dict[str, object]:
    return {
        "seed": case.seed,
        "region": str(case.region),
        "age_years": case.age_years,
        "sex": case.sex,
        "dictation_language": language,
        "history": case.history,
        "technique": {**asdict(case.technique), "contrast_phase": case.phase or "none"},
        "placed": [{**asdict(item), "amount": item.size} for item in case.placed],
        "findings": [_finding(label, told) for label in (*FINDINGS, *ORGAN_CHANGES)],
        "resolved": [_instance(fact) for fact in told.resolved],
        "nodules": [_nodule(fact) for fact in case.nodules],
        "measurements": {name: round(value, 3) for name, value in case.measurements.items()},
        "organs_in_view": sorted(told.organs),
        "prior": {"date": told.prior_date, "months": told.prior_months} if told.prior_date else None,
        "truth_labels": {str(label): name for label, name in case.truth.names.items()},
        "lesion_labels": {str(label): name for label, name in case.lesions.names.items()},
        "outlined": list(outlined(case)),
    }


def _finding(label: str, told: Told) -> dict[str, object]:
    instances = [fact for fact in told.facts if fact.kind == label]
    sides = sorted({fact.side for fact in instances if fact.side})
    name = _VOCABULARY_NAMES.get(label, label)
    known = name in vocabulary.vocabulary().labels
    codes = [mapped.model_dump(mode="json") for mapped in vocabulary.codes(name)] if known else []
    return {
        "label": label,
        "presence": "present" if instances else "absent",
        "in_view": ORGAN_OF[label] in told.organs,
        "laterality": "bilateral" if len(sides) > 1 else sides[0] if sides else "",
        "codes": codes,
        "instances": [_instance(fact) for fact in instances],
    }


def _instance(fact: Fact) -> dict[str, object]:
    numbers = {name: round(value, 3) for name, value in fact.measurements.items()}
    place = {"box_mm": _rounded(fact.box_mm), "centre_mm": _rounded(fact.centre_mm)}
    return {**asdict(fact), "measurements": numbers, **place}


def _nodule(fact: Fact) -> dict[str, object]:
    diameter = round(fact.measurements["mean_diameter"], 2)
    return {"side": fact.side, "diameter_mm": diameter, "centre_mm": _rounded(fact.centre_mm)}


def _rounded(values: object) -> object:
    return None if values is None else np.round(np.asarray(values, dtype=np.float64), 2).tolist()
