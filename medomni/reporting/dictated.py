"""Findings of the images and what a person dictated -> the findings of a draft, by a written rule.

The person outranks the machine, and is told where both differ. For each label that was dictated:

1. Dictated as there, and found on that side and, where both name lobes, in one of them: the finding stays with its numbers, and
   holds the remark as evidence. What was only possible or probable is stated where the person said it without doubt, of this one
   finding or of both sides. A dictated length that differs from the measured one is told in a notice.
2. Dictated as there, and not found there: it becomes a finding of the person, without a probability, and a notice tells that no
   detector found it. Nodules that are dictated in different places or with different lengths are different findings.
3. Dictated as absent, and not found: absent, also where nothing else had looked.
4. Dictated as absent, and found: absent, as dictated, and a warning tells that the images say otherwise. Where one side alone is
   denied, what lies on the other stays.

What a machine heard and nobody confirmed is less than a person's word: it makes nothing more than possible, and denies nothing
that was found; a notice tells of it.

    findings, Dictation -> Heeded (findings, notices)
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain, count

from medomni.anatomy import LOBES
from medomni.reporting.hedge import is_claimed
from medomni.reporting.vocabulary import vocabulary
from medomni.types.dictation import Dictation, Remark
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.notice import Notice, NoticeLevel

SOURCE = "dictation"
"""Source of the evidence that a person's words give."""
SIZE = "dictated_diameter"
"""Name of a length that was dictated."""
TOLERATED_MM, TOLERATED_SHARE = 2.0, 0.2
"""A dictated length that lies within either of the measured one is the same."""
COUNTED = ("lung_nodule",)
"""Labels whose lesions are told one by one."""
_LOBES = {lobe for side in LOBES.values() for lobe in side}


@dataclass(frozen=True)
class Heeded:
    """The findings of a draft after the person was heard, and what must be known of the differences."""

    findings: tuple[Finding, ...]
    notices: tuple[Notice, ...] = ()


def heed(findings: tuple[Finding, ...], dictation: Dictation) -> Heeded:
    """Return the findings after the dictation was heard; the same without one."""
    if not dictation.characters:
        return Heeded(findings)
    if not dictation.remarks:
        return Heeded(findings, (Notice(code="dictation_unrecognized"),))
    notices = [Notice(code="dictation_was_heard")] if dictation.is_heard else []
    now = list(findings)
    for label in dict.fromkeys(remark.label for remark in dictation.remarks):
        remarks = [remark for remark in dictation.remarks if remark.label == label]
        there = [remark for remark in remarks if remark.presence is not Presence.ABSENT]
        own = [finding for finding in now if finding.label == label]
        heard = dictation.is_heard
        after, told = _there(label, own, there, heard) if there else _absent(label, own, remarks[0], heard)
        at = now.index(own[0]) if own else len(now)
        now = [finding for finding in now if finding.label != label]
        now[at:at] = after
        notices += told
    return Heeded(tuple(now), tuple(notices))


REJECTED = "rejected"
"""Source of the evidence that a person gives against a finding."""


def is_rejected(finding: Finding) -> bool:
    """Whether a person rejected a finding: of it nothing is said, not even that it is absent."""
    return any(evidence.source == REJECTED for evidence in finding.evidence)


def is_dictated(finding: Finding) -> bool:
    """Whether a finding rests on a person's words alone."""
    return bool(finding.evidence) and all(evidence.source == SOURCE for evidence in finding.evidence)


def _there(label: str, own: Sequence[Finding], remarks: Sequence[Remark], is_heard: bool) -> tuple[list[Finding], list[Notice]]:
    claimed = [finding for finding in own if is_claimed(finding)]
    seen = [remark for remark in remarks if any(is_about(remark, finding) for finding in claimed)]
    unseen = [remark for remark in remarks if remark not in seen]
    matching = [finding for finding in claimed if any(is_about(remark, finding) for remark in seen)]
    kept, notices = list(claimed) if unseen else list(own), list[Notice]()
    if matching:
        said = _said(seen)
        noted = [finding.model_copy(update={"evidence": (*finding.evidence, said)}) for finding in matching]
        sure = [not is_heard and _is_stated(finding, matching, seen) for finding in matching]
        certain = {"presence": Presence.PRESENT, "probability": None}
        noted = [one.model_copy(update=certain) if is_stated else one for one, is_stated in zip(noted, sure, strict=True)]
        kept = [noted[matching.index(finding)] if finding in matching else finding for finding in kept]
        notices += _size_notices(label, matching, _sizes(seen))
    if unseen:
        taken = {finding.id for finding in kept}
        kept[:0] = [_own_finding(lesion, is_heard, taken) for lesion in _lesions(unseen)]
        sides = _sides(finding.laterality for finding in claimed)
        differs = claimed and not any(_may_meet(sides, _sides([remark.laterality])) for remark in unseen)
        code, level = ("dictated_side_differs", NoticeLevel.WARNING) if differs else ("dictated_not_seen", NoticeLevel.INFO)
        notices.append(Notice(code=code, level=level, fields={"label": label}))
    return kept, notices


def _lesions(remarks: Sequence[Remark]) -> list[list[Remark]]:
    """The remarks of a label by what they speak of: one lesion each where lesions are counted, else all together."""
    if remarks[0].label not in COUNTED:
        return [list(remarks)]
    lesions = list[list[Remark]]()
    for remark in remarks:
        same = next((lesion for lesion in lesions if all(_is_same_lesion(remark, other) for other in lesion)), None)
        if same is None:
            lesions.append([remark])
        else:
            same.append(remark)
    return lesions


