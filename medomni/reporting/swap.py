"""What of a section gives way, and to what, when its findings change and nobody may lose a sentence that they wrote.

    sentences composed before, sentences composed after, changed findings, claimed findings -> Swap

Knows nothing of reports or edits: ``medomni.reporting.edit`` asks it sentence by sentence.
"""

from collections.abc import Sequence

from medomni.types.report import ReceiptKind, Sentence


class Swap:
    """What of a section gives way, and to what, when findings change: its sentences composed before and after."""

    def __init__(self, before: Sequence[Sentence], after: Sequence[Sentence], changed: set[str], claimed: set[str]) -> None:
        self._changed, self._claimed = changed, claimed
        self._gone = {s.text: s for s in before if s not in after}
        self._fresh = [s for s in after if s not in before or set(s.finding_ids) & changed]
        lists = {_role(s): s for s in self._fresh if not self._is_claim(s)}
        self._lists = {text: lists.get(_role(s)) for text, s in self._gone.items() if not self._is_claim(s)}

    def is_dropped(self, sentence: Sentence) -> bool:
        """Whether a sentence claims what has changed, or is an untouched claim that would not be composed any more."""
        is_about = bool(set(sentence.finding_ids) & self._changed)
        return self._is_claim(sentence) and (is_about or sentence.text in self._gone)

    def claims(self, dropped: Sequence[Sentence]) -> list[Sentence]:
        """The claims that take the place of dropped ones, or are about what has changed."""
        about = self._changed.union(*(sentence.finding_ids for sentence in dropped))
        return [s for s in self._fresh if self._is_claim(s) and about & set(s.finding_ids)]

    def left(self, sentence: Sentence) -> Sentence | None:
        """What is left of a sentence that is no dropped claim: a list as it would be composed now, if nobody touched it."""
        if sentence.text in self._lists:
            return self._lists[sentence.text]
        ids = tuple(key for key in sentence.finding_ids if key not in self._changed)
        return sentence if ids == sentence.finding_ids else sentence.model_copy(update={"finding_ids": ids}) if ids else None

    def _is_claim(self, sentence: Sentence) -> bool:
        """Whether a sentence says of something that it is there, or of one thing that a person says it is not."""
        receipt = sentence.receipt
        if receipt is None or receipt.kind is ReceiptKind.TEMPLATE:
            return False
        about = set(sentence.finding_ids)
        return bool(about & self._claimed) or (receipt.kind is ReceiptKind.DICTATED and bool(about))


def _role(sentence: Sentence) -> tuple[str, bool, ReceiptKind | None]:
    """What a list of a section is: of which organ, of findings or organs, of what is absent or of what was left out."""
    is_template = sentence.receipt is not None and sentence.receipt.kind is ReceiptKind.TEMPLATE
    return sentence.organ, bool(sentence.finding_ids), ReceiptKind.TEMPLATE if is_template else None
