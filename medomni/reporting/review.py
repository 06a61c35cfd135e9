"""The linter of a draft: contradictions between its sentences, its findings, its history, its header and its scope.

    Draft -> Notice, Notice...

Deterministic rules over words and values; it reads text as a stranger would, whoever wrote it. UNSAFE is kept for what
could hurt a patient: a wrong side, a finding claimed or denied against the evidence, a number without a source, a prior of
somebody else. Everything else is a warning to the person who signs.
"""

from collections.abc import Callable, Iterator
from typing import Final

from medomni.reporting import reading
from medomni.reporting.case import case_of
from medomni.reporting.compared import comparison, grown
from medomni.reporting.hedge import hedge, is_claimed
from medomni.reporting.lexicon import lexicon
from medomni.reporting.review_sides import side_conflicts
from medomni.reporting.sources import allowed_numbers, without_names
from medomni.reporting.vocabulary import vocabulary
from medomni.types.context import FactKind
from medomni.types.finding import Finding, Laterality, Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.report import Draft, Origin, ReceiptKind, Sentence
from medomni.types.section import SectionName
from medomni.types.study import Contrast

CLAIMING: Final = (SectionName.FINDINGS, SectionName.IMPRESSION)


def review(draft: Draft) -> tuple[Notice, ...]:
    """Return every conflict found in a draft, each once; an empty tuple for a clean one."""
    found = [notice for rule in RULES for notice in rule(draft)]
    kept = {(notice.code, *sorted(notice.fields.items())): notice for notice in found}
    return tuple(kept.values())


def _sexes(draft: Draft) -> Iterator[Notice]:
    sex, stated = draft.context.sex, draft.context.stated_sex
    if stated and sex in ("M", "F") and stated != sex:
        yield _warning("stated_sex_differs")
    for fact in draft.context.facts:
        concept = lexicon().concepts[fact.concept]
        if concept.sex and sex in ("M", "F") and concept.sex != sex and not fact.is_negated:
            yield _warning("history_sex_conflict", concept=fact.concept)
    other = {"M": "female", "F": "male"}.get(sex)
    for section, sentence in _sentences(draft, *CLAIMING):
        if other and reading.says(other, sentence.text, draft.language):
            yield _unsafe("organ_of_other_sex", section=section.value)


def _claims(draft: Draft) -> Iterator[Notice]:
    """What each clause asserts or denies, against the findings of that label."""
    for _, sentence in _sentences(draft, *CLAIMING):
        cited = {f.label: f for f in draft.findings if f.id in sentence.finding_ids}
        for clause in reading.claiming_clauses(sentence.text, draft.language):
            named = reading.labels(clause, draft.language)
            for label in cited.keys() & reading.cues(draft.language).labels.keys():
                at = reading.noun(label, clause, draft.language)
                named |= {} if at is None else {label: at}
            for label, at in named.items():
                yield from _claim(draft, sentence, clause, label, at)


def _claim(draft: Draft, sentence: Sentence, clause: str, label: str, at: int) -> Iterator[Notice]:
    of_label = [f for f in draft.findings if f.label == label]
    own = [f for f in of_label if f.id in sentence.finding_ids] or of_label
    there = [f for f in own if is_claimed(f)]
    raised = _warning if is_by_person(sentence) else _unsafe
    if reading.is_denied(clause, at, draft.language):
        named = reading.sides(clause, draft.language)
        if any(not named or f.laterality in (*named, Laterality.BILATERAL, Laterality.NONE) for f in there):
            yield raised("denied_but_found", label=label)
        elif not there and not any(f.presence is Presence.ABSENT for f in own):
            yield raised("denied_but_not_evaluated", label=label)
    elif not there:
        yield raised("claimed_without_finding", label=label)
    elif all(hedge(f) != "stated" for f in there) and not reading.says("hedged", clause, draft.language):
        yield _warning("certainty_overstated", label=label)


def _impression(draft: Draft) -> Iterator[Notice]:
    """Every significant finding reaches both sections, and nothing is cited that does not exist."""
    known = {finding.id for finding in draft.findings}
    cited = {name: {i for _, s in _sentences(draft, name) for i in s.finding_ids} for name in CLAIMING}
    for finding in draft.findings:
        entry = vocabulary().labels.get(finding.label)
        if entry is None or not entry.is_significant or not is_claimed(finding):
            continue
        if finding.id not in cited[SectionName.IMPRESSION]:
            yield _warning("missing_in_impression", label=finding.label)
        if finding.id not in cited[SectionName.FINDINGS]:
            yield _warning("missing_in_findings", label=finding.label)
    for name in CLAIMING:
        if cited[name] - known:
            yield _warning("unknown_finding_cited", section=name.value)


def _scope(draft: Draft) -> Iterator[Notice]:
    """Organs that were not evaluated but are spoken of."""
    left_out = draft.coverage.not_evaluated
    for _, sentence in _sentences(draft, *CLAIMING):
        claimed = [_organ(f) for f in draft.findings if f.id in sentence.finding_ids and is_claimed(f)]
        for clause in reading.claiming_clauses(sentence.text, draft.language):
            claimed += [sentence.organ, *reading.organs(clause, draft.language)]
        for organ in dict.fromkeys(claimed):
            if organ in left_out:
                is_said = sentence.receipt is not None and sentence.receipt.kind is ReceiptKind.DICTATED
                is_outside = left_out[organ] == "outside_field_of_view" and not is_said
                raised = _unsafe if is_outside else _warning
                yield raised("organ_not_evaluated_but_named", organ=organ, reason=left_out[organ])


