"""How much the image had to say in each sentence of a draft.

    sentences with receipts, findings, Opinion | None -> Explanation

A measured sentence follows the image wholly: without it there is no number and no claim. Another finding's sentence is worth the
difference that the CT makes to its probability, against what the model would say knowing nothing, or, where the model was not
asked, against even odds. What comes from the header, the history or a fixed phrase owes nothing to the image.
"""

from pydantic import Field

from medomni.types.codes import Value
from medomni.types.finding import Finding
from medomni.types.opinion import Opinion
from medomni.types.report import Draft, ReceiptKind, Sentence

UNKNOWN = 0.5
"""Probability of a label about which nothing is known."""


class Influence(Value):
    """One sentence and the share of it that is due to the image, 0 to 1."""

    section: str
    text: str
    receipt: str
    influence: float


class Explanation(Value):
    """What a person is told who asks why: how much of each sentence is due to the image, how the omni model weighed its input.

    Attributes:
        sentences: in reading order.
        importance: how much each modality mattered to the model, in all 1; empty where it was not asked.
        gates: how far each stream let each modality in, 0 to 1, by "stream<-modality".
    """

    sentences: tuple[Influence, ...]
    importance: dict[str, float] = Field(default_factory=dict)
    gates: dict[str, float] = Field(default_factory=dict)


def explained(draft: Draft, opinion: Opinion | None) -> Explanation:
    """Return what ``--explain`` tells of a draft."""
    told = influences(draft, opinion)
    return (
        Explanation(sentences=told, importance=opinion.importance, gates=opinion.gates)
        if opinion
        else Explanation(sentences=told)
    )


def influences(draft: Draft, opinion: Opinion | None) -> tuple[Influence, ...]:
    """Return the influence of the image on each sentence, in reading order."""
    blind = {one.label: one.blind_probability for one in opinion.labels} if opinion else {}
    findings = {finding.id: finding for finding in draft.findings}
    return tuple(
        Influence(
            section=name.value,
            text=sentence.text,
            receipt=sentence.receipt.kind.value if sentence.receipt else "none",
            influence=round(_of(sentence, findings, blind), 2),
        )
        for name, section in draft.sections.items()
        for sentence in section.sentences
    )


def _of(sentence: Sentence, findings: dict[str, Finding], blind: dict[str, float]) -> float:
    if sentence.receipt is None or sentence.receipt.kind not in (ReceiptKind.MEASURED, ReceiptKind.MODEL):
        return 0.0
    about = [findings[key] for key in sentence.finding_ids if key in findings]
    judged = [finding for finding in about if finding.probability is not None]
    if sentence.receipt.kind is ReceiptKind.MEASURED:
        return 1.0
    differences = [abs((finding.probability or 0.0) - blind.get(finding.label, UNKNOWN)) for finding in judged]
    return sum(differences) / len(differences) if differences else 0.0
