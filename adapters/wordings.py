"""What the decoder learns to write: statements drawn by chance, each with a sentence that says it, and nothing else.

    rng -> statements, answer

The sentences come from ``medomni/data/wording_en.toml``; every one of them passes the guard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from pydantic import TypeAdapter

from medomni.model.config import LABELS
from medomni.model.prompt import AT_ONCE, prompt
from medomni.reporting.guard import filled, nouns
from medomni.reporting.statement import IMAGE, NUMBERS, PLACE, SLOT, Statement
from medomni.reporting.vocabulary import read_table, vocabulary
from medomni.types.finding import Laterality
from medomni.types.report import Receipt, ReceiptKind, Sentence

STEPS = ("stated", "probable", "possible")
STEP_SHARES = (0.5, 0.2, 0.3)
HAS = {PLACE: 0.6, NUMBERS: 0.7, IMAGE: 0.8}
"""Share of statements that have each slot; only findings of the lungs are placed."""
_PLACED = ("lungs", "airways")
_SIDES = (Laterality.LEFT, Laterality.RIGHT, Laterality.BILATERAL)


@dataclass(frozen=True)
class _Words:
    articles: dict[str, str]
    frames: dict[str, tuple[str, ...]]
    tails: tuple[str, ...]


@cache
def _words() -> _Words:
    table = read_table("wording_en.toml")
    lists = TypeAdapter(dict[str, tuple[str, ...]])
    return _Words(
        TypeAdapter(dict[str, str]).validate_python(table["articles"]),
        lists.validate_python(table["frames"]),
        lists.validate_python(table["tails"])["image"],
    )


def draw(rng: np.random.Generator) -> list[Statement]:
    """One to six statements about different findings."""
    count = int(rng.integers(1, AT_ONCE + 1))
    return [statement(LABELS[int(number)], rng) for number in rng.choice(len(LABELS), count, replace=False)]


def statement(label: str, rng: np.random.Generator) -> Statement:
    """One statement with the slots that such a finding may have."""
    entry = vocabulary().label(label)
    slots = {name: name for name, share in HAS.items() if rng.random() < share and (name != PLACE or entry.organ in _PLACED)}
    is_sided = entry.is_sided and PLACE not in slots
    side = _SIDES[int(rng.integers(3))] if is_sided and rng.random() < 0.9 else Laterality.NONE
    step = STEPS[int(rng.choice(3, p=STEP_SHARES))]
    return Statement(label, step, side, slots, Sentence(text="-", receipt=Receipt(kind=ReceiptKind.TEMPLATE)))


def sentence(of: Statement, rng: np.random.Generator) -> str:
    """A sentence for a statement."""
    words = _words()
    told = {PLACE, NUMBERS} & set(of.slots)
    frames = [frame for frame in words.frames[of.step] if {PLACE, NUMBERS} & set(SLOT.findall(frame)) == told]
    frame = frames[int(rng.integers(len(frames)))]
    noun = nouns(of.label)[int(rng.integers(len(nouns(of.label))))]
    text = _filled(frame, noun, of.side)
    if IMAGE in of.slots:
        tail = words.tails[int(rng.integers(len(words.tails)))]
        text = text.removesuffix(".") + tail
    return text


def answer(statements: Sequence[Statement], rng: np.random.Generator) -> str:
    """The numbered sentences of statements."""
    return "".join(f"{number} {sentence(one, rng)}\n" for number, one in enumerate(statements, start=1))


def pair(rng: np.random.Generator) -> tuple[str, str]:
    """A prompt and its answer."""
    statements = draw(rng)
    return prompt(statements), answer(statements, rng)


def _filled(frame: str, noun: str, side: Laterality) -> str:
    """The frame with its noun and the article that its last word takes."""
    sided = noun if side is Laterality.NONE else f"{side.value} {noun}"
    article = _words().articles.get(noun.rsplit(maxsplit=1)[-1], "")
    if article:
        article = "an " if sided[0] in "aeiou" else "a "
    return filled(frame, sided, article)
