"""Claim: on phantoms that nothing learned from, the omni model and the drafts made with it say what is true.

    python benchmarks/omni.py [--json] [--count 200] [--first-seed 0] [--jobs 2] [--work DIR] [--model DIR] [--labels]
                              [--voices flite:rms flite:slt] [--heard 100]

Each phantom (chest, the cohort's own diseases, a scanner drawn by its seed) is scanned, segmented and judged by the detectors
once; ``--work`` keeps that. Then, from the same files:

- *labels*: macro-F1 of the 18 labels, yes from the threshold in ``answers.json`` on, given CT, history, dictation and all
  mixtures of them (histories and dictations by turns English and Chinese), and what constant and strange answers score;
- *swapped*: the same answers when each patient gets the CT of the next;
- *drafts*: what the labeler reads in the English draft made of detectors and model, from "possible" on; with the dictation too;
  with the CT of the next patient; with the history of the next; with the history in Chinese;
- *boxes*: lesions of the 18 labels under boxes, likeliest first (IoU 0.3): the model's, and those of the draft's findings;
- *gates*, *importance*, *retrieval*: what the fusion does with a strange modality, without its most important one, and how often
  a CT finds its own dictation among 25;
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.metrics.calibration import calibration_error
from evaluation.metrics.froc import sensitivity_at
from evaluation.metrics.labels import score_labels
from evaluation.scorecard import all_hold, as_line, at_least, at_most, row

if TYPE_CHECKING:
    from medomni.types.dictation import Told

F1_BAR, TEXT_BAR, ECE_BAR, FALL_BAR, BOXES_BAR = 0.90, 0.88, 0.05, 0.5, 0.80
COMBINATIONS = ("v", "h", "d", "vh", "vd", "hd", "vhd")
"""v the CT, h the history, d the dictation's words, s its sound."""
NAMES = {"v": "CT", "h": "history", "d": "dictation", "s": "sound of a dictation"}
HEARD = ("s", "vs")
GATE_BAR = 0.9
AMONG = 25
"""Patients among whom a CT looks for its own dictation."""
DICTATED, SPOKEN = 91_000, 92_000
"""Seeds of the wording of dictations, read and heard."""


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
    given = words.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from app import judged

    work = given.work or Path(tempfile.gettempdir()) / "medomni-judged"
    seeds = range(given.first_seed, given.first_seed + given.count)
    files = judged.write(seeds, work, given.jobs, lambda share: sys.stderr.write(f"\rphantoms {share:.0%}"))
    bench = Bench(files, given.model)
    rows = [*label_rows(bench, given.labels), *draft_rows(bench, given.labels), *box_rows(bench), *fusion_rows(bench)]
    for voice in given.voices:
        rows += sound_rows(bench.heard_in(voice, given.heard), is_bar=voice == given.voices[0])
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


@dataclass
class Bench:
    """The files, and the model that is asked about them."""

    files: Sequence[Path]
    folder: Path | None
    voice: str = ""

    def heard_in(self, voice: str, count: int) -> "Bench":
        """The first cases, dictated by a voice; the network has looked at them already."""
        few = Bench(self.files[:count], self.folder, voice)
        few.cases, few.model = self.cases[:count], self.model
        return few

    @cached_property
    def ears(self):  # noqa: ANN201
        """The model with its audio encoder; None where it has none."""
        from medomni.model import checkpoint, omni_folder
        from medomni.model.config import MODALITIES

        try:
            return checkpoint.load(self.folder or omni_folder.SHIPPED, MODALITIES).omni
        except KeyError:
            return None

    @cached_property
    def sounds(self):  # noqa: ANN201
        """An English dictation of each case as ``voice`` speaks it: log-mel spectra (1, mel, frame)."""
        from adapters import told_texts, voices
        from medomni.model.audio import heard, log_mel

        config, spoken = self.ears.config, []
        for number, case in enumerate(self.cases, start=1):
            text = told_texts.dictation(case.info, np.random.default_rng([SPOKEN, case.info["seed"]]), ("en",))
            spoken.append(log_mel(heard(*voices.speak(text, self.voice), config.longest_audio_s), config.mels)[None])
            sys.stderr.write(f"\rspoke {number} of {len(self.cases)}")
        sys.stderr.write("\n")
        return spoken

    @cached_property
    def model(self):  # noqa: ANN201
        """The loaded model."""
        import torch

        from medomni.model import checkpoint, omni_folder

        torch.set_num_threads(1)
        return checkpoint.load(self.folder or omni_folder.SHIPPED, omni_folder.IN_DRAFTS)

    @cached_property
    def cases(self) -> list["Case"]:
        """What is needed of each file."""
        made = []
        for number, file in enumerate(self.files, start=1):
            made.append(Case.of(file, number, self.model))
            sys.stderr.write(f"\rlooked at {number} of {len(self.files)}")
        sys.stderr.write("\n")
        return made

    @property
    def truth(self) -> list[set[str]]:
        """The labels of the 18 that are true of each case."""
        return [case.truth for case in self.cases]

    def answers(  # noqa: ANN201
        self,
        combination: str,
        task: str = "label",
        of: Callable[[int], int] = lambda number: number,
        said_of: Callable[[int], int] = lambda number: number,
        kept: float | None = None,
    ):
        """Logits (case, label) and the answers; ``of`` says whose CT each patient gets, ``said_of`` whose texts."""
        import torch

        from medomni.model.omni import Given

        logits, fused = [], []
        for number in range(len(self.cases)):
            case = self.cases[said_of(number)]
            with torch.inference_mode():
                seen = self.cases[of(number)].seen if "v" in combination else None
                texts = [("history", case.history)] if "h" in combination else []
                texts += [("dictation", case.dictation)] if "d" in combination else []
                sound = self.sounds[said_of(number)] if "s" in combination else None
                frames = None if sound is None else torch.tensor([sound.shape[-1]])
                given = Given(seen, self.model.words.joined([texts]) if texts else None, sound, frames)
                answer = (self.model.omni if sound is None else self.ears)(given, task, kept)
            logits.append(answer.logits[0].numpy().astype(float))
            fused.append(answer)
        return np.stack(logits), fused

    def probabilities(self, logits):  # noqa: ANN001, ANN201
        """Calibrated probabilities (case, label) of the 18."""
        rows = [self.model.answers[label] for label in labels18()]
        offset, slope = (np.array([getattr(one, name) for one in rows]) for name in ("offset", "slope"))
        return 1 / (1 + np.exp(-(offset + slope * logits[:, : len(rows)])))

    def called(self, probabilities) -> list[set[str]]:  # noqa: ANN001
        """The labels that each case is said to have."""
        thresholds = np.array([self.model.answers[label].threshold for label in labels18()])
        return [{label for label, yes in zip(labels18(), case >= thresholds, strict=True) if yes} for case in probabilities]


