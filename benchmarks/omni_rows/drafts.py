"""What drafts made of detectors and model say: true or not, how sure, after review, and what of it follows CT and history.

Bench -> rows
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.metrics.calibration import calibration_error
from evaluation.metrics.labels import score_labels
from evaluation.metrics.sentences import changed, unexplained
from evaluation.scorecard import Row, at_least, at_most, not_measured, row
from omni_rows.cases import Bench, labels18, opinion

if TYPE_CHECKING:
    from medomni.types.dictation import Told
    from medomni.types.finding import Finding
    from medomni.types.report import Draft

    Drafted = tuple[tuple[Finding, ...], Draft]

TEXT_BAR, ECE_BAR, FALL_BAR = 0.88, 0.05, 0.5
UNSUPPORTED = (
    "claimed_without_finding",
    "denied_but_found",
    "denied_but_not_evaluated",
    "certainty_overstated",
    "organ_not_evaluated_but_named",
    "number_without_source",
    "change_does_not_follow",
    "unknown_finding_cited",
    "sentence_without_receipt",
)
"""Notices of the review that say that something lacks its evidence; whatever is unsafe counts too."""


def draft_rows(bench: Bench, worded: int, *, is_each: bool) -> list[Row]:
    """What the drafts say, and what of it follows the CT and the history; of the first ``worded`` also in a model's words."""
    from app import judged
    from medomni.reporting.merge import CLAIMED
    from medomni.types.dictation import Told

    count = len(bench.cases)

    def history(number: int) -> "Told":
        return Told(history=bench.cases[number].history)

    def both(number: int) -> "Told":
        return Told(history=bench.cases[number].history, dictation=bench.cases[number].dictation)

    own = list(drafted(bench, lambda number: number, history))
    score, said = _scored(bench, own), [read(draft) for _, draft in own]
    alone = [judged.judged_of(case.info).findings for case in bench.cases]
    by_rule = score_labels(
        (truth, {finding.label for finding in found if finding.presence in CLAIMED})
        for truth, found in zip(bench.truth, alone, strict=True)
    )
    dictated = list(drafted(bench, lambda number: number, both))
    fallen = _scored(bench, drafted(bench, lambda number: (number + 1) % count, history)).macro_f1
    other = list(drafted(bench, lambda number: number, lambda number: history((number + 1) % count)))
    chinese = drafted(bench, lambda number: number, lambda number: Told(history=bench.cases[number].chinese))
    english = drafted(bench, lambda number: number, lambda number: Told(history=bench.cases[number].info["history"]["en"]))
    state = lambda findings: {(f.id, f.presence in CLAIMED) for f in findings}  # noqa: E731
    with_other = np.mean([state(one) != state(two) for (one, _), (two, _) in zip(own, other, strict=True)])
    by_language = np.mean([state(one) == state(two) for (one, _), (two, _) in zip(english, chinese, strict=True)])
    strange = score_labels(zip(bench.truth, (said[number] for number in bench.others()), strict=True))
    return [
        row("macro-F1 of the detectors alone", by_rule.macro_f1),
        at_least(
            "macro-F1 of what the labeler reads in the drafts (CT + history + dictation)",
            _scored(bench, dictated).macro_f1,
            TEXT_BAR,
        ),
        at_least("macro-F1 of what the labeler reads in the drafts (CT + history)", score.macro_f1, TEXT_BAR),
        row("the same in a normal draft for everybody", _scored(bench, normal(bench)).macro_f1),
        row("the same in the draft of another patient, drawn by a seed", strange.macro_f1),
        at_least("its fall with the next patient's CT", score.macro_f1 - fallen, FALL_BAR),
        row("share of drafts that claim other findings with the next patient's history", float(with_other)),
        at_least("share of patients with the same findings, history in Chinese or English", float(by_language), 1.0),
        *_changed_rows([(one, two) for (_, one), (_, two) in zip(own, other, strict=True)]),
        *_certainty_rows(bench.truth, [findings for findings, _ in own], is_each=is_each),
        *_review_rows([draft for _, draft in own], "CT + history"),
        *_review_rows([draft for _, draft in dictated], "CT + history + dictation"),
        *_worded_rows(bench, [draft for _, draft in own[:worded]]),
        *([row(f"F1 in drafts of {label}", f1) for label, f1 in score.f1.items()] if is_each else []),
    ]


