"""What a draft states of a finding, apart from the words for it: label, certainty, side, and slots for place and numbers.

    Case + Finding -> Statement, Statement...

A writer (a language model) may word a statement anew; whatever it writes, places, numbers and units come from the slots.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from medomni.types.finding import Laterality
from medomni.types.report import Sentence

PLACE, NUMBERS, IMAGE = "place", "numbers", "image"
SLOT = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        label: a label of the vocabulary.
        step: how sure it is: stated, probable or possible.
        side: of a finding whose noun carries the side ("right pleural effusion"), else NONE: the place tells.
        slots: text for each slot that the statement fills.
        sentence: the statement as the phrase bank words it, with its receipt.
    """

    label: str
    step: str
    side: Laterality
    slots: Mapping[str, str]
    sentence: Sentence

    def filled(self, text: str) -> str:
        """A text with the slots in it filled; raises KeyError for one that the statement does not fill."""
        return SLOT.sub(lambda found: self.slots[found[1]], text)
