"""The draft of one study in words: measured findings and stated facts in, sentences with receipts out.

    context, acquisition, grid, coverage, findings, prior, notices, language -> Draft

This module orders sections and sentences; the words come from the phrase banks, the numbers from the measurements. What
was not looked at is named as such; nothing is ever called normal.
"""

from collections.abc import Iterable

from medomni.reporting import measured
from medomni.reporting.case import Case, template
from medomni.reporting.compared import comparison
from medomni.reporting.dictated import is_dictated
from medomni.reporting.hedge import is_claimed
from medomni.reporting.impression import absent, impression
from medomni.reporting.indication import indication
from medomni.reporting.phrases import styled
from medomni.reporting.technique import examination, technique
from medomni.reporting.vocabulary import vocabulary
from medomni.reporting.wording import sentences
from medomni.types.context import PatientContext
from medomni.types.finding import Finding, Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.region import Coverage
from medomni.types.report import Draft, Prior, Receipt, ReceiptKind, Section, Sentence
from medomni.types.section import SectionName
from medomni.types.study import Acquisition
from medomni.types.style import Style, rearranged
from medomni.types.volume import Grid

UNSUPPORTED_REGIONS = ("head", "other")
"""Regions for which no findings are drafted at all, so that there is no list of what is missing."""


def compose(
    context: PatientContext,
    acquisition: Acquisition,
    grid: Grid,
    coverage: Coverage,
    findings: tuple[Finding, ...],
    prior: Prior | None,
    notices: tuple[Notice, ...],
    language: str,
    style: Style | None = None,
) -> Draft:
    """Return the draft of a study in the language ("en" or "zh"), in a house style where there is one of that language."""
    style = style if style and style.language == language else None
    case = Case(styled(language, style), context, acquisition, grid, coverage, findings, prior, style)
    written = {
        SectionName.EXAMINATION: examination(case),
        SectionName.INDICATION: indication(case),
        SectionName.TECHNIQUE: technique(case),
        SectionName.COMPARISON: comparison(case),
        SectionName.FINDINGS: _findings(case),
        SectionName.IMPRESSION: impression(case),
    }
    headings = case.words
    return Draft(
        language=language,
        context=context,
        acquisition=acquisition,
        prior=prior,
        coverage=coverage,
        findings=findings,
        sections={
            name: Section(heading=headings.say(f"headings.{name.value}"), sentences=written[name])
            for name in _in_order(written, style)
        },
        notices=(*notices, *_unclaimed(case)),
        style=style,
    )


def _in_order(names: Iterable[SectionName], style: Style | None) -> list[SectionName]:
    """The sections in the order of the house style, those it does not name in their places."""
    return [SectionName(name) for name in rearranged(list(names), style.sections if style else ())]


def _findings(case: Case) -> tuple[Sentence, ...]:
    """Positives, negatives and measurements of each organ in reading order, then what was not evaluated."""
    said = [sentence for finding in clinical(case) for sentence in sentences(case, finding)]
    said += _negatives(case)
    said += _dictated_negatives(case)
    said += measured.missing_lung(case)
    said += measured.sentences(case)
    said.sort(key=lambda sentence: case.organ_order(sentence.organ))
    return (*said, *_not_evaluated(case))


def clinical(case: Case) -> list[Finding]:
    """The findings of a case that are more than a measurement, most important first."""
    table = vocabulary().labels
    known = [finding for finding in case.findings if finding.label in table]
    found = [finding for finding in known if not table[finding.label].is_measurement_only]
    return sorted(found, key=lambda finding: table[finding.label].order)


def _negatives(case: Case) -> list[Sentence]:
    """One sentence for each evaluated organ that names what was looked for there and not found."""
    said, missing = [], [finding for finding in absent(case) if not is_dictated(finding)]
    for organ in dict.fromkeys(vocabulary().label(finding.label).organ for finding in missing):
        own = [finding for finding in missing if vocabulary().label(finding.label).organ == organ]
        own.sort(key=lambda finding: vocabulary().label(finding.label).order)
        names = list(dict.fromkeys(case.words.name(finding.label) for finding in own))
        is_model = any(finding.probability is not None for finding in own)
        said.append(
            Sentence(
                text=_absence(case, organ, case.words.listed(names, "or")),
                receipt=Receipt(
                    kind=ReceiptKind.MODEL if is_model else ReceiptKind.MEASURED,
                    measurements=tuple(m.name for finding in own for m in finding.measurements),
                ),
                finding_ids=tuple(finding.id for finding in own),
                organ=organ,
            )
        )
    return said


