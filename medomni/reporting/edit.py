"""A report after a person's edit, and after a signature.

    Report, Edit -> Report          Report, Signature -> Report

Every text keeps who wrote it, character by character. What a person says of a finding changes the coded finding and the sentences
about it together; free text changes words alone, and the second look tells where words and findings differ. The linter's notices
are made anew after each edit. A signed text is never edited: an addendum stands below it.
"""

import re
from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import groupby

from medomni.errors import BadInput
from medomni.reporting.case import case_of
from medomni.reporting.cleaned import clean
from medomni.reporting.compose import compose
from medomni.reporting.dictated import REJECTED, SIZE, heed, is_rejected
from medomni.reporting.hedge import is_claimed
from medomni.reporting.phrases import styled
from medomni.reporting.review import CLAIMING, review
from medomni.reporting.states import SIGNED
from medomni.reporting.swap import Swap
from medomni.reporting.vocabulary import organ_order_of, side, vocabulary
from medomni.types.dictation import Dictation, Remark
from medomni.types.edit import Edit, Insert, Judge, Remove, Resize, Reword, State
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.notice import Notice
from medomni.types.report import Origin, Receipt, ReceiptKind, Report, ReportState, Section, Sentence, Signature, Span, Verdict
from medomni.types.section import SectionName

MOST_PAIRS = 250_000
"""Pairs of characters, or of words, that are compared: longer texts are compared more coarsely."""
Order = Callable[[str], tuple[int, str]]
_WORD = re.compile(r"\w+|\W")
_SEEN = (Presence.PRESENT, Presence.UNCERTAIN)
_OTHER = {Laterality.LEFT: Laterality.RIGHT, Laterality.RIGHT: Laterality.LEFT}
_ORIGINS = {
    ReceiptKind.TEMPLATE: Origin.TEMPLATE,
    ReceiptKind.DICTATED: Origin.DICTATED,
    ReceiptKind.PRIOR: Origin.PRIOR,
}


def apply(report: Report, edits: Iterable[Edit]) -> Report:
    """Return the report after the edits, linted.

    Raises:
        BadInput: an edit names a sentence, finding or label that is not there, or the report is signed.
    """
    edited = report
    for edit in edits:
        if report.state in SIGNED and not (isinstance(edit, Insert) and edit.section is SectionName.ADDENDUM):
            raise BadInput("a signed report is not edited", remedy="write an addendum, or a corrected version")
        edited = _one(edited, edit)
    return _linted(report, edited)


def signed(report: Report, signature: Signature) -> Report:
    """Return the report with a signature and the state it gives; what the linter said of the draft has been seen and goes."""
    told = _told(_what_is_read(report))
    notices = tuple(notice for notice in report.notices if notice not in told)
    update = {"state": signature.state, "signatures": (*report.signatures, signature), "notices": notices}
    return report.model_copy(update=update)


def reopened(report: Report) -> Report:
    """Return a signed report as a text that can be edited for its next signed version; the signatures so far stay."""
    return _linted(report, report.model_copy(update={"state": ReportState.DRAFT}))


def origins(sentence: Sentence) -> tuple[Span, ...]:
    """Who wrote each character of a sentence, as stretches without gaps."""
    if sentence.spans:
        return sentence.spans
    kind = sentence.receipt.kind if sentence.receipt else None
    origin = Origin.TYPED if kind is None else _ORIGINS.get(kind, Origin.AI)
    return (Span(start=0, end=len(sentence.text), origin=origin),)


def _linted(before: Report, after: Report) -> Report:
    told = _told(_what_is_read(before))
    kept = tuple(notice for notice in after.notices if notice not in told)
    fresh = tuple(notice for notice in _told(_what_is_read(after)) if notice not in kept)
    return after.model_copy(update={"notices": kept + fresh})


def _what_is_read(report: Report) -> str:
    """All of a report that the linter reads, as JSON."""
    return report.model_dump_json(exclude={"notices", "state", "signatures", "verdicts"})


