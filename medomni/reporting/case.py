"""One case as the writers of the sections see it: all that a sentence may be drawn from, and the words to say it in."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medomni.reporting.phrases import PhraseBank, styled
from medomni.reporting.vocabulary import organ_order_of, vocabulary
from medomni.types.context import PatientContext
from medomni.types.finding import Finding, Presence
from medomni.types.region import Coverage
from medomni.types.report import Draft, Prior, Receipt, ReceiptKind
from medomni.types.study import Acquisition
from medomni.types.style import Style
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
    style: Style | None = None

    @property
    def organ_order(self) -> Callable[[str], tuple[int, str]]:
        """The sort key of an organ: the order of the house style, else that of the table."""
        return organ_order_of(self.style)

    def is_evaluated(self, organ: str) -> bool:
        """Whether the organ was assessed, so that an absence may be stated."""
        return organ in self.coverage.evaluated

    def of_label(self, label: str) -> tuple[Finding, ...]:
        """The findings of that label."""
        return tuple(finding for finding in self.findings if finding.label == label)

    def is_answered(self, label: str) -> bool:
        """Whether the label was looked for and has a result; an absence counts only in an organ that was evaluated."""
        found = {finding.presence for finding in self.of_label(label)}
        is_absence_stated = Presence.ABSENT in found and self.is_evaluated(vocabulary().label(label).organ)
        return bool(found & {Presence.PRESENT, Presence.UNCERTAIN}) or is_absence_stated

    @property
    def answered_organs(self) -> tuple[str, ...]:
        """The evaluated organs about which at least one finding was answered, in reading order."""
        clinical = (entry for entry in vocabulary().labels.values() if not entry.is_measurement_only)
        organs = {entry.organ for entry in clinical if self.is_answered(entry.name)}
        return tuple(sorted(organs & set(self.coverage.evaluated), key=self.organ_order))


def case_of(draft: Draft) -> Case:
    """The case of a draft that is made already; of the grid it knows no more than whether sides are known."""
    is_side_known = all(notice.code != "orientation_unknown" for notice in draft.notices)
    grid = Grid((1, 1, 1), (1.0, 1.0), np.eye(3)[0], np.eye(3)[1], np.zeros((1, 3)), is_side_known)
    words = styled(draft.language, draft.style)
    return Case(words, draft.context, draft.acquisition, grid, draft.coverage, draft.findings, draft.prior, draft.style)


def template() -> Receipt:
    """The receipt of a sentence that says nothing about the images."""
    return Receipt(kind=ReceiptKind.TEMPLATE)


def tagged(*tags: str) -> Receipt:
    """The receipt of a sentence drawn from the header: the DICOM keywords it used."""
    return Receipt(kind=ReceiptKind.TAG, tags=tags)
