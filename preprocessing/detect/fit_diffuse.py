"""Fits the weights of ``diffuse.toml`` on phantoms of known truth: ``python -m preprocessing.detect.fit_diffuse --rows FILE``.

    python -m preprocessing.detect.fit_diffuse measure --first 920000 --count 80 --rows rows.jsonl
    python -m preprocessing.detect.fit_diffuse fit --rows rows.jsonl

``measure`` appends the signs of both lungs of each phantom: every second one has a single disease of the lungs, the others what
``draw_findings`` gives their seed. ``fit`` prints each rule with the area under the curve of lungs that were left out.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from medomni.phantom.case import make_case
from medomni.phantom.cohort import draw_findings
from medomni.phantom.disease.placed import SEVERITIES, Placed
from medomni.types.region import Coverage
from preprocessing.detect.calibrate import true_segmentation
from preprocessing.detect.case import Case
from preprocessing.detect.diffuse import rules
from preprocessing.detect.lung_signs import lung_signs

LUNG_KINDS = (
    *("atelectasis", "bronchiectasis", "peribronchial_thickening", "interlobular_septal_thickening"),
    *("mosaic_attenuation_pattern", "pulmonary_fibrotic_sequela", "emphysema", "lung_nodule", "lung_opacity", "consolidation"),
)
"""Diseases of the lungs, each in turn: what one rule must find and the others must not."""
REGULARISATION = 0.5
"""Inverse weight of the squared weights, on signs of unit deviation."""
FOLDS = 6


@dataclass(frozen=True)
class Row:
    """The signs of one lung and the diseases on its side."""

    seed: int
    side: str
    kinds: list[str]
    signs: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the two commands."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = words.add_subparsers(dest="command", required=True)
    run = commands.add_parser("measure", help="append the signs of phantoms")
    run.add_argument("--first", type=int, default=920000)
    run.add_argument("--count", type=int, default=80)
    fit = commands.add_parser("fit", help="print rules fitted to the rows")
    for command in (run, fit):
        command.add_argument("--rows", type=Path, required=True, help="one JSON object a line")
    given = words.parse_args(arguments)
    if given.command == "fit":
        sys.stdout.write(fitted(read_rows(given.rows)))
        return 0
    for seed in range(given.first, given.first + given.count):
        with given.rows.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(asdict(row)) + "\n" for row in measured(seed, placed_of(seed - given.first, seed)))
    return 0


def placed_of(number: int, seed: int) -> tuple[Placed, ...]:
    """What the phantom of a seed suffers from: one lung disease in every second case, any picture in the others."""
    if number % 2:
        return draw_findings(seed)
    rng = np.random.default_rng([seed, 77])
    kind = LUNG_KINDS[number // 2 % len(LUNG_KINDS)]
    side, zone = str(rng.choice(("right", "left"))), str(rng.choice(("lower", "middle", "upper")))
    return (Placed(kind, side, zone, SEVERITIES[number // 2 // len(LUNG_KINDS) % 3]),)


def measured(seed: int, placed: tuple[Placed, ...]) -> list[Row]:
    """The rows of both lungs of one phantom."""
    phantom = make_case(seed, placed)
    case = Case(phantom.volume, true_segmentation(phantom), (), Coverage(region="chest", evaluated=("lungs",)))
    return [
        Row(seed, side, sorted({item.kind for item in placed if item.side == side}), signs.values)
        for side, signs in lung_signs(case).items()
    ]


def read_rows(path: Path) -> list[Row]:
    """The rows of a file."""
    return [Row(**json.loads(line)) for line in path.read_text("utf-8").splitlines() if line.strip()]


def fitted(rows: list[Row]) -> str:
    """The rules as TOML, each with its area under the curve on lungs of cases that were left out."""
    text = ""
    for label, rule in rules().items():
        names = list(rule.signs)
        signs = np.log1p(np.maximum([[row.signs[name] for name in names] for row in rows], 0.0))
        truth = np.array([label in row.kinds for row in rows])
        weights, intercept = _weights(signs, truth)
        area = _left_out_area(signs, truth, np.array([row.seed for row in rows]) % FOLDS)
        listed = ", ".join(f"{name} = {weight:.2f}" for name, weight in zip(names, weights, strict=True))
        text += f"[{label}]  # {truth.sum()} of {len(truth)} lungs, left-out area under the curve {area:.2f}\n"
        text += f"signs = {{ {listed} }}\nintercept = {intercept:.2f}\n\n"
    return text


def _weights(signs: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression

    middle, spread = signs.mean(axis=0), signs.std(axis=0) + 1e-6
    model = LogisticRegression(C=REGULARISATION, class_weight="balanced").fit((signs - middle) / spread, truth)
    weights = model.coef_[0] / spread
    return weights, float(model.intercept_[0] - weights @ middle)


def _left_out_area(signs: np.ndarray, truth: np.ndarray, fold: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    scores = np.zeros(len(truth))
    for k in np.unique(fold):
        weights, intercept = _weights(signs[fold != k], truth[fold != k])
        scores[fold == k] = signs[fold == k] @ weights + intercept
    return float(roc_auc_score(truth, scores))


if __name__ == "__main__":
    sys.exit(main())
