"""The arithmetic of follow-up: findings of now, findings of an earlier report -> what changed, by how much, how fast.

    findings, Prior -> FollowUp

Everything is reckoned from the numbers as they are shown, so that a reader gets the same with a pocket calculator. Images are not
registered: a lesion is found again by its place within its own lung, and left unmatched where that could mean another one.
"""

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from math import log
from typing import Final

import numpy as np
from jaxtyping import Float64

from medomni.reporting.dictated import SIZE
from medomni.reporting.hedge import is_claimed
from medomni.reporting.vocabulary import side as side_of
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Finding, Laterality, Measurement, Presence
from medomni.types.follow_up import Change, DiameterSum, Followed, FollowUp
from medomni.types.report import Prior

DIAMETERS: Final = ("long_diameter", "short_diameter", "mean_diameter")
LESIONS: Final = ("lung_nodule", "lymphadenopathy")
"""Labels of which a report may hold several findings, each a lesion of its own."""
UNCOMPARED: Final = ("calcium_volume",)
"""Volumes that depend on the scan more than on the patient: other kVp and slices give another one."""
GROWTH_MM: Final = 2
"""Growth of a nodule: its mean diameter is larger by at least this (MacMahon 2017, Fleischner Society)."""
GROWTH_PERCENT: Final = 25
"""Growth of a volume: repeated measurements of one nodule differ by up to this (Callister 2015, British Thoracic Society)."""
TARGET_MM: Final = {"lung_nodule": 10, "lymphadenopathy": 15}
"""Smallest diameter of a target lesion then: longest of a lesion, shortest of a node (RECIST 1.1, Eisenhauer 2009)."""
MOST_TARGETS, MOST_OF_ORGAN = 5, 2
"""Target lesions in all and of one organ (RECIST 1.1)."""
REACH_MM: Final = 25.0
"""How far a lesion may seem to move between two breath-holds, after its place is scaled to the size of its lung."""
CLEAR_MM: Final = 10.0
"""How much farther away the next candidate must be."""


@lru_cache(maxsize=64)
def follow_up(findings: tuple[Finding, ...], prior: Prior | None) -> FollowUp:
    """Return what became of the findings of an earlier report; empty where there is none that may be compared.

    A prior that is dated after the study, or shows another patient, is not compared.
    """
    if prior is None or not prior.findings or prior.is_same_patient is False or (prior.days_before or 0) < 0:
        return FollowUp()
    followed, new, gone, unsure = list[Followed](), list[Finding](), list[Finding](), list[Finding]()
    for label in dict.fromkeys(finding.label for finding in (*findings, *prior.findings)):
        now, before = _of(label, findings), _of(label, prior.findings)
        pairs, open_ = _matched(now, before, findings, prior.findings) if label in LESIONS else _alone(now, before)
        followed += [_followed(one, was, prior.days_before) for one, was in pairs]
        taken = {id(one) for pair in pairs for one in pair} | {id(one) for one in open_}
        unsure += [one for one in now if id(one) in {id(other) for other in open_}]
        if label in LESIONS or _is_denied(label, prior.findings):
            new += [one for one in now if id(one) not in taken]
        if label in LESIONS or _is_denied(label, findings):
            gone += [one for one in before if id(one) not in taken]
    told = tuple(one for one in followed if one.changes)
    return FollowUp(followed=told, new=tuple(new), gone=tuple(gone), unsure=tuple(unsure), total=_total(told))


