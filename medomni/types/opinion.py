"""What the omni model thinks of a study: a probability for each label, and where it sees what it speaks of."""

import math

from pydantic import Field

from medomni.types.codes import Value
from medomni.types.finding import Evidence, Laterality

SUREST = 0.99
"""A detector's probability enters a joint one as no surer than this, and no less sure than its complement."""


class Joint(Value):
    """The logistic curve over the model's logit and that of a detector's probability.

    Attributes:
        offset: where a detector judged.
        silence: added to it where none did, which says something by itself.
        own, theirs: weights of the two logits.
    """

    offset: float
    silence: float
    own: float = Field(ge=0)
    theirs: float = Field(ge=0)

    def probability(self, own: float, measured: float | None) -> float:
        """The probability at a logit of the model and a probability of the detectors; None where none judged."""
        theirs = self.silence if measured is None else self.theirs * logit(measured)
        return logistic(self.offset + self.own * own + theirs)


class LabelOpinion(Value):
    """What the model thinks of one label.

    Attributes:
        logit, image_logit: of all that was given and of the CT alone, before calibration.
        probability: calibrated, from the model alone.
        image_probability: the same from the CT without any text.
        blind_probability: the same of a patient of whom nothing is given.
        threshold: the probability from which the label counts as there when answers must be yes or no.
        joint: how detectors and model make one probability.
        evidence: where it is seen, likeliest first.
        chances: how likely each of these places is right.
        anatomy, laterality: the structures and the side of those places.
    """

    label: str
    logit: float
    image_logit: float
    probability: float = Field(ge=0, le=1)
    image_probability: float = Field(ge=0, le=1)
    blind_probability: float = Field(ge=0, le=1)
    threshold: float = Field(ge=0, le=1)
    joint: Joint
    evidence: tuple[Evidence, ...] = ()
    chances: tuple[float, ...] = ()
    anatomy: tuple[str, ...] = ()
    laterality: Laterality = Laterality.NONE

    def joined(self, measured: float | None) -> float:
        """The probability of the label when a detector gives it the probability ``measured``; None where none judged it."""
        return self.joint.probability(self.logit, measured)

    def seen(self, measured: float | None) -> float:
        """The same from the CT alone."""
        return self.joint.probability(self.image_logit, measured)


class Opinion(Value):
    """What the model thinks of a study.

    Attributes:
        labels: one opinion for each label that the model answers.
        given: the modalities that it was given.
        gates: how far each stream lets each modality in, 0 to 1, by "stream<-modality", mean over layers.
        importance: how much each modality matters for the task, in all 1.
        model, digest: which model, and a digest of its weights.
        cut: kinds of text, history or dictation, whose end the model did not read.
    """

    labels: tuple[LabelOpinion, ...]
    given: tuple[str, ...]
    gates: dict[str, float]
    importance: dict[str, float]
    model: str
    digest: str
    cut: tuple[str, ...] = ()


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)), three decimals."""
    return round(1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, x)))), 3)


def logit(probability: float) -> float:
    """The inverse of ``logistic`` within ``SUREST``."""
    bounded = max(1.0 - SUREST, min(SUREST, probability))
    return math.log(bounded / (1.0 - bounded))
