"""Teaches what knows the whole patient: the far network, the text encoder, the fusion and the label head, from kept sights.

    patients, recipe -> checkpoint with averaged weights

Each step draws patients, a task, and what is given of each of them. Some steps are of texts alone, of more patients than have a
sight. Now and then a modality is somebody else's: its gate shall close. Asked to label, the model follows the CT where there is
one; asked to edit by voice, it follows what was said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from adapters import told_texts
from adapters.loop import Loop, Schedule, Told
from adapters.sights import Patient, Person, load_patient, together
from medomni.model.config import OmniConfig
from medomni.model.omni import Given, Omni
from medomni.model.vision import Sight
from medomni.model.words import TextWords

TASKS_DRAWN = ("draft", "label", "label", "edit", "retrieve", "box")
"""Tasks as often as they are drawn."""
STRANGER = 0.12
"""Share of modalities that are somebody else's."""
DICTATED = 0.85
"""Share of texts alone that hold a dictation."""
GIVEN = {"vision": 0.85, "history": 0.5, "dictation": 0.35}
"""Share of patients of whom each is given; modality dropout."""
GUESS_WEIGHT, PAIRS_WEIGHT, GATES_WEIGHT = 0.5, 0.15, 0.1


@dataclass(frozen=True)
class FusedRecipe(Schedule):
    """The settings of one training; the keys of ``recipes/fused.toml``.

    The bodies are others than those of the near network. The ``text_first`` first steps, and of the others the share
    ``text_share``, are of texts alone.
    """

    region: str
    bodies: int
    first_seed: int
    seed: int
    batch: int
    text_first: int
    text_share: float


@dataclass(frozen=True, eq=False)
class Turn:
    """What is drawn for one step.

    Attributes:
        sight, text: what is given; None when nobody has it.
        has_sight, has_text: of whom it is given.
        is_strange_sight, is_strange_text: of whom it is somebody else's.
        target: labels that shall be answered.
        seen: labels of the CT that is given.
    """

    task: str
    sight: Sight | None
    text: torch.Tensor | None
    has_sight: torch.Tensor
    has_text: torch.Tensor
    is_strange_sight: torch.Tensor
    is_strange_text: torch.Tensor
    target: torch.Tensor
    seen: torch.Tensor


class Turns:
    """Turn ``n`` of a training follows from the seed and ``n`` alone."""

    def __init__(
        self, patients: Sequence[Patient], words: TextWords, recipe: FusedRecipe, readers: Sequence[Person] = ()
    ) -> None:
        self.patients, self.words, self.recipe = patients, words, recipe
        self.readers = [*patients, *readers]

    def after(self, first: int) -> Iterator[Turn]:
        """The turns from ``first`` to the end."""
        for number in range(first, self.recipe.steps):
            rng = np.random.default_rng([self.recipe.seed, number])
            yield self.reading(rng) if number < self.recipe.text_first else self.turn(rng)

    def turn(self, rng: np.random.Generator) -> Turn:
        """One turn."""
        return self.reading(rng) if rng.random() < self.recipe.text_share else self._looking(rng)

    def reading(self, rng: np.random.Generator) -> Turn:
        """A turn of texts alone."""
        people = [self.readers[index] for index in rng.integers(len(self.readers), size=self.recipe.batch)]
        texts = []
        for person in people:
            is_spoken = rng.random() < DICTATED
            is_told = not is_spoken or rng.random() < GIVEN["history"]
            told = [told_texts.history(person.info, rng)] if is_told else []
            texts.append((told, told_texts.dictation(person.info, rng) if is_spoken else ""))
        nobody = torch.zeros(len(people), dtype=torch.bool)
        labels = torch.stack([person.labels for person in people])
        task = TASKS_DRAWN[int(rng.integers(len(TASKS_DRAWN)))]
        return Turn(task, None, self._ids(texts), nobody, ~nobody, nobody, nobody, labels, labels)

    def _looking(self, rng: np.random.Generator) -> Turn:
        """A turn in which most have a CT."""
        task = TASKS_DRAWN[int(rng.integers(len(TASKS_DRAWN)))]
        count = self.recipe.batch
        own = rng.integers(len(self.patients), size=count)
        others = rng.integers(len(self.patients), size=count)
        strange_sight, strange_text = rng.random(count) < STRANGER, rng.random(count) < STRANGER
        strange_text &= ~strange_sight
        seen = [self.patients[b if odd else a] for a, b, odd in zip(own, others, strange_sight, strict=True)]
        heard = [self.patients[b if odd else a] for a, b, odd in zip(own, others, strange_text, strict=True)]
        has_sight, texts, speaks = rng.random(count) < GIVEN["vision"], [], np.zeros(count, bool)
        for index, patient in enumerate(heard):
            is_spoken = rng.random() < (0.9 if task in ("edit", "retrieve") else GIVEN["dictation"])
            told = [told_texts.history(patient.info, rng)] if rng.random() < GIVEN["history"] else []
            texts.append((told, told_texts.dictation(patient.info, rng) if is_spoken else ""))
            speaks[index] = is_spoken
        has_sight |= np.array([not told and not said for told, said in texts])
        follows_voice = speaks & (~has_sight | (task == "edit"))
        target = [h.labels if voice else s.labels if has else o.labels for h, s, o, voice, has in zip(
            heard, seen, [self.patients[a] for a in own], follows_voice, has_sight, strict=True)]  # fmt: skip
        return Turn(
            task=task,
            sight=together([patient.sight for patient in seen]),
            text=self._ids(texts),
            has_sight=torch.from_numpy(has_sight),
            has_text=torch.tensor([bool(told or said) for told, said in texts]),
            is_strange_sight=torch.from_numpy(strange_sight),
            is_strange_text=torch.from_numpy(strange_text),
            target=torch.stack(target),
            seen=torch.stack([patient.labels for patient in seen]),
        )

    def _ids(self, texts: Sequence[tuple[list[str], str]]) -> torch.Tensor:
        """History and dictation of each patient one after the other."""
        return self.words.joined(
            [[("history", text) for text in told] + ([("dictation", said)] if said else []) for told, said in texts]
        )


