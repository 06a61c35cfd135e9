"""Measured findings and the omni model's opinion -> the findings of a draft, by a written rule.

The rule, for each label that the model answers in an organ that was evaluated:

1. A detector and the model make one probability, by a curve fitted on phantoms that neither learned from.
2. What a detector found stays found: the model may soften its wording, by a step of the ladder at a time as the joint probability
   falls, below *possible* to a notice; what was stated for sure, and opacities (``NEVER_DENIED``), are never less than possible.
   Its numbers and places are the detector's.
3. Dense lung that the model reads as something else (``EXPLAINED_BY``), which the draft claims on each of its sides, is an
   exception: it is no opacity beside that, and only a notice names it.
4. What no detector found becomes a finding of the model when the joint probability is at least probable, at least *stated* for
   what it was seen to mistake on real CT (``ONLY_SURE``), and the model can show where. It carries no number and is never stated
   for sure: the model has seen parts of three patients.
5. What is less sure, what it was surely mistaken about (``NEVER_ALONE``), and what is part of what a detector found (``PART_OF``)
   is only named in a notice.
6. The CT alone decides what is claimed; a history or a dictation may only change how sure it sounds.

    findings, coverage, Opinion | None -> Merged (findings, notices)
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from medomni.reporting.hedge import least, steps_reached
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Finding, Laterality, Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.opinion import LabelOpinion, Opinion
from medomni.types.region import Coverage

HEARD_IN = ("chest", "chest_abdomen")
"""Where the model is heard: it learned from CT of the chest."""
NEVER_ALONE = ("medical_material",)
"""Labels about which the model was surely mistaken on real CT: bones of the shoulder, which no phantom has, and dense calcium."""
ONLY_SURE = ("mosaic_attenuation_pattern", "lymphadenopathy", "atelectasis")
"""Labels that the model was seen to mistake on real CT, though never for sure (0.8 at most): dark streaks beside a beating heart
for mosaic attenuation, on a normal chest a hilum for nodes and lung at the pleura for a collapse."""
PART_OF = dict.fromkeys(("lung_nodule", "peribronchial_thickening"), ("lung_opacity", "consolidation"))
"""Labels about which the model is not heard alone where a detector found one of these: round foci are part of a pneumonia, and
the bronchi beside one were seen to be mistaken for thickened ones."""
NEVER_DENIED = ("lung_opacity",)
"""Labels that the model was seen to overlook on real CT (a pneumonia of 28 mL): what a detector found stays at least possible.
A consolidation is an opacity, so with this one nothing of it is lost."""
EXPLAINED_BY = dict.fromkeys(("lung_opacity", "consolidation"), ("atelectasis", "pulmonary_fibrotic_sequela"))
"""What dense lung may be instead: collapsed or scarred lung is as dense, and detectors that go by density take it for either."""
IN_LOBES = ("lungs", "airways")
"""Organs whose findings are placed in lobes."""
CLAIMED = (Presence.PRESENT, Presence.UNCERTAIN)
NOT_IN_VIEW = ("outside_field_of_view", "too_little_shown", "no_anatomy_found", "unusual_image", "region_not_supported")
"""Reasons for which nothing can be said of a finding, by whatever method."""


@dataclass(frozen=True)
class Merged:
    """The findings of a draft, and what a reader must know about how they came about."""

    findings: tuple[Finding, ...]
    notices: tuple[Notice, ...] = ()


def merge(findings: tuple[Finding, ...], coverage: Coverage, opinion: Opinion | None) -> Merged:
    """Return the findings after the model was heard; the same where it has no say."""
    if opinion is None or coverage.region not in HEARD_IN:
        return Merged(findings)
    thoughts = {one.label: one for one in opinion.labels if _is_evaluated(vocabulary().label(one.label).organ, coverage)}
    found = {finding.label for finding in findings if finding.presence in CLAIMED}
    heard = [_heard(finding, thoughts.get(finding.label), findings, found) for finding in findings]
    merged = tuple(_explained(finding, thoughts.get(finding.label), findings, heard) for finding in heard)
    doubted, added, considered = list[str](), list[str](), list[str]()
    for before, after in zip(findings, merged, strict=True):
        if before.presence in CLAIMED and _step(after.probability) != _step(before.probability):
            doubted.append(before.label)
        if before.presence not in CLAIMED and after.presence in CLAIMED:
            added.append(before.label)
        elif before.label in thoughts and _is_suspected(before, thoughts[before.label]):
            considered.append(before.label)
    return Merged(merged, tuple(_notices(doubted, added, considered)))


def _is_evaluated(organ: str, coverage: Coverage) -> bool:
    """Whether an organ was evaluated; bronchi are looked at where the lungs are."""
    return organ in coverage.evaluated or (organ in IN_LOBES and "lungs" in coverage.evaluated)


def measured_probability(findings: Iterable[Finding], label: str) -> float | None:
    """How sure the detectors are of a label: of its surest finding, of its absence, or None where none judged it."""
    own = [finding for finding in findings if finding.label == label and finding.probability is not None]
    judged = [finding.probability or 0.0 for finding in own if finding.presence is not Presence.NOT_EVALUATED]
    return max(judged, default=None)


def _heard(finding: Finding, one: LabelOpinion | None, findings: tuple[Finding, ...], found: Container[str]) -> Finding:
    """A finding after the model was heard about it; the same where it has no say. ``found`` are labels that detectors claim."""
    if one is None:
        return finding
    return _claimed(finding, one, findings) if finding.presence in CLAIMED else _unclaimed(finding, one, found)


def _explained(finding: Finding, one: LabelOpinion | None, findings: tuple[Finding, ...], heard: Iterable[Finding]) -> Finding:
    """A detector's finding that the model does not see but claims as something else, on each of its sides: less than possible."""
    reasons, best = EXPLAINED_BY.get(finding.label, ()), measured_probability(findings, finding.label)
    if one is None or best is None or finding.presence not in CLAIMED:
        return finding
    seen = one.seen(best)
    instead = (other for other in heard if other.label in reasons and other.presence in CLAIMED and _step(other.probability))
    sides = {side for other in instead for side in other.laterality.sides}
    if seen >= least("possible") or not finding.laterality.sides or not finding.laterality.sides <= sides:
        return finding
    return finding.model_copy(update={"probability": seen, "presence": Presence.UNCERTAIN})