def comparable(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """What of an earlier report can be compared: what it claims or denies, and the lungs, in which lesions have their place."""
    return tuple(finding for finding in findings if finding.label == "lung_volume" or _is_comparable(finding))


def diameter_of(finding: Finding) -> Measurement | None:
    """The diameter by which a lesion is a target: a node's shortest, else the longest, or what a person said."""
    wanted = "short_diameter" if finding.label == "lymphadenopathy" else "long_diameter"
    return finding.measurement(SIZE) or finding.measurement(wanted)


def rounded_mm(diameter: Measurement) -> Decimal:
    """A diameter in tenths of a millimetre, as it stands beside another."""
    return shown(diameter.value, _decimals(diameter.unit, diameter.value))


def _is_comparable(finding: Finding) -> bool:
    entry = vocabulary().labels.get(finding.label)
    return entry is not None and not entry.is_measurement_only and (is_claimed(finding) or finding.presence is Presence.ABSENT)


def _of(label: str, findings: Sequence[Finding]) -> list[Finding]:
    """The findings of a label that are claimed to be there."""
    return [finding for finding in findings if finding.label == label and _is_comparable(finding) and is_claimed(finding)]


def _is_denied(label: str, findings: Sequence[Finding]) -> bool:
    """Whether a label was looked for and is said to be absent."""
    return {finding.presence for finding in findings if finding.label == label} == {Presence.ABSENT}


def _alone(now: list[Finding], before: list[Finding]) -> tuple[list[tuple[Finding, Finding]], list[Finding]]:
    """The pair of a label that a report holds once; several of it are not told apart."""
    return ([(now[0], before[0])], []) if len(now) == len(before) == 1 else ([], [])


def _matched(
    now: list[Finding], before: list[Finding], findings: Sequence[Finding], earlier: Sequence[Finding]
) -> tuple[list[tuple[Finding, Finding]], list[Finding]]:
    """The pairs of which each is the other's clear nearest, and what could not be told apart."""
    places_now, places_before = ([_place(one, around) for one in ones] for ones, around in ((now, findings), (before, earlier)))
    far = np.full((len(now), len(before)), np.inf)
    for i, one in enumerate(now):
        for j, was in enumerate(before):
            far[i, j] = _distance_mm(one, places_now[i], was, places_before[j], (len(now), len(before)))
    pairs, open_ = [], list[Finding]()
    for i, one in enumerate(now):
        near = np.flatnonzero(far[i] <= REACH_MM)
        if not near.size:
            continue
        j = int(np.argmin(far[i]))
        rivals = [*np.delete(far[i], j), *np.delete(far[:, j], i)]
        if far[i, j] + CLEAR_MM <= min(rivals, default=np.inf):
            pairs.append((one, before[j]))
        else:
            open_ += [one, *(before[k] for k in near)]
    paired = {id(was) for _, was in pairs}
    return pairs, [one for one in open_ if id(one) not in paired]


Place = tuple[np.ndarray, np.ndarray]
"""Where a lesion lies in its lung (x, y, z as shares of the lung's box), and the size of that box in mm."""


def _place(finding: Finding, around: Sequence[Finding]) -> Place | None:
    position = next((evidence.position_mm for evidence in finding.evidence if evidence.position_mm), None)
    box = _lung_box(finding.laterality, around)
    if position is None or box is None:
        return None
    low, size = box[0], box[1] - box[0]
    return (np.asarray(position) - low) / size, size


def _lung_box(side: Laterality, findings: Sequence[Finding]) -> Float64[np.ndarray, "2 3"] | None:
    """Lowest and highest corner of the lung of a side, which the measured lung volumes have as evidence, lobe by lobe."""
    lungs = next((finding for finding in findings if finding.label == "lung_volume"), None)
    if lungs is None or side not in (Laterality.LEFT, Laterality.RIGHT):
        return None
    boxes = np.array([one.box_mm for one in lungs.evidence if one.box_mm and side_of(one.structure) is side], float)
    return np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)]) if len(boxes) else None


def _distance_mm(one: Finding, at: Place | None, was: Finding, then: Place | None, counts: tuple[int, int]) -> float:
    """How far apart two lesions lie, in mm of the lung of now; without places the same lobe and side must do.

    The only two lesions of a label in one place are taken for one.
    """
    if one.laterality is not was.laterality:
        return np.inf
    if at is not None and then is not None:
        return float(np.linalg.norm((at[0] - then[0]) * at[1]))
    is_only = counts == (1, 1) and (set(one.anatomy) & set(was.anatomy) or not (one.anatomy and was.anatomy))
    return 0.0 if is_only else np.inf


def _followed(one: Finding, was: Finding, days: int | None) -> Followed:
    changes = tuple(_changes(one, was))
    by_name = {change.name: change for change in changes}
    mean = by_name.get("mean_diameter")
    return Followed(
        finding=one,
        earlier=was,
        changes=changes,
        doubling_days=_doubling_days(by_name.get("volume"), days),
        is_grown=one.label == "lung_nodule" and mean is not None and mean.now - mean.before >= GROWTH_MM,
    )


