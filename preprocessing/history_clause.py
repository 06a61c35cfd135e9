"""The clauses of a history: where one ends, what was found in it, and which amount belongs to which of its terms."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from medomni.reporting.lexicon import lexicon
from preprocessing.history_amounts import Amount
from preprocessing.history_marks import WORD_END, Mark, chinese, english

SEGMENT_END = re.compile(r"[,，]")
"""Commas part a clause into segments."""
NEAR = 24
"""Characters within which a side or a trailing cue still belongs to a term: about four English words."""


@dataclass(frozen=True)
class Clause:
    """One clause with what was found in it. ``is_question`` says that it ends with a question mark."""

    text: str
    start: int
    concepts: tuple[Mark, ...]
    cues: tuple[Mark, ...]
    amounts: tuple[Amount, ...]
    is_question: bool

    def between(self, start: int, end: int) -> str:
        """The text between two offsets of the folded text."""
        return self.text[start - self.start : end - self.start]

    def after(self, start: int) -> str:
        """The text from an offset of the folded text to the end of the clause."""
        return self.text[start - self.start :]

    def next_start(self, index: int) -> int:
        """Where the term behind that one starts, or the end of the clause."""
        return self.concepts[index + 1].start if index + 1 < len(self.concepts) else self.start + len(self.text)


@cache
def clause_end() -> re.Pattern[str]:
    """What ends a clause; a question mark does not when its answer follows at once ("Fever? No.")."""
    answers = rf"(?:{english(_answers('en'))}){WORD_END}|{chinese(_answers('zh'))}"
    is_answered = rf"[ ]{{0,3}}(?:{answers})(?:[ ]{{0,3}}(?:[,，;；.。!！\n]|$))"
    return re.compile(rf"[;!\n。；！]|\.(?!\d)|(?<=[^\s(（/])[?？](?!{is_answered})")


def _answers(language: str) -> Iterable[str]:
    cues = lexicon().cues[language]
    return (*cues.answers_yes, *cues.answers_no, *cues.answers_unknown)


def amount_of(clause: Clause, index: int) -> Amount | None:
    """The amount that belongs to a term: the first one behind it, else one directly before it ("3 weeks of cough")."""
    mark = clause.concepts[index]
    fitting = [amount for amount in clause.amounts if _fits(amount, mark.text)]
    behind = [amount for amount in fitting if mark.end <= amount.start < clause.next_start(index)]
    if behind and _owns(clause, index, behind[0]):
        return behind[0]
    earlier = clause.concepts[index - 1].end if index else clause.start
    ahead = [amount for amount in fitting if earlier <= amount.start and amount.end <= mark.start]
    if ahead and index and _fits(ahead[-1], clause.concepts[index - 1].text) and _owns(clause, index - 1, ahead[-1]):
        return None
    if ahead and mark.start - ahead[-1].end <= NEAR:
        gap = clause.between(ahead[-1].end, mark.start)
        return None if SEGMENT_END.search(gap) else ahead[-1]
    return None


def _owns(clause: Clause, index: int, amount: Amount) -> bool:
    """Whether a term owns the amount behind it: it is near, and no comma parts it from the term but not from the next."""
    mark, is_last = clause.concepts[index], index + 1 == len(clause.concepts)
    is_parted = bool(SEGMENT_END.search(clause.between(mark.end, amount.start)))
    is_next_apart = is_last or bool(SEGMENT_END.search(clause.between(amount.end, clause.next_start(index))))
    return amount.start - mark.end <= NEAR and (not is_parted or is_next_apart)


def _fits(amount: Amount, concept: str) -> bool:
    if amount.unit == "pack_years":
        return concept in ("smoking", "former_smoker")
    return concept == "weight_loss" if amount.unit in ("kg", "percent") else True
