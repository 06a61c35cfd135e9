"""Claim: on phantoms never trained on, organs, lesions, diameters and the 18 labels are found as the truth has them.

    python benchmarks/cohort.py [--json] [--count 100] [--first-seed 0] [--jobs 2] [--segmenter medomni-ct|hu-rules|truth]
                                [--region chest|abdomen]

Each phantom (chest or abdomen, the cohort's own diseases, a scanner drawn by its seed) is segmented, measured and judged as a
study would be. Dice is per case: of organs with at least 20 mL in view, of lesions of at least 10 mL. A label counts as called
when the draft claims it, from *possible* on; not evaluated counts as not called. A lung with consolidation holds an opacity, as
the draft says it. Diameters are those of nodules found within 15 mm of a placed one. Of an abdomen the labels are fatty liver,
large spleen and stone. What is measured is held against the truth where both state it: the volume of an effusion of at least 10
mL on its side, the Agatston-like score of calcium that was placed, the cardiothoracic ratio of hearts placed large, the CT
number inside liver and spleen (the truth of a phantom has no trabecular CT number). The calibration error is that of all
probabilities given, over ten bins, and of each label alone beside it. With ``--segmenter truth`` the detectors read the true
masks, which tells their errors from the network's. The lobes of an opacity that is there and called are those named against
those that hold 1 mL of it. ``--cases FILE`` keeps what was seen of each phantom, one JSON object a line. Seeds from 1,000,000
on belong to the training.
"""

import argparse
import json
import os
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

from evaluation.metrics.calibration import calibration_error
from evaluation.metrics.overlap import dice
from evaluation.scorecard import all_hold, as_line, at_least, at_most, row
from medomni.anatomy import LOBES

ORGANS = {
    "lungs": (*LOBES["right"], *LOBES["left"]),
    "heart": ("heart",),
    "liver": ("liver",),
    "spleen": ("spleen",),
    "kidneys": ("kidney_right", "kidney_left"),
    "aorta": ("aorta",),
    "vertebrae": ("vertebrae",),
}
"""The large organs of the bar."""
LESIONS = ("pleural_effusion", "lung_opacity")
CORONARY, AORTIC = "coronary_artery_wall_calcification", "arterial_wall_calcification"
ORGAN_BAR, LESION_BAR, DIAMETER_BAR_MM, F1_BAR = 0.90, 0.80, 1.5, 0.90
ABDOMEN = ("hepatic_steatosis", "splenomegaly", "renal_stone")
"""Labels that an abdomen is scored by."""
UNITS = {
    "volume of an effusion": "mL",
    "calcium score, coronary": "",
    "calcium score, aorta": "",
    "cardiothoracic ratio": "",
    "CT number of the liver": "HU",
    "CT number of the spleen": "HU",
}
"""What is measured, and its unit."""
LEAST_ORGAN_ML, LEAST_LESION_ML = 20.0, 10.0
MATCH_MM = 15.0
LEAST_IN_LOBE_ML = 1.0
TRUTH = "truth"
"""Name of the segmenter that makes no mistake."""


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--count", type=int, default=100)
    words.add_argument("--first-seed", type=int, default=0)
    words.add_argument("--jobs", type=int, default=2)
    words.add_argument("--segmenter", default="medomni-ct")
    words.add_argument("--region", default="chest", choices=("chest", "abdomen"))
    words.add_argument("--cases", type=Path, help="file to which each phantom's figures are written")
    given = words.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    tasks = [(seed, given.segmenter, given.region) for seed in range(given.first_seed, given.first_seed + given.count)]
    cases = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for number, case in enumerate(pool.map(score_case, tasks), start=1):
            cases.append(case)
            if given.cases:
                with given.cases.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(case) + "\n")
            sys.stderr.write(f"\r{number} of {len(tasks)} phantoms")
    sys.stderr.write("\n")
    rows = [*dice_rows(cases), *diameter_rows(cases), *measurement_rows(cases), *lobe_rows(cases), *label_rows(cases)]
    rows += calibration_rows(cases)
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


@cache
def parts(segmenter: str):  # noqa: ANN201
    """The stages of a draft with the chosen segmenter."""
    from app import wiring

    return wiring.stages("hu-rules" if segmenter == TRUTH else segmenter, wiring.start())


