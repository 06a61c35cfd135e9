"""Claim: on real chests the drafted opacity lies in the slices and lobes with marked infection, and a normal chest gets none.

    python benchmarks/real_infection.py [--json] [--data FOLDER] [--segmenter NAME]

FOLDER (default ``../shared/data/ct``) holds ``chest-*.tar.xz`` with ``chest-*.labels.json`` beside them: infection marked by
slice and lobe. Printed: the area under the curve of a slice's opacity volume against its mark (infected-slice AUC), F1 of
the lobes that the finding names against the lobes that were marked, and what is called on a series without marks. Lobes are
scored only where the segmenter knows them. The labels serve for measuring only. Two of them are faults that the data's own
README names; the lobes are scored by the marks as they are, and beside it by the marks without these two faults.
"""

import argparse
import json
import sys
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.scorecard import all_hold, as_line, at_least, at_most

if TYPE_CHECKING:
    from medomni.pipeline import Segmenter

AUC_BAR, F1_BAR = 0.90, 0.75
LOBES = {
    "LLL": "lung_lower_lobe_left",
    "LUL": "lung_upper_lobe_left",
    "RLL": "lung_lower_lobe_right",
    "RML": "lung_middle_lobe_right",
    "RUL": "lung_upper_lobe_right",
}


MENDED: dict[str, tuple[tuple[range, str | None, str], ...]] = {
    "chest-covid-ct-md-p001": ((range(26, 30), "LLL", "LUL"), (range(32, 39), "LLL", "LUL")),
    "chest-covid-ct-md-cap002": ((range(102, 107), None, "LLL"),),
}
"""Slices whose mark of a lobe (None: none) ought to be that of another, by the README of the data: an opacity in front at the
level of the aortic arch lies in the upper lobe, and an opacity of the left base was not marked."""


@dataclass(frozen=True)
class Marked:
    """One series: opacity (mL) and mark of each slice, lobes found (None: not known), marked and rightly marked, and labels."""

    name: str
    slice_ml: tuple[float, ...]
    is_infected: tuple[bool, ...]
    found_lobes: frozenset[str] | None
    marked_lobes: frozenset[str]
    mended_lobes: frozenset[str]
    called: tuple[str, ...]


def main() -> int:
    """Measure all labelled series and print the rows."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="print rows as JSON")
    words.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "ct")
    words.add_argument("--segmenter", default="medomni-ct")
    given = words.parse_args()
    tables = sorted(given.data.glob("chest-*.labels.json"))
    if not tables:
        sys.stderr.write(f"no labelled series in {given.data.name}: nothing was measured\n")
        return 0
    segmenter = chosen(given.segmenter)
    rows = rows_of([measure_series(table, segmenter) for table in tables])
    for row in rows:
        sys.stdout.write((json.dumps(row) if given.json else as_line(row)) + "\n")
    return 0 if all_hold(rows) else 1


def chosen(name: str) -> "Segmenter":
    """The segmenter of a name or bundle folder, as the product finds it."""
    import os

    from app.wiring import stages
    from medomni.settings import load

    return stages(name, load(os.environ)).segmenter


def measure_series(table: Path, segmenter: "Segmenter") -> Marked:
    """Segment and detect one series."""
    from preprocessing.assemble import assemble
    from preprocessing.detect.findings import detect
    from preprocessing.dicom import open_study
    from preprocessing.measure.regions import measure
    from preprocessing.measure.scope import scope

    labels = json.loads(table.read_text(encoding="utf-8"))
    archive = table.with_name(table.name.replace(".labels.json", ".tar.xz"))
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
        study = open_study(Path(scratch))
        volume = assemble(study, lambda share: None)
    segmentation = segmenter.segment(volume, lambda share: None)
    regions = measure(volume, segmentation)
    coverage, _ = scope(volume, segmentation, regions)
    detection = detect(volume, segmentation, regions, coverage, lambda _: None)
    opacity = detection.lesions.mask("lung_opacity", "consolidation")
    slice_ml = opacity.sum(axis=(1, 2)) * volume.grid.voxel_volumes_ml
    mark = dict(zip(labels["sop_instance_uids"], labels["slice_infection"], strict=True))
    finding = next(f for f in detection.findings if f.label == "lung_opacity")
    knows_lobes = all(segmentation.has(name) for name in LOBES.values())
    marks = np.array(labels["lobe_infection"], bool).reshape(-1, len(LOBES))
    return Marked(
        name=labels["id"],
        slice_ml=tuple(float(ml) for ml in slice_ml),
        is_infected=tuple(bool(mark[frame.sop_instance_uid]) for frame in study.frames),
        found_lobes=frozenset(finding.anatomy) & frozenset(LOBES.values()) if knows_lobes else None,
        marked_lobes=lobes_of(marks, list(labels["lobes"])),
        mended_lobes=lobes_of(mended(marks, list(labels["lobes"]), labels["id"]), list(labels["lobes"])),
        called=tuple(f.label for f in detection.findings if f.presence in ("present", "uncertain") and f.label in CALLED),
    )


def mended(marks: "np.ndarray", order: list[str], name: str) -> "np.ndarray":
    """The marks (slice, lobe) without the faults that are known."""
    right = marks.copy()
    for slices, wrong, lobe in MENDED.get(name, ()):
        if wrong is not None:
            right[slices, order.index(wrong)] = False
        right[slices, order.index(lobe)] = True
    return right


def lobes_of(marks: "np.ndarray", order: list[str]) -> frozenset[str]:
    """The lobes that are marked in any slice."""
    return frozenset(LOBES[key] for key, is_marked in zip(order, marks.any(axis=0), strict=True) if is_marked)


CALLED = ("lung_opacity", "consolidation", "pleural_effusion")
"""What a normal chest must not be given."""


def rows_of(series: list[Marked]) -> list[dict[str, object]]:
    """One row for each figure."""
    from sklearn.metrics import roc_auc_score

    rows: list[dict[str, object]] = []
    ill = [one for one in series if any(one.is_infected)]
    for one in ill:
        rows.append(at_least(f"infected-slice AUC, {one.name}", float(roc_auc_score(one.is_infected, one.slice_ml)), AUC_BAR))
    known = [one for one in ill if one.found_lobes is not None]
    for one in known:
        rows.append(at_least(f"lobes, {one.name}: {', '.join(sorted(one.found_lobes or ())) or 'none'}", _f1([one]), F1_BAR))
    if known:
        rows.append(at_least("F1 of the lobes over all series", _f1(known), F1_BAR))
        right = [replace(one, marked_lobes=one.mended_lobes) for one in known]
        rows.append(at_least("the same without the two known faults of the marks", _f1(right), F1_BAR))
    else:
        sys.stderr.write("this segmenter knows no lobes: none were scored\n")
    for one in series:
        if not any(one.is_infected):
            rows.append(at_most(f"called on {one.name}", len(one.called), 0))
    return rows


def _f1(series: list[Marked]) -> float:
    found = [(one.name, lobe) for one in series for lobe in one.found_lobes or ()]
    marked = {(one.name, lobe) for one in series for lobe in one.marked_lobes}
    right = sum(pair in marked for pair in found)
    return 2.0 * right / max(len(found) + len(marked), 1)


if __name__ == "__main__":
    sys.exit(main())
