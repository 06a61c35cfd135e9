"""What one finding says, laid out before it is worded: a line for each side, with its places, numbers and evidence.

    Finding -> Line, Line...

A finding with numbers for each side becomes one line a side, so that no sentence can mix them up. No words here.
"""

from dataclasses import dataclass

from medomni.anatomy import anatomy
from medomni.reporting.dictated import is_dictated
from medomni.reporting.vocabulary import side as side_of
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Evidence, Finding, Laterality, Measurement
from medomni.types.report import Receipt, ReceiptKind

SIDES = (Laterality.RIGHT, Laterality.LEFT)


@dataclass(frozen=True)
class Line:
    """One statement of a finding. ``side`` is NONE where the finding has none or where both share one statement."""

    finding: Finding
    side: Laterality
    places: tuple[str, ...]
    measurements: tuple[Measurement, ...]
    evidence: Evidence | None
    slice_index: int | None
    is_side_withheld: bool = False

    def receipt(self) -> Receipt:
        """The proof of the line: what was measured, on which structure and slice."""
        finding, evidence = self.finding, self.evidence
        if is_dictated(finding):
            return Receipt(kind=ReceiptKind.DICTATED, label=finding.label, span=finding.evidence[0].span)
        is_model = finding.probability is not None and not self.measurements
        box_mm = evidence.box_mm if evidence else None
        return Receipt(
            kind=ReceiptKind.MODEL if is_model else ReceiptKind.MEASURED,
            structure=evidence.structure if evidence else "",
            slice_index=self.slice_index,
            position_mm=evidence.position_mm if evidence else None,
            box_mm=box_mm or (finding.box_mm if self.side is finding.laterality else None),
            measurements=tuple(measurement.name for measurement in self.measurements),
            label=finding.label,
            probability=finding.probability,
        )

    def of(self, ending: str) -> Measurement | None:
        """The first measurement whose name ends so."""
        return next((m for m in self.measurements if m.name.endswith(ending)), None)


def lines(finding: Finding, is_side_known: bool) -> tuple[Line, ...]:
    """The lines of a finding, right before left."""
    if not is_side_known or finding.laterality is Laterality.UNKNOWN:
        return (_withheld(finding),)
    measured = {side_of(m.name) for m in finding.measurements if m.value > 0}
    sides = [side for side in SIDES if side in measured]
    if sides and vocabulary().label(finding.label).is_sided:
        return tuple(_one_side(finding, side) for side in sides)
    return (_whole(finding),)


def places_of(finding: Finding) -> tuple[str, ...]:
    """The places of a finding in the order of the tables, without the organ that its label names anyway."""
    order = {name: index for index, name in enumerate((*anatomy().zones, *anatomy().structures))}
    organ = vocabulary().label(finding.label).organ
    places = dict.fromkeys(place for place in finding.anatomy if place != organ)
    return tuple(sorted(places, key=lambda place: (order.get(place, len(order)), place)))


def _one_side(finding: Finding, side: Laterality) -> Line:
    measured = tuple(m for m in finding.measurements if side_of(m.name) is side and m.value > 0)
    evidence = _evidence(finding, side)
    places = tuple(place for place in places_of(finding) if side_of(place) is side)
    return Line(finding, side, places, measured, evidence, _slice(measured, evidence))


def _evidence(finding: Finding, side: Laterality) -> Evidence | None:
    """The evidence of one side: by its structure, else by its place (LPS x rises to the left), else without a place."""
    own = [e for e in finding.evidence if side_of(e.structure) is side]
    neutral = [e for e in finding.evidence if side_of(e.structure) is Laterality.NONE]
    if own or finding.laterality is side:
        return next(iter(own or neutral), None)
    placed = sorted((e.position_mm[0], index) for index, e in enumerate(neutral) if e.position_mm)
    if len(placed) > 1:
        return neutral[placed[-1 if side is Laterality.LEFT else 0][1]]
    return Evidence(structure=neutral[0].structure, source=neutral[0].source) if neutral else None


def _whole(finding: Finding) -> Line:
    places = places_of(finding)
    stated = {side_of(place) for place in places} & set(SIDES)
    side = finding.laterality if finding.laterality in SIDES else Laterality.NONE
    if side is Laterality.NONE and len(stated) == 1:
        side = stated.pop()
    if finding.laterality is Laterality.BILATERAL:
        side = Laterality.BILATERAL
    own = _evidence(finding, side) if side in SIDES else None
    evidence = own or next(iter(finding.evidence), None)
    measured = _shares_by_side(finding, side)
    return Line(finding, side, places, measured, evidence, _slice(measured, evidence))


def _shares_by_side(finding: Finding, side: Laterality) -> tuple[Measurement, ...]:
    """The measurements to tell of a finding in one statement: of low attenuation the affected sides, else the total."""
    low = [m for m in finding.measurements if m.name.startswith("laa950_")]
    affected = set(SIDES) if side is Laterality.BILATERAL else {side} & set(SIDES)
    told = [m for wanted in SIDES for m in low if side_of(m.name) is wanted and wanted in affected]
    told = told or [m for m in low if side_of(m.name) is Laterality.NONE]
    return (*told, *(m for m in finding.measurements if m not in low)) if told else finding.measurements


def _withheld(finding: Finding) -> Line:
    evidence = next(iter(finding.evidence), None)
    within = anatomy().lung_places
    named = _shares_by_side(finding, Laterality.NONE)
    measured = tuple(m for m in named if m.value > 0 and not any(place in m.name for place in within))
    places = tuple(place for place in places_of(finding) if side_of(place) is Laterality.NONE)
    slice_index = _slice(measured, evidence)
    return Line(finding, Laterality.UNKNOWN, places, measured, evidence, slice_index, is_side_withheld=True)


def _slice(measurements: tuple[Measurement, ...], evidence: Evidence | None) -> int | None:
    measured = (m.slice_index for m in measurements if m.slice_index is not None)
    return next(measured, evidence.slice_index if evidence else None)
