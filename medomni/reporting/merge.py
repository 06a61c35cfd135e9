"""Measured findings and the omni model's opinion -> the findings of a draft, by a written rule.

The rule, for each label that the model answers in an organ that was evaluated:

1. A detector and the model make one probability, by a curve fitted on phantoms that neither learned from.
2. What a detector found stays found: the model may soften its wording, by a step of the ladder at a time as the joint probability
   falls, and a finding that was stated for sure is never less than possible. Its numbers and places are the detector's.
3. What a detector looked for and did not find becomes a finding of the model when the joint probability is at least possible, the
   CT alone says so too, and the model can show where. It carries no number.
4. What no detector could judge becomes a finding of the model by its own probability, under the same two conditions.
5. A text alone never makes a finding.

    findings, coverage, Opinion | None -> Merged (findings, notices)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Finding, Laterality, Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.opinion import LabelOpinion, Opinion
from medomni.types.region import Coverage

REGIONS = ("chest", "chest_abdomen")
"""Where the model is heard: it learned from CT of the chest."""
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
    if opinion is None or coverage.region not in REGIONS:
        return Merged(findings)
    thoughts = {one.label: one for one in opinion.labels}
    merged, doubted, added = list[Finding](), list[str](), list[str]()
    for finding in findings:
        one = thoughts.get(finding.label)
        if one is None or vocabulary().label(finding.label).organ not in coverage.evaluated:
            merged.append(finding)
            continue
        after = _claimed(finding, one, findings) if finding.presence in CLAIMED else _unclaimed(finding, one)
        merged.append(after)
        if finding.presence in CLAIMED and _step(after.probability) != _step(finding.probability):
            doubted.append(finding.label)
        if finding.presence not in CLAIMED and after.presence in CLAIMED:
            added.append(finding.label)
    return Merged(tuple(merged), tuple(_notices(doubted, added)))


def measured_probability(findings: Iterable[Finding], label: str) -> float | None:
    """How sure the detectors are of a label: of its surest finding, of its absence, or None where none judged it."""
    own = [finding for finding in findings if finding.label == label and finding.probability is not None]
    judged = [finding.probability or 0.0 for finding in own if finding.presence is not Presence.NOT_EVALUATED]
    return max(judged, default=None)


def _claimed(finding: Finding, one: LabelOpinion, findings: tuple[Finding, ...]) -> Finding:
    """A finding of a detector, as sure as both are together; of several of a label none is made surer than it was."""
    best = measured_probability(findings, finding.label)
    if finding.probability is None or best is None:
        return finding
    joint = one.joined(best)
    probability = joint if finding.probability == best else min(joint, finding.probability)
    if finding.probability >= _ladder()["stated"]:
        probability = max(probability, _ladder()["possible"])
    presence = Presence.PRESENT if probability >= _ladder()["probable"] else Presence.UNCERTAIN
    return finding.model_copy(update={"probability": probability, "presence": presence})


def _unclaimed(finding: Finding, one: LabelOpinion) -> Finding:
    """A finding that no detector claims, claimed by the model or left as it is."""
    if finding.presence is Presence.NOT_EVALUATED and finding.reason in NOT_IN_VIEW:
        return finding
    measured = finding.probability if finding.presence is Presence.ABSENT else None
    joint = one.joined(measured)
    possible = _ladder()["possible"]
    if joint < possible or one.image_probability < possible or not one.evidence:
        return finding.model_copy(update={"probability": joint}) if measured is not None else finding
    entry = vocabulary().label(finding.label)
    return Finding(
        id=finding.id,
        label=finding.label,
        presence=Presence.PRESENT if joint >= _ladder()["probable"] else Presence.UNCERTAIN,
        probability=joint,
        laterality=one.laterality if entry.is_sided else Laterality.NONE,
        anatomy=one.anatomy if entry.organ in IN_LOBES else (),
        box_mm=one.evidence[0].box_mm,
        evidence=one.evidence,
    )


def _notices(doubted: list[str], added: list[str]) -> Iterator[Notice]:
    for code, labels in (("model_is_less_sure", doubted), ("seen_by_model_alone", added)):
        for label in dict.fromkeys(labels):
            yield Notice(code=code, level=NoticeLevel.INFO, fields={"label": label})


def _ladder() -> dict[str, float]:
    return {hedge.name: hedge.at_least for hedge in vocabulary().hedges}


def _step(probability: float | None) -> int:
    """How many steps of the ladder a probability reaches."""
    return sum(probability >= at_least for at_least in _ladder().values()) if probability is not None else len(_ladder())
