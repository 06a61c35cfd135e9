"""Claim: the rule labeler reads the 18 findings out of reports that it did not write.

    python benchmarks/labeler.py [--json] [--count 200] [--first-seed 0]

Three sets of text. Reference reports of phantoms, English and Chinese: written from the truth with words that no part of the
labeler was taken from, but by the same project, and its last mistakes were mended on other seeds of the same words, so this
score flatters. Chest captions of ROCO (CC BY, read from the repository's ``shared`` folder when it is there) were marked by one
reader, a language model under instruction and no radiologist (``caption_labels.json``); they are captions, not
reports. Every other caption was looked at when rules were mended, the rest was not. Beside each score stand the rows of no
labels at all and of the answers for other patients.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from evaluation.metrics.labels import LabelScore, score_labels
from evaluation.scorecard import all_hold, as_line, at_least, row
from medomni.reporting import labeler
from medomni.types.finding import Presence

F1_BAR = 0.92
COARSE_SHAPE, COARSE_MM = (60, 128, 128), (5.0, 2.8, 2.8)
"""Reports need no fine scan: a coarser grid shows the same person."""
LEAST_POSITIVES = 5
"""Labels with fewer captions than this are left out of the mean."""
CAPTIONS = Path(__file__).parents[2] / "shared" / "data" / "text" / "roco_ct_ccby.json"
CAPTION_LABELS = Path(__file__).with_name("caption_labels.json")


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--count", type=int, default=200)
    words.add_argument("--first-seed", type=int, default=0)
    given = words.parse_args()
    rows = []
    cases = list(phantom_reports(range(given.first_seed, given.first_seed + given.count)))
    for language in ("en", "zh"):
        start = time.process_time()
        pairs = [(truth, read(reports[language], language)) for truth, reports in cases]
        spent_ms = 1000 * (time.process_time() - start) / len(cases)
        name = f"phantom reports, {language} (n = {len(cases)}, labeler {labeler.VERSION})"
        rows += [*score_rows(name, score_labels(pairs), F1_BAR), row(f"{name}: CPU ms a report", spent_ms)]
    if CAPTIONS.exists() and CAPTION_LABELS.exists():
        pairs = list(caption_pairs())
        for name, half in (("looked at", pairs[::2]), ("not looked at", pairs[1::2])):
            rows += score_rows(f"ROCO chest captions, {name} (n = {len(half)})", score_labels(half, LEAST_POSITIVES), None)
    else:
        sys.stderr.write("captions are not here: not run\n")
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


def read(text: str, language: str) -> set[str]:
    """The labels that a text asserts, with doubt or without."""
    return {label for label, presence in labeler.presences(text, language).items() if presence is not Presence.ABSENT}


def phantom_reports(seeds: range) -> Iterator[tuple[set[str], dict[str, str]]]:
    """The findings of each phantom and its reference report in both languages."""
    from medomni.phantom.facts import FINDINGS
    from medomni.phantom.report import voice_of, write_report
    from medomni.phantom.write import make_patient

    for seed in seeds:
        told = make_patient(seed, shape=COARSE_SHAPE, spacing_mm=COARSE_MM).told
        truth = {fact.kind for fact in told.facts} & set(FINDINGS)
        yield truth, {language: write_report(told, voice_of(seed, language)) for language in ("en", "zh")}


def caption_pairs() -> Iterator[tuple[set[str], set[str]]]:
    """What people and the labeler read in each caption."""
    captions = {entry["id"]: entry["caption"] for entry in json.loads(CAPTIONS.read_text("utf-8"))}
    for identifier, labels in json.loads(CAPTION_LABELS.read_text("utf-8")).items():
        yield set(labels["present"]), read(captions[identifier], "en")


def score_rows(name: str, score: LabelScore, bar: float | None) -> list[dict]:
    """Macro-F1 with its peers, and the weakest labels."""
    title = f"{name}: macro-F1 of {len(score.f1)} labels"
    weakest = sorted(score.f1.items(), key=lambda item: item[1])[:3]
    return [
        row(title, score.macro_f1) if bar is None else at_least(title, score.macro_f1, bar),
        row(f"{name}: micro-F1", score.micro_f1),
        row(f"{name}: macro-F1 of saying nothing", 0.0),
        row(f"{name}: macro-F1 of the reports of other patients", score.shuffled_macro_f1),
        *(row(f"{name}: weakest, {label} (n = {score.positives[label]})", value) for label, value in weakest),
    ]


if __name__ == "__main__":
    sys.exit(main())