def _contrast(draft: Draft) -> Iterator[Notice]:
    contrast = draft.acquisition.contrast
    for name, sentence in _sentences(draft, SectionName.EXAMINATION, SectionName.TECHNIQUE, *CLAIMING):
        for clause in reading.clauses(sentence.text, draft.language):
            says = {kind: reading.says(kind, clause, draft.language) for kind in ("enhancement", *STATED)}
            if reading.says("not_stated", clause, draft.language):
                continue
            if name in CLAIMING and says["enhancement"] and contrast is not Contrast.INTRAVENOUS:
                raised = _unsafe if contrast is Contrast.NONE else _warning
                yield raised("enhancement_without_stated_contrast")
            if any(says[kind] and contrast not in fitting for kind, fitting in STATED.items()):
                yield _warning("contrast_contradicts_header")
    for fact in draft.context.facts:
        is_question = fact.kind is FactKind.QUESTION and lexicon().concepts[fact.concept].needs_contrast
        if is_question and contrast is not Contrast.INTRAVENOUS:
            yield _warning("question_needs_contrast", concept=fact.concept)


STATED: Final = {"with_contrast": (Contrast.INTRAVENOUS,), "without_contrast": (Contrast.NONE,)}


def _prior(draft: Draft) -> Iterator[Notice]:
    if draft.prior and draft.prior.is_same_patient is False:
        yield _unsafe("prior_of_another_patient")
    if draft.prior and (draft.prior.days_before or 0) < 0:
        yield _warning("prior_after_study", days=str(-(draft.prior.days_before or 0)))


def _changes(draft: Draft) -> Iterator[Notice]:
    """Untouched sentences about change that are not what follows from the findings now and then."""
    case = case_of(draft)
    follows = {sentence.text for sentence in (*comparison(case), *grown(case))}
    for section, sentence in _sentences(draft, *SectionName):
        is_of_prior = sentence.receipt is not None and sentence.receipt.kind is ReceiptKind.PRIOR
        if is_of_prior and not is_by_person(sentence) and sentence.text not in follows:
            yield _unsafe("change_does_not_follow", section=section.value)


def _numbers(draft: Draft) -> Iterator[Notice]:
    """Numbers that neither a finding nor the header, the history or the prior explains."""
    for section, sentence in _sentences(draft, *SectionName):
        named = reading.numbers(without_names(draft, sentence.text), draft.language)
        if section is SectionName.ADDENDUM or not named:
            continue
        allowed = allowed_numbers(draft, sentence, reading.sides(sentence.text, draft.language))
        if allowed is None:
            continue
        for number in named:
            if (number.digits, number.unit) not in allowed:
                shown = f"{number.digits} {number.unit}".strip()
                raised = _warning if is_by_person(sentence) else _unsafe
                yield raised("number_without_source", number=shown, section=section.value)


def _receipts(draft: Draft) -> Iterator[Notice]:
    for section, sentence in _sentences(draft, *SectionName):
        if sentence.receipt is None:
            yield _warning("sentence_without_receipt", section=section.value)


def _history(draft: Draft) -> Iterator[Notice]:
    context, used = draft.context, lexicon().characters_used
    if context.has_instructions:
        yield _warning("history_has_instructions")
    if context.history_characters > used:
        fields = {"used": str(used), "total": str(context.history_characters)}
        yield Notice(code="history_cut", level=NoticeLevel.INFO, fields=fields)
    for fact in context.facts:
        labels = lexicon().concepts[fact.concept].labels
        seen = {f.laterality for f in draft.findings if f.label in labels and is_claimed(f)}
        one_sided = seen & {Laterality.LEFT, Laterality.RIGHT}
        is_sided = fact.laterality in (Laterality.LEFT, Laterality.RIGHT) and not fact.is_negated
        if is_sided and one_sided and seen == one_sided and Laterality(fact.laterality) not in seen:
            yield _warning("history_side_differs", concept=fact.concept, side=fact.laterality)


def is_by_person(sentence: Sentence) -> bool:
    """Whether a person wrote a part of a sentence: what it says without evidence is then theirs to say, and a warning."""
    return any(span.origin in (Origin.TYPED, Origin.DICTATED) for span in sentence.spans)


def _organ(finding: Finding) -> str:
    entry = vocabulary().labels.get(finding.label)
    return entry.organ if entry else ""


def _sentences(draft: Draft, *sections: SectionName) -> Iterator[tuple[SectionName, Sentence]]:
    for name in sections:
        for sentence in draft.sections[name].sentences if name in draft.sections else ():
            yield name, sentence


def _unsafe(code: str, **fields: str) -> Notice:
    return Notice(code=code, level=NoticeLevel.UNSAFE, fields=fields)


def _warning(code: str, **fields: str) -> Notice:
    return Notice(code=code, level=NoticeLevel.WARNING, fields=fields)


RULES: Final[tuple[Callable[[Draft], Iterator[Notice]], ...]] = (
    side_conflicts,
    _numbers,
    _claims,
    _impression,
    _scope,
    _sexes,
    _contrast,
    _prior,
    _changes,
    _receipts,
    _history,
)
