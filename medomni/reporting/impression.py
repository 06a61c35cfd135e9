"""The Impression section: every significant finding the text claims, most important first, then the scope.

    Case -> Sentence, Sentence...

Findings of one label and one degree of certainty share a line; each line cites its findings. A study without such a
finding is never called normal: the line says what was looked for, and where.
"""

from dataclasses import replace
from itertools import groupby

from medomni.reporting.case import Case, template
from medomni.reporting.compared import grown
from medomni.reporting.dictated import SIZE, is_dictated
from medomni.reporting.hedge import hedge, is_claimed
from medomni.reporting.indication import unanswered
from medomni.reporting.lines import SIDES, Line, lines
from medomni.reporting.measured import limit, missing_lung
from medomni.reporting.numerals import amount
from medomni.reporting.vocabulary import side as side_of
from medomni.reporting.vocabulary import vocabulary
from medomni.reporting.wording import detail, details, headed, including, is_share, worded
from medomni.types.finding import Finding, Laterality, Presence
from medomni.types.report import Receipt, ReceiptKind, Sentence


def impression(case: Case) -> tuple[Sentence, ...]:
    """The lines of the impression in order; writers number them."""
    if not case.coverage.evaluated:
        text = case.words.sentence("impression.nothing_evaluated")
        ids = tuple(finding.id for finding in case.findings)
        return (*_claims(case), Sentence(text=text, receipt=template(), finding_ids=ids), *unanswered(case))
    claims = _claims(case)
    negatives = () if claims else _none_detected(case)
    return (*claims, *grown(case), *unanswered(case), *negatives, *missing_lung(case), _scope(case))


def significant(case: Case) -> list[Finding]:
    """The findings that must reach the impression, most important first."""
    table = vocabulary().labels
    wanted = [f for f in case.findings if f.label in table and table[f.label].is_significant and is_claimed(f)]
    return sorted(wanted, key=lambda finding: (not table[finding.label].is_critical, table[finding.label].order))


def absent(case: Case) -> list[Finding]:
    """The findings whose absence may be stated: absent, and no other finding of that label is there or open."""
    table = vocabulary().labels
    return [
        finding
        for finding in case.findings
        if finding.presence is Presence.ABSENT
        and finding.label in table
        and not table[finding.label].is_measurement_only
        and (case.is_evaluated(table[finding.label].organ) or is_dictated(finding))
        and all(other.presence is Presence.ABSENT for other in case.of_label(finding.label))
    ]


def _claims(case: Case) -> tuple[Sentence, ...]:
    steps = [step.name for step in vocabulary().hedges]
    found = sorted(significant(case), key=lambda f: (*_rank(f), steps.index(hedge(f) or steps[-1])))
    said: list[Sentence] = []
    for (_, step), group in groupby(found, key=lambda finding: (finding.label, hedge(finding) or "")):
        said.extend(_group(case, list(group), step))
    return tuple(said)


def _rank(finding: Finding) -> tuple[bool, int]:
    entry = vocabulary().label(finding.label)
    return (not entry.is_critical, entry.order)


def _group(case: Case, group: list[Finding], step: str) -> list[Sentence]:
    if len(group) > 1 and f"several.{group[0].label}" in case.words.words:
        return [_several(case, group, step)]
    shown = [line for finding in group for line in lines(finding, case.grid.is_side_known)]
    if any(line.is_side_withheld for line in shown) or (len(shown) > 1 and any(_is_sized(line) for line in shown)):
        return [_alone(case, line, step) for line in shown]
    return [_joined(case, shown, step)]


def _joined(case: Case, shown: list[Line], step: str) -> Sentence:
    """One line for a label on one or both sides: "Opacity in the right lower zone and left lung, 4% of the right lung..."."""
    words, label = case.words, shown[0].finding.label
    sides = {line.side for line in shown}
    side = shown[0].side if len(sides) == 1 else Laterality.BILATERAL
    places = tuple(dict.fromkeys(place for line in shown for place in line.places))
    name, where = headed(words, label, side, places, step)
    told = [text for line in shown for text in _brief(case, line, is_one_of_two=len(shown) > 1)]
    ids = tuple(dict.fromkeys(line.finding.id for line in shown))
    return _line(case, shown[0], ids, worded(words, _bare(shown[0]), name, where, told, including(case, shown)))