def _changes(one: Finding, was: Finding) -> Iterator[Change]:
    said, said_then = diameter_of(one), diameter_of(was)
    if said and said_then and SIZE in (said.name, said_then.name) and _is_whole(said) and _is_whole(said_then):
        yield _change(said, said_then)
    for now in one.measurements:
        before = was.measurement(now.name)
        if before is not None and now.name != SIZE and _is_followed(now) and _is_whole(now) and _is_whole(before):
            yield _change(now, before)


def _is_followed(measurement: Measurement) -> bool:
    is_volume = (
        measurement.unit == "mL" and measurement.name not in UNCOMPARED and not measurement.name.startswith("ground_glass")
    )
    is_zone = "_volume_" in measurement.name and not measurement.name.endswith(("_left", "_right"))
    return measurement.name in DIAMETERS or (is_volume and not is_zone and "_zone" not in measurement.name)


def _is_whole(measurement: Measurement) -> bool:
    """Whether a number is that of the whole thing: one cut by the edge, or taken across a gap, changes with the cut."""
    return not measurement.is_lower_bound and not measurement.crosses_gap


def _change(now: Measurement, before: Measurement) -> Change:
    places = _decimals(now.unit, max(now.value, before.value))
    shown_now, shown_before = (shown(one.value, places) for one in (now, before))
    return Change(name=now.name, unit=now.unit, before=shown_before, now=shown_now, percent=percent(shown_before, shown_now))


def _decimals(unit: str, value: float) -> int:
    """Tenths of a millimetre; of a volume three digits that count, down to the cubic millimetre."""
    if unit == "mm":
        return 1
    return 3 if value < 1 else 1 if value < 100 else 0


def shown(value: float, decimals: int) -> Decimal:
    """A number as it is shown.

    >>> shown(12.25, 1)
    Decimal('12.3')
    """
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def percent(before: Decimal, now: Decimal) -> int | None:
    """The whole percent by which a number changed; None from zero.

    >>> percent(Decimal("10.0"), Decimal("12.5"))
    25
    """
    return int((100 * (now - before) / before).quantize(Decimal(1), ROUND_HALF_UP)) if before else None


def doubling_days(before: Decimal, now: Decimal, days: int) -> int:
    """The volume doubling time: days x ln 2 / ln(now / before) (Schwartz 1961).

    >>> doubling_days(Decimal("0.250"), Decimal("0.500"), 90)
    90
    """
    return round(days * log(2) / log(now / before))


def _doubling_days(volume: Change | None, days: int | None) -> int | None:
    if volume is None or not days or volume.percent is None or volume.percent < GROWTH_PERCENT:
        return None
    return doubling_days(volume.before, volume.now, days)


def _total(followed: Sequence[Followed]) -> DiameterSum | None:
    """The sum over target lesions, the largest of the earlier study first."""
    sized = [(one, change) for one in followed if (change := _target(one)) is not None]
    sized.sort(key=lambda pair: -pair[1].before)
    chosen, counts = list[tuple[Followed, Change]](), dict[str, int]()
    for one, change in sized:
        organ = vocabulary().label(one.finding.label).organ
        if len(chosen) < MOST_TARGETS and counts.get(organ, 0) < MOST_OF_ORGAN:
            chosen.append((one, change))
            counts[organ] = counts.get(organ, 0) + 1
    if not chosen:
        return None
    before, now = (sum((getattr(change, when) for _, change in chosen), Decimal(0)) for when in ("before", "now"))
    change = Change(name="sum_of_diameters", unit="mm", before=before, now=now, percent=percent(before, now))
    return DiameterSum(finding_ids=tuple(one.finding.id for one, _ in chosen), change=change)


def _target(one: Followed) -> Change | None:
    """The change of the diameter that counts, where the lesion was large enough to be a target."""
    least, measured = TARGET_MM.get(one.finding.label), diameter_of(one.finding)
    change = one.change(measured.name) if measured and least else None
    return change if change and least and change.before >= least else None
