"""Claim: on phantoms that nothing learned from, the omni model and the drafts made with it say what is true.

    python benchmarks/omni.py [--json] [--count 200] [--first-seed 0] [--jobs 2] [--work DIR] [--model DIR] [--labels]
                              [--voices flite:rms flite:slt] [--heard 100] [--worded 25] [--spoiled 25]

Each phantom (chest, the cohort's own diseases, a scanner drawn by its seed) is scanned, segmented and judged by the detectors
once; ``--work`` keeps that. Then, from the same files:

- *labels*: macro-F1 of the 18 labels, yes from the threshold in ``answers.json`` on, given CT, history, dictation and all
  mixtures of them (histories and dictations by turns English and Chinese), and what constant and strange answers score;
- *swapped*: the same answers when each patient gets the CT of the next;
- *drafts*: what the labeler reads in the English draft made of detectors and model, from "possible" on; with the dictation too;
  with the CT of the next patient; with the history in Chinese; and what a normal draft for everybody and the draft of another
  patient, drawn by a seed, score. The sentences that change with the history of the next patient. How often what a draft tells
  is true, for each certainty that it tells. Sentences that the review holds for unsupported; also in the words of the language
  model, for the first ``--worded`` drafts (left out where the decoder is missing);
- *boxes*: lesions of the 18 labels under boxes, likeliest first (IoU 0.3): the model's, those of another patient, and
  those of the draft's findings;
- *gates*, *importance*, *retrieval*: what the fusion does with a strange modality, with noise, air or letters in its place
  (for the first ``--spoiled`` phantoms), without its most important one, and how often a CT finds its own dictation among 25;
- *sound*: the same where an English dictation is heard and not read, for the first ``--heard`` phantoms: in a synthetic voice
  that the audio encoder has learned from, on other patients, and in one that it never heard, which is no bar (``--voices``; left
  out where a speaker or the audio encoder is missing).

Exits with 1 when a figure misses its bar.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from omni_rows.boxes import box_rows
from omni_rows.cases import Bench, Case, labels18, seen_of
from omni_rows.drafts import draft_rows

from evaluation.metrics.calibration import calibration_error
from evaluation.metrics.labels import score_labels
from evaluation.scorecard import all_hold, as_line, at_least, at_most, not_measured, row

F1_BAR, ECE_BAR, FALL_BAR = 0.90, 0.05, 0.5
COMBINATIONS = ("v", "h", "d", "vh", "vd", "hd", "vhd")
"""v the CT, h the history, d the dictation's words, s its sound."""
NAMES = {"v": "CT", "h": "history", "d": "dictation", "s": "sound of a dictation"}
HEARD = ("s", "vs")
GATE_BAR = 0.9
AMONG = 25
"""Patients among whom a CT looks for its own dictation."""


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--labels", action="store_true", help="also the F1 of each label")
    words.add_argument("--count", type=int, default=200)
    words.add_argument("--first-seed", type=int, default=0)
    words.add_argument("--jobs", type=int, default=2)
    words.add_argument("--work", type=Path, help="folder that keeps the phantoms")
    words.add_argument("--model", type=Path, help="folder of the model; the shipped one by default")
    words.add_argument("--voices", nargs="+", default=["flite:rms", "flite:slt"], help="voices of the dictations that are heard")
    words.add_argument("--heard", type=int, default=100, help="of how many phantoms a dictation is heard")
    words.add_argument("--worded", type=int, default=25, help="how many drafts the language model words")
    words.add_argument("--spoiled", type=int, default=25, help="of how many phantoms CT and dictation are spoiled")
    given = words.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from app import judged

    work = given.work or Path(tempfile.gettempdir()) / "medomni-judged"
    seeds = range(given.first_seed, given.first_seed + given.count)
    files = judged.write(seeds, work, given.jobs, lambda share: sys.stderr.write(f"\rphantoms {share:.0%}"))
    bench = Bench(files, given.model)
    rows = [*label_rows(bench, given.labels), *draft_rows(bench, given.worded, is_each=given.labels)]
    rows += [*box_rows(bench), *fusion_rows(bench), *spoiled_rows(bench.first(given.spoiled))]
    for voice in given.voices if given.heard else ():
        rows += sound_rows(bench.heard_in(voice, given.heard), is_bar=voice == given.voices[0])
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


