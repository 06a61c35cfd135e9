"""Whether a sentence that a model wrote says what its statement says, and nothing else.

    text with slots, Statement -> the reason why it may not stand, or None

The text is read as a stranger's: by the labeler for what it claims and denies, and word by word against the words that a sentence
may hold at all. What fails is replaced by the phrase bank's sentence.
"""

import re
from enum import StrEnum
from functools import cache

from pydantic import TypeAdapter

from medomni.reporting import labeler
from medomni.reporting.labeler import SAME
from medomni.reporting.statement import SLOT, Statement
from medomni.reporting.vocabulary import read_table, tables, vocabulary
from medomni.types.finding import Laterality

LONGEST = 200
"""Characters of a decoded sentence, slots unfilled."""
_WORD = re.compile(r"[A-Za-z]+")
_OTHER = re.compile(r"[^A-Za-z ,.()-]")
_FIELD = re.compile(r"\{\w+\}")
_LISTS = TypeAdapter(dict[str, tuple[str, ...]])
_HEDGES = {"stated": (), "probable": ("probable", "probably"), "possible": ("possible", "possibly", "may", "might")}


class Reason(StrEnum):
    """Why a sentence may not stand."""

    EMPTY = "empty"
    FORM = "form"
    SLOTS = "slots"
    NUMBER = "number"
    WORD = "word"
    CLAIM = "claim"
    DENIAL = "denial"
    SIDE = "side"
    CERTAINTY = "certainty"


def objection(text: str, statement: Statement, language: str) -> Reason | None:
    """Return why a text may not stand for the statement, None when it may. Only English can be read word by word."""
    if not text.strip():
        return Reason.EMPTY
    is_begun = text[0].isupper() or text.startswith("{")
    if language != "en" or len(text) > LONGEST or not text.endswith(".") or text != text.strip() or not is_begun:
        return Reason.FORM
    slots = SLOT.findall(text)
    if sorted(slots) != sorted(statement.slots):
        return Reason.SLOTS
    bare = SLOT.sub(" ", text)
    if re.search(r"[0-9]", bare):
        return Reason.NUMBER
    words = [word.lower() for word in _WORD.findall(bare)]
    if _OTHER.search(bare) or not set(words) <= allowed_words() or "." in bare[:-1]:
        return Reason.WORD
    return _meaning(text, bare, words, statement)


def _meaning(text: str, bare: str, words: list[str], statement: Statement) -> Reason | None:
    read = labeler.mentions(SLOT.sub("", text), "en")
    if any(mention.is_denied for mention in read):
        return Reason.DENIAL
    named = {mention.label for mention in read}
    is_read = statement.label in labeler_labels()
    is_named = statement.label in named if is_read else any(noun in bare.lower() for noun in nouns(statement.label))
    if not is_named or named - {statement.label, *SAME.get(statement.label, ())}:
        return Reason.CLAIM
    sides = {side for side in ("left", "right", "bilateral", "both") if side in words}
    expected = {statement.side.value} if statement.side in _SIDED else set()
    if sides != expected:
        return Reason.SIDE
    hedges = {word for step in _HEDGES.values() for word in step if word in words}
    if bool(hedges) != (statement.step != "stated") or not hedges <= set(_HEDGES[statement.step]):
        return Reason.CERTAINTY
    return None


_SIDED = (Laterality.LEFT, Laterality.RIGHT, Laterality.BILATERAL)


@cache
def labeler_labels() -> frozenset[str]:
    """The labels that the labeler knows."""
    return frozenset(tables(read_table("labeler.toml"), "labels"))


@cache
def allowed_words() -> frozenset[str]:
    """Every word that a decoded sentence may hold, in lower case."""
    table = read_table("wording_en.toml")
    texts = [
        text
        for part in ("nouns", "frames", "tails", "words")
        for row in _LISTS.validate_python(table[part]).values()
        for text in row
    ]
    texts += [entry.en for entry in vocabulary().labels.values()]
    return frozenset(word.lower() for text in texts for word in _WORD.findall(_FIELD.sub(" ", text)))


@cache
def nouns(label: str) -> tuple[str, ...]:
    """What a finding may be called."""
    return _LISTS.validate_python(read_table("wording_en.toml")["nouns"])[label]