@dataclass(eq=False)
class Case:
    """One phantom as the model and the drafts need it."""

    number: int
    file: Path
    truth: set[str]
    history: str
    chinese: str
    dictation: str
    info: dict
    near: object
    seen: object

    @classmethod
    def of(cls, file: Path, number: int, model) -> "Case":  # noqa: ANN001
        """Look at a file."""
        import torch

        from adapters import told_texts
        from adapters.samples import load_sample
        from medomni.model.config import LABELS

        sample = load_sample(file)
        arrays = (torch.from_numpy(np.ascontiguousarray(array))[None] for array in (sample.codes, sample.structures))
        with torch.inference_mode():
            seen, near = model.omni.see(*arrays)
        truth = {label for label, yes in zip(LABELS, sample.labels, strict=True) if yes} & set(labels18())
        info = sample.info
        english, chinese = info["history"]["en"], info["history"]["zh"]
        dictation = told_texts.dictation(info, np.random.default_rng([DICTATED, info["seed"]]))
        mixed = (english, chinese)[number % 2]
        return cls(number, file, truth, mixed, chinese, dictation, info, near, seen)


def labels18() -> tuple[str, ...]:
    """The 18 findings of the vocabulary, in the model's order."""
    from medomni.model.config import LABELS
    from medomni.phantom.facts import FINDINGS

    return tuple(label for label in LABELS if label in FINDINGS)


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


def drafted(bench: Bench, whose_ct: Callable[[int], int], told_of: Callable[[int], "Told"]):  # noqa: ANN201
    """Findings and English draft of each patient, made of a CT and of what is told."""
    from app import judged
    from medomni.reporting.compose import compose
    from medomni.reporting.dictated import heed
    from medomni.reporting.merge import merge
    from medomni.types.context import PatientContext
    from medomni.types.study import Acquisition
    from preprocessing import dictation

    for number in range(len(bench.cases)):
        case = bench.cases[whose_ct(number)]
        seen, told = judged.judged_of(case.info), told_of(number)
        merged = merge(seen.findings, seen.coverage, opinion(bench, case, seen.grid, told)).findings
        findings = heed(merged, dictation.read(told.dictation)).findings
        draft = compose(
            PatientContext(), Acquisition(), seen.grid, seen.coverage, findings, prior=None, notices=(), language="en"
        )
        yield findings, draft


def opinion(bench: Bench, case: Case, grid, told: "Told"):  # noqa: ANN001, ANN201
    """What the stage of a draft would think of a case; the network has looked at its CT already."""
    import torch

    from adapters.samples import load_scan
    from medomni.model.omni_runtime import raw_of
    from preprocessing.look import opinion_of

    model = bench.model
    text = model.words.joined([told.texts]) if told.texts else None
    with torch.inference_mode():
        raw = raw_of(model.omni, case.near, case.seen, text)
    return opinion_of(raw, model.answers, load_scan(case.file).focused(), grid, model.digest)


