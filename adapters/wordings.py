"""What the decoder learns to write: statements drawn by chance, each with a sentence that says it, and nothing else.

    labels, rng -> statements, answer

The sentences are those of ``medomni/data/wording_en.toml``, which the guard lets stand.
"""

from collections.abc import Sequence

import numpy as np

from medomni.model.config import LABELS
from medomni.model.prompt import AT_ONCE, prompt
from medomni.reporting.guard import sentences_for
from medomni.reporting.statement import IMAGE, NUMBERS, PLACE, Statement
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Laterality
from medomni.types.report import Receipt, ReceiptKind, Sentence

STEPS = ("stated", "probable", "possible")
STEP_SHARES = (0.5, 0.2, 0.3)
HAS = {PLACE: 0.6, NUMBERS: 0.7, IMAGE: 0.8}
"""Share of statements that have each slot; only findings of the lungs are placed."""
_PLACED = ("lungs", "airways")
_SIDES = (Laterality.LEFT, Laterality.RIGHT, Laterality.BILATERAL)


def draw(rng: np.random.Generator, labels: Sequence[str] = LABELS) -> list[Statement]:
    """One to six statements about different findings out of ``labels``."""
    count = int(rng.integers(1, AT_ONCE + 1))
    return [statement(labels[int(number)], rng) for number in rng.choice(len(labels), count, replace=False)]


def statement(label: str, rng: np.random.Generator) -> Statement:
    """One statement with the slots that such a finding may have."""
    entry = vocabulary().label(label)
    slots = {name: name for name, share in HAS.items() if rng.random() < share and (name != PLACE or entry.organ in _PLACED)}
    is_sided = entry.is_sided and PLACE not in slots
    side = _SIDES[int(rng.integers(3))] if is_sided and rng.random() < 0.9 else Laterality.NONE
    step = STEPS[int(rng.choice(3, p=STEP_SHARES))]
    return Statement(label, step, side, slots, Sentence(text="-", receipt=Receipt(kind=ReceiptKind.TEMPLATE)))


def sentence(of: Statement, rng: np.random.Generator) -> str:
    """One of the sentences in which a statement may be worded."""
    known = sentences_for(of)
    return known[int(rng.integers(len(known)))]


def answer(statements: Sequence[Statement], rng: np.random.Generator) -> str:
    """The numbered sentences of statements."""
    return "".join(f"{number} {sentence(one, rng)}\n" for number, one in enumerate(statements, start=1))


def pair(rng: np.random.Generator, labels: Sequence[str] = LABELS) -> tuple[str, str]:
    """A prompt and its answer."""
    statements = draw(rng, labels)
    return prompt(statements), answer(statements, rng)
