"""The arithmetic of follow-up: findings of now, findings of an earlier report -> what changed, by how much, how fast.

    findings, Prior -> FollowUp

Everything is reckoned from the numbers as they are shown, so that a reader gets the same with a pocket calculator. Images are not
registered: a lesion is found again by its place within its own lung, and left unmatched where that could mean another one.
"""

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from math import log
from typing import Final

import numpy as np
from jaxtyping import Float64

from medomni.reporting.dictated import SIZE, is_rejected
from medomni.reporting.hedge import is_claimed
from medomni.reporting.numerals import LONGEST_NUMBER
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

    A prior that is dated after the study, or shows another patient, is not compared. What nobody looked for in one of the two is
    neither new nor gone.
    """
    if prior is None or not prior.findings or prior.is_same_patient is False or (prior.days_before or 0) < 0:
        return FollowUp()
    told = [_of_label(label, findings, prior) for label in dict.fromkeys(f.label for f in (*findings, *prior.findings))]
    followed = tuple(one for part in told for one in part.followed if one.changes)
    return FollowUp(
        followed=followed,
        new=tuple(one for part in told for one in part.new),
        gone=tuple(one for part in told for one in part.gone),
        unsure=tuple(one for part in told for one in part.unsure),
        total=_total(followed),
    )


def _of_label(label: str, findings: tuple[Finding, ...], prior: Prior) -> FollowUp:
    now, before = _claimed(label, findings), _claimed(label, prior.findings)
    pairs, unsure_now, unsure_before = (
        _matched(now, before, findings, prior.findings) if label in LESIONS else _alone(now, before)
    )
    taken_now, taken_before = {i for i, _ in pairs} | unsure_now, {j for _, j in pairs} | unsure_before
    was_told, is_told = bool(before) or _is_denied(label, prior.findings), bool(now) or _is_denied(label, findings)
    return FollowUp(
        followed=tuple(_followed(now[i], before[j], prior.days_before) for i, j in pairs),
        new=tuple(one for i, one in enumerate(now) if i not in taken_now) if was_told else (),
        gone=tuple(one for j, one in enumerate(before) if j not in taken_before) if is_told else (),
        unsure=tuple(now[i] for i in sorted(unsure_now)),
    )


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
    is_answered = is_claimed(finding) or finding.presence is Presence.ABSENT
    return entry is not None and not entry.is_measurement_only and is_answered and not is_rejected(finding)


def _claimed(label: str, findings: Sequence[Finding]) -> list[Finding]:
    """The findings of a label that are claimed to be there."""
    return [finding for finding in findings if finding.label == label and _is_comparable(finding) and is_claimed(finding)]


def _is_denied(label: str, findings: Sequence[Finding]) -> bool:
    """Whether a label was looked for and is said to be absent."""
    own = [finding for finding in findings if finding.label == label and not is_rejected(finding)]
    return bool(own) and all(finding.presence is Presence.ABSENT for finding in own)


Matches = tuple[list[tuple[int, int]], set[int], set[int]]
"""Pairs of (now, before), and which of now and which of before could not be told."""


def _alone(now: list[Finding], before: list[Finding]) -> Matches:
    """The pair of a label that a report holds once; several of it are not told apart."""
    if len(now) == len(before) == 1:
        return [(0, 0)], set(), set()
    is_open = bool(now and before)
    return [], set(range(len(now))) if is_open else set(), set(range(len(before))) if is_open else set()


def _matched(now: list[Finding], before: list[Finding], findings: Sequence[Finding], earlier: Sequence[Finding]) -> Matches:
    """The pairs of which each is the other's clear nearest; what may be one of several, or has no place, is not told."""
    if len(now) == len(before) == 1 and _is_only_choice(now[0], before[0], findings, earlier):
        return [(0, 0)], set(), set()
    far = np.full((len(now), len(before)), np.inf)
    for i, one in enumerate(now):
        for j, was in enumerate(before):
            far[i, j] = _distance_mm(one, was, findings, earlier)  # nan where it cannot be told
    pairs: list[tuple[int, int]] = []
    open_now, open_before = set[int](), set[int]()
    for i, j in np.argwhere(~(far > REACH_MM)):
        rivals = [*np.delete(far[i], j), *np.delete(far[:, j], i)]
        if far[i, j] + CLEAR_MM <= np.min(rivals, initial=np.inf) and _share_a_place(now[i], before[j]):
            pairs.append((int(i), int(j)))
        else:
            open_now.add(int(i))
            open_before.add(int(j))
    return pairs, open_now - {i for i, _ in pairs}, open_before - {j for _, j in pairs}


