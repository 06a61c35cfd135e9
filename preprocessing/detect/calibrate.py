"""Fits the curves of ``calibration.toml`` on phantoms of known truth, one logistic curve for each finding.

    python -m preprocessing.detect.calibrate measure --first 40000 --count 120 --rows rows.jsonl [--segmenter truth|medomni-ct]
    python -m preprocessing.detect.calibrate fit --rows rows.jsonl [--label NAME ...]

``measure`` runs every detector's raw measure over the phantoms of those seeds and appends a line for each; a seed that the file
already holds is left out, so it can be interrupted. ``fit`` replaces the curves of the labels of which it has enough cases on
both sides; a curve that was set by hand (``present = 0``) is replaced only when its label is named. Every phantom weighs the
same, so a probability holds where the disease is as common as among them. The targets are Platt's (1999), so that a measure
that parts all cases does not give an endless slope.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize

from medomni.anatomy import SEGMENTED, SEGMENTED_LESIONS
from medomni.phantom.case import PhantomCase, make_case
from medomni.phantom.cohort import draw_findings
from medomni.types.segmentation import Segmentation
from preprocessing.detect.abdomen import liver_index_hu, spleen_ml, stone_mm
from preprocessing.detect.calcium import aortic_amount, coronary_amount
from preprocessing.detect.calibration import STEEPEST, TABLE, Curve, curves
from preprocessing.detect.case import Case
from preprocessing.detect.devices import material_amount
from preprocessing.detect.diffuse import LABELS as DIFFUSE
from preprocessing.detect.diffuse import shown_ml
from preprocessing.detect.emphysema import low_percent
from preprocessing.detect.heart import cardiothoracic_ratio, pericardial_fluid_ml
from preprocessing.detect.hernia import hernia_ml
from preprocessing.detect.lung import consolidation_ml, opacity_ml
from preprocessing.detect.nodes import short_axis_mm
from preprocessing.detect.nodule import best_logit
from preprocessing.detect.pleura import fluid_ml
from preprocessing.measure.regions import measure
from preprocessing.measure.scope import scope
from preprocessing.segment.medomni_ct import MedomniCt

Measure = Callable[[Case], float | None]

MEASURES: dict[str, Measure] = {
    "lung_opacity": opacity_ml,
    "consolidation": consolidation_ml,
    "pleural_effusion": fluid_ml,
    "pericardial_effusion": pericardial_fluid_ml,
    "cardiomegaly": cardiothoracic_ratio,
    "coronary_artery_wall_calcification": coronary_amount,
    "arterial_wall_calcification": aortic_amount,
    "hiatal_hernia": hernia_ml,
    "lymphadenopathy": short_axis_mm,
    "medical_material": material_amount,
    "hepatic_steatosis": lambda case: _negative(liver_index_hu(case)),
    "splenomegaly": spleen_ml,
    "renal_stone": stone_mm,
    "lung_nodule": best_logit,
    "emphysema": low_percent,
    **{label: shown_ml(label) for label in DIFFUSE},
}
"""The raw measure of each finding that has a curve; None where the detector does not answer."""
KINDS_OF = {"hepatic_steatosis": ("steatosis",), "lung_opacity": ("lung_opacity", "consolidation")}
"""The phantom's names of a finding where they differ: a consolidation is an opacity."""
LEAST_CASES = 8
"""A curve is fitted from this many phantoms with and without the finding on."""
ASTRAY = 0.03
"""Share of phantoms of which a measure says nothing, as segmenter or detector failed wholly: they do not bend a curve."""
SHRINKAGE = 1e-3
"""Weight of the squared slope: keeps it finite where the scale is short."""


@dataclass(frozen=True)
class Row:
    """What was measured on one phantom and what is true of it; a measure is None outside its detector's scope."""

    seed: int
    measures: dict[str, float | None]
    kinds: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the two commands."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = words.add_subparsers(dest="command", required=True)
    run = commands.add_parser("measure", help="measure phantoms and append a line for each")
    run.add_argument("--first", type=int, default=40000, help="first seed")
    run.add_argument("--count", type=int, default=120, help="number of phantoms")
    run.add_argument("--segmenter", choices=("truth", "medomni-ct"), default="truth", help="whose masks the detectors read")
    fit = commands.add_parser("fit", help="fit the curves to the lines and write the table")
    fit.add_argument("--label", action="append", help="only this finding, even if set by hand; may be given several times")
    for command in (run, fit):
        command.add_argument("--rows", type=Path, required=True, help="file of measured phantoms, one JSON object a line")
    given = words.parse_args(arguments)
    if given.command == "measure":
        measure_phantoms(range(given.first, given.first + given.count), given.segmenter, given.rows)
    else:
        write_curves(fitted(read_rows(given.rows), given.label or fitted_before()))
    return 0


def measure_phantoms(seeds: range, segmenter: str, path: Path) -> None:
    """Append the row of each seed that the file does not hold yet."""
    done = {row.seed for row in read_rows(path)} if path.exists() else set()
    for seed in seeds:
        if seed in done:
            continue
        phantom = make_case(seed, draw_findings(seed))
        row = measured(phantom, true_segmentation(phantom) if segmenter == "truth" else _by_network(phantom))
        with path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"seed": row.seed, "measures": row.measures, "kinds": row.kinds}) + "\n")
        sys.stderr.write(f"{seed} {', '.join(row.kinds)}\n")