def label_rows(bench: Bench, is_each: bool) -> list[dict]:
    """Macro-F1 for each mixture of modalities, calibration, and how it falls with another patient's CT."""
    rows, scores = [], {}
    outcomes = np.array([[label in truth for label in labels18()] for truth in bench.truth])
    for combination in COMBINATIONS:
        logits, _ = bench.answers(combination)
        probabilities = bench.probabilities(logits)
        score = score_labels(zip(bench.truth, bench.called(probabilities), strict=True))
        scores[combination] = score
        title = f"macro-F1 given {' + '.join(NAMES[key] for key in combination)} (n = {len(outcomes)})"
        rows.append(at_least(title, score.macro_f1, F1_BAR) if combination == "vhd" else row(title, score.macro_f1))
        if combination in ("v", "vhd"):
            error = calibration_error(probabilities.ravel(), outcomes.ravel())
            each = [calibration_error(probabilities[:, k], outcomes[:, k]) for k in range(len(labels18()))]
            rows.append(at_most(f"calibration error of these, all labels pooled ({combination})", error, ECE_BAR))
            rows.append(row(f"the largest of a label ({labels18()[int(np.argmax(each))]})", max(each)))
        if is_each and combination in ("v", "vhd"):
            rows += [row(f"F1 of {label} (n = {score.positives[label]}) {combination}", f1) for label, f1 in score.f1.items()]
    logits, _ = bench.answers("v", of=lambda number: (number + 1) % len(bench.cases))
    strange = score_labels(zip(bench.truth, bench.called(bench.probabilities(logits)), strict=True)).macro_f1
    rows.append(at_least("fall of macro-F1 with the next patient's CT, given the CT", scores["v"].macro_f1 - strange, FALL_BAR))
    logits, _ = bench.answers("vh", of=lambda number: (number + 1) % len(bench.cases))
    strange = score_labels(zip(bench.truth, bench.called(bench.probabilities(logits)), strict=True)).macro_f1
    rows.append(at_least("the same given CT + history", scores["vh"].macro_f1 - strange, FALL_BAR))
    rows.append(row("macro-F1 of a normal report for everybody", score_labels((truth, set()) for truth in bench.truth).macro_f1))
    rows.append(row("macro-F1 of the next patient's answers", scores["vhd"].shuffled_macro_f1))
    return rows


def fusion_rows(bench: Bench) -> list[dict]:
    """Gates against a strange modality, importance by task, sparse attention, retrieval."""
    from medomni.model.config import TASKS

    rows, shifted = [], lambda number: (number + 1) % len(bench.cases)
    logits, clean = bench.answers("vd")
    for modality, strange in (("vision", {"of": shifted}), ("text", {"said_of": shifted})):
        gates = [
            np.array([float(one.fused.gates["query", modality].mean()) for one in answers])
            for answers in (clean, bench.answers("vd", **strange)[1])
        ]
        falls = float((gates[1] < gates[0]).mean())
        rows.append(at_least(f"share of patients whose gate to {modality} falls when it is somebody else's", falls, GATE_BAR))
        rows.append(row(f"gate to {modality}, own and strange: mean of own", float(gates[0].mean())))
        rows.append(row(f"gate to {modality}, own and strange: mean of strange", float(gates[1].mean())))
    done, dense = (sum(one.fused.multiply_adds[k] for one in clean) for k in (0, 1))
    rows.append(at_most("arithmetic between modalities, share of dense attention", done / dense, 0.7))
    with_all, _ = bench.answers("vd", kept=1.0)
    change = abs(_macro(bench, logits) - _macro(bench, with_all))
    rows.append(at_most("change of macro-F1 when all pairs attend", change, 0.01))
    title = "share of tasks, given a dictation or a history, in which the most important modality is missed most"
    note = f"one score stands for all {len(TASKS)} tasks: by what is missed, these are two cases, a dictation and a history"
    rows.append(at_least(title, _important(bench), 0.8) | {"note": note})
    return rows + _found_rows(clean, "vision", clean, "text", "CT finds its own dictation")


def spoiled_rows(bench: Bench) -> list[dict]:
    """Gates where CT or dictation is nobody's: noise under the patient's own structures, air, letters or words by chance.

    Words in another order still name what was found, so that no bar is set for these.
    """
    rows, clean = [], bench.answers("vd")[1]
    for kind, spoil in SPOILED.items():
        modality = "vision" if kind in ("noise", "air") else "text"
        given = bench.first(len(bench.cases))
        given.cases = [spoil(case, bench.model) for case in bench.cases]
        own, spoiled = (
            np.array([float(one.fused.gates["query", modality].mean()) for one in answers])
            for answers in (clean, given.answers("vd")[1])
        )
        falls = float((spoiled < own).mean())
        title = f"share of patients whose gate to {modality} falls when it is {SAID[kind]} (n = {len(own)})"
        note = {"note": f"mean {own.mean():.3f}, then {spoiled.mean():.3f}"}
        rows.append((row(title, falls) if kind == "shuffled" else at_least(title, falls, GATE_BAR)) | note)
    return rows


