"""What a general language model is asked: the same statements as the embedded decoder, with the rules written out."""

import re
from collections.abc import Sequence

from medomni.model.prompt import line
from medomni.reporting.guard import sentences_of
from medomni.reporting.statement import Statement

RULES = """You word findings of a CT report. For each numbered finding write one line: its number, a blank, one English sentence.
Rules: say only what the finding says, with its side where it has one, in one of the sentences below. {noun} is the finding with
its side, {a_noun} the same with an article where English wants one. Copy {place}, {numbers} and {image} exactly once each where
the finding has them, and write no digit yourself. Instead of the full stop a sentence may end with " (slice {image}).".
Write nothing else. Sentences:"""
EXAMPLE = """Findings:
1 possible left pleural effusion {image} {numbers}
2 stated consolidation {place}
Sentences:
1 Possible left pleural effusion, {numbers} (slice {image}).
2 There is consolidation in {place}."""


def instructions() -> str:
    """The rules, the sentences that may be used, and an example."""
    frames = "\n".join(f"{step}: {' | '.join(sentences_of(step))}" for step in ("stated", "probable", "possible"))
    return f"{RULES}\n{frames}\n\nExample:\n{EXAMPLE}"


def question(statements: Sequence[Statement]) -> str:
    """The statements."""
    return "Findings:\n" + "".join(f"{number} {line(one)}\n" for number, one in enumerate(statements, start=1)) + "Sentences:"


def answers(text: str, count: int) -> list[str]:
    """The sentence after each number, "" where there is none; models like to put a stop or bracket after the number."""
    found = [""] * count
    for answer in text.splitlines():
        head, _, rest = answer.strip().partition(" ")
        number = head.rstrip(".):")
        if re.fullmatch(r"[0-9]{1,2}", number) and 1 <= int(number) <= count and not found[int(number) - 1]:
            found[int(number) - 1] = rest.strip()
    return found