def score_case(task: tuple[int, str, str]) -> dict:
    """Dice, measurements and labels of one phantom."""
    from medomni.phantom import draw_findings, make_case
    from medomni.phantom.cohort import BodyRegion
    from medomni.phantom.facts import FINDINGS
    from medomni.types.finding import Presence
    from preprocessing.detect.calibrate import KINDS_OF, true_segmentation

    seed, segmenter, region = task[0], task[1], BodyRegion(task[2])
    case = make_case(seed, draw_findings(seed, region), region=region)
    stages = parts(segmenter)
    found = true_segmentation(case) if segmenter == TRUTH else stages.segmenter.segment(case.volume, lambda _: None)
    regions = stages.measure(case.volume, found)
    coverage, _ = stages.scope(case.volume, found, regions)
    findings = stages.detect(case.volume, found, regions, coverage, lambda _: None).findings
    truth = {fact.kind for fact in case.facts}
    truth |= {label for label, kinds in KINDS_OF.items() if truth.intersection(kinds)}
    voxel_ml = float(case.volume.grid.voxel_volumes_ml[0])
    overlaps = {}
    for organ, names in ORGANS.items():
        true = case.truth.mask(*names)
        if true.sum() * voxel_ml >= LEAST_ORGAN_ML:
            overlaps[organ] = dice(true, found.mask(*names))
    for lesion in LESIONS:
        true = np.logical_or.reduce(
            [np.zeros(case.truth.labels.shape, bool), *(d.mask for d in case.drawn if d.structure == lesion)]
        )
        if true.sum() * voxel_ml >= LEAST_LESION_ML:
            overlaps[lesion] = dice(true, found.lesions.mask(lesion)) if found.lesions else 0.0
    called = {finding.label for finding in findings if finding.presence in (Presence.PRESENT, Presence.UNCERTAIN)}
    labels = ABDOMEN if region is BodyRegion.ABDOMEN else FINDINGS
    probability: dict[str, float] = {}
    for finding in findings:
        if finding.probability is not None:
            probability[finding.label] = max(finding.probability, probability.get(finding.label, 0.0))
    return {
        "seed": seed,
        "dice": overlaps,
        "labels": {label: (label in truth, label in called) for label in labels},
        "severity": {fact.kind: fact.severity for fact in case.facts},
        "probability": probability,
        "measured": list(measured(case, findings)),
        "effusion_sides": effusion_sides(case, findings),
        "diameters": list(diameter_errors(case, findings)),
        "placed_nodules": len(case.nodules),
        "lobes": lobes_of(case, findings),
    }


def measured(case, findings):  # noqa: ANN001, ANN201
    """Name, true value and stated value of whatever truth and findings both hold."""
    stated = {(finding.label, m.name): m.value for finding in findings for m in finding.measurements}
    true = {f"{fact.kind} {name}": value for fact in case.facts for name, value in fact.measurements.items()}
    true |= case.measurements
    pairs = [
        *(("volume of an effusion", f"effusion_volume_{s}", ("pleural_effusion", f"effusion_volume_{s}")) for s in LOBES),
        ("calcium score, coronary", f"{CORONARY} agatston", (CORONARY, "calcium_score")),
        ("calcium score, aorta", f"{AORTIC} agatston", (AORTIC, "calcium_score")),
        ("cardiothoracic ratio", "cardiomegaly cardiothoracic_ratio", ("cardiomegaly", "cardiothoracic_ratio")),
        ("CT number of the liver", "mean_hu_liver", ("hepatic_steatosis", "liver_hu")),
        ("CT number of the spleen", "mean_hu_spleen", ("hepatic_steatosis", "spleen_hu")),
    ]
    for name, truly, said in pairs:
        is_there = truly in true and (not truly.startswith("effusion") or true[truly] >= LEAST_LESION_ML)
        if is_there and said in stated:
            yield name, true[truly], stated[said]


def effusion_sides(case, findings):  # noqa: ANN001, ANN201
    """The sides that hold an effusion of at least 10 mL and those with a stated volume; nothing where none is there or called."""
    true = [side for side in LOBES if case.measurements[f"effusion_volume_{side}"] >= LEAST_LESION_ML]
    names = {m.name for finding in findings if finding.label == "pleural_effusion" for m in finding.measurements}
    said = [side for side in LOBES if f"effusion_volume_{side}" in names]
    return [true, said] if true and said else []


def lobes_of(case, findings):  # noqa: ANN001, ANN201
    """The lobes that hold opacity and those that are named; nothing where none is there or none is called."""
    masks = [d.mask for d in case.drawn if d.structure == "lung_opacity"]
    named = next((f.anatomy for f in findings if f.label == "lung_opacity" and f.evidence), ())
    lobes = [name for side in LOBES.values() for name in side]
    if not masks or not set(lobes).intersection(named):
        return []
    opacity, voxel_ml = np.logical_or.reduce(masks), float(case.volume.grid.voxel_volumes_ml[0])
    true = [name for name in lobes if (opacity & case.truth.mask(name)).sum() * voxel_ml >= LEAST_IN_LOBE_ML]
    return [true, [name for name in lobes if name in named]]