def drafted(bench: Bench, whose_ct: Callable[[int], int], told_of: Callable[[int], "Told"]):  # noqa: ANN201
    """Findings and English draft of each patient, made of a CT and of what is told."""
    from app import judged
    from medomni.reporting.dictated import heed
    from medomni.reporting.merge import merge
    from preprocessing import dictation

    for number in range(len(bench.cases)):
        case = bench.cases[whose_ct(number)]
        seen, told = judged.judged_of(case.info), told_of(number)
        merged = merge(seen.findings, seen.coverage, opinion(bench, case, seen.grid, told)).findings
        findings = heed(merged, dictation.read(told.dictation)).findings
        yield findings, _draft(seen, findings, told.history)


def normal(bench: Bench):  # noqa: ANN201
    """The same of everybody's CT where nothing is found."""
    from app import judged
    from medomni.types.finding import Finding, Presence

    findings = tuple(Finding(id=label, label=label, presence=Presence.ABSENT) for label in labels18())
    for case in bench.cases:
        yield findings, _draft(judged.judged_of(case.info), findings, "")


def _draft(seen, findings: "tuple[Finding, ...]", history: str) -> "Draft":  # noqa: ANN001
    from medomni.reporting.compose import compose
    from medomni.types.study import Acquisition, Identity, Study
    from preprocessing.history import understand

    nobody = Identity(study_instance_uid="2.25.1", series_instance_uid="2.25.2")
    study = Study("phantom", nobody, Acquisition(), (), (), seen.grid)
    context = understand(history, study)
    return compose(context, study.acquisition, seen.grid, seen.coverage, findings, prior=None, notices=(), language="en")


def read(draft: "Draft") -> set[str]:
    """What the labeler reads in the findings and the impression, from "possible" on."""
    from medomni.reporting import labeler
    from medomni.types.finding import Presence
    from medomni.types.section import SectionName

    sections = (draft.sections[name] for name in (SectionName.FINDINGS, SectionName.IMPRESSION))
    text = "\n".join(line for one in sections for line in (f"{one.heading}:", *(sentence.text for sentence in one.sentences)))
    said = labeler.presences(text, "en")
    return {label for label, presence in said.items() if presence in (Presence.PRESENT, Presence.UNCERTAIN)}


def _scored(bench: Bench, drafts: "Iterable[Drafted]"):  # noqa: ANN202
    return score_labels(zip(bench.truth, (read(draft) for _, draft in drafts), strict=True))


def _changed_rows(pairs: "Sequence[tuple[Draft, Draft]]") -> list[Row]:
    """Sentences that another patient's history changed, outside of the section that repeats it."""
    differing = [changed(one, other) for one, other in pairs]
    wrong = [unexplained(one, other) for one, other in pairs]
    total = sum(len(section.sentences) for pair in pairs for draft in pair for section in draft.sections.values())
    return [
        row(
            "share of drafts of which a sentence outside the indication changes with the next patient's history",
            _share(differing),
        ),
        row(f"sentences that change, in both drafts of each patient (of {total})", sum(map(len, differing))),
        at_most("of these neither quoting the history nor of a finding whose certainty changed", sum(map(len, wrong)), 0),
    ]


def _share(found: Sequence[tuple]) -> float:
    return float(np.mean([bool(one) for one in found]))


