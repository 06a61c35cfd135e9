"""What the decoder is asked, the grammar of its answer, and its answer taken apart again.

    Statement, Statement... -> prompt, grammar; text -> one sentence for each statement

The decoder sees what is stated: noun, certainty, side and which slots there are; never a number.
"""

import json
from collections.abc import Sequence

from medomni.reporting.guard import nouns, sentences_for
from medomni.reporting.statement import Statement
from medomni.types.finding import Laterality

AT_ONCE = 6
"""Statements that are worded in one answer: the prompt stays short."""
TOKENS_EACH = 60
"""Tokens of the longest sentence."""


def groups(statements: Sequence[Statement]) -> list[Sequence[Statement]]:
    """The statements in parts that are worded at once."""
    return [statements[start : start + AT_ONCE] for start in range(0, len(statements), AT_ONCE)]


def prompt(statements: Sequence[Statement]) -> str:
    """What stands before the answer."""
    asked = "".join(f"{number} {line(statement)}\n" for number, statement in enumerate(statements, start=1))
    return f"Findings:\n{asked}Sentences:\n"


def line(statement: Statement) -> str:
    """One statement as the decoder sees it."""
    side = "" if statement.side is Laterality.NONE else f" {statement.side.value}"
    slots = "".join(f" {{{name}}}" for name in sorted(statement.slots))
    return f"{statement.step}{side} {nouns(statement.label)[0]}{slots}"


def grammar(statements: Sequence[Statement]) -> str:
    """The form of the answer in Lark's notation: for each statement one of the sentences in which it may be worded."""
    names = [f"line{number}" for number in range(1, len(statements) + 1)]
    rules = [f"start: {' '.join(names)}"]
    for number, statement in enumerate(statements, start=1):
        known = " | ".join(json.dumps(f"{number} {text}\n") for text in sentences_for(statement))
        rules.append(f"line{number}: {known}")
    return "\n".join(rules)


def sentences(text: str, count: int) -> list[str]:
    """The sentence of each statement, "" where the answer ends before it."""
    found = [""] * count
    for number, answer in enumerate(text.splitlines()[:count], start=1):
        head = f"{number} "
        if answer.startswith(head) and answer.endswith("."):
            found[number - 1] = answer.removeprefix(head)
    return found
