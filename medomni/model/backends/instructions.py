"""What a general language model is asked: the same statements as the embedded decoder, with the rules written out."""

from collections.abc import Sequence

from medomni.model.prompt import line
from medomni.reporting.guard import allowed_words
from medomni.reporting.statement import Statement

RULES = """You word findings of a CT report. For each numbered finding write one line: its number, a blank, one English sentence.
Rules: say only what the finding says. Keep its certainty: "stated" is said plainly, "probable" with the word probable or
probably, "possible" with possible, possibly or may. Name its side when it has one. Copy each slot in braces exactly once and
write no digit yourself. End each sentence with a full stop. Write nothing else. Use only these words:"""
EXAMPLE = """Findings:
1 possible left pleural effusion {image} {numbers}
2 stated consolidation {place}
Sentences:
1 Possible left pleural effusion, {numbers} (image {image}).
2 There is consolidation in {place}."""


def instructions() -> str:
    """The rules, the words that may be used, and an example."""
    return f"{RULES} {' '.join(sorted(allowed_words()))}\n\nExample:\n{EXAMPLE}"


def question(statements: Sequence[Statement]) -> str:
    """The statements."""
    return "Findings:\n" + "".join(f"{number} {line(one)}\n" for number, one in enumerate(statements, start=1)) + "Sentences:"


def answers(text: str, count: int) -> list[str]:
    """The sentence after each number, "" where there is none; models like to put a stop or bracket after the number."""
    found = [""] * count
    for answer in text.splitlines():
        head, _, rest = answer.strip().partition(" ")
        number = head.rstrip(".):")
        if number.isdigit() and 1 <= int(number) <= count and not found[int(number) - 1]:
            found[int(number) - 1] = rest.strip()
    return found
