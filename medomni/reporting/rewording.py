"""A draft in the phrase bank's words -> the same draft in a writer's words, as far as the guard lets them stand.

    Draft, writer -> Draft, Rewording

Only sentences that claim a finding are worded anew; each keeps its receipt, its finding and its place.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from medomni.reporting.case import case_of
from medomni.reporting.compose import clinical
from medomni.reporting.guard import Reason, objection, worded_labels
from medomni.reporting.statement import Statement
from medomni.reporting.wording import statements
from medomni.types.report import Draft, Sentence
from medomni.types.section import SectionName
from medomni.types.volume import Grid

Writer = Callable[[Sequence[Statement], str], Sequence[str]]
"""Statements and a language -> a text with slots for each, "" where it has none to offer."""


@dataclass(frozen=True)
class Rewording:
    """How many sentences a writer was asked for, how many stand, and why the others were replaced by the phrase bank's."""

    asked: int = 0
    kept: int = 0
    replaced: dict[Reason, int] = field(default_factory=dict)


def reword(draft: Draft, grid: Grid, writer: Writer) -> tuple[Draft, Rewording]:
    """Return the draft with the writer's sentences where they may stand."""
    case = replace(case_of(draft), grid=grid)
    stated = [statement for finding in clinical(case) for statement in statements(case, finding)]
    wanted = [statement for statement in stated if statement.label in worded_labels()]
    if not wanted:
        return draft, Rewording()
    texts = list(writer(wanted, draft.language))
    texts += [""] * (len(wanted) - len(texts))
    new, reasons = dict[str, str](), Counter[Reason]()
    for statement, text in zip(wanted, texts, strict=False):
        reason = objection(text, statement, draft.language)
        if reason is None:
            filled = statement.filled(text)
            new[statement.sentence.text] = filled[:1].upper() + filled[1:]
        else:
            reasons[reason] += 1
    findings = draft.sections[SectionName.FINDINGS]
    said = tuple(_said(sentence, new) for sentence in findings.sentences)
    sections = draft.sections | {SectionName.FINDINGS: findings.model_copy(update={"sentences": said})}
    counts = Rewording(len(wanted), len(wanted) - reasons.total(), dict(reasons))
    return draft.model_copy(update={"sections": sections}), counts


def _said(sentence: Sentence, new: dict[str, str]) -> Sentence:
    return sentence.model_copy(update={"text": new[sentence.text]}) if sentence.text in new else sentence