def _certainty_rows(truth: Sequence[set[str]], drafts: "Sequence[tuple[Finding, ...]]", *, is_each: bool) -> list[Row]:
    """How far the certainties that drafts state are from what is true: calibration, and the share true at each step."""
    from medomni.reporting.vocabulary import vocabulary

    judged = [
        (label, *told, label in own)
        for own, found in zip(truth, drafts, strict=True)
        for label in labels18()
        for told in _told(found, label)
    ]
    names = np.array([label for label, *_ in judged])
    steps = np.array([step for _, _, step, _ in judged])
    sure = np.array([probability for _, probability, _, _ in judged], float)
    true = np.array([is_true for *_, is_true in judged], bool)
    each = {label: calibration_error(sure[names == label], true[names == label]) for label in labels18()}
    worst = max(each, key=lambda label: each[label])
    rows = [
        at_most(
            f"calibration error of what drafts tell, all labels pooled (n = {len(judged)})",
            calibration_error(sure, true),
            ECE_BAR,
        ),
        row(f"the largest of a label ({worst}) in drafts", each[worst]),
    ]
    for step in (*(hedge.name for hedge in vocabulary().hedges), "not there"):
        at = steps == step
        if at.any():
            title = f"share true of what drafts tell as {step} (n = {at.sum()}, mean probability {sure[at].mean():.2f})"
            rows.append(row(title, float(true[at].mean())))
    return rows + ([row(f"calibration error in drafts of {label}", error) for label, error in each.items()] if is_each else [])


def _told(findings: "Sequence[Finding]", label: str) -> Iterable[tuple[float, str]]:
    """The probability of a label and the step of its wording, of its surest finding; nothing where a draft does not judge it.

    What is claimed without a probability was measured by a rule and counts as sure.
    """
    from medomni.reporting.hedge import hedge, is_claimed
    from medomni.types.finding import Presence

    own = [finding for finding in findings if finding.label == label and finding.presence is not Presence.NOT_EVALUATED]
    rated = [(1.0 if one.probability is None and is_claimed(one) else one.probability, hedge(one) or "not there") for one in own]
    surest = max(((p, step) for p, step in rated if p is not None), default=None)
    return () if surest is None else (surest,)


def _review_rows(drafts: "Sequence[Draft]", given: str) -> list[Row]:
    total = sum(len(section.sentences) for draft in drafts for section in draft.sections.values())
    why = Counter(code for draft in drafts for code in unsupported(draft))
    title = f"sentences that the review holds for unsupported (of {total}; {given})"
    return [at_most(title, why.total(), 0) | {"note": ", ".join(f"{code} {count}" for code, count in why.items())}]


def unsupported(draft: "Draft") -> list[str]:
    """Why the review objects to sentences of a draft, one code for each of them, read as if it were the only one.

    What it says of the findings without a sentence does not count.
    """
    from medomni.reporting.review import review
    from medomni.types.notice import NoticeLevel
    from medomni.types.report import Section

    found, of_findings = list[str](), review(draft.model_copy(update={"sections": {}}))
    for name, section in draft.sections.items():
        for sentence in section.sentences:
            only = {name: Section(heading=section.heading, sentences=(sentence,))}
            notices = [one for one in review(draft.model_copy(update={"sections": only})) if one not in of_findings]
            found += [one.code for one in notices if one.code in UNSUPPORTED or one.level is NoticeLevel.UNSAFE][:1]
    return found


def _worded_rows(bench: Bench, drafts: "Sequence[Draft]") -> list[Row]:
    """The same of drafts in the words of the embedded language model, and how many of its sentences the guard replaced."""
    import os

    from app import judged, wiring
    from medomni.model import weights
    from medomni.model.backends.smollm2 import WEIGHTS, SmolLm2
    from medomni.reporting.rewording import reword
    from medomni.settings import load

    home = load(os.environ).home
    title = "sentences of the language model that the guard replaced"
    if not weights.is_pulled(home, WEIGHTS):
        return [not_measured(title, "the decoder is not here (medomni weights pull decoder)")]
    drafter = SmolLm2(home, wiring.adapter_folder(Path("chest_ct")))
    grids = [judged.judged_of(case.info).grid for case in bench.cases[: len(drafts)]]
    made = [reword(draft, grid, drafter.word) for draft, grid in zip(drafts, grids, strict=True)]
    asked, kept = sum(one.asked for _, one in made), sum(one.kept for _, one in made)
    return [row(f"{title} (of {asked})", asked - kept), *_review_rows([draft for draft, _ in made], "in its words")]