def _noise(case: Case, model) -> Case:  # noqa: ANN001
    from adapters.samples import load_sample

    sample = load_sample(case.file)
    codes = np.random.default_rng(sample.info["seed"]).integers(0, 256, sample.codes.shape, np.uint8)
    return replace(case, seen=seen_of(model, codes, sample.structures)[0])


def _air(case: Case, model) -> Case:  # noqa: ANN001
    from adapters.samples import load_sample

    sample = load_sample(case.file)
    return replace(case, seen=seen_of(model, np.zeros_like(sample.codes), np.zeros_like(sample.structures))[0])


def _letters(case: Case, _model) -> Case:  # noqa: ANN001
    rng = np.random.default_rng(case.info["seed"])
    text = "".join(chr(ord("a") + int(rng.integers(26))) if one.isalpha() else one for one in case.dictation)
    return replace(case, dictation=text)


def _shuffled(case: Case, _model) -> Case:  # noqa: ANN001
    is_spaced = case.dictation.isascii()
    parts = np.array(case.dictation.split() if is_spaced else list(case.dictation))
    order = np.random.default_rng(case.info["seed"]).permutation(len(parts))
    return replace(case, dictation=(" " if is_spaced else "").join(parts[order]))


SPOILED = {"noise": _noise, "air": _air, "letters": _letters, "shuffled": _shuffled}
SAID = {"noise": "noise", "air": "air", "letters": "random letters", "shuffled": "its own words in another order"}


def sound_rows(bench: Bench, *, is_bar: bool) -> list[dict]:
    """Labels, gates and retrieval where dictations are heard."""
    from adapters import voices
    from medomni.errors import MissingPart

    voice = bench.voice
    try:
        voices.check_installed([bench.voice])
    except MissingPart as error:
        return [not_measured("sound", str(error))]
    if bench.ears is None:
        return [not_measured("sound", "the model has no audio encoder")]
    given = {combination: bench.answers(combination) for combination in HEARD}
    titles = {key: " + ".join(NAMES[name] for name in key) for key in HEARD}
    rows = [row(f"macro-F1 given {titles[key]} ({voice}, n = {len(bench.cases)})", _macro(bench, given[key][0])) for key in HEARD]
    own, strange = given["vs"][1], bench.answers("vs", said_of=lambda number: (number + 1) % len(bench.cases))[1]
    gates = [np.array([float(one.fused.gates["query", "audio"].mean()) for one in answers]) for answers in (own, strange)]
    title = f"share of patients whose gate to audio falls when it is somebody else's ({voice})"
    rows.append(row(title, float((gates[1] < gates[0]).mean())))
    rows += _found_rows(own, "vision", own, "audio", f"CT finds the sound of its own dictation ({voice})", is_bar=is_bar)
    written = bench.answers("d")[1]
    title = f"sound of a dictation finds another of the same patient, written ({voice}),"
    return rows + _found_rows(own, "audio", written, "text", title, is_bar=is_bar)


def _found_rows(asking, asks: str, offering, offers: str, title: str, *, is_bar: bool = True) -> list[dict]:  # noqa: ANN001
    starts = range(0, len(asking) - AMONG + 1, AMONG)
    if not starts:
        return []
    parts = [(asking[start : start + AMONG], offering[start : start + AMONG]) for start in starts]
    found = float(np.mean([_own_first(ours, asks, theirs, offers) for ours, theirs in parts]))
    title = f"{title} first among {AMONG}"
    return [at_least(title, found, 5 / AMONG) if is_bar else row(title, found)]


def _important(bench: Bench) -> float:
    from medomni.model.config import MODALITIES, TASKS

    right = []
    for task, told in ((task, told) for task in TASKS for told in "dh"):
        _, answers = bench.answers(f"v{told}", task)
        importance = np.mean([one.fused.importance[0].numpy() for one in answers], axis=0)
        without = {"vision": _macro(bench, bench.answers(told, task)[0]), "text": _macro(bench, bench.answers("v", task)[0])}
        right.append(MODALITIES[int(importance.argmax())] == min(without, key=lambda name: without[name]))
    return float(np.mean(right))


def _macro(bench: Bench, logits) -> float:  # noqa: ANN001
    return score_labels(zip(bench.truth, bench.called(bench.probabilities(logits)), strict=True)).macro_f1


def _own_first(asking, asks: str, offering, offers: str) -> float:  # noqa: ANN001
    ours = np.concatenate([one.shared[asks].numpy() for one in asking])
    theirs = np.concatenate([one.shared[offers].numpy() for one in offering])
    return float((np.argmax(ours @ theirs.T, axis=1) == np.arange(len(ours))).mean())


if __name__ == "__main__":
    sys.exit(main())
