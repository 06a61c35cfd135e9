"""The phantoms that ``benchmarks/omni.py`` asks about, and what the omni model answers of them.

files, model -> Bench (cases, answers, what a draft's stage would think of each)
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from medomni.types.dictation import Told

DICTATED, SPOKEN = 91_000, 92_000
"""Seeds of the wording of dictations, read and heard."""
ANOTHER = 93_000
"""Seed by which each patient gets another one."""


@dataclass
class Bench:
    """The files, and the model that is asked about them."""

    files: Sequence[Path]
    folder: Path | None
    voice: str = ""

    def first(self, count: int) -> "Bench":
        """The first cases alone; the network has looked at them already."""
        few = Bench(self.files[:count], self.folder)
        few.cases, few.model = self.cases[:count], self.model
        return few

    def heard_in(self, voice: str, count: int) -> "Bench":
        """The first cases, dictated by a voice."""
        few = self.first(count)
        few.voice = voice
        return few

    @cached_property
    def ears(self):  # noqa: ANN201
        """The model with its audio encoder; None where it has none."""
        from medomni.model import checkpoint, omni_folder
        from medomni.model.config import MODALITIES

        try:
            return checkpoint.load(self.folder or omni_folder.SHIPPED, MODALITIES).omni
        except KeyError:
            return None

    @cached_property
    def sounds(self):  # noqa: ANN201
        """An English dictation of each case as ``voice`` speaks it: log-mel spectra (1, mel, frame)."""
        from adapters import told_texts, voices
        from medomni.model.audio import heard, log_mel

        config, spoken = self.ears.config, []
        for number, case in enumerate(self.cases, start=1):
            text = told_texts.dictation(case.info, np.random.default_rng([SPOKEN, case.info["seed"]]), ("en",))
            spoken.append(log_mel(heard(*voices.speak(text, self.voice), config.longest_audio_s), config.mels)[None])
            sys.stderr.write(f"\rspoke {number} of {len(self.cases)}")
        sys.stderr.write("\n")
        return spoken

    @cached_property
    def model(self):  # noqa: ANN201
        """The loaded model."""
        import torch

        from medomni.model import checkpoint, omni_folder

        torch.set_num_threads(1)
        return checkpoint.load(self.folder or omni_folder.SHIPPED, omni_folder.IN_DRAFTS)

    @cached_property
    def cases(self) -> list["Case"]:
        """What is needed of each file."""
        made = []
        for number, file in enumerate(self.files, start=1):
            made.append(Case.of(file, number, self.model))
            sys.stderr.write(f"\rlooked at {number} of {len(self.files)}")
        sys.stderr.write("\n")
        return made

    def others(self) -> list[int]:
        """For each case the number of another one, by a seed."""
        order = np.random.default_rng(ANOTHER).permutation(len(self.cases))
        return [int(number) for _, number in sorted(zip(order, np.roll(order, 1), strict=True))]

    @property
    def truth(self) -> list[set[str]]:
        """The labels of the 18 that are true of each case."""
        return [case.truth for case in self.cases]

    def answers(  # noqa: ANN201
        self,
        combination: str,
        task: str = "label",
        of: Callable[[int], int] = lambda number: number,
        said_of: Callable[[int], int] = lambda number: number,
        kept: float | None = None,
    ):
        """Logits (case, label) and the answers; ``of`` says whose CT each patient gets, ``said_of`` whose texts."""
        import torch

        from medomni.model.omni import Given

        logits, fused = [], []
        for number in range(len(self.cases)):
            case = self.cases[said_of(number)]
            with torch.inference_mode():
                seen = self.cases[of(number)].seen if "v" in combination else None
                texts = [("history", case.history)] if "h" in combination else []
                texts += [("dictation", case.dictation)] if "d" in combination else []
                sound = self.sounds[said_of(number)] if "s" in combination else None
                frames = None if sound is None else torch.tensor([sound.shape[-1]])
                given = Given(seen, self.model.words.joined([texts]) if texts else None, sound, frames)
                answer = (self.model.omni if sound is None else self.ears)(given, task, kept)
            logits.append(answer.logits[0].numpy().astype(float))
            fused.append(answer)
        return np.stack(logits), fused

    def probabilities(self, logits):  # noqa: ANN001, ANN201
        """Calibrated probabilities (case, label) of the 18."""
        rows = [self.model.answers[label] for label in labels18()]
        offset, slope = (np.array([getattr(one, name) for one in rows]) for name in ("offset", "slope"))
        return 1 / (1 + np.exp(-(offset + slope * logits[:, : len(rows)])))

    def called(self, probabilities) -> list[set[str]]:  # noqa: ANN001
        """The labels that each case is said to have."""
        thresholds = np.array([self.model.answers[label].threshold for label in labels18()])
        return [{label for label, yes in zip(labels18(), case >= thresholds, strict=True) if yes} for case in probabilities]


@dataclass(eq=False)
class Case:
    """One phantom as the model and the drafts need it."""

    number: int
    file: Path
    truth: set[str]
    history: str
    chinese: str
    dictation: str
    info: dict
    near: object
    seen: object

    @classmethod
    def of(cls, file: Path, number: int, model) -> "Case":  # noqa: ANN001
        """Look at a file."""
        from adapters import told_texts
        from adapters.samples import load_sample
        from medomni.model.config import LABELS

        sample = load_sample(file)
        seen, near = seen_of(model, sample.codes, sample.structures)
        truth = {label for label, yes in zip(LABELS, sample.labels, strict=True) if yes} & set(labels18())
        info = sample.info
        english, chinese = info["history"]["en"], info["history"]["zh"]
        dictation = told_texts.dictation(info, np.random.default_rng([DICTATED, info["seed"]]))
        mixed = (english, chinese)[number % 2]
        return cls(number, file, truth, mixed, chinese, dictation, info, near, seen)


def seen_of(model, codes: np.ndarray, structures: np.ndarray):  # noqa: ANN001, ANN201
    """What the vision encoder makes of a scan: what follows, and what the near network saw."""
    import torch

    with torch.inference_mode():
        return model.omni.see(*(torch.from_numpy(np.ascontiguousarray(array))[None] for array in (codes, structures)))


def labels18() -> tuple[str, ...]:
    """The 18 findings of the vocabulary, in the model's order."""
    from medomni.model.config import LABELS
    from medomni.phantom.facts import FINDINGS

    return tuple(label for label in LABELS if label in FINDINGS)


def opinion(bench: Bench, case: Case, grid, told: "Told"):  # noqa: ANN001, ANN201
    """What the stage of a draft would think of a case; the network has looked at its CT already."""
    import torch

    from adapters.samples import load_scan
    from medomni.model.omni_runtime import Viewed, raw_of
    from preprocessing.look import Sighted, opinion_of

    model = bench.model
    text = model.words.joined([told.texts]) if told.texts else None
    with torch.inference_mode():
        raw = raw_of(model.omni, case.seen, text)
    scan = load_scan(case.file).focused()
    sighted = Sighted(Viewed(case.near.cells[0].numpy(), ()), scan.structures, scan.grid)
    return opinion_of(raw, sighted, model.answers, grid, model.digest)