def _claimed(finding: Finding, one: LabelOpinion, findings: tuple[Finding, ...]) -> Finding:
    """A finding of a detector, as sure as both are together; of several of a label none is made surer than it was."""
    best = measured_probability(findings, finding.label)
    if finding.probability is None or best is None:
        return finding
    possible, seen = least("possible"), one.seen(best)
    joint = max(one.joined(best), possible) if seen >= possible else seen
    probability = joint if finding.probability == best else min(joint, finding.probability)
    if finding.probability >= least("stated") or (finding.label in NEVER_DENIED and finding.probability >= possible):
        probability = max(probability, possible)
    presence = Presence.PRESENT if probability >= least("probable") else Presence.UNCERTAIN
    return finding.model_copy(update={"probability": probability, "presence": presence})


def _unclaimed(finding: Finding, one: LabelOpinion, claimed: Container[str]) -> Finding:
    """A finding that no detector claims, claimed by the model or left as it is; ``claimed`` are labels that detectors found."""
    if finding.presence is Presence.NOT_EVALUATED and finding.reason in NOT_IN_VIEW:
        return finding
    measured = _judged(finding)
    seen = one.seen(measured)
    is_heard = finding.label not in NEVER_ALONE and not any(label in claimed for label in PART_OF.get(finding.label, ()))
    enough = least("stated" if finding.label in ONLY_SURE else "probable")
    if not is_heard or seen < enough or not one.evidence:
        return finding.model_copy(update={"probability": seen}) if finding.presence is Presence.ABSENT else finding
    entry = vocabulary().label(finding.label)
    return Finding(
        id=finding.id,
        label=finding.label,
        presence=Presence.UNCERTAIN,
        probability=max(one.joined(measured), least("possible")),
        laterality=one.laterality if entry.is_sided else Laterality.NONE,
        anatomy=one.anatomy if entry.organ in IN_LOBES else (),
        box_mm=one.evidence[0].box_mm,
        evidence=one.evidence,
    )


def _is_suspected(finding: Finding, one: LabelOpinion) -> bool:
    """Whether what no detector claims is at least possible, though nothing is said of it."""
    is_open = finding.presence is Presence.ABSENT or (
        finding.presence is Presence.NOT_EVALUATED and finding.reason not in NOT_IN_VIEW
    )
    return is_open and one.seen(_judged(finding)) >= least("possible")


def _judged(finding: Finding) -> float | None:
    """The detectors' probability of what they do not claim; None where they could not judge."""
    return finding.probability if finding.presence is Presence.ABSENT else None


def _notices(doubted: list[str], added: list[str], considered: list[str]) -> Iterator[Notice]:
    told = {"model_is_less_sure": doubted, "seen_by_model_alone": added, "also_considered": considered}
    for code, labels in told.items():
        for label in dict.fromkeys(labels):
            yield Notice(code=code, level=NoticeLevel.INFO, fields={"label": label})


def _step(probability: float | None) -> int:
    """How many steps of the ladder a finding reaches; all of them without a probability."""
    return len(vocabulary().hedges) if probability is None else steps_reached(probability)
