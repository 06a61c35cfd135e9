"""How sure a sentence may sound: the ladder from a finding's probability to its wording, the same in every language."""

from medomni.reporting.vocabulary import Hedge, vocabulary
from medomni.types.finding import Finding, Presence


def hedge(finding: Finding) -> str | None:
    """The step of the ladder ("stated", "probable", "possible") of a present or uncertain finding; None for no claim.

    A present finding without a probability was measured by a rule and is stated; an uncertain one is only possible. An
    uncertain finding never reads as stated, whatever its probability.
    """
    steps = sorted(vocabulary().hedges, key=lambda step: -step.at_least)
    if finding.presence is Presence.PRESENT:
        return _step(steps, finding.probability, otherwise=steps[0].name)
    if finding.presence is Presence.UNCERTAIN:
        return _step(steps[1:], finding.probability, otherwise=steps[-1].name)
    return None


def is_claimed(finding: Finding) -> bool:
    """Whether the text makes a claim that the finding is there, however hedged."""
    return hedge(finding) is not None


def presence_of(probability: float) -> Presence:
    """The presence that a probability stands for; below the last step nothing is claimed."""
    if probability >= least("probable"):
        return Presence.PRESENT
    return Presence.UNCERTAIN if probability >= least("possible") else Presence.ABSENT


def least(step: str) -> float:
    """The probability from which a step of the ladder is reached."""
    return next(hedge.at_least for hedge in vocabulary().hedges if hedge.name == step)


def steps_reached(probability: float) -> int:
    """How many steps of the ladder a probability reaches."""
    return sum(probability >= hedge.at_least for hedge in vocabulary().hedges)


def _step(steps: list[Hedge], probability: float | None, otherwise: str) -> str | None:
    if probability is None:
        return otherwise
    return next((step.name for step in steps if probability >= step.at_least), None)
