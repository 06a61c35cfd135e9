"""The sentences of one finding, in the findings section: what, where, how large, how sure, on which slice.

    Case + Finding -> Sentence, Sentence...

Numbers are copied from measurements by ``numerals``; every word comes from the phrase bank.
"""

from collections.abc import Sequence

from medomni.anatomy import anatomy
from medomni.reporting.case import Case
from medomni.reporting.dictated import is_dictated
from medomni.reporting.hedge import hedge
from medomni.reporting.lines import SIDES, Line, lines
from medomni.reporting.numerals import amount, numeral
from medomni.reporting.phrases import PhraseBank
from medomni.reporting.statement import IMAGE, NUMBERS, PLACE, Statement
from medomni.reporting.vocabulary import LabelEntry, vocabulary
from medomni.reporting.vocabulary import side as side_of
from medomni.types.finding import Finding, Laterality, Measurement
from medomni.types.report import Sentence

IN_PLACES = ("lungs", "airways")
"""Organs whose findings are placed ("opacity in the right lower zone"); others carry a side ("right pleural effusion")."""


def sentences(case: Case, finding: Finding) -> tuple[Sentence, ...]:
    """One sentence for each side of a finding that the text claims; none when the probability allows no claim."""
    return tuple(statement.sentence for statement in statements(case, finding))


def statements(case: Case, finding: Finding) -> tuple[Statement, ...]:
    """The same sentences with what they state apart from their words."""
    step = hedge(finding)
    if step is None:
        return ()
    return tuple(_statement(case, line, step) for line in lines(finding, case.grid.is_side_known))


def headed(words: PhraseBank, label: str, side: Laterality, places: tuple[str, ...], step: str) -> tuple[str, str]:
    """The hedged name of a finding and its places in words ("" when it is not placed)."""
    entry = vocabulary().label(label)
    where = placed(words, entry, side, places)
    noun = words.say(f"noun.{label}") if where else words.name(label)
    if not where and entry.is_sided and side in (*SIDES, Laterality.BILATERAL):
        noun = words.say("line.sided", side=words.say(f"side.{side.value}"), finding=noun)
    return words.say(f"hedge.{step}", finding=noun), where


def placed(words: PhraseBank, entry: LabelEntry, side: Laterality, places: tuple[str, ...]) -> str:
    """The places as a list, the lung of the side when nothing closer is known, or ""."""
    if places:
        return words.listed([words.say("line.the", place=words.name(place)) for place in places])
    return words.say(f"of_lung.{side.value}") if entry.organ in IN_PLACES and side in (*SIDES, Laterality.BILATERAL) else ""


def worded(words: PhraseBank, line: Line, name: str, where: str, details: list[str], including: str = "") -> str:
    """A line as a sentence; ``including`` follows its numbers."""
    image = "" if line.slice_index is None else words.say("line.image", slice=str(line.slice_index + 1))
    tail = "".join(words.say("line.detail", detail=detail) for detail in details) + including
    if where:
        return words.sentence("line.in_places", finding=name, places=where, details=tail, image=image)
    return words.sentence("line.plain", finding=name, details=tail, image=image)


def details(words: PhraseBank, line: Line) -> list[str]:
    """Every number of a line in words, except the zone volumes that stand beside their zones."""
    if is_dictated(line.finding):
        said = [amount(measurement, words) for measurement in line.measurements]
        return [words.say("detail.dictated", value=value) for value in said] or [words.say("detail.as_dictated")]
    if line.is_side_withheld:
        return [*_withheld(words, line), words.say("line.side_withheld")]
    shown = [_size(words, line)]
    used = {"long_diameter", "short_diameter"} if shown[0] else set()
    zones = _zone_volumes(line)
    for measurement in line.measurements:
        if measurement.name not in used and measurement not in zones.values():
            shown.append(detail(words, line, measurement, is_total=len(zones) > 1))
    return [text for text in shown if text]


def detail(words: PhraseBank, line: Line, measurement: Measurement, is_total: bool = False) -> str:
    """One number of a line in words."""
    name, value, side = measurement.name, amount(measurement, words), side_of(measurement.name)
    if name.startswith("laa950_"):
        return _low_attenuation(words, line, measurement)
    if side in SIDES and is_share(measurement):
        return words.say("detail.share", value=value, lung=words.say(f"of_lung.{side.value}"))
    if name.startswith("ground_glass_volume"):
        return words.say("detail.ground_glass", value=value)
    if side in SIDES and "_volume_" in name:
        return words.say("detail.total" if is_total else "detail.volume", value=value)
    if name.endswith("_percent_total"):
        return words.say("detail.share", value=value, lung=words.say("of_lung.bilateral"))
    return words.say(detail_key(name), value=value, name=words.name(name))


