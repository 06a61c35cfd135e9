"""The Comparison section: with what the study was compared, and each number then and now.

    Case -> Sentence, Sentence...

The arithmetic is that of ``follow_up``; this module words it. A sentence about change cites the finding of now and its slice.
"""

from decimal import Decimal

from medomni.reporting.case import Case, template
from medomni.reporting.follow_up import diameter_of, follow_up, rounded_mm
from medomni.reporting.hedge import hedge
from medomni.reporting.lines import Line, lines
from medomni.reporting.numerals import UNIT_TEXT
from medomni.reporting.phrases import PhraseBank
from medomni.reporting.reading import STANDARDS
from medomni.reporting.technique import duration
from medomni.reporting.vocabulary import vocabulary
from medomni.reporting.wording import headed
from medomni.types.finding import Finding
from medomni.types.follow_up import Change, DiameterSum, Followed
from medomni.types.report import Prior, Receipt, ReceiptKind, Sentence


def comparison(case: Case) -> tuple[Sentence, ...]:
    """What the study was compared with, what changed and by how much, what is new and what is gone."""
    words, prior = case.words, case.prior
    if prior is None:
        return (Sentence(text=words.sentence("comparison.none"), receipt=template()),)
    told = follow_up(case.findings, prior)
    receipt = Receipt(kind=ReceiptKind.PRIOR)
    is_compared = told.followed or told.new or told.gone or told.unsure
    key = "not_compared" if not is_compared else "compared" if prior.is_signed else "compared_unsigned"
    return (
        Sentence(text=_prior(words, prior), receipt=receipt),
        Sentence(text=words.sentence(f"comparison.{key}"), receipt=receipt),
        *(sentence for one in told.followed for sentence in _changed(case, one)),
        *((_total(case, told.total),) if told.total else ()),
        *_listed(case, "new", told.new, is_now=True),
        *_listed(case, "gone", told.gone, is_now=False),
        *_listed(case, "unsure", told.unsure, is_now=True),
    )


def grown(case: Case) -> tuple[Sentence, ...]:
    """For the Impression: the nodules that have grown."""
    followed = follow_up(case.findings, case.prior).followed
    return tuple(_grown(case, one, one.growth) for one in followed if one.growth is not None)


def _changed(case: Case, one: Followed) -> list[Sentence]:
    """A sentence for each side of a finding that was measured then and now."""
    words, said = case.words, list[Sentence]()
    for line in lines(one.finding, case.grid.is_side_known):
        names = {measurement.name for measurement in line.measurements}
        changes = [change for change in one.changes if change.name in names]
        if not changes:
            continue
        items = [_change(words, change) for change in changes]
        if one.doubling_days is not None and any(change.name == "volume" for change in changes):
            items.append(words.say("follow_up.doubling", time=duration(words, str(one.doubling_days), "days")))
        text = words.sentence("follow_up.line", finding=_headed(case, line), changes=words.listed(items, "items"))
        said.append(_cited(line, text, tuple(change.name for change in changes)))
    return said


def _grown(case: Case, one: Followed, growth: Change) -> Sentence:
    words, line = case.words, lines(one.finding, case.grid.is_side_known)[0]
    slots = {"before": _amount(words, growth.before, growth.unit), "now": _amount(words, growth.now, growth.unit)}
    finding = _headed(case, line, is_placed=False)
    text = words.sentence("follow_up.grown", finding=finding, since=_since(case), name=words.name(growth.name), **slots)
    return _cited(line, text, (growth.name,))


def _cited(line: Line, text: str, measurements: tuple[str, ...]) -> Sentence:
    proof = line.receipt()
    receipt = Receipt(
        kind=ReceiptKind.PRIOR,
        structure=proof.structure,
        slice_index=proof.slice_index,
        position_mm=proof.position_mm,
        box_mm=proof.box_mm,
        measurements=measurements,
        label=line.finding.label,
    )
    organ = vocabulary().label(line.finding.label).organ
    return Sentence(text=text, receipt=receipt, finding_ids=(line.finding.id,), organ=organ)


def _total(case: Case, total: DiameterSum) -> Sentence:
    words, count = case.words, len(total.finding_ids)
    named = words.say("follow_up.targets_one" if count == 1 else "follow_up.targets", count=str(count))
    text = words.sentence("follow_up.total", targets=named, standard=STANDARDS[0], amounts=_amounts(words, total.change))
    return Sentence(text=text, receipt=Receipt(kind=ReceiptKind.PRIOR), finding_ids=total.finding_ids)


def _listed(case: Case, key: str, found: tuple[Finding, ...], *, is_now: bool) -> list[Sentence]:
    """A sentence for each organ that names findings; of those of now with their ids, of earlier ones with their size then."""
    said = []
    for organ in dict.fromkeys(vocabulary().label(finding.label).organ for finding in found):
        own = [finding for finding in found if vocabulary().label(finding.label).organ == organ]
        items = [_item(case, line, is_now=is_now) for finding in own for line in lines(finding, case.grid.is_side_known)]
        text = case.words.sentence(f"follow_up.{key}", items=case.words.listed(items, "groups"))
        cited = tuple(finding.id for finding in own) if is_now else ()
        said.append(Sentence(text=text, receipt=Receipt(kind=ReceiptKind.PRIOR), finding_ids=cited, organ=organ))
    return said


def _item(case: Case, line: Line, *, is_now: bool) -> str:
    name, size = _headed(case, line, is_placed=is_now), diameter_of(line.finding)
    if size is None:
        return name
    shown = _amount(case.words, rounded_mm(size), size.unit)
    shown = case.words.say("measured.at_least", value=shown) if size.is_lower_bound else shown
    return case.words.say("follow_up.sized", finding=name, size=shown)


def _headed(case: Case, line: Line, is_placed: bool = True) -> str:
    """The hedged name of a line with its places and, for one of now, its slice."""
    words = case.words
    name, where = headed(words, line.finding.label, line.side, line.places, hedge(line.finding) or "stated")
    named = words.say("follow_up.placed", finding=name, places=where) if where else name
    if not is_placed or line.slice_index is None:
        return named
    return named + words.say("line.image", slice=str(line.slice_index + 1))


def _change(words: PhraseBank, change: Change) -> str:
    return words.say("follow_up.named", name=words.name(change.name), amounts=_amounts(words, change))


def _amounts(words: PhraseBank, change: Change) -> str:
    """A number now and then, and by how much it changed."""
    slots = {"now": _amount(words, change.now, change.unit), "before": _amount(words, change.before, change.unit)}
    if change.percent is None:
        return words.say("follow_up.amounts", **slots)
    shown = words.say("measured.percent", number=f"{change.percent:+d}" if change.percent else "0")
    return words.say("follow_up.amounts_percent", percent=shown, **slots)


def _amount(words: PhraseBank, value: Decimal, unit: str) -> str:
    return words.say("measured.number", number=f"{value:f}", unit=UNIT_TEXT.get(unit, unit))


def _since(case: Case) -> str:
    words, days = case.words, case.prior.days_before if case.prior else None
    return words.say("follow_up.since", time=duration(words, str(days), "days")) if days else words.say("follow_up.since_undated")


def _prior(words: PhraseBank, prior: Prior) -> str:
    days = prior.days_before
    if days is None:
        return words.sentence(f"comparison.{prior.kind}_undated")
    if days == 0:
        return words.sentence(f"comparison.{prior.kind}_same_day")
    key = f"comparison.{prior.kind}" if days > 0 else f"comparison.{prior.kind}_after"
    return words.sentence(key, age=duration(words, str(abs(days)), "days"))
