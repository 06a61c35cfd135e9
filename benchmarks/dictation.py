"""Claim: what is dictated of the 18 findings is read right, from text in two languages and, less surely, from sound.

    python benchmarks/dictation.py [--json] [--count 60] [--spoken 12] [--first-seed 0]

Phantoms of the cohort tell what a radiologist would dictate of them. The text is read as a draft reads it: macro-F1 of the 18
labels against what the phantom has, and the share of the things said in the text (a label, there or not there) that are read from
the sound of it too. Sound: three synthetic voices of flite, heard by the recogniser; left out where flite or the recogniser's
weights (``medomni weights pull speech``) are missing. Exits with 1 when a figure misses its bar.
"""

import argparse
import json
import os
import sys
import time

from evaluation.metrics.labels import score_labels
from evaluation.scorecard import all_hold, as_line, at_least, row

TEXT_BAR = 0.88
SHAPE, SPACING_MM = (40, 72, 72), (7.5, 5.4, 5.4)
"""A coarse scan: only what is told of the phantom matters."""
VOICES = ("flite:slt", "flite:rms", "flite:awb")


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--count", type=int, default=60)
    words.add_argument("--spoken", type=int, default=12, help="how many are spoken")
    words.add_argument("--first-seed", type=int, default=0)
    given = words.parse_args()
    from medomni.phantom.write import dictation_of, make_patient

    seeds = range(given.first_seed, given.first_seed + given.count)
    patients = [make_patient(seed, shape=SHAPE, spacing_mm=SPACING_MM) for seed in seeds]
    texts = {language: [dictation_of(patient, language) for patient in patients] for language in ("en", "zh")}
    rows = [row_of(patients, said, language) for language, said in texts.items()]
    rows += sound_rows(texts["en"][: given.spoken])
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


def row_of(patients, texts: list[str], language: str) -> dict:  # noqa: ANN001
    """How well the labels of the phantoms are read from the texts."""
    from medomni.phantom.facts import FINDINGS
    from medomni.types.finding import Presence
    from preprocessing.dictation import read

    pairs = []
    for patient, text in zip(patients, texts, strict=True):
        true = {fact.kind for fact in patient.case.facts} & set(FINDINGS)
        said = {remark.label for remark in read(text).remarks if remark.presence is not Presence.ABSENT}
        pairs.append((true, said))
    return at_least(f"macro-F1 of labels in dictated text, {language} (n = {len(pairs)})", score_labels(pairs).macro_f1, TEXT_BAR)


def sound_rows(texts: list[str]) -> list[dict]:
    """What of the texts is still read when they are spoken and heard."""
    from adapters import voices
    from app import wiring
    from medomni.errors import MissingPart
    from medomni.settings import load
    from preprocessing.dictation import read
    from preprocessing.speech import Recording

    try:
        ears = wiring.ears(load(os.environ))
        voices.check_installed(VOICES)
    except MissingPart as error:
        return [row(f"sound: not run ({error})", 0.0)]
    right = said = wrong = 0
    spent = seconds = 0.0
    for number, text in enumerate(texts):
        recording, start = Recording(*voices.speak(text, VOICES[number % len(VOICES)])), time.process_time()
        heard = read(ears.hear(recording, lambda _: None).text)
        spent, seconds = spent + time.process_time() - start, seconds + recording.seconds
        told, got = ({(one.label, one.presence) for one in remarks} for remarks in (read(text).remarks, heard.remarks))
        right, said, wrong = right + len(told & got), said + len(told), wrong + len(got - told)
    return [
        row(f"share of what was said that is read from the sound (n = {said})", right / max(1, said)),
        row("share of what is read from the sound that was not said", wrong / max(1, right + wrong)),
        row("CPU-seconds for a second of speech", spent / max(1e-9, seconds)),
    ]


if __name__ == "__main__":
    sys.exit(main())
