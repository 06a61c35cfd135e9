"""The second look at signing: what the text says against the coded findings, both ways.

    Report -> Difference, Difference...

The rule labeler reads findings and impression as a stranger would, sentence by sentence: one that denies what is found is a
difference also where another one states it. A finding that the text leaves out is one too. What repeats the history, or says what
was left out, describes no image and is not read.
"""

from enum import StrEnum

from medomni.reporting import labeler
from medomni.reporting.hedge import is_claimed
from medomni.reporting.review import is_by_person
from medomni.reporting.vocabulary import vocabulary
from medomni.types.codes import Value
from medomni.types.finding import Finding, Laterality
from medomni.types.report import ReceiptKind, Report, Sentence
from medomni.types.section import SectionName

READ = (SectionName.FINDINGS, SectionName.IMPRESSION)


class Kind(StrEnum):
    """In which way text and findings differ."""

    ONLY_IN_TEXT = "only_in_text"
    ONLY_IN_FINDINGS = "only_in_findings"
    DENIED_BUT_FOUND = "denied_but_found"
    SIDE = "side"


class Difference(Value):
    """One label on which the text and the coded findings do not agree; ``finding_ids`` are those of the label."""

    kind: Kind
    label: str
    finding_ids: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """What a signature confirms."""
        return f"differs:{self.kind.value}:{self.label}"


def second_look(report: Report) -> tuple[Difference, ...]:
    """Return every difference, in the order of the vocabulary; an empty tuple where text and findings agree."""
    said = [mention for text in _texts(report) for mention in labeler.mentions(text, report.language)]
    found: list[Difference] = []
    for label in vocabulary().labels:
        entry = vocabulary().label(label)
        if entry.is_measurement_only:
            continue
        own = [finding for finding in report.findings if finding.label == label and is_claimed(finding)]
        ids = tuple(finding.id for finding in own)
        mentions = [mention for mention in said if mention.label == label]
        asserted = [mention for mention in mentions if not mention.is_denied]
        if asserted and not own:
            found.append(Difference(kind=Kind.ONLY_IN_TEXT, label=label))
        elif own and any(mention.is_denied and _is_about(mention, own) for mention in mentions):
            found.append(Difference(kind=Kind.DENIED_BUT_FOUND, label=label, finding_ids=ids))
        elif own and not mentions and label in labeler.labels():
            found.append(Difference(kind=Kind.ONLY_IN_FINDINGS, label=label, finding_ids=ids))
        elif own and asserted and entry.is_sided:
            named = {side for mention in asserted for side in mention.sides}
            if _sides(own) and named - _sides(own):
                found.append(Difference(kind=Kind.SIDE, label=label, finding_ids=ids))
    return tuple(found)


def _texts(report: Report) -> list[str]:
    """The sentences one by one: a heading within one ("Not evaluated: ...") leaves the next ones in."""
    parts = (report.sections[name].sentences for name in READ if name in report.sections)
    return [sentence.text for sentences in parts for sentence in sentences if not _is_fixed(sentence)]


def _is_fixed(sentence: Sentence) -> bool:
    """Whether a sentence is of the phrase bank and states nothing of the images, and nobody changed it."""
    kind = sentence.receipt.kind if sentence.receipt else None
    return kind in (ReceiptKind.TEMPLATE, ReceiptKind.HISTORY) and not is_by_person(sentence)


def _is_about(mention: labeler.Mention, findings: list[Finding]) -> bool:
    """Whether a mention names no side, or a side of these findings."""
    return not mention.sides or not _sides(findings) or bool(mention.sides & _sides(findings))


def _sides(findings: list[Finding]) -> set[Laterality]:
    """The sides of findings; empty where one of them states none."""
    named = {finding.laterality for finding in findings}
    both = {Laterality.LEFT, Laterality.RIGHT}
    return both if Laterality.BILATERAL in named else set() if Laterality.NONE in named else named & both
