"""One case as the writers of the sections see it: all that a sentence may be drawn from, and the words to say it in."""

from dataclasses import dataclass

from medomni.reporting.phrases import PhraseBank
from medomni.types.context import PatientContext
from medomni.types.finding import Finding, Presence
from medomni.types.region import Coverage
from medomni.types.report import Prior, Receipt, ReceiptKind
from medomni.types.study import Acquisition
from medomni.types.volume import Grid


@dataclass(frozen=True, eq=False)
class Case:
    """The inputs of one draft."""

    words: PhraseBank
    context: PatientContext
    acquisition: Acquisition
    grid: Grid
    coverage: Coverage
    findings: tuple[Finding, ...]
    prior: Prior | None

    def is_evaluated(self, organ: str) -> bool:
        """Whether the organ was assessed, so that an absence may be stated."""
        return organ in self.coverage.evaluated

    def of_label(self, label: str) -> tuple[Finding, ...]:
        """The findings of that label."""
        return tuple(finding for finding in self.findings if finding.label == label)

    def is_answered(self, label: str) -> bool:
        """Whether the label was looked for and has a result."""
        return any(finding.presence is not Presence.NOT_EVALUATED for finding in self.of_label(label))


def template() -> Receipt:
    """The receipt of a sentence that says nothing about the images."""
    return Receipt(kind=ReceiptKind.TEMPLATE)


def tagged(*tags: str) -> Receipt:
    """The receipt of a sentence drawn from the header: the DICOM keywords it used."""
    return Receipt(kind=ReceiptKind.TAG, tags=tags)