def _low_attenuation(words: PhraseBank, line: Line, measurement: Measurement) -> str:
    """The share of low attenuation of one lung; the first of a line names the threshold."""
    side, value = side_of(measurement.name), amount(measurement, words)
    lung = words.say(f"of_lung.{side.value if side in SIDES else 'bilateral'}")
    limits = vocabulary().label(line.finding.label).thresholds_hu
    if not limits or measurement.name != next(m.name for m in line.measurements if m.name.startswith("laa950_")):
        return words.say("detail.share", value=value, lung=lung)
    return words.say("detail.low_attenuation", value=value, lung=lung, threshold=str(limits[0]))


def is_share(measurement: Measurement) -> bool:
    """Whether a number is a share of a lung."""
    return "_percent_" in measurement.name or measurement.name.startswith("laa950_")


def detail_key(name: str) -> str:
    """The phrase of a measurement that has no side."""
    simple = {"long_diameter": "long", "mean_diameter": "mean", "volume": "body", "mean_hu": "density"}
    if name.endswith("_volume_total"):
        return "detail.volume"
    return f"detail.{simple.get(name, 'other')}"


def including(case: Case, shown: Sequence[Line]) -> str:
    """That the numbers of an opacity hold those of its consolidation, so that nobody adds them up; "" where they do not."""
    sides = {line.side for line in shown if line.finding.label == "lung_opacity" and line.measurements}
    dense = [finding for finding in case.of_label("consolidation") if _is_within(case, finding, sides)]
    said = {hedge(finding) for finding in dense}
    surest = next((step.name for step in vocabulary().hedges if step.name in said), "")
    return case.words.say(f"including.{surest}") if surest else ""


def _is_within(case: Case, consolidation: Finding, sides: set[Laterality]) -> bool:
    """Whether a consolidation shares a side with those sides of an opacity, or may do so where a side is not told."""
    own = {line.side for line in lines(consolidation, case.grid.is_side_known)}
    return bool(sides) and bool(own & sides or (own | sides) - set(SIDES))


def _statement(case: Case, line: Line, step: str) -> Statement:
    words, label = case.words, line.finding.label
    name, where = headed(words, label, line.side, line.places, step)
    zones = _zone_volumes(line)
    if len(zones) > 1:
        where = words.listed([_place(words, place, zones) for place in line.places])
    told, rest = details(words, line), including(case, [line])
    sentence = Sentence(
        text=worded(words, line, name, where, told, rest),
        receipt=line.receipt(),
        finding_ids=(line.finding.id,),
        organ=vocabulary().label(label).organ,
    )
    slots = {PLACE: where, NUMBERS: words.listed(told, "items") + rest}
    slots |= {IMAGE: str(line.slice_index + 1)} if line.slice_index is not None else {}
    is_sided = not where and vocabulary().label(label).is_sided
    side = line.side if is_sided and line.side in (*SIDES, Laterality.BILATERAL) else Laterality.NONE
    return Statement(label, step, side, {name: text for name, text in slots.items() if text}, sentence)


def _place(words: PhraseBank, place: str, zones: dict[str, Measurement]) -> str:
    name = words.say("line.the", place=words.name(place))
    return words.say("line.place_volume", place=name, volume=amount(zones[place], words)) if place in zones else name


def _zone_volumes(line: Line) -> dict[str, Measurement]:
    found = {place: line.of(f"_volume_{place}") for place in anatomy().lung_places}
    return {place: measurement for place, measurement in found.items() if measurement}


def _size(words: PhraseBank, line: Line) -> str:
    long, short = line.of("long_diameter"), line.of("short_diameter")
    if long is None or short is None:
        return ""
    pair = words.say("detail.pair", long=numeral(long).digits, short=amount_of_pair(words, short))
    if long.is_lower_bound or short.is_lower_bound:
        pair = words.say("measured.at_least", value=pair)
    return words.say("detail.size", size=pair)


def amount_of_pair(words: PhraseBank, short: Measurement) -> str:
    """The shorter diameter with its unit, without a bound of its own."""
    shown = numeral(short)
    return words.say("measured.number", number=shown.digits, unit=shown.unit)


def _withheld(words: PhraseBank, line: Line) -> list[str]:
    """Numbers of both sides without naming either: "120 mL on one side, 35 mL on the other"."""
    shown = [_size(words, line)]
    used = {"long_diameter", "short_diameter"} if shown[0] else set()
    order = [side for side in SIDES if any(side_of(m.name) is side for m in line.measurements)]
    for measurement in line.measurements:
        side, value = side_of(measurement.name), amount(measurement, words)
        if measurement.name in used:
            continue
        if side not in SIDES:
            shown.append(detail(words, line, measurement))
        elif is_share(measurement):
            shown.append(words.say("detail.share", value=value, lung=words.say(f"of_lung.{_either(order, side)}")))
        else:
            shown.append(words.say(f"detail.volume_{_either(order, side)}_side", value=value))
    return [text for text in shown if text]


def _either(order: list[Laterality], side: Laterality) -> str:
    return "one" if order.index(side) == 0 else "other"