def measured(phantom: PhantomCase, segmentation: Segmentation) -> Row:
    """Every raw measure of one phantom."""
    regions = measure(phantom.volume, segmentation)
    coverage, _ = scope(phantom.volume, segmentation, regions)
    case = Case(phantom.volume, segmentation, regions, coverage)
    kinds = tuple(sorted({lesion.kind for lesion in phantom.drawn if lesion.mask.any()}))
    return Row(phantom.seed, {label: take(case) for label, take in MEASURES.items()}, kinds)


def true_segmentation(phantom: PhantomCase) -> Segmentation:
    """The truth of a phantom in the form of a segmenter that makes no mistake: anatomy, and lesions beside it."""
    grid, truth = phantom.volume.grid, phantom.truth
    lesions = np.zeros(grid.shape, np.uint8)
    names = dict(enumerate(SEGMENTED_LESIONS, start=1))
    for label, name in reversed(names.items()):
        for lesion in phantom.drawn:
            if lesion.structure == name:
                lesions[lesion.mask] = label
    anatomy = np.where(truth.labels <= len(SEGMENTED), truth.labels, 0).astype(np.uint8)
    anatomy[np.isin(lesions, [label for label, name in names.items() if name.endswith("effusion")])] = 0
    seen = Segmentation(lesions, grid, names, truth.segmenter, truth.digest)
    known = {label: name for label, name in truth.names.items() if name in SEGMENTED}
    return replace(truth, labels=anatomy, names=known, lesions=seen)


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows of a file of measured phantoms."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return tuple(Row(line["seed"], line["measures"], tuple(line["kinds"])) for line in lines)


def fitted_before() -> list[str]:
    """The labels whose curve in the table came from a fit: a curve set by hand has reasons that no fit knows."""
    return [label for label in MEASURES if label in curves() and curves()[label].present]


def fitted(rows: tuple[Row, ...], labels: Sequence[str]) -> dict[str, Curve]:
    """The curves of the table with those of the labels fitted anew where there are cases enough."""
    table = dict(curves())
    for label in labels:
        kinds = KINDS_OF.get(label, (label,))
        known = [(row.measures.get(label), any(kind in row.kinds for kind in kinds)) for row in rows]
        pairs = [(value, is_there) for value, is_there in known if value is not None]
        present = sum(is_there for _, is_there in pairs)
        if label in table and min(present, len(pairs) - present) >= LEAST_CASES:
            seeds = (min(row.seed for row in rows), max(row.seed for row in rows))
            table[label] = fit_curve(table[label], pairs, seeds)
    return table


def fit_curve(curve: Curve, pairs: Sequence[tuple[float, bool]], seeds: tuple[int, int]) -> Curve:
    """The curve with middle and slope fitted to (measure, is there) pairs; scale, words and ceiling are kept."""
    x = np.array([curve.scale.of(value) for value, _ in pairs])
    there = np.array([is_there for _, is_there in pairs])
    centre, spread = float(x.mean()), float(x.std()) or 1.0
    target = np.where(there, (there.sum() + 1) / (there.sum() + 2), 1 / ((~there).sum() + 2))

    def loss(theta: Float64[np.ndarray, "2"], astray: float) -> float:
        exponent = theta[0] * (x - centre) / spread + theta[1]
        share = astray + (1 - 2 * astray) / (1 + np.exp(-np.clip(exponent, -STEEPEST, STEEPEST)))
        each = target * np.log(share) + (1 - target) * np.log(1 - share)
        return float(SHRINKAGE * theta[0] ** 2 - each.mean())

    theta = np.array([2.0, 0.0])
    for astray in (1e-9, ASTRAY):  # the second is not convex: begin where the first ends
        theta = minimize(loss, theta, astray, method="L-BFGS-B", bounds=((1e-3, None), (None, None))).x
    steep, offset = theta
    middle = centre - offset / steep * spread
    return curve.model_copy(
        update={
            "middle": round(float(curve.scale.back(middle)), 4),
            "slope": round(float(steep / spread), 4),
            "present": int(there.sum()),
            "absent": int((~there).sum()),
            "seeds": seeds,
            "source": f"fitted {datetime.now(UTC).date().isoformat()}",
        }
    )


def write_curves(table: dict[str, Curve], path: Path = TABLE) -> None:
    """Write the table under the comment at the head of the present one."""
    head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    blocks = [f"[{label}]\n" + "\n".join(_lines(curve)) for label, curve in table.items()]
    path.write_text("\n\n".join(("\n".join(head), *blocks)) + "\n", encoding="utf-8")


def _lines(curve: Curve) -> list[str]:
    """The fields that differ from their defaults, as TOML."""
    values = curve.model_dump(mode="json", exclude_defaults=True)
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]


def _by_network(phantom: PhantomCase) -> Segmentation:
    return _segmenter().segment(phantom.volume, lambda share: None)


@cache
def _segmenter() -> MedomniCt:
    """One for all phantoms: its network is converted at the first."""
    return MedomniCt()


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


if __name__ == "__main__":
    raise SystemExit(main())
