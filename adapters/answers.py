"""Fits how the omni model's logits become answers, on phantoms that no network learned from.

kept sights and files of the cohort, model -> for each label: curve, joint curve with the detectors, threshold, boxes

Curves are logistic, their targets Platt's (1999), so that a label whose cases part wholly gets no endless slope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float64
from pydantic import TypeAdapter
from scipy.optimize import minimize

from adapters.samples import Sample, load_sample
from adapters.sights import Patient, together
from medomni.model.boxes import Chance, Extent, Join, found, matches
from medomni.model.config import LABELS
from medomni.model.omni import Given, Omni
from medomni.model.omni_folder import Answering
from medomni.model.vision import NearNetwork
from medomni.model.words import TextWords
from medomni.reporting.merge import measured_probability
from medomni.types.finding import Finding
from medomni.types.opinion import Joint, logit

HISTORIES = (None, "en", "zh")
"""What is given beside the CT while curves are fitted: nothing, or the history in a language."""
RIDGE = 0.01
"""Weight that keeps slopes small where cases part wholly."""
LEVELS, DROPS = (-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0), (None, 2.0, 3.0, 4.0, 5.0)
WRONG = 0.1
"""What a wrong box costs where a right one brings 1: little, for its chance tells it from the others."""
LEAST_LESIONS = 3
"""Fewer lesions than this fit no extent."""
USUAL = Extent(at_least=-1.5, join=Join.PARTS)
"""The extent of a label that has none of its own."""
SELDOM = Chance(offset=-3.0, score=0.5, label=0.0)
"""The chance of the boxes of a label of which fewer boxes than that were right."""
THRESHOLDS = np.linspace(0.15, 0.7, 56)
_FINDINGS = TypeAdapter(tuple[Finding, ...])


@dataclass(frozen=True)
class AnswersRecipe:
    """The settings of one fit; the keys of ``recipes/answers.toml``.

    Attributes:
        phantoms, first_seed: phantoms of the cohort that say what is true.
        model: "" for the one that was trained in the work folder, "shipped" or a folder for the curves of one that is there.
    """

    phantoms: int
    first_seed: int
    model: str = ""


@dataclass(frozen=True, eq=False)
class Rows:
    """Answers of the model: logits (row, label), truth, and the detectors' logits, not a number where none judged."""

    logits: Float64[np.ndarray, "row label"]
    truth: Bool[np.ndarray, "row label"]
    detected: Float64[np.ndarray, "row label"]


def fit(
    files: Sequence[Path], patients: Sequence[Patient], omni: Omni, words: TextWords, more: Sequence[Path] = ()
) -> dict[str, Answering]:
    """Return how each label's logit becomes an answer.

    Args:
        files: phantoms that no network learned from.
        patients: the same.
        omni: the model.
        words: its tokenizer.
        more: phantoms that the near network did not learn from: they too say which cells a box is drawn round.
    """
    rows = answered(patients, omni, words)
    return _answers_of(rows, fit_boxes(files, omni.vision.near, rows.logits[:: len(HISTORIES)], more))


def fit_curves(patients: Sequence[Patient], omni: Omni, words: TextWords, known: Mapping[str, Answering]) -> dict[str, Answering]:
    """Return a model's answers with curves and thresholds fitted anew and boxes drawn as before: for detectors that changed."""
    rows = answered(patients, omni, words)
    return _answers_of(rows, {label: (answer.extent, answer.chance) for label, answer in known.items()})


def _answers_of(rows: Rows, boxes: Mapping[str, tuple[Extent, Chance]]) -> dict[str, Answering]:
    """The curves of each label, and how its boxes are drawn."""
    answers = {}
    for number, label in enumerate(LABELS):
        offset, slope, joint, threshold = fit_label(rows.logits[:, number], rows.truth[:, number], rows.detected[:, number])
        extent, chance = boxes[label]
        answers[label] = Answering(offset=offset, slope=slope, joint=joint, threshold=threshold, extent=extent, chance=chance)
    return answers


def answered(patients: Sequence[Patient], omni: Omni, words: TextWords) -> Rows:
    """The model's logits for each patient with each of ``HISTORIES``."""
    logits, truth, detected = [], [], []
    for patient in patients:
        theirs = detectors_logits(patient)
        for language in HISTORIES:
            logits.append(logits_of(omni, words, patient, patient.info["history"][language] if language else ""))
            truth.append(patient.labels.numpy() > 0)
            detected.append(theirs)
    return Rows(np.stack(logits), np.stack(truth), np.stack(detected))


def logits_of(omni: Omni, words: TextWords, patient: Patient, history: str) -> Float64[np.ndarray, "label"]:
    """The model's logits for one patient's CT, with a history or without."""
    with torch.inference_mode():
        seen = omni.vision.far(together([patient.sight]))
        text = words.joined([[("history", history)]]) if history else None
        return np.asarray(omni(Given(seen, text)).logits[0].double().numpy())


def detectors_logits(patient: Patient) -> Float64[np.ndarray, "label"]:
    """The logit of what the detectors say of each label; not a number where none judged it."""
    judged = _FINDINGS.validate_python(patient.info["judged"]["findings"])
    probabilities = [measured_probability(judged, label) for label in LABELS]
    return np.array([np.nan if p is None else logit(p) for p in probabilities])


