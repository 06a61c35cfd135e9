"""Teaches what knows the whole patient: the far network, the text encoder, the fusion and the label head, from kept sights.

    patients, recipe -> checkpoint with averaged weights

Each step draws patients, a task, and what is given of each of them. Some steps are of texts alone, of more patients than have a
sight. Now and then a modality is somebody else's: its gate shall close. Asked to label, the model follows the CT where there is
one; asked to edit by voice, it follows what was said. How important a modality is, is learned from how much worse the
answers of a patient are without it.

At the end the gates and the importance alone learn on, from patients who were held back: of those that all else was learned
from, the model sees the CT too well to tell what is missed of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from adapters import told_texts
from adapters.loop import Loop, Schedule, Told, averaged
from adapters.sights import Patient, Person, load_patient, together
from medomni.model.config import MODALITIES, OmniConfig
from medomni.model.fusion import FusionLayer
from medomni.model.omni import Answer, Given, Omni
from medomni.model.vision import Seen, Sight
from medomni.model.words import TextWords

TASKS_DRAWN = ("draft", "label", "label", "edit", "retrieve", "box")
"""Tasks as often as they are drawn."""
STRANGER = 0.16
"""Share of modalities that are somebody else's."""
DICTATED = 0.85
"""Share of texts alone that hold a dictation."""
GIVEN = {"vision": 0.85, "history": 0.5, "dictation": 0.35}
"""Share of patients of whom each is given; modality dropout."""
GUESS_WEIGHT, HEARD_WEIGHT, PAIRS_WEIGHT, GATES_WEIGHT, IMPORTANCE_WEIGHT = 0.5, 0.5, 0.15, 0.6, 0.1
GATES_DECAY = 0.98
"""Of the average of the weights while gates learn alone, which is soon done."""
WEIGHED = 0.3
"""Share of the steps in which it is tried how much each modality is missed."""


@dataclass(frozen=True)
class FusedRecipe(Schedule):
    """The settings of one training; the keys of ``recipes/fused.toml``.

    The bodies are others than those of the near network. The ``text_first`` first steps, and of the others the share
    ``text_share``, are of texts alone. After them gates and importance alone learn for ``gate_steps`` steps at the rate
    ``gate_rate`` from the last ``held_back`` bodies, which nothing else was learned from.
    """

    region: str
    bodies: int
    first_seed: int
    seed: int
    batch: int
    text_first: int
    text_share: float
    held_back: int
    gate_steps: int
    gate_rate: float

    def __post_init__(self) -> None:
        if not 0 < self.held_back < self.bodies:
            raise ValueError(f"held_back is {self.held_back} of {self.bodies} bodies: hold some back, not all")