@lru_cache(maxsize=64)
def _told(content: str) -> tuple[Notice, ...]:
    """What the linter says of a report; what was after one edit is before the next."""
    return review(Report.model_validate_json(content))


def _one(report: Report, edit: Edit) -> Report:
    match edit:
        case Reword():
            return _reword(report, edit)
        case Insert():
            section = _section(report, edit.section)
            at = min(edit.index, len(section.sentences))
            made = Sentence(text=_text(edit.text), receipt=None, organ=_organ_at(section, at))
            made = made.model_copy(update={"spans": (_whole(made.text, edit.origin),)})
            return _with(report, edit.section, (*section.sentences[:at], made, *section.sentences[at:]))
        case Remove():
            section = _section(report, edit.section)
            _sentence(section, edit.index, edit.was)
            return _with(report, edit.section, (*section.sentences[: edit.index], *section.sentences[edit.index + 1 :]))
        case Judge():
            return _judge(report, edit)
        case Resize():
            return _resize(report, edit)
        case State():
            return _state(report, edit)


def _reword(report: Report, edit: Reword) -> Report:
    section = _section(report, edit.section)
    old, text = _sentence(section, edit.index, edit.was), _text(edit.text)
    if text == old.text:
        return report
    new = old.model_copy(update={"text": text, "spans": _merged(old, text, edit.origin)})
    return _with(report, edit.section, (*section.sentences[: edit.index], new, *section.sentences[edit.index + 1 :]))


def _judge(report: Report, edit: Judge) -> Report:
    finding = _finding(report, edit.finding_id)
    if edit.verdict is not Verdict.ACCEPTED and finding.presence not in _SEEN:
        raise BadInput("only what was found can be rejected or confirmed", remedy="state whether it is there")
    if edit.verdict is not Verdict.REJECTED and is_rejected(finding):
        raise BadInput("a rejected finding does not come back", remedy="go back to an earlier version, or state it")
    verdicts = {**report.verdicts, finding.id: edit.verdict}
    judged = report.model_copy(update={"verdicts": verdicts})
    if edit.verdict is Verdict.ACCEPTED:
        return judged
    if edit.verdict is Verdict.CONFIRMED:
        sure = finding.model_copy(update={"presence": Presence.PRESENT, "probability": None})
        findings = tuple(sure if other.id == finding.id else other for other in report.findings)
        return _restated(judged, findings, {finding.id}, Origin.TYPED)
    against = Evidence(source=REJECTED)
    gone = finding.model_copy(
        update={"presence": Presence.ABSENT, "probability": None, "evidence": (*finding.evidence, against), "measurements": ()}
    )
    findings = tuple(gone if other.id == finding.id else other for other in report.findings)
    is_last = all(other.label != finding.label or not is_claimed(other) for other in findings)
    notices = tuple(notice for notice in report.notices if not (is_last and notice.fields.get("label") == finding.label))
    return _restated(judged.model_copy(update={"notices": notices}), findings, {finding.id}, None)


def _resize(report: Report, edit: Resize) -> Report:
    finding = _finding(report, edit.finding_id)
    if finding.presence not in _SEEN:
        raise BadInput("only what is there has a size", remedy="state the finding first")
    kept = tuple(m for m in finding.measurements if not m.name.endswith("_diameter") and not m.name.endswith("volume"))
    decimals = 0 if edit.diameter_mm == int(edit.diameter_mm) else 1
    size = Measurement(name=SIZE, value=edit.diameter_mm, unit="mm", decimals=decimals)
    resized = finding.model_copy(update={"measurements": (*kept, size)})
    findings = tuple(resized if other.id == finding.id else other for other in report.findings)
    return _restated(report, findings, {finding.id}, edit.origin)