def _is_only_choice(one: Finding, was: Finding, findings: Sequence[Finding], earlier: Sequence[Finding]) -> bool:
    """Whether the only two lesions of a label, of which one has no place, are of one side and one lobe."""
    is_placed = not np.isnan(_distance_mm(one, was, findings, earlier))
    return not is_placed and one.laterality is was.laterality is not Laterality.UNKNOWN and _share_a_place(one, was)


def _share_a_place(one: Finding, was: Finding) -> bool:
    """Whether two lesions lie in one lobe, or one of them names none."""
    return not one.anatomy or not was.anatomy or bool(set(one.anatomy) & set(was.anatomy))


def _distance_mm(one: Finding, was: Finding, findings: Sequence[Finding], earlier: Sequence[Finding]) -> float:
    """How far apart two lesions lie in their lung, in mm of the lung of now; nan where it is not known, inf across the chest."""
    sides = (Laterality.LEFT, Laterality.RIGHT)
    if one.laterality in sides and was.laterality in sides and one.laterality is not was.laterality:
        return np.inf
    at, then = _position(one), _position(was)
    lung, lung_then = (_lung(one.laterality, all_) for all_ in (findings, earlier))
    if one.laterality is not was.laterality or at is None or then is None or lung is None or lung_then is None:
        return np.nan
    if lung[0] != lung_then[0]:  # other lobes were outlined
        return np.nan
    (low, high), (low_then, high_then) = lung[1], lung_then[1]
    return float(np.linalg.norm((at - low) - (then - low_then) / (high_then - low_then) * (high - low)))


def _position(finding: Finding) -> Float64[np.ndarray, "3"] | None:
    position = next((evidence.position_mm for evidence in finding.evidence if evidence.position_mm), None)
    return None if position is None else np.asarray(position, float)


def _lung(side: Laterality, findings: Sequence[Finding]) -> tuple[frozenset[str], Float64[np.ndarray, "2 3"]] | None:
    """The lobes and the box of the lung of a side, from the evidence of its volume; None where the scan cuts it off."""
    lungs = next((finding for finding in findings if finding.label == "lung_volume"), None)
    if lungs is None or side not in (Laterality.LEFT, Laterality.RIGHT):
        return None
    volume = lungs.measurement(f"lung_volume_{side.value}")
    own = [one for one in lungs.evidence if one.box_mm and side_of(one.structure) is side]
    if volume is None or not _is_whole(volume) or not own:
        return None
    boxes = np.array([one.box_mm for one in own], float)
    box = np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
    return (frozenset(one.structure for one in own), box) if np.all(box[1] - box[0] > 1) else None


def _followed(one: Finding, was: Finding, days: int | None) -> Followed:
    changes = tuple(_changes(one, was))
    by_name = {change.name: change for change in changes}
    is_nodule = one.label == "lung_nodule"
    size = by_name.get(SIZE) or by_name.get("mean_diameter") or by_name.get("long_diameter")
    return Followed(
        finding=one,
        earlier=was,
        changes=changes,
        doubling_days=_doubling_days(by_name.get("volume"), days) if is_nodule else None,
        growth=size if is_nodule and size and size.now - size.before >= GROWTH_MM else None,
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
    return not measurement.is_lower_bound and not measurement.crosses_gap and measurement.value >= 0


def _change(now: Measurement, before: Measurement) -> Change:
    places = _decimals(now.unit, min(now.value or before.value, before.value or now.value))
    shown_now, shown_before = (shown(one.value, places) for one in (now, before))
    return Change(
        name=now.name,
        unit=now.unit,
        before=shown_before,
        now=shown_now,
        percent=percent(shown_before, shown_now),
    )


def _decimals(unit: str, value: float) -> int:
    """Tenths of a millimetre; of a volume three digits that count, down to the cubic millimetre."""
    if unit == "mm":
        return 1
    return 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0


def shown(value: float, decimals: int) -> Decimal:
    """A number as it is shown.

    >>> shown(12.25, 1)
    Decimal('12.3')
    """
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, Context(prec=LONGEST_NUMBER))


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