class FusedLearner(torch.nn.Module):
    """The omni model without what it has learned already: the near network stands still."""

    def __init__(self, omni: Omni) -> None:
        super().__init__()
        self.omni = omni
        omni.vision.near.requires_grad_(False)

    def losses(self, turn: Turn) -> dict[str, torch.Tensor]:
        """Loss of the labels, of the CT's own guess, of matching pairs and of the gates."""
        entropy = torch.nn.functional.binary_cross_entropy_with_logits
        if turn.sight is None:
            return {"text": entropy(self.omni(Given(text=turn.text), turn.task).logits, turn.target)}
        seen = self.omni.vision.far(turn.sight)
        guess = GUESS_WEIGHT * entropy(seen.guess[turn.has_sight], turn.seen[turn.has_sight])
        hidden = turn.has_sight[:, None]
        blind = type(seen)(seen.tokens, seen.mask & hidden, seen.guess * hidden)
        answer = self.omni(Given(blind, turn.text), turn.task)
        found = {"labels": entropy(answer.logits, turn.target), "guess": guess}
        both = turn.has_sight & turn.has_text
        true = both & ~turn.is_strange_sight & ~turn.is_strange_text
        if turn.task == "retrieve":
            found["labels"] = 0.3 * found["labels"]
        if int(true.sum()) > 1:
            found["pairs"] = PAIRS_WEIGHT * pairs_loss(
                answer.shared["vision"][true], answer.shared["text"][true], self.omni.warmth
            )
        if both.any():
            found["gates"] = GATES_WEIGHT * self._gates_loss(answer.fused.gates, turn, both)
        return found

    @staticmethod
    def _gates_loss(gates: dict[tuple[str, str], torch.Tensor], turn: Turn, both: torch.Tensor) -> torch.Tensor:
        """Gates shall be open to what is the patient's own, closed to what is not; nobody can tell when only one is there."""
        strange = {"vision": turn.is_strange_sight, "text": turn.is_strange_text}
        losses = []
        for (_, other), gate in gates.items():
            target = (~strange[other][both]).float()[:, None].expand(-1, gate.shape[1])
            losses.append(torch.nn.functional.binary_cross_entropy(gate[both], target))
        return torch.stack(losses).mean()


def pairs_loss(one: torch.Tensor, other: torch.Tensor, warmth: torch.Tensor) -> torch.Tensor:
    """Each shall find its own among the others of the batch, both ways (InfoNCE; Radford et al. 2021)."""
    scores = one @ other.T * warmth.exp().clamp(max=100.0)
    own = torch.arange(len(one), device=one.device)
    return (torch.nn.functional.cross_entropy(scores, own) + torch.nn.functional.cross_entropy(scores.T, own)) / 2


def learner_on(near: dict[str, torch.Tensor], config: OmniConfig) -> FusedLearner:
    """What learns, on top of the averaged weights of ``adapters.near``."""
    omni = Omni(config, modalities=("vision", "text"))
    omni.vision.near.load_state_dict({key.removeprefix("near."): value for key, value in near.items()})
    return FusedLearner(omni)


def train(learner: FusedLearner, turns: Turns, checkpoint: Path, told: Told) -> None:
    """Train to the end, or go on from the checkpoint."""
    Loop(learner, turns.recipe, checkpoint).run(turns.after, learner.losses, told)


def patients_of(sights: Sequence[Path]) -> list[Patient]:
    """The patients of kept sights."""
    return [load_patient(path) for path in sights]