def diameter_errors(case, findings):  # noqa: ANN001, ANN201
    """Differences in mm between the stated and the true mean diameter of the nodules that were found."""
    for fact in case.nodules:
        centre = np.array(fact.centre_mm)
        near = [
            finding
            for finding in findings
            if finding.label == "lung_nodule"
            and finding.evidence
            and finding.evidence[0].position_mm is not None
            and np.linalg.norm(np.array(finding.evidence[0].position_mm) - centre) <= MATCH_MM
        ]
        values = {m.name: m.value for finding in near[:1] for m in finding.measurements}
        if "long_diameter" in values:
            mean = (values["long_diameter"] + values.get("short_diameter", values["long_diameter"])) / 2
            yield mean - fact.measurements["mean_diameter"]


def dice_rows(cases: list[dict]) -> list[dict]:
    """Mean Dice of each organ and lesion, and of the large organs together."""
    by_name = defaultdict(list)
    for case in cases:
        for name, value in case["dice"].items():
            by_name[name].append(value)
    means = {name: float(np.mean(values)) for name, values in by_name.items()}
    titles = {name: f"Dice of {name} (n = {len(values)})" for name, values in by_name.items()}
    organs = [name for name in ORGANS if name in means]
    return [
        *(row(titles[name], means[name]) for name in organs),
        at_least("mean Dice of the large organs", float(np.mean([means[name] for name in organs])), ORGAN_BAR),
        *(at_least(titles[name], means[name], LESION_BAR) for name in LESIONS if name in means),
    ]


def diameter_rows(cases: list[dict]) -> list[dict]:
    """Nodules found and the median error of their diameters."""
    errors = np.abs([error for case in cases for error in case["diameters"]])
    placed = sum(case["placed_nodules"] for case in cases)
    if not placed:
        return []
    median = float(np.median(errors)) if len(errors) else float("inf")
    return [
        row(f"share of placed nodules that were found and measured (n = {placed})", len(errors) / placed),
        at_most(f"median error of the mean diameter, mm (n = {len(errors)})", median, DIAMETER_BAR_MM),
    ]


def measurement_rows(cases: list[dict]) -> list[dict]:
    """Median error of each measurement, absolute and as a share of the true value, and the sides named for effusions."""
    rows = []
    for name, unit in UNITS.items():
        pairs = np.array([(true, said) for case in cases for what, true, said in case["measured"] if what == name])
        if len(pairs):
            error = np.abs(pairs[:, 1] - pairs[:, 0])
            share = float(np.median(error / np.maximum(np.abs(pairs[:, 0]), 1e-6)))
            what = f"median error of the {name}{f', {unit}' if unit else ''} (n = {len(pairs)})"
            rows.append(row(what, float(np.median(error))) | {"note": f"{100 * share:.0f} % of the true value"})
    sides = [(set(true), set(said)) for true, said in filter(None, (case["effusion_sides"] for case in cases))]
    if sides:
        right = float(np.mean([true == said for true, said in sides]))
        rows.append(row(f"effusions called on the side or sides that they lie on (n = {len(sides)})", right))
    return rows


def calibration_rows(cases: list[dict]) -> list[dict]:
    """The expected calibration error of all probabilities of the detectors, with that of each label beside it."""
    pairs: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for case in cases:
        for label, (is_there, _) in case["labels"].items():
            if label in case["probability"]:
                pairs[label].append((case["probability"][label], is_there))
    if not pairs:
        return []
    every = [pair for each in pairs.values() for pair in each]
    alone = ", ".join(f"{label} {_error_of(each):.2f} of {len(each)}" for label, each in pairs.items())
    return [row(f"expected calibration error of {len(every)} probabilities", _error_of(every)) | {"note": alone}]


def _error_of(pairs: list[tuple[float, bool]]) -> float:
    probabilities, outcomes = zip(*pairs, strict=True)
    return calibration_error(np.array(probabilities), np.array(outcomes))


def lobe_rows(cases: list[dict]) -> list[dict]:
    """F1 of the lobes that opacities are said to lie in."""
    pairs = [(set(true), set(named)) for true, named in filter(None, (case["lobes"] for case in cases))]
    right, told = sum(len(true & named) for true, named in pairs), sum(len(true) + len(named) for true, named in pairs)
    return [row(f"F1 of the lobes named for an opacity (n = {len(pairs)})", 2 * right / told)] if told else []


def label_rows(cases: list[dict]) -> list[dict]:
    """F1 of each label and their mean."""
    rows, scores = [], []
    for label in cases[0]["labels"]:
        pairs = [case["labels"][label] for case in cases]
        hit = sum(t and c for t, c in pairs)
        missed, false = sum(t and not c for t, c in pairs), sum(c and not t for t, c in pairs)
        if hit + missed:
            scores.append(2 * hit / (2 * hit + missed + false))
            rows.append(row(f"F1 of {label} (n = {hit + missed}: {missed} missed, {false} false)", scores[-1]))
    if not scores:
        return []
    return [*rows, at_least(f"macro-F1 of the {len(scores)} labels that occur", float(np.mean(scores)), F1_BAR)]


if __name__ == "__main__":
    sys.exit(main())