def _state(report: Report, edit: State) -> Report:
    if edit.label not in vocabulary().labels:
        raise BadInput("no finding has this name", remedy="choose one of the vocabulary")
    if edit.presence is Presence.ABSENT and edit.laterality in _OTHER and vocabulary().label(edit.label).is_sided:
        return _deny_side(report, edit)
    remark = Remark(
        label=edit.label,
        presence=edit.presence,
        laterality=edit.laterality,
        anatomy=edit.anatomy,
        size_mm=edit.diameter_mm,
        start=0,
        end=1,
    )
    heeded = heed(report.findings, Dictation(language=report.language, remarks=(remark,), characters=1))
    before = {finding.id: finding for finding in report.findings}
    after = {finding.id: finding for finding in heeded.findings}
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    new = tuple(notice for notice in heeded.notices if notice not in report.notices)
    noticed = report.model_copy(update={"notices": (*report.notices, *new)})
    return _restated(noticed, heeded.findings, changed, edit.origin)


def _deny_side(report: Report, edit: State) -> Report:
    """The report without what is on one side; the other side stays as it is: of it nothing was said."""
    on_side = (edit.laterality, Laterality.BILATERAL)
    denied = {f.id for f in report.findings if f.label == edit.label and f.laterality in on_side and is_claimed(f)}
    if not denied:
        raise BadInput("nothing was found on this side", remedy="write it as a sentence, or deny both sides")
    kept = [finding if finding.id not in denied else _one_sided(finding, edit.laterality) for finding in report.findings]
    findings = tuple(finding for finding in kept if finding is not None)
    if all(finding.label != edit.label for finding in findings):
        return _state(report, edit.model_copy(update={"laterality": Laterality.NONE}))
    return _restated(report, findings, denied, edit.origin)


def _one_sided(finding: Finding, denied: Laterality) -> Finding | None:
    """What is left of a finding when one side of it is denied, without what was measured there or over both sides."""
    if finding.laterality is denied:
        return None
    measured = tuple(m for m in finding.measurements if side(m.name) is _OTHER[denied])
    places = tuple(place for place in finding.anatomy if denied.value not in place.split("_"))
    return finding.model_copy(update={"laterality": _OTHER[denied], "measurements": measured, "anatomy": places, "box_mm": None})


def _restated(report: Report, findings: tuple[Finding, ...], changed: set[str], origin: Origin | None) -> Report:
    """The report with its findings replaced, and with the sentences about the changed ones composed anew; the others stay.

    An untouched sentence that would be composed otherwise now (a group of nodules, a list of what is absent) follows.
    """
    now = report.model_copy(update={"findings": findings})
    before, after = _composed(report), _composed(now)
    claimed = {finding.id for finding in (*report.findings, *findings) if is_claimed(finding)}
    now = _with(now, SectionName.COMPARISON, _compared(_section(report, SectionName.COMPARISON), before, after))
    for name in CLAIMING:
        swap = Swap(before[name].sentences, after[name].sentences, changed, claimed)
        old = _section(report, name).sentences
        dropped = [sentence for sentence in old if swap.is_dropped(sentence)]
        made = [_by(s, origin if set(s.finding_ids) & changed else None) for s in swap.claims(dropped)]
        first = next((k for k, sentence in enumerate(old) if sentence in dropped), None)
        kept = [left for left in (swap.left(s) for s in old if s not in dropped) if left is not None]
        at = _place(kept, made, first, name, organ_order_of(report.style))
        now = _with(now, name, (*kept[:at], *made, *kept[at:]))
    return now


def _compared(section: Section, before: dict[SectionName, Section], after: dict[SectionName, Section]) -> tuple[Sentence, ...]:
    """The comparison as it follows from the findings now; what a person wrote stays below, what they took out stays out."""
    old, composed = section.sentences, [sentence.text for sentence in before[SectionName.COMPARISON].sentences]
    left = {sentence.text for sentence in old}
    made = [s for s in after[SectionName.COMPARISON].sentences if s.text not in composed or s.text in left]
    return (*made, *(sentence for sentence in old if sentence.text not in composed))