def read(draft) -> set[str]:  # noqa: ANN001
    """What the labeler reads in the findings and the impression, from "possible" on."""
    from medomni.reporting import labeler
    from medomni.types.finding import Presence
    from medomni.types.section import SectionName

    sections = (draft.sections[name] for name in (SectionName.FINDINGS, SectionName.IMPRESSION))
    text = "\n".join(line for one in sections for line in (f"{one.heading}:", *(sentence.text for sentence in one.sentences)))
    said = labeler.presences(text, "en")
    return {label for label, presence in said.items() if presence in (Presence.PRESENT, Presence.UNCERTAIN)}


def draft_rows(bench: Bench, is_each: bool) -> list[dict]:
    """What the drafts say, and what of it follows the CT and the history."""
    from app import judged
    from medomni.reporting.merge import CLAIMED
    from medomni.types.dictation import Told

    count = len(bench.cases)

    def history(number: int) -> "Told":
        return Told(history=bench.cases[number].history)

    def both(number: int) -> "Told":
        return Told(history=bench.cases[number].history, dictation=bench.cases[number].dictation)

    own = list(drafted(bench, lambda number: number, history))
    score = score_labels(zip(bench.truth, (read(draft) for _, draft in own), strict=True))
    alone = [judged.judged_of(case.info).findings for case in bench.cases]
    by_rule = score_labels(
        (truth, {finding.label for finding in found if finding.presence in CLAIMED})
        for truth, found in zip(bench.truth, alone, strict=True)
    )
    dictated = drafted(bench, lambda number: number, both)
    heard = score_labels(zip(bench.truth, (read(draft) for _, draft in dictated), strict=True))
    strange = drafted(bench, lambda number: (number + 1) % count, history)
    fallen = score_labels(zip(bench.truth, (read(draft) for _, draft in strange), strict=True)).macro_f1
    other = drafted(bench, lambda number: number, lambda number: history((number + 1) % count))
    chinese = drafted(bench, lambda number: number, lambda number: Told(history=bench.cases[number].chinese))
    english = drafted(bench, lambda number: number, lambda number: Told(history=bench.cases[number].info["history"]["en"]))
    state = lambda findings: {(f.id, f.presence in CLAIMED) for f in findings}  # noqa: E731
    with_other = np.mean([state(one) != state(two) for (one, _), (two, _) in zip(own, other, strict=True)])
    by_language = np.mean([state(one) == state(two) for (one, _), (two, _) in zip(english, chinese, strict=True)])
    return [
        row("macro-F1 of the detectors alone", by_rule.macro_f1),
        at_least("macro-F1 of what the labeler reads in the drafts (CT + history + dictation)", heard.macro_f1, TEXT_BAR),
        at_least("macro-F1 of what the labeler reads in the drafts (CT + history)", score.macro_f1, TEXT_BAR),
        at_least("its fall with the next patient's CT", score.macro_f1 - fallen, FALL_BAR),
        row("share of drafts that claim other findings with the next patient's history", float(with_other)),
        at_least("share of patients with the same findings, history in Chinese or English", float(by_language), 1.0),
        *([row(f"F1 in drafts of {label}", f1) for label, f1 in score.f1.items()] if is_each else []),
    ]


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
    return [
        *_box_rows(bench, thoughts, "the model's boxes", BOXES_BAR),
        *_box_rows(bench, claims, "boxes of the draft's findings"),
    ]


def _box_rows(bench: Bench, told: list[list[tuple]], whose: str, bar: float | None = None) -> list[dict]:
    from adapters.answers import true_boxes
    from adapters.samples import load_sample, load_scan
    from medomni.model.boxes import matches

    shown, lesions = [], 0
    for case, boxes in zip(bench.cases, told, strict=True):
        sample, scan = load_sample(case.file), load_scan(case.file).focused()
        for label in labels18():
            true = true_boxes(sample, label)
            lesions += len(true)
            own = [(score, scan.place_mm(place.box_mm).ravel()) for name, score, place in boxes if name == label and place.box_mm]
            own.sort(key=lambda one: -one[0])
            right = matches([box for _, box in own], true)
            shown += [(score, yes) for (score, _), yes in zip(own, right, strict=True)]
    found = sensitivity_at(shown, lesions, len(bench.cases), 1.0)
    title = f"lesions (n = {lesions}) under {whose} at 1 false box a case"
    return [
        row(title, found) if bar is None else at_least(title, found, bar),
        row(f"lesions under any of {whose}", sum(yes for _, yes in shown) / max(1, lesions)),
    ]


def fusion_rows(bench: Bench) -> list[dict]:
    """Gates against a strange modality, importance by task, sparse attention, retrieval."""
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
    rows.append(at_least(title, _important(bench), 0.8))
    return rows + _found_rows(clean, "vision", clean, "text", "CT finds its own dictation")


def sound_rows(bench: Bench, *, is_bar: bool) -> list[dict]:
    """Labels, gates and retrieval where dictations are heard."""
    from adapters import voices
    from medomni.errors import MissingPart

    voice = bench.voice
    try:
        voices.check_installed([bench.voice])
    except MissingPart as error:
        return [row(f"sound: not run ({error})", 0.0)]
    if bench.ears is None:
        return [row("sound: not run (the model has no audio encoder)", 0.0)]
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
