"""The review of sides: a finding against its own evidence, and each sentence against the findings it cites.

    Draft -> Notice, Notice...

Sides are the patient's. World x rises to the patient's left (LPS), so a box of the left side never lies wholly to the right
of a box of the right side.
"""

from collections.abc import Iterator

from medomni.reporting import reading
from medomni.reporting.vocabulary import side, vocabulary
from medomni.types.finding import BoxMm, Finding, Laterality, Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.report import Draft, Sentence
from medomni.types.section import SectionName

ONE_SIDED = (Laterality.LEFT, Laterality.RIGHT)


def side_conflicts(draft: Draft) -> Iterator[Notice]:
    """Every contradiction of sides in a draft."""
    for finding in draft.findings:
        if finding.laterality in ONE_SIDED and _evidence_sides(finding) - {finding.laterality}:
            yield _unsafe("side_contradicts_evidence", finding.label)
    yield from _boxes(draft)
    by_id = {finding.id: finding for finding in draft.findings}
    for name in (SectionName.FINDINGS, SectionName.IMPRESSION):
        for sentence in draft.sections[name].sentences if name in draft.sections else ():
            cited = [by_id[identifier] for identifier in sentence.finding_ids if identifier in by_id]
            yield from _sentence(draft, sentence, [f for f in cited if f.presence in SEEN])


SEEN = (Presence.PRESENT, Presence.UNCERTAIN)


def _sentence(draft: Draft, sentence: Sentence, cited: list[Finding]) -> Iterator[Notice]:
    """The sides a sentence names must be sides of what it cites."""
    if not cited:
        return
    named = reading.sides(sentence.text, draft.language)
    allowed = set().union(*(_allowed(finding) for finding in cited))
    if named & set(ONE_SIDED) - allowed:
        yield _unsafe("side_contradicts_finding", cited[0].label)
    is_one_sided = all(finding.laterality in ONE_SIDED for finding in cited) and len(allowed) == 1
    if Laterality.BILATERAL in named and is_one_sided:
        yield _unsafe("side_contradicts_finding", cited[0].label)


def _allowed(finding: Finding) -> set[Laterality]:
    """The sides that a sentence about the finding may name."""
    entry = vocabulary().labels.get(finding.label)
    if entry and entry.is_measurement_only:
        return {*(side(m.name) for m in finding.measurements), *_evidence_sides(finding), finding.laterality}
    if finding.laterality is Laterality.BILATERAL:
        return set(ONE_SIDED)
    if finding.laterality is Laterality.NONE:
        return _evidence_sides(finding)
    return {finding.laterality}


def _evidence_sides(finding: Finding) -> set[Laterality]:
    """The sides that a finding's structures, places and numbers name; of two lungs compared, the worse one."""
    compared = {m.value: side(m.name) for m in finding.measurements if m.name in ("laa950_right", "laa950_left")}
    if finding.label == "emphysema" and compared:
        return {compared[max(compared)]}
    measured = [m.name for m in finding.measurements if m.value > 0]
    structures = [e.structure for e in finding.evidence] + [m.structure for m in finding.measurements]
    return {side(name) for name in (*measured, *structures, *finding.anatomy)} & set(ONE_SIDED)


def _boxes(draft: Draft) -> Iterator[Notice]:
    placed = [item for finding in draft.findings for item in _placed(finding)]
    left = [(box, label) for where, box, label in placed if where is Laterality.LEFT]
    right = [(box, label) for where, box, label in placed if where is Laterality.RIGHT]
    for left_box, label in left:
        if any(left_box[1][0] < right_box[0][0] for right_box, _ in right):
            yield _unsafe("side_contradicts_position", label)


def _placed(finding: Finding) -> Iterator[tuple[Laterality, BoxMm, str]]:
    for evidence in finding.evidence:
        where = side(evidence.structure)
        where = finding.laterality if where is Laterality.NONE else where
        if evidence.box_mm and where in ONE_SIDED:
            yield where, evidence.box_mm, finding.label


def _unsafe(code: str, label: str) -> Notice:
    return Notice(code=code, level=NoticeLevel.UNSAFE, fields={"label": label})