def _is_same_lesion(one: Remark, other: Remark) -> bool:
    """Whether two remarks may speak of the same: a lesion lies on one side, so what is on both is not what is on one."""
    sides, sizes = {remark.laterality.sides for remark in (one, other)} - {frozenset()}, _sizes([one, other])
    is_there = len(sides) < 2 and _may_meet(_lobes_of(one), _lobes_of(other))
    return is_there and (len(sizes) < 2 or _is_same(*sizes))


def _own_finding(remarks: Sequence[Remark], is_heard: bool, taken: set[str]) -> Finding:
    """What nothing but a person's remarks tells of; its id, which none of the ``taken`` is, becomes one of them."""
    label = remarks[0].label
    sides = _sides(remark.laterality for remark in remarks) if vocabulary().label(label).is_sided else set()
    is_sure = not is_heard and any(remark.presence is Presence.PRESENT for remark in remarks)
    first = f"dictated-{label.replace('_', '-')}"
    names = chain([first], (f"{first}-{number}" for number in count(2)))
    own = next(name for name in names if name not in taken)
    taken.add(own)
    return Finding(
        id=own,
        label=label,
        presence=Presence.PRESENT if is_sure else Presence.UNCERTAIN,
        laterality=Laterality.of(sides),
        anatomy=tuple(dict.fromkeys(lobe for remark in remarks for lobe in remark.anatomy)),
        measurements=tuple(
            Measurement(name=SIZE, value=size, unit="mm", decimals=_decimals(size)) for size in _sizes(remarks)[:1]
        ),
        evidence=(_said(remarks),),
    )


def _said(remarks: Sequence[Remark]) -> Evidence:
    return Evidence(source=SOURCE, span=(remarks[0].start, remarks[0].end))


def _sizes(remarks: Iterable[Remark]) -> list[float]:
    return [remark.size_mm for remark in remarks if remark.size_mm is not None]


def _is_stated(finding: Finding, matching: Sequence[Finding], remarks: Sequence[Remark]) -> bool:
    """Whether a remark without doubt is about this finding: about none but it, or about both sides."""
    for remark in remarks:
        about = [one for one in matching if is_about(remark, one)]
        is_meant = about == [finding] or (finding in about and remark.laterality is Laterality.BILATERAL)
        if is_meant and remark.presence is Presence.PRESENT:
            return True
    return False


def is_about(remark: Remark, finding: Finding) -> bool:
    """Whether side and lobes of a remark fit a finding of its label."""
    said = _sides([remark.laterality]) if vocabulary().label(finding.label).is_sided else set()
    is_side = _may_meet(_sides([finding.laterality]), said)
    return is_side and _may_meet(_lobes_of(remark), _lobes_of(finding))


def _lobes_of(one: Remark | Finding) -> set[str]:
    return _LOBES & set(one.anatomy)


def _absent(label: str, own: Sequence[Finding], remark: Remark, is_heard: bool) -> tuple[list[Finding], list[Notice]]:
    said = Evidence(source=SOURCE, span=(remark.start, remark.end))
    claimed = [finding for finding in own if is_claimed(finding)]
    denied = _sides([remark.laterality]) if vocabulary().label(label).is_sided else set()
    if claimed and len(denied) == 1:
        return _absent_on(label, own, denied, is_heard)
    if claimed and is_heard:
        return list(own), [Notice(code="heard_denial", fields={"label": label})]
    if not claimed and any(finding.presence is Presence.ABSENT for finding in own):
        return list(own), []
    finding = Finding(id=f"dictated-{label.replace('_', '-')}", label=label, presence=Presence.ABSENT, evidence=(said,))
    return [finding], [Notice(code="denied_by_dictation", fields={"label": label})] if claimed else []


def _absent_on(label: str, own: Sequence[Finding], denied: set[Laterality], is_heard: bool) -> tuple[list[Finding], list[Notice]]:
    """One side alone is denied: what lies on the other stays, and so does what lies on both, with a warning."""
    fields = {"label": label}
    gone = [finding for finding in own if is_claimed(finding) and _sides([finding.laterality]) == denied]
    both = [finding for finding in own if is_claimed(finding) and _sides([finding.laterality]) > denied]
    if is_heard and gone:
        return list(own), [Notice(code="heard_denial", fields=fields)]
    notices = [Notice(code="denied_by_dictation", fields=fields)] if gone else []
    notices += [Notice(code="dictated_side_differs", fields=fields)] if both else []
    return [finding for finding in own if finding not in gone], notices


def _size_notices(label: str, findings: Sequence[Finding], sizes: Sequence[float]) -> Iterable[Notice]:
    """A notice where none of the measured lengths is about the one that was dictated."""
    measured = [m.value for finding in findings for m in finding.measurements if m.name.endswith("_diameter")]
    if measured and sizes and not any(_is_same(size, value) for size in sizes for value in measured):
        fields = {"label": label, "dictated": f"{sizes[0]:g}", "measured": f"{max(measured):.0f}"}
        yield Notice(code="dictated_size_differs", fields=fields)


def _is_same(dictated_mm: float, measured_mm: float) -> bool:
    difference = abs(dictated_mm - measured_mm)
    return difference <= max(TOLERATED_MM, TOLERATED_SHARE * measured_mm)


def _may_meet(some: AbstractSet[str], others: AbstractSet[str]) -> bool:
    """Whether places may be the same: they share one, or either is not told."""
    return not some or not others or bool(some & others)


def _sides(named: Iterable[Laterality]) -> set[Laterality]:
    return {side for one in named for side in one.sides}


def _decimals(size: float) -> int:
    return 0 if size == int(size) else 1
