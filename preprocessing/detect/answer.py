"""How a detector answers: not evaluated with its reason, absent, or there with sizes and places by side.

label + probability + lesion -> Finding
"""

from medomni.reporting.hedge import presence_of
from medomni.types.finding import Evidence, Finding, Measurement, Presence
from preprocessing.detect.sides import SidedLesion, union_box

VOLUME_NAMES = {"lung_opacity": "opacity_volume", "consolidation": "consolidation_volume", "pleural_effusion": "effusion_volume"}
"""Name of the volume of each kind of lesion that is told by side; the side follows it."""


def not_evaluated(label: str, reason: str) -> Finding:
    """A finding about which nothing is said, with the reason code."""
    return Finding(id=identifier(label), label=label, presence=Presence.NOT_EVALUATED, reason=reason)


def absent(label: str, probability: float, measurements: tuple[Measurement, ...] = ()) -> Finding:
    """A finding that was looked for and not found; its measurements are kept for tables and exports."""
    return Finding(
        id=identifier(label), label=label, presence=Presence.ABSENT, probability=probability, measurements=measurements
    )


def judged(
    label: str, probability: float, proof: Evidence, measurements: tuple[Measurement, ...], anatomy: tuple[str, ...] = ()
) -> Finding:
    """The finding that a probability stands for, without a side: there with its proof, or absent with its measurements."""
    presence = presence_of(probability)
    if presence is Presence.ABSENT:
        return absent(label, probability, measurements)
    return Finding(
        id=identifier(label),
        label=label,
        presence=presence,
        probability=probability,
        anatomy=anatomy,
        measurements=measurements,
        box_mm=proof.box_mm,
        evidence=(proof,),
    )


def identifier(label: str) -> str:
    """The id of a finding that occurs once in a study."""
    return label.replace("_", "-")


def sided_finding(lesion: SidedLesion, probability: float, is_lower_bound: bool = False) -> Finding:
    """The finding of one kind of lesion with its volume by side and the slice where each side is largest.

    Absent where no side holds enough of it to be shown, whatever the probability: what cannot be shown is not claimed.
    """
    if not lesion.sides:
        return absent(lesion.label, 0.0)
    presence = presence_of(probability)
    if presence is Presence.ABSENT:
        return absent(lesion.label, round(probability, 3))
    evidence = {side: lesion.evidence(side) for side in lesion.sides}
    return Finding(
        id=identifier(lesion.label),
        label=lesion.label,
        presence=presence,
        probability=round(probability, 3),
        laterality=lesion.laterality,
        measurements=tuple(
            lesion_volume(
                VOLUME_NAMES[lesion.label], side, lesion.volume_ml(side), lesion, is_lower_bound, evidence[side].slice_index
            )
            for side in lesion.sides
        ),
        box_mm=union_box([place.box_mm for place in evidence.values() if place.box_mm]),
        evidence=tuple(evidence.values()),
    )


def lesion_volume(
    name: str, place: str, value: float, lesion: SidedLesion, is_lower_bound: bool, slice_index: int | None = None
) -> Measurement:
    """A lesion volume: whole millilitres from 10 mL on, one decimal below."""
    return Measurement(
        name=f"{name}_{'total' if place == 'unknown' else place}",
        value=value,
        unit="mL",
        structure=lesion.label,
        is_lower_bound=is_lower_bound,
        crosses_gap=lesion.crosses_gap,
        decimals=0 if value >= 10.0 else 1,
        slice_index=slice_index,
    )
