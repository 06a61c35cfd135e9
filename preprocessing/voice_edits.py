"""What a person says of a report -> the edits it would take, shown before anything is changed.

    utterance, Report -> Understood (edits, lines, unclear, conflicts)

Nothing is applied here. Each edit is tried on a copy, in order, so that all of them fit together; what is ambiguous is asked, not
guessed. A plain description ("There is a small left effusion.") becomes what it says of the labels, side, lobe and length; its
other words are not kept: "add to the findings: ..." writes a sentence as it was said. What is there already is confirmed, and a
length that is said of one finding becomes its size.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle

from medomni.errors import BadInput
from medomni.reporting.dictated import is_about
from medomni.reporting.edit import apply
from medomni.reporting.hedge import hedge
from medomni.reporting.phrases import bank
from medomni.reporting.review import CLAIMING
from medomni.types.dictation import Remark
from medomni.types.edit import LONGEST_TEXT, Edit, Insert, Judge, Remove, Resize, Reword, State, Writer
from medomni.types.finding import Finding, Laterality, Presence
from medomni.types.report import Origin, Report, Sentence, Verdict
from medomni.types.section import SectionName
from preprocessing.commands import Command, Does, commands, fitting, grammar
from preprocessing.spoken import number_of, written
from preprocessing.statements import LIST, is_open, statements
from preprocessing.targets import (
    SAME_MM,
    Meant,
    Place,
    called,
    claimed,
    is_dictated_size,
    is_there,
    labels_named,
    lengths_mm,
    meant,
    named,
    place,
    section_of,
    shown_mm,
    size_mm,
    spelled,
)

LONGEST_UTTERANCE = LONGEST_TEXT
"""Characters of one utterance that are read; some four minutes of speech."""
MOST_EDITS = 100
MOST_EXPECTED = 4
"""Findings whose names are expected to be said; the recogniser has little room for them."""
LARGEST_MM = 500.0
FINDINGS = SectionName.FINDINGS


@dataclass(frozen=True)
class Understood:
    """Edits that a person has yet to confirm.

    Attributes:
        edits: in order; they fit the report one after the other.
        lines: one for each edit, in the report's language.
        unclear: each part of the utterance that makes no edit, quoted, with the reason.
        conflicts: numbers that differ from those of the report.
    """

    edits: tuple[Edit, ...] = ()
    lines: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Asked:
    """A command beside the report as it was and as the commands before have made it."""

    command: Command
    before: Report
    now: Report
    origin: Writer
    said: str

    def answer(self, key: str, **slots: str) -> str:
        return grammar(self.now.language).answers[key].format_map(slots)

    def why(self, key: str, **slots: str) -> "_Unclear":
        return _Unclear(self.answer("unclear", part=self.said, reason=self.answer(key, **slots)))

    def call(self, finding: Finding) -> str:
        name = called(finding, self.now.language)
        return name[:1].upper() + name[1:]

    def calls(self, findings: tuple[Finding, ...]) -> str:
        names = [f"{self.call(one)} ({shown_mm(one)})" if shown_mm(one) else self.call(one) for one in findings]
        return bank(self.now.language).listed(names, "groups")


@dataclass(frozen=True)
class _Proposed:
    edit: Edit
    line: str
    conflict: str = ""


@dataclass(frozen=True)
class _Unclear:
    text: str


_Answer = _Proposed | _Unclear


def understand(utterance: str, report: Report, origin: Writer = Origin.DICTATED) -> Understood:
    """Return the edits that the utterance asks for, typed or heard, and what of it is not clear."""
    done, now = Understood(), report
    for command in commands(spelled(written(utterance[:LONGEST_UTTERANCE]).text)):
        for answer in _MEANINGS[command.does](_Asked(command, report, now, origin, command.said)):
            if isinstance(answer, _Unclear):
                done = replace(done, unclear=(*done.unclear, answer.text))
                continue
            try:
                if len(done.edits) >= MOST_EDITS:
                    break
                now = apply(now, (answer.edit,))
            except BadInput as error:
                reason = grammar(report.language).answers["refused"].format(why=str(error))
                told = grammar(report.language).answers["unclear"].format(part=command.said, reason=reason)
                done = replace(done, unclear=(*done.unclear, told))
                continue
            done = replace(
                done,
                edits=(*done.edits, answer.edit),
                lines=(*done.lines, answer.line),
                conflicts=(*done.conflicts, *filter(None, [answer.conflict])),
            )
    return done


def expected_words(report: Report) -> str:
    """What a person is likely to say of a report in English, in sentences, for the recogniser to expect."""
    there = claimed(report, tuple(grammar("en").names))
    names = dict.fromkeys(called(finding, "en").replace(", ", " in ", 1) for finding in there[:MOST_EXPECTED])
    changes = [f"{verb} the {name}." for verb, name in zip(cycle(("Change", "Remove", "Accept", "Reject")), names)]
    return " ".join((*changes, "Delete the last sentence of the findings. Replace words. Add to the impression: follow-up CT."))


def _resize(asked: _Asked) -> Iterator[_Answer]:
    command = asked.command
    target = command.part("target")
    found = meant(target, command.language, asked.now)
    if len(found.findings) == 1:
        yield _sized(asked, found.findings[0], command.part("size"))
    else:
        yield _not_one(asked, found)


def _sized(asked: _Asked, finding: Finding, words: str) -> _Answer:
    size, before = max(lengths_mm(words)), size_mm(finding)
    if not 0 < size <= LARGEST_MM:
        return asked.why("too_large")
    after = _mm(size)
    if re.search("[x×*]", words):
        after = asked.answer("of_two", after=after, pair=words)
    edit = Resize(finding_id=finding.id, diameter_mm=size, origin=asked.origin)
    what = asked.call(finding)
    if before is not None and (before == size or (not is_dictated_size(finding) and round(before) == size)):
        return asked.why("already", options=asked.calls((finding,)))
    if before is None:
        return _Proposed(edit, asked.answer("sized", what=what, after=after))
    is_other = not is_dictated_size(finding) and abs(before - size) > SAME_MM
    conflict = asked.answer("conflict", measured=shown_mm(finding), said=after) if is_other else ""
    return _Proposed(edit, asked.answer("resize", what=what, before=shown_mm(finding), after=after), conflict)


def _unitless(asked: _Asked) -> Iterator[_Answer]:
    yield asked.why("no_unit")


def _forbidden(asked: _Asked) -> Iterator[_Answer]:
    yield asked.why("forbidden")


def _accept(asked: _Asked) -> Iterator[_Answer]:
    yield from _judged(asked, Verdict.ACCEPTED)


def _reject(asked: _Asked) -> Iterator[_Answer]:
    yield from _judged(asked, Verdict.REJECTED)


def _judged(asked: _Asked, verdict: Verdict) -> Iterator[_Answer]:
    target, language = asked.command.part("target"), asked.command.language
    pieces = [piece for piece in LIST.split(target) if piece.strip()]
    whole = pieces if len(pieces) > 1 and all(labels_named(piece, language) for piece in pieces) else [target]
    for piece in whole:
        found = meant(piece, language, asked.now)
        single = replace(asked, said=piece) if len(whole) > 1 else asked
        is_all = found.is_every or (found.is_whole and verdict is Verdict.ACCEPTED)
        if (len(found.findings) == 1 and not found.is_whole) or (found.findings and is_all):
            yield from (_verdict(single, finding, piece, verdict) for finding in found.findings)
        else:
            yield _not_one(single, found)


def _verdict(asked: _Asked, finding: Finding, words: str, verdict: Verdict) -> _Answer:
    sides = place(words, asked.command.language).sides
    if verdict is Verdict.REJECTED and finding.laterality is Laterality.BILATERAL and len(sides) == 1:
        return _off_one_side(asked, finding, next(iter(sides)))
    key = "accept" if verdict is Verdict.ACCEPTED else "reject"
    return _Proposed(Judge(finding_id=finding.id, verdict=verdict), asked.answer(key, what=asked.call(finding)))


def _off_one_side(asked: _Asked, finding: Finding, side: Laterality) -> _Answer:
    """Deny one side of a finding on both; not where a finding of that side alone would go with it."""
    others = [
        other
        for other in claimed(asked.now, (finding.label,))
        if other is not finding and is_there(other, Place(frozenset([side]), ()))
    ]
    if others:
        return asked.why("which", options=asked.calls((finding, *others)))
    edit = State(label=finding.label, presence=Presence.ABSENT, laterality=side, origin=asked.origin)
    what = asked.answer("absent", what=named(finding.label, side, (), asked.now.language))
    return _Proposed(edit, asked.answer("denied", what=what, found=asked.calls((finding,))))


def _not_one(asked: _Asked, found: Meant) -> _Unclear:
    if not found.is_named or found.is_whole:
        return asked.why("unnamed")
    if found.findings:
        return asked.why("one_size" if found.is_every else "which", options=asked.calls(found.findings))
    if found.elsewhere:
        return asked.why("none_there", options=asked.calls(found.elsewhere))
    return asked.why("none")


def _cut(asked: _Asked) -> Iterator[_Answer]:
    """Take out sentences, counted as the person sees them: before any command of the same utterance."""
    numbers = asked.command.part("number")
    section = section_of(asked.command.part("section"), asked.command.language)
    if section is None:
        if not _is_last(numbers):
            yield asked.why("which_section")
            return
        section = next(
            (name for name in reversed(SectionName) if name in asked.before.sections and asked.before.sections[name].sentences),
            None,
        )
        if section is None:
            yield asked.why("no_sentence")
            return
    sentences = asked.before.sections[section].sentences if section in asked.before.sections else ()
    now = asked.now
    for number in LIST.split(numbers):
        at = (
            len(sentences)
            if _is_last(number)
            else number_of(re.sub(r"(?<=[0-9])(?:st|nd|rd|th)$|^第|^the |^sentence ", "", number.strip().lower()))
        )
        if at is None or not 0 < at <= len(sentences):
            yield asked.why("no_sentence")
            continue
        index = _index_now(now, section, sentences, at - 1)
        if index is None:
            yield asked.why("changed")
            continue
        edit = Remove(section=section, index=index)
        yield _Proposed(edit, asked.answer("cut", section=_heading(asked, section), text=sentences[at - 1].text))
        try:
            now = apply(now, (edit,))
        except BadInput:
            return


def _is_last(number: str) -> bool:
    return number.strip().lower().startswith(("last", "最后"))


def _index_now(now: Report, section: SectionName, before: tuple[Sentence, ...], at: int) -> int | None:
    """Where a sentence stands by now; None when it has changed."""
    twins = [k for k, sentence in enumerate(now.sections[section].sentences) if sentence == before[at]]
    gone = sum(sentence == before[at] for sentence in before) - len(twins)
    earlier = sum(sentence == before[at] for sentence in before[:at])
    return twins[max(0, earlier - gone)] if twins else None


def _write(asked: _Asked) -> Iterator[_Answer]:
    section = section_of(asked.command.part("section"), asked.command.language) or FINDINGS
    held = asked.now.sections.get(section)
    yield _inserted(asked, asked.command.part("text"), section, len(held.sentences) if held else 0)


def _inserted(asked: _Asked, words: str, section: SectionName, index: int) -> _Answer:
    text = _sentence(words)
    edit = Insert(section=section, index=index, text=text, origin=asked.origin)
    return _Proposed(edit, asked.answer("write", section=_heading(asked, section), text=text))


def _sentence(words: str) -> str:
    text = words.strip(" ,:：，")
    end = "。" if re.search("[\u4e00-\u9fff]", text) else "."
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!", "。")) else end)


def _replace(asked: _Asked) -> Iterator[_Answer]:
    """Other words in the one sentence that holds them, or in all that cite the same finding."""
    command = asked.command
    old, new = command.part("old"), command.part("new")
    where, is_everywhere = command.part("where"), bool(command.part("everywhere"))
    looked = _looked_at(asked, where)
    if isinstance(looked, _Unclear):
        yield looked
        return
    edge = r"\b" if command.language == "en" and old[:1].isalnum() and old[-1:].isalnum() else ""
    pattern = re.compile(f"{edge}{re.escape(old)}{edge}", re.IGNORECASE)
    hits = [(section, k, sentence) for section, k, sentence in looked if pattern.search(sentence.text)]
    cited = {sentence.finding_ids for _, _, sentence in hits}
    is_one = len(hits) == 1 or (len(cited) == 1 and cited != {()}) or is_everywhere
    if not hits or not is_one or any(len(pattern.findall(s.text)) > 1 and not is_everywhere for _, _, s in hits):
        count = sum(len(pattern.findall(sentence.text)) for _, _, sentence in hits)
        missing = "no_volume" if grammar(command.language).words["volume"].search(new) else "not_found"
        yield asked.why("where", count=str(count)) if hits else asked.why(missing)
        return
    for section, k, sentence in hits:
        text = pattern.sub(lambda found: new[:1].upper() + new[1:] if found[0][:1].isupper() else new, sentence.text)
        line = asked.answer("replace", section=_heading(asked, section), old=sentence.text, new=text)
        yield _Proposed(
            Reword(section=section, index=k, text=text, origin=asked.origin), line, _other_number(asked, old, new, sentence)
        )


def _looked_at(asked: _Asked, where: str) -> "list[tuple[SectionName, int, Sentence]] | _Unclear":
    """The sentences that words point at: those of a section, those about a finding, or all that make claims."""
    language = asked.command.language
    section = section_of(where, language)
    sections = [section] if section else [*CLAIMING, SectionName.ADDENDUM]
    every = [
        (name, k, sentence)
        for name in sections
        if name in asked.now.sections
        for k, sentence in enumerate(asked.now.sections[name].sentences)
    ]
    if not where or not labels_named(where, language):
        return every
    found = meant(where, language, asked.now)
    if len(found.findings) != 1:
        return _not_one(asked, replace(found, is_every=False))
    return [one for one in every if found.findings[0].id in one[2].finding_ids]


def _other_number(asked: _Asked, old: str, new: str, sentence: Sentence) -> str:
    """A warning where a number of a sentence that rests on a measurement is written over."""
    numbers = re.findall(r"[0-9]+(?:\.[0-9]+)?", old)
    is_measured = sentence.receipt is not None and bool(sentence.finding_ids)
    if not is_measured or numbers == re.findall(r"[0-9]+(?:\.[0-9]+)?", new):
        return ""
    return asked.answer("number", measured=old, said=new)


def _add(asked: _Asked) -> Iterator[_Answer]:
    text = asked.command.part("text")
    inner = fitting(text, asked.command.language)
    if inner.does is Does.RESIZE:
        yield from _resize(replace(asked, command=inner))
    else:
        yield from _stated(asked, text, is_added=True)


def _describe(asked: _Asked) -> Iterator[_Answer]:
    """A description; a command that fits no form is none, though it names a finding."""
    text, words = asked.command.part("text"), grammar(asked.command.language).words
    if words["verbs"].match(text) or words["commanding"].search(text):
        yield asked.why("no_command")
    else:
        yield from _stated(asked, text, is_added=False)


def _stated(asked: _Asked, text: str, *, is_added: bool) -> Iterator[_Answer]:
    for statement in statements(text, asked.command.language):
        single = replace(asked, said=statement.text)
        if not statement.remarks and is_added:
            yield _inserted(single, statement.text, FINDINGS, len(asked.now.sections[FINDINGS].sentences))
        elif not statement.remarks:
            yield single.why("no_command")
        for remark in statement.remarks:
            if is_open(remark, statement.text, asked.command.language):
                yield single.why("there_or_not")
            elif remark.presence is Presence.ABSENT:
                yield from _denied(single, remark, statement.text)
            else:
                yield from _claimed(single, remark, statement.text, is_added=is_added)


def _denied(asked: _Asked, remark: Remark, statement: str) -> Iterator[_Answer]:
    """A denial: of the label, or only of a place, a size or a kind, which is then written as it was said."""
    there = claimed(asked.now, (remark.label,))
    at = Place(remark.laterality.sides, remark.anatomy)
    is_narrow = remark.size_mm is not None or grammar(asked.command.language).words["narrowed"].search(statement)
    if not at.sides and not at.lobes and not is_narrow:
        edit = State(label=remark.label, presence=Presence.ABSENT, origin=asked.origin)
        what = asked.answer("absent", what=named(remark.label, Laterality.NONE, (), asked.now.language))
        found = asked.calls(there)
        yield _Proposed(edit, asked.answer("denied", what=what, found=found) if there else asked.answer("add", what=what))
        return
    here = [] if is_narrow else [finding for finding in there if is_there(finding, at)]
    answers = [_verdict(asked, finding, statement, Verdict.REJECTED) for finding in here]
    yield from answers
    if any(isinstance(answer, _Unclear) or isinstance(answer.edit, State) for answer in answers):
        return
    yield _inserted(asked, statement, FINDINGS, _after(asked.now, remark.label))


def _claimed(asked: _Asked, remark: Remark, statement: str, *, is_added: bool) -> Iterator[_Answer]:
    """A finding that is said to be there: the one that is there already, or a new one."""
    there = claimed(asked.now, (remark.label,))
    at = Place(remark.laterality.sides, remark.anatomy)
    is_another = bool(grammar(asked.command.language).words["another"].search(statement))
    same = () if is_another else tuple(finding for finding in there if is_there(finding, at))
    if len(same) > 1 and (remark.size_mm is not None or is_added):
        yield asked.why("which", options=asked.calls(same))
    elif same and is_added:
        yield asked.why("already", options=asked.calls(same))
    elif same and remark.presence is Presence.UNCERTAIN and any(_is_sure(finding) for finding in same):
        yield asked.why("certainty", options=asked.calls(same))
    elif len(same) > 1 and remark.laterality is not Laterality.BILATERAL and not all(_is_sure(finding) for finding in same):
        yield asked.why("which", options=asked.calls(same))
    elif same and remark.size_mm is not None:
        yield _sized(asked, same[0], statement)
    elif same or not any(is_about(remark, finding) for finding in there):
        key = "add" if not same else "agree" if all(_is_sure(finding) for finding in same) else "surely"
        yield _Proposed(_state_of(asked, remark), asked.answer(key, what=_said(asked, remark)))
    else:
        yield _inserted(asked, statement, FINDINGS, _after(asked.now, remark.label))


def _is_sure(finding: Finding) -> bool:
    return hedge(finding) == "stated"


def _state_of(asked: _Asked, remark: Remark) -> State:
    is_sure = remark.presence is Presence.PRESENT
    return State(
        label=remark.label,
        presence=Presence.PRESENT if is_sure else Presence.UNCERTAIN,
        laterality=remark.laterality,
        anatomy=remark.anatomy,
        diameter_mm=remark.size_mm if remark.size_mm and remark.size_mm <= LARGEST_MM else None,
        origin=asked.origin,
    )


def _said(asked: _Asked, remark: Remark) -> str:
    what = named(remark.label, remark.laterality, remark.anatomy, asked.now.language)
    if remark.presence is Presence.UNCERTAIN:
        what = asked.answer("uncertain", what=what)
    return bank(asked.now.language).listed([what, *([_mm(remark.size_mm)] if remark.size_mm else [])], "items")


def _after(report: Report, label: str) -> int:
    """The place in the findings behind the last sentence about a label; the end where there is none."""
    cited = {finding.id for finding in report.findings if finding.label == label}
    sentences = report.sections[FINDINGS].sentences
    return max((k + 1 for k, one in enumerate(sentences) if cited & set(one.finding_ids)), default=len(sentences))


def _heading(asked: _Asked, section: SectionName) -> str:
    return bank(asked.now.language).say(f"headings.{section.value}")


def _mm(value: float) -> str:
    return f"{value:g} mm"


_MEANINGS: dict[Does, Callable[[_Asked], Iterator[_Answer]]] = {
    Does.RESIZE: _resize,
    Does.RESIZE_UNITLESS: _unitless,
    Does.ACCEPT: _accept,
    Does.REJECT: _reject,
    Does.CUT: _cut,
    Does.WRITE: _write,
    Does.REPLACE: _replace,
    Does.ADD: _add,
    Does.DESCRIBE: _describe,
    Does.FORBIDDEN: _forbidden,
}