def _dictated_negatives(case: Case) -> list[Sentence]:
    """One sentence for each finding that a person alone says is not there, each with the words that say so."""
    return [
        Sentence(
            text=case.words.sentence("findings.absent_dictated", findings=case.words.name(finding.label)),
            receipt=Receipt(kind=ReceiptKind.DICTATED, label=finding.label, span=finding.evidence[0].span),
            finding_ids=(finding.id,),
            organ=vocabulary().label(finding.label).organ,
        )
        for finding in absent(case)
        if is_dictated(finding)
    ]


def _absence(case: Case, organ: str, names: str) -> str:
    place = measured.limit(case, organ)
    key = "findings.absent_in" if place else "findings.absent"
    return case.words.sentence(key, findings=names, place=place)


def _not_evaluated(case: Case) -> tuple[Sentence, ...]:
    """What was left out and why: one sentence on organs, one on findings; one alone when nothing was evaluated."""
    words, coverage = case.words, case.coverage
    left_out = _left_out(case)
    ids = tuple(finding.id for finding in left_out)
    said = []
    if not coverage.evaluated:
        said.append(Sentence(text=_nothing(case), receipt=template(), finding_ids=ids))
    if not coverage.evaluated and (coverage.region in UNSUPPORTED_REGIONS or len(set(coverage.not_evaluated.values())) == 1):
        return tuple(said)
    if coverage.not_evaluated:
        organs = sorted(coverage.not_evaluated, key=case.organ_order)
        groups = _by_reason(case, [(words.name(organ), coverage.not_evaluated[organ]) for organ in organs])
        said.append(Sentence(text=words.sentence("findings.not_evaluated", groups=groups), receipt=template()))
    if left_out and coverage.evaluated:
        groups = _by_reason(case, [(words.name(f.label), _reason(case, f)) for f in left_out])
        text = words.sentence("findings.not_assessed", groups=groups)
        said.append(Sentence(text=text, receipt=template(), finding_ids=ids))
    return tuple(said)


def _nothing(case: Case) -> str:
    """That nothing was evaluated, with the reason where it is one and the same for all."""
    words, reasons = case.words, set(case.coverage.not_evaluated.values())
    if case.coverage.region in UNSUPPORTED_REGIONS:
        return words.sentence("findings.unsupported")
    if len(reasons) != 1:
        return words.sentence("findings.nothing_evaluated")
    key = f"reason.{reasons.pop()}"
    return words.sentence("findings.nothing_evaluated_because", reason=words.say(key if key in words.words else "reason.other"))


def _left_out(case: Case) -> list[Finding]:
    """The clinical findings about which the draft says nothing, because nothing looked or its organ was not evaluated."""
    found = clinical(case)
    told = {finding.label for finding in (*absent(case), *filter(is_claimed, found))}
    return [
        finding
        for finding in found
        if finding.presence is Presence.NOT_EVALUATED or (finding.presence is Presence.ABSENT and finding.label not in told)
    ]


def _reason(case: Case, finding: Finding) -> str:
    organ = vocabulary().label(finding.label).organ
    return finding.reason or case.coverage.not_evaluated.get(organ, "other")


def _by_reason(case: Case, named: list[tuple[str, str]]) -> str:
    words, groups = case.words, dict[str, list[str]]()
    for name, reason in named:
        key = reason if f"reason.{reason}" in words.words else "other"
        if name not in groups.setdefault(key, []):
            groups[key].append(name)
    told = [
        words.say("findings.group", items=words.listed(names), reason=words.say(f"reason.{reason}"))
        for reason, names in groups.items()
    ]
    return words.listed(told, "groups")


def _unclaimed(case: Case) -> tuple[Notice, ...]:
    """A notice for each finding whose probability is too low for a sentence, so that it does not vanish in silence."""
    seen = (Presence.PRESENT, Presence.UNCERTAIN)
    unclaimed = (finding for finding in clinical(case) if finding.presence in seen and not is_claimed(finding))
    labels = dict.fromkeys(finding.label for finding in unclaimed)
    return tuple(Notice(code="no_claim_made", level=NoticeLevel.INFO, fields={"label": label}) for label in labels)