@dataclass(frozen=True, eq=False)
class Turn:
    """What is drawn for one step.

    Attributes:
        sight, text: what is given; None when nobody has it.
        has_sight, has_text: of whom it is given.
        is_strange_sight, is_strange_text: of whom it is somebody else's.
        is_weighed: whether it is tried how much each modality is missed.
        target: labels that shall be answered.
        seen, heard: labels of the CT and of the text that are given.
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
    heard: torch.Tensor
    is_weighed: bool = False


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

    def looks_after(self, first: int) -> Iterator[Turn]:
        """Turns with a CT in each of which it is tried what is missed, for the gates and the importance."""
        for number in range(first, self.recipe.gate_steps):
            turn = self._looking(np.random.default_rng([self.recipe.seed, self.recipe.steps + number]))
            yield replace(turn, is_weighed=True)

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
        return Turn(task, None, self._ids(texts), nobody, ~nobody, nobody, nobody, labels, labels, labels)

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
            heard=torch.stack([patient.labels for patient in heard]),
            is_weighed=bool(rng.random() < WEIGHED),
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
        """Loss of the labels, of what CT and text say by themselves, of matching pairs, gates and importance."""
        if turn.sight is None:
            answer = self.omni(Given(text=turn.text), turn.task)
            heard = HEARD_WEIGHT * _entropy(answer.claims["text"], turn.heard)
            return {"text": _entropy(answer.logits, turn.target), "heard": heard}
        seen = self.omni.vision.far(turn.sight)
        guess = GUESS_WEIGHT * _entropy(seen.guess[turn.has_sight], turn.seen[turn.has_sight])
        hidden = turn.has_sight[:, None]
        blind = Seen(seen.tokens, seen.mask & hidden, seen.guess * hidden)
        answer = self.omni(Given(blind, turn.text), turn.task)
        found = {"labels": _entropy(answer.logits, turn.target), "guess": guess}
        if turn.has_text.any():
            found["heard"] = HEARD_WEIGHT * _entropy(answer.claims["text"][turn.has_text], turn.heard[turn.has_text])
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
        if turn.is_weighed and true.any():
            found["importance"] = IMPORTANCE_WEIGHT * self._importance_loss(blind, turn, answer, true)
        return found

    def _importance_loss(self, seen: Seen, turn: Turn, answer: Answer, weighed: torch.Tensor) -> torch.Tensor:
        """Each patient's importance shall be how much worse the answers get without each modality, in parts of the whole."""
        with torch.no_grad():
            alone = Seen(seen.tokens[weighed], seen.mask[weighed], seen.guess[weighed])
            without = {
                "vision": self.omni(Given(text=turn.text[weighed]), turn.task).logits,  # type: ignore[index]
                "text": self.omni(Given(alone), turn.task).logits,
            }
            target = turn.target[weighed]
            least = _entropy(answer.logits[weighed], target, reduction="none").mean(dim=1)
            missed = {name: _entropy(logits, target, reduction="none").mean(dim=1) for name, logits in without.items()}
            harm = {name: (value - least).clamp(min=0.0) for name, value in missed.items()}
            total = sum(harm.values(), torch.zeros_like(least)).clamp(min=1e-6)
        importance = answer.fused.importance[weighed].clamp(min=1e-6).log()
        fit = sum((harm[name] / total * importance[:, MODALITIES.index(name)] for name in harm), torch.zeros_like(least))
        return -(fit * total.clamp(max=1.0)).sum() / total.clamp(max=1.0).sum()

    @staticmethod
    def _gates_loss(gates: dict[tuple[str, str], torch.Tensor], turn: Turn, both: torch.Tensor) -> torch.Tensor:
        """Gates shall be open to what is the patient's own, closed to what is not; nobody can tell when only one is there."""
        strange = {"vision": turn.is_strange_sight, "text": turn.is_strange_text}
        losses = []
        for (_, other), gate in gates.items():
            target = (~strange[other][both]).float()[:, None].expand(-1, gate.shape[1])
            losses.append(torch.nn.functional.binary_cross_entropy(gate[both], target))
        return torch.stack(losses).mean()


_entropy = torch.nn.functional.binary_cross_entropy_with_logits


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


def train_gates(learner: FusedLearner, turns: Turns, trained: Path, checkpoint: Path, told: Told) -> None:
    """Train gates and importance alone on top of the averaged weights of ``trained``, to the end or on from the checkpoint."""
    learner.load_state_dict(averaged(trained))
    learner.requires_grad_(False)
    learner.omni.fusion.important.requires_grad_(True)
    learner.omni.fusion.telling.requires_grad_(True)
    for layer in learner.omni.fusion.layers:
        assert isinstance(layer, FusionLayer)  # noqa: S101  (a list of modules forgets what they are)
        layer.gate.requires_grad_(True)
        layer.pair.requires_grad_(True)
    ours = turns.recipe
    schedule = replace(ours, steps=ours.gate_steps, learning_rate=ours.gate_rate, average_decay=GATES_DECAY)
    Loop(learner, schedule, checkpoint).run(turns.looks_after, learner.losses, told)


def split(patients: Sequence[Patient], held_back: int) -> tuple[list[Patient], list[Patient]]:
    """The patients to learn from, and those of the last ``held_back`` bodies (by their seeds)."""
    kept = set(sorted({patient.info["seed"] for patient in patients})[-held_back:])
    return [one for one in patients if one.info["seed"] not in kept], [one for one in patients if one.info["seed"] in kept]


def patients_of(sights: Sequence[Path]) -> list[Patient]:
    """The patients of kept sights."""
    return [load_patient(path) for path in sights]