def fit_label(
    logits: Float64[np.ndarray, "row"], truth: Bool[np.ndarray, "row"], detected: Float64[np.ndarray, "row"]
) -> tuple[float, float, Joint, float]:
    """Offset and slope, the joint curve, and the probability that parts yes from no best (F1)."""
    offset, slope = _logistic_fit(logits[:, None], truth, least=(0.0,))
    is_silent = np.isnan(detected)
    features = np.stack([is_silent, logits, np.where(is_silent, 0.0, detected)], axis=1)
    at, silence, own, theirs = _logistic_fit(features.astype(float), truth, least=(None, 0.0, 0.0))
    probability = 1 / (1 + np.exp(-(offset + slope * logits)))
    scores = [_f1(probability >= threshold, truth) for threshold in THRESHOLDS]
    best = np.flatnonzero(np.array(scores) >= max(scores) - 1e-9)
    joint = Joint(offset=at, silence=silence, own=own, theirs=theirs)
    return offset, slope, joint, round(float(THRESHOLDS[best].mean()), 3)


def fit_boxes(
    files: Sequence[Path], near: NearNetwork, logits: Float64[np.ndarray, "file label"], more: Sequence[Path] = ()
) -> dict[str, tuple[Extent, Chance]]:
    """For each label how its boxes are drawn and how likely each is right.

    Args:
        files: the phantoms.
        near: the network that scores their cells.
        logits: what the model says of each label from the CT of each file alone.
        more: phantoms that only the extents follow from.
    """
    extents = fit_extents((*files, *more), near)
    drawn: dict[str, list[tuple[float, float, bool]]] = {label: [] for label in LABELS}
    for file, whole in zip(files, logits, strict=True):
        sample = load_sample(file)
        cells = cells_of(sample, near)
        for number, label in enumerate(LABELS):
            boxes = found(cells[number], extents[label])
            right = matches([box.corners for box in boxes], true_boxes(sample, label))
            drawn[label] += [(box.score, float(whole[number]), yes) for box, yes in zip(boxes, right, strict=True)]
    return {label: (extents[label], fit_chance(drawn[label])) for label in LABELS}


def fit_chance(drawn: Sequence[tuple[float, float, bool]]) -> Chance:
    """The curve of boxes with a score, the logit of their label, and whether they are right."""
    if sum(right for *_, right in drawn) < LEAST_LESIONS:
        return SELDOM
    table = np.array(drawn, float)
    offset, score, label = _logistic_fit(table[:, :2], table[:, 2] > 0, least=(0.0, 0.0))
    return Chance(offset=offset, score=score, label=label)


def fit_extents(files: Sequence[Path], near: NearNetwork) -> dict[str, Extent]:
    """For each label the extent whose boxes lie best over the lesions of those who have some."""
    near.eval()
    gains: dict[str, dict[Extent, float]] = {label: {} for label in LABELS}
    lesions = dict.fromkeys(LABELS, 0)
    for file in files:
        sample = load_sample(file)
        true = {label: true_boxes(sample, label) for label in LABELS}
        cells = cells_of(sample, near)
        for number, label in enumerate(LABELS):
            lesions[label] += len(true[label])
            for at_least, join, drop in product(LEVELS, Join, DROPS) if true[label] else ():
                extent = Extent(at_least=at_least, join=join, drop=drop)
                right = matches([box.corners for box in found(cells[number], extent)], true[label])
                gains[label][extent] = gains[label].get(extent, 0.0) + sum(right) - WRONG * (len(right) - sum(right))
    return {
        label: max(gains[label], key=lambda extent: gains[label][extent]) if lesions[label] >= LEAST_LESIONS else USUAL
        for label in LABELS
    }


def cells_of(sample: Sample, near: NearNetwork) -> "np.ndarray":
    """Logits (label, z, y, x) of a sample."""
    arrays = (torch.from_numpy(np.ascontiguousarray(array))[None] for array in (sample.codes, sample.structures))
    with torch.inference_mode():
        return np.asarray(near(*arrays).cells[0].numpy())


def true_boxes(sample: Sample, label: str) -> list["np.ndarray"]:
    """The boxes (low z, y, x, high z, y, x) of the lesions of a label, in mm of the scan."""
    return [lesion.box.astype(float) for lesion in sample.lesions if lesion.label == label and lesion.voxels.any()]


def _logistic_fit(
    features: Float64[np.ndarray, "row k"], truth: Bool[np.ndarray, "row"], least: Sequence[float | None]
) -> tuple[float, ...]:
    """Offset and weights; logits have weights of at least 0, so that more evidence never lowers a probability."""
    there, not_there = float(truth.sum()), float((~truth).sum())
    target = np.where(truth, (there + 1) / (there + 2), 1 / (not_there + 2))

    def loss(parameters: Float64[np.ndarray, "p"]) -> float:
        z = parameters[0] + features @ parameters[1:]
        return float(np.mean(np.logaddexp(0.0, z) - target * z) + RIDGE * np.sum(parameters[1:] ** 2) / len(truth) ** 0.5)

    start = np.array([np.log((there + 1) / (not_there + 1)), *np.full(features.shape[1], 0.5)])
    bounds = [(None, None), *((low, None) for low in least)]
    return tuple(round(float(value), 4) for value in minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)


def _f1(called: Bool[np.ndarray, "row"], truth: Bool[np.ndarray, "row"]) -> float:
    return 2 * float((called & truth).sum()) / max(1.0, float(called.sum() + truth.sum()))
