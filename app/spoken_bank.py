"""The spoken bank: patients of the bank as synthetic voices dictate them, for the audio encoder to learn from.

files of the bank, recipe -> a file of ``adapters/voices.py`` for each dictation
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from adapters.listening import ListeningRecipe
    from medomni.pipeline import Progress


@dataclass(frozen=True)
class SpokenOrder:
    """One dictation to speak: of whom, which of the patient's dictations, in one of which voices."""

    patient: Path
    number: int
    voices: Sequence[str]
    mels: int
    out: Path

    @property
    def file(self) -> Path:
        """Where it will lie."""
        return self.out / f"{self.patient.stem}-{self.number}.npz"


def write(
    patients: Sequence[Path], recipe: "ListeningRecipe", mels: int, out: Path, jobs: int, progress: "Progress"
) -> list[Path]:
    """Speak what is lacking; return the files of all dictations."""
    from app.cohort import in_processes

    out.mkdir(exist_ok=True)
    numbers = range(recipe.dictations)
    orders = [SpokenOrder(patient, number, recipe.voices, mels, out) for patient in patients for number in numbers]
    in_processes(write_one, [order for order in orders if not order.file.exists()], len(orders), jobs, progress)
    return [order.file for order in orders]


def write_one(order: SpokenOrder) -> None:
    """Speak one dictation; words and voice follow from the patient and the number."""
    from adapters import voices
    from adapters.sights import load_person

    rng = np.random.default_rng([*(int(part) for part in order.patient.stem.split("-")[1:]), order.number])
    voice = order.voices[int(rng.integers(len(order.voices)))]
    voices.save(order.file, voices.spoken(load_person(order.patient).info, voice, order.mels, rng))
