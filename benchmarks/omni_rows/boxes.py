"""Lesions of the 18 labels under boxes: the model's, those of a draft's findings, and those of another patient.

Bench -> rows
"""

import numpy as np

from evaluation.metrics.froc import sensitivity_at
from evaluation.scorecard import at_least, row
from omni_rows.cases import Bench, labels18, opinion

BOXES_BAR = 0.80
Placed = list[dict[str, list[tuple[float, np.ndarray]]]]
"""For each case the boxes of each label, with their scores, in millimetres of its scan."""


def box_rows(bench: Bench) -> list[dict]:
    """Lesions under the boxes of the model alone, and under those of the merged findings."""
    from app import judged
    from medomni.reporting.merge import CLAIMED, merge
    from medomni.types.dictation import Told

    thoughts, claims = [], []
    for case in bench.cases:
        told = judged.judged_of(case.info)
        thought = opinion(bench, case, told.grid, Told())
        thoughts.append([(one.label, *box) for one in thought.labels for box in zip(one.chances, one.evidence, strict=True)])
        merged = merge(told.findings, told.coverage, thought).findings
        claims.append([(f.label, f.probability or 0.0, place) for f in merged if f.presence in CLAIMED for place in f.evidence])
    places, whose = placed(bench, thoughts), bench.others()
    return [
        *_box_rows(bench, places, "the model's boxes", BOXES_BAR),
        *_box_rows(bench, [places[number] for number in whose], "the boxes of another patient"),
        *_box_rows(bench, placed(bench, claims), "boxes of the draft's findings"),
    ]


def placed(bench: Bench, told: list[list[tuple]]) -> Placed:
    """Boxes that are told of each case, where they lie in its scan."""
    from adapters.samples import load_scan

    found: Placed = []
    for case, boxes in zip(bench.cases, told, strict=True):
        scan, own = load_scan(case.file).focused(), {}
        for name, score, place in boxes:
            if place.box_mm:
                own.setdefault(name, []).append((score, scan.place_mm(place.box_mm).ravel()))
        found.append(own)
    return found


def _box_rows(bench: Bench, told: Placed, whose: str, bar: float | None = None) -> list[dict]:
    from adapters.answers import true_boxes
    from adapters.samples import load_sample
    from medomni.model.boxes import matches

    shown, lesions = [], 0
    for case, boxes in zip(bench.cases, told, strict=True):
        sample = load_sample(case.file)
        for label in labels18():
            true = true_boxes(sample, label)
            lesions += len(true)
            own = sorted(boxes.get(label, ()), key=lambda one: -one[0])
            right = matches([box for _, box in own], true)
            shown += [(score, yes) for (score, _), yes in zip(own, right, strict=True)]
    found = sensitivity_at(shown, lesions, len(bench.cases), 1.0)
    title = f"lesions (n = {lesions}) under {whose} at 1 false box a case"
    return [
        row(title, found) if bar is None else at_least(title, found, bar),
        row(f"lesions under any of {whose}", sum(yes for _, yes in shown) / max(1, lesions)),
    ]
