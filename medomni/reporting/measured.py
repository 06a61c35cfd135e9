"""The sentences that only state measurements: lung volumes, densities, attenuation areas, organ volumes.

Case -> Sentence, Sentence...
"""

from medomni.anatomy import anatomy
from medomni.reporting.case import Case
from medomni.reporting.hedge import is_claimed
from medomni.reporting.lines import SIDES, lines
from medomni.reporting.numerals import amount
from medomni.reporting.vocabulary import side, vocabulary
from medomni.reporting.wording import IN_PLACES, detail_key
from medomni.types.finding import Finding, Laterality, Measurement, Presence
from medomni.types.report import Receipt, ReceiptKind, Sentence


def sentences(case: Case) -> tuple[Sentence, ...]:
    """One sentence for each measurement finding that is present and has a number to state."""
    table = vocabulary().labels
    found = [finding for finding in case.findings if finding.label in table and finding.presence is Presence.PRESENT]
    worded = (_sentence(case, finding) for finding in found if table[finding.label].is_measurement_only)
    return tuple(sentence for sentence in worded if sentence is not None)


def missing_lung(case: Case) -> tuple[Sentence, ...]:
    """That one lung was not found, when only the other one was measured: nothing may be taken as said about it."""
    only = only_lung(case)
    if only is None:
        return ()
    other = next(iter(set(SIDES) - {only})).value
    text = case.words.sentence("measured.lung_missing", lung=case.words.say(f"of_lung.{other}"))
    return (Sentence(text=text, receipt=Receipt(kind=ReceiptKind.MEASURED, structure=f"lung_{other}"), organ="lungs"),)


def only_lung(case: Case) -> Laterality | None:
    """The side of the one lung that was measured, None when both were or no side is known."""
    sides = {side(m.name) for finding in case.of_label("lung_volume") for m in finding.measurements} & set(SIDES)
    return next(iter(sides)) if case.grid.is_side_known and len(sides) == 1 else None


def limit(case: Case, organ: str) -> str:
    """Where an absence holds, in words: a part of the lungs, one lung, or "" for all of an organ."""
    only = only_lung(case)
    if organ not in IN_PLACES or not (only or case.coverage.is_partial):
        return ""
    lung = case.words.say(f"of_lung.{only.value}" if only else "shown.lungs")
    return case.words.say("shown.part", lung=lung) if case.coverage.is_partial else lung


def _sentence(case: Case, finding: Finding) -> Sentence | None:
    stated = _stated(case, finding)
    if not stated:
        return None
    structure = next((place for place in (*(m.structure for m in stated), *(e.structure for e in finding.evidence))), "")
    organ = vocabulary().label(finding.label).organ
    if not organ:
        place = anatomy().structures.get(structure)
        organ = place.organ if place else ""
    return Sentence(
        text=_text(case, finding, stated, structure),
        receipt=Receipt(
            kind=ReceiptKind.MEASURED,
            structure=structure,
            slice_index=next((m.slice_index for m in stated if m.slice_index is not None), None),
            measurements=tuple(measurement.name for measurement in stated),
            label=finding.label,
        ),
        finding_ids=(finding.id,),
        organ=organ,
    )


def _stated(case: Case, finding: Finding) -> list[Measurement]:
    """The measurements to state: none of a side that is not known, no total that is said already."""
    stated = [m for m in finding.measurements if case.grid.is_side_known or side(m.name) is Laterality.NONE]
    if len({side(m.name) for m in stated} & set(SIDES)) == 1:
        stated = [m for m in stated if side(m.name) is not Laterality.NONE]
    if finding.label == "low_attenuation_area" and any(_tells_total(case, other) for other in case.of_label("emphysema")):
        stated = [m for m in stated if m.name != "laa950_total"]
    return stated


def _tells_total(case: Case, emphysema: Finding) -> bool:
    """Whether the sentence of an emphysema states the low-attenuation area of both lungs together."""
    told = (m.name for line in lines(emphysema, case.grid.is_side_known) for m in line.measurements)
    return is_claimed(emphysema) and "laa950_total" in told


def _text(case: Case, finding: Finding, stated: list[Measurement], structure: str) -> str:
    words = case.words
    if finding.label == "organ_volume":
        items = [words.say(detail_key(m.name), value=amount(m, words), name=words.name(m.name)) for m in stated]
        return words.sentence("measured.line", title=words.name(structure), items=words.listed(items, "items"))
    limits = [str(limit) for limit in vocabulary().label(finding.label).thresholds_hu]
    title = (
        words.say(f"measured.{finding.label}", threshold=limits[0], low=limits[0], high=limits[-1])
        if limits
        else (words.say(f"measured.{finding.label}"))
    )
    is_sided = vocabulary().label(finding.label).is_sided
    items = [_item(case, m) if is_sided else amount(m, words) for m in stated]
    return words.sentence("measured.line", title=title, items=words.listed(items, "items"))


def _item(case: Case, measurement: Measurement) -> str:
    words, where = case.words, side(measurement.name)
    place = words.say(f"side.{where.value}" if where is not Laterality.NONE else "side.total")
    return words.say("measured.item", place=place, value=amount(measurement, words))