def _alone(case: Case, line: Line, step: str) -> Sentence:
    name, where = headed(case.words, line.finding.label, line.side, line.places, step)
    text = worded(case.words, _bare(line), name, where, details(case.words, line), including(case, [line]))
    return _line(case, line, (line.finding.id,), text)


def _several(case: Case, group: list[Finding], step: str) -> Sentence:
    words, label = case.words, group[0].label
    largest = max(group, key=_size)
    line = lines(largest, case.grid.is_side_known)[0]
    name = words.say(f"hedge.{step}", finding=words.say(f"several.{label}"))
    _, where = headed(words, label, line.side, line.places, step)
    told = "".join(words.say("line.detail", detail=text) for text in details(words, line))
    if where:
        place = words.say("line.place", places=where)
        text = words.sentence("several.largest", finding=name, place=place, details=told)
    else:
        text = words.sentence("several.largest_unplaced", finding=name, details=told)
    return _line(case, line, tuple(finding.id for finding in group), text)


def _brief(case: Case, line: Line, is_one_of_two: bool) -> list[str]:
    """The one number that matters most: the share of the lung, else the volume; all numbers where there is no side."""
    words = case.words
    if line.side not in SIDES or not any(side_of(m.name) in SIDES for m in line.measurements):
        return details(words, line)
    share = next((m for m in line.measurements if is_share(m)), None)
    if share:
        return [detail(words, line, share)]
    volume = next((m for m in line.measurements if m.name.endswith(f"_volume_{line.side.value}")), None)
    if volume is None:
        return []
    if is_one_of_two:
        return [words.say("detail.volume_side", value=amount(volume, words), side=words.say(f"side.{line.side.value}"))]
    return [detail(words, line, volume)]


def _line(case: Case, line: Line, ids: tuple[str, ...], text: str) -> Sentence:
    organ = vocabulary().label(line.finding.label).organ
    return Sentence(text=text, receipt=line.receipt(), finding_ids=ids, organ=organ)


def _bare(line: Line) -> Line:
    """The line without its slice: the impression refers to the findings section."""
    return replace(line, slice_index=None)


def _none_detected(case: Case) -> tuple[Sentence, ...]:
    """What was looked for and not found: one line, and one of its own for what holds of a part of the lungs only."""
    seen_by_machine = [finding for finding in absent(case) if not is_dictated(finding)]
    missing = sorted(seen_by_machine, key=lambda finding: vocabulary().label(finding.label).order)
    if not missing:
        return (Sentence(text=case.words.sentence("impression.nothing_claimed"), receipt=template()),)
    groups: dict[str, list[Finding]] = {}
    for finding in missing:
        groups.setdefault(limit(case, vocabulary().label(finding.label).organ), []).append(finding)
    return tuple(_none_of(case, group, place) for place, group in groups.items())


def _none_of(case: Case, group: list[Finding], place: str) -> Sentence:
    words, limited = case.words, {organ for organ in case.answered_organs if limit(case, organ)}
    names = words.listed(list(dict.fromkeys(words.name(finding.label) for finding in group)), "or")
    if place:
        text = words.sentence("findings.absent_in", findings=names, place=place)
    else:
        organs = words.listed([words.name(organ) for organ in case.answered_organs if organ not in limited])
        text = words.sentence("impression.none_detected", findings=names, organs=organs)
    return Sentence(text=text, receipt=Receipt(kind=ReceiptKind.MEASURED), finding_ids=tuple(f.id for f in group))


def _scope(case: Case) -> Sentence:
    is_whole = not case.coverage.not_evaluated and all(
        finding.presence is not Presence.NOT_EVALUATED for finding in case.findings
    )
    organs = case.words.listed([case.words.name(organ) for organ in case.answered_organs])
    key = "impression.scope_whole" if is_whole else "impression.scope" if organs else "impression.scope_measured"
    return Sentence(text=case.words.sentence(key, organs=organs), receipt=template())


def _is_sized(line: Line) -> bool:
    return line.of("long_diameter") is not None


def _size(finding: Finding) -> float:
    sizes = (finding.measurement(name) for name in (SIZE, "long_diameter", "mean_diameter", "volume"))
    return next((size.value for size in sizes if size), 0.0)
