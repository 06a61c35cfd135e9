"""Whether a sentence that a model wrote says what its statement says, and nothing else.

    text with slots, Statement -> the reason why it may not stand, or None

A sentence stands only when it is, word for word, one of the sentences of ``wording_en.toml`` for its statement: its own noun, its
side, its certainty, each slot in its role. Besides it is read as a stranger's by the labeler, which must find its finding and no
other. What fails is replaced by the phrase bank's sentence; the reason tells what a drafter does wrong.
"""

import re
from enum import StrEnum
from functools import cache

from pydantic import TypeAdapter

from medomni.reporting import labeler
from medomni.reporting.labeler import SAME
from medomni.reporting.statement import SLOT, Statement
from medomni.reporting.vocabulary import read_table, tables
from medomni.types.finding import Laterality

LANGUAGES = ("en",)
"""Languages whose sentences are known; in another a draft keeps its fixed phrases."""
LONGEST = 200
"""Characters of a decoded sentence, slots unfilled."""
_LISTS = TypeAdapter(dict[str, tuple[str, ...]])
_HEDGES = {"stated": (), "probable": ("probable", "probably"), "possible": ("possible", "possibly", "may")}
_SIDED = (Laterality.LEFT, Laterality.RIGHT, Laterality.BILATERAL)


class Reason(StrEnum):
    """Why a sentence may not stand."""

    EMPTY = "empty"
    FORM = "form"
    SLOTS = "slots"
    NUMBER = "number"
    WORDING = "wording"
    CLAIM = "claim"
    DENIAL = "denial"
    SIDE = "side"
    CERTAINTY = "certainty"


def objection(text: str, statement: Statement, language: str) -> Reason | None:
    """Return why a text may not stand for the statement, None when it may. Only sentences of ``LANGUAGES`` are known."""
    if not text.strip():
        return Reason.EMPTY
    if language not in LANGUAGES or len(text) > LONGEST or not text.endswith(".") or text != text.strip():
        return Reason.FORM
    if sorted(SLOT.findall(text)) != sorted(statement.slots):
        return Reason.SLOTS
    bare = SLOT.sub(" ", text)
    if re.search(r"\d", bare):
        return Reason.NUMBER
    reason = _meaning(text, bare, statement)
    return Reason.WORDING if reason is None and text not in sentences_for(statement) else reason


def _meaning(text: str, bare: str, statement: Statement) -> Reason | None:
    read = labeler.mentions(SLOT.sub("", text), "en")
    if any(mention.is_denied for mention in read):
        return Reason.DENIAL
    named = {mention.label for mention in read}
    is_read = statement.label in labeler_labels()
    is_named = statement.label in named if is_read else any(noun in bare.lower() for noun in nouns(statement.label))
    if not is_named or named - {statement.label, *SAME.get(statement.label, ())}:
        return Reason.CLAIM
    words = set(re.findall(r"[a-z]+", bare.lower()))
    if words & {"left", "right", "bilateral", "both"} != ({statement.side.value} if statement.side in _SIDED else set()):
        return Reason.SIDE
    hedges = {word for step in _HEDGES.values() for word in step if word in words}
    if bool(hedges) != (statement.step != "stated") or not hedges <= set(_HEDGES[statement.step]):
        return Reason.CERTAINTY
    return None


def sentences_for(statement: Statement) -> tuple[str, ...]:
    """Every sentence in which a statement may be worded, each slot of it once."""
    return _sentences(statement.label, statement.step, statement.side, tuple(sorted(statement.slots)))


@cache
def _sentences(label: str, step: str, side: Laterality, slots: tuple[str, ...]) -> tuple[str, ...]:
    table = read_table("wording_en.toml")
    tails = _LISTS.validate_python(table["tails"])["image"]
    articles = TypeAdapter(dict[str, str]).validate_python(table["articles"])
    said = set()
    for noun in nouns(label):
        sided = f"{side.value} {noun}" if side in _SIDED else noun
        article = "" if noun.split()[-1] not in articles else "an " if sided[0] in "aeiou" else "a "
        for frame in sentences_of(step):
            text = _filled(frame, sided, article)
            said |= {text, *(text.removesuffix(".") + tail for tail in tails)}
    return tuple(sorted(text for text in said if sorted(SLOT.findall(text)) == list(slots)))


def _filled(frame: str, noun: str, article: str) -> str:
    """A frame with its noun; slots stay."""
    named = {"noun": noun, "a_noun": article + noun}
    named |= {name.capitalize(): text[:1].upper() + text[1:] for name, text in named.items()}
    for name, text in named.items():
        frame = frame.replace("{" + name + "}", text)
    return frame


@cache
def labeler_labels() -> frozenset[str]:
    """The labels that the labeler knows."""
    return frozenset(tables(read_table("labeler.toml"), "labels"))


@cache
def worded_labels() -> frozenset[str]:
    """The labels that may be worded at all."""
    return frozenset(_LISTS.validate_python(read_table("wording_en.toml")["nouns"]))


@cache
def nouns(label: str) -> tuple[str, ...]:
    """What a finding may be called."""
    return _LISTS.validate_python(read_table("wording_en.toml")["nouns"])[label]


@cache
def sentences_of(step: str) -> tuple[str, ...]:
    """The frames of a degree of certainty."""
    return _LISTS.validate_python(read_table("wording_en.toml")["frames"])[step]