def _place(kept: list[Sentence], made: list[Sentence], first: int | None, name: SectionName, order: Order) -> int:
    """Where new sentences go: in the place of the dropped ones, else at the head of an impression."""
    if first is not None:
        return min(first, len(kept))
    if not made:
        return len(kept)
    if name is SectionName.IMPRESSION:
        return 0
    own = order(made[0].organ)
    return next((k for k, sentence in enumerate(kept) if not sentence.organ or order(sentence.organ) > own), len(kept))


def _by(sentence: Sentence, origin: Origin | None) -> Sentence:
    if origin is None or (sentence.receipt and sentence.receipt.kind is ReceiptKind.PRIOR):
        return sentence
    receipt = Receipt(kind=ReceiptKind.DICTATED, label=sentence.receipt.label if sentence.receipt else "")
    kept = sentence.receipt if sentence.receipt and sentence.receipt.structure else receipt
    return sentence.model_copy(update={"receipt": kept, "spans": (_whole(sentence.text, origin),)})


def _composed(report: Report) -> dict[SectionName, Section]:
    draft = compose(
        context=report.context,
        acquisition=report.acquisition,
        grid=case_of(report).grid,
        coverage=report.coverage,
        findings=tuple(finding for finding in report.findings if not is_rejected(finding)),
        prior=report.prior,
        notices=(),
        language=report.language,
        style=report.style,
    )
    return draft.sections


def _merged(old: Sentence, text: str, origin: Origin) -> tuple[Span, ...]:
    """Who wrote each character of the new text: what stayed keeps its writer, what is new is the person's."""
    writers = [span.origin for span in origins(old) for _ in range(span.start, span.end)]
    head = _shared(old.text, text)
    tail = _shared(old.text[head:][::-1], text[head:][::-1])
    before, after = (_pieces(whole[head : len(whole) - tail], len(text)) for whole in (old.text, text))
    written, at = writers[:head], head
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=len(before) * len(after) > MOST_PAIRS).get_opcodes():
        length = sum(map(len, before[a:b]))
        written += writers[at : at + length] if tag == "equal" else [origin] * sum(map(len, after[c:d]))
        at += length
    written += writers[at:]
    spans, at = list[Span](), 0
    for who, run in groupby(written):
        length = len(list(run))
        spans.append(Span(start=at, end=at + length, origin=who))
        at += length
    return tuple(spans)


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    shortest = min(len(one), len(other))
    return next((k for k in range(shortest) if one[k] != other[k]), shortest)


def _pieces(text: str, length: int) -> list[str]:
    """What of a text is compared: its characters, or its words where it is long, since the time grows with the square."""
    return list(text) if length**2 <= MOST_PAIRS else _WORD.findall(text)


def _whole(text: str, origin: Origin) -> Span:
    return Span(start=0, end=len(text), origin=origin)


def _text(text: str) -> str:
    cleaned = clean(text)
    if not cleaned:
        raise BadInput("a sentence needs words", remedy="write some, or take the sentence out")
    return cleaned


def _organ_at(section: Section, at: int) -> str:
    """The organ whose run of sentences a new one joins."""
    around = section.sentences[max(0, at - 1) : at + 1]
    return around[0].organ if around else ""


def _section(report: Report, name: SectionName) -> Section:
    return report.sections.get(name) or Section(heading=styled(report.language, report.style).say(f"headings.{name.value}"))


def _sentence(section: Section, index: int, was: str | None) -> Sentence:
    """The sentence of an index, which must still be the one that was looked at."""
    if index >= len(section.sentences):
        raise BadInput("there is no such sentence", remedy="look at the report again")
    found = section.sentences[index]
    if was is not None and clean(found.text) != clean(was):
        raise BadInput("this sentence is another one by now", remedy="look at the report again, then change it")
    return found


def _finding(report: Report, finding_id: str) -> Finding:
    found = next((finding for finding in report.findings if finding.id == finding_id), None)
    if found is None:
        raise BadInput("there is no such finding", remedy="look at the report again")
    return found


def _with(report: Report, name: SectionName, sentences: tuple[Sentence, ...]) -> Report:
    section = _section(report, name).model_copy(update={"sentences": sentences})
    return report.model_copy(update={"sections": {**report.sections, name: section}})
