"""Turns a recording of dictation into words: whisper by faster-whisper on the CPU, told beforehand what to expect.

    Recording, weights -> Heard (text, doubtful spans)

The network has heard no radiologist of this house; its errors are clinical words ("solid module"). Those are put right where the
lexicon is sure, marked where it or the network is not, and shown to the person; nothing is signed on its word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32

from medomni.errors import BadInput, MissingPart
from medomni.pipeline import Progress
from preprocessing.heard import Heard, Word, corrected, lexicon
from preprocessing.speech import LONGEST_SECONDS, Recording

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

BEAM = 5
"""Hypotheses that are followed; as the recogniser's authors have it."""
LEADING = (
    "CT of the chest. Lungs, trachea, bronchi, lingula and apices.",
    "There is an eight millimeter solid nodule in the right upper lobe.",
    "No pleural effusion, pericardial effusion, pneumothorax or lymphadenopathy.",
    "Patchy ground-glass opacities and consolidation with air bronchograms in the left lower lobe.",
    "Centrilobular emphysema, bronchiectasis with mucus plugging, atelectasis, interlobular septal thickening, "
    "peribronchial thickening, fibrotic bands, reticulation, mosaic attenuation, air trapping.",
    "Calcified granuloma. Mediastinal lymph nodes.",
    "Coronary artery calcification, atherosclerotic aorta, cardiomegaly, hiatal hernia.",
    "Degenerative changes of the thoracic spine.",
)
ENDING = "Impression."
"""What the recogniser is told to expect, in each window: sentences, after a list of words it loses much of a long dictation."""
MOST_TOKENS = 220
"""Tokens for which the recogniser has room; words to expect that were cut off would be carried on in what it hears."""
FRAME = 320
"""Samples of a frame of 20 ms at the recogniser's 16 kHz."""
FRAMES_PER_SECOND = 16_000 // FRAME
SILENT_SHARE = 0.05
"""Level below which a frame is silent, as a share of the voice's: 26 dB under it."""

LEAST_VOICED = 0.1
"""Share of a word that is voice, of one that was said; the fill-words of the dev list have none."""
UNSURE, FASTEST = 0.5, 20.0
"""Probability below which, and letters a second above which, a last sentence was not said; slow speech has some 12."""
REPETITION_PENALTY = 1.1
"""Against the loops into which words to expect lead; better than 1.0 on the dev list of ``voice.toml``, and 1.2 is no better."""


@dataclass(frozen=True)
class Ears:
    """Hears English; ``folder`` holds a whisper model for CTranslate2, which stays in memory once it was used."""

    folder: Path
    threads: int

    def hear(self, recording: Recording, progress: Progress, expect: str = "") -> Heard:
        """Return what was said, corrected and marked.

        Args:
            recording: the sound.
            progress: told the share that was heard.
            expect: words that are likely besides, such as those of the report that is spoken of, in a few sentences.

        Raises:
            BadInput: no word was heard.
        """
        from medomni.model.audio import heard

        sound = heard(recording.samples, recording.sample_rate_hz, LONGEST_SECONDS).numpy()
        model = loaded(self.folder, self.threads)
        segments, _ = model.transcribe(
            sound,
            language="en",
            beam_size=BEAM,
            hotwords=_expected(expect, model),
            repetition_penalty=REPETITION_PENALTY,
            condition_on_previous_text=False,
            vad_filter=True,
            word_timestamps=True,
        )
        timed = list[TimedWord]()
        for segment in segments:
            timed += [TimedWord(_word(one.word, one.probability, model), one.start, one.end) for one in segment.words or ()]
            progress(segment.end / max(1.0, recording.seconds))
        result = corrected([one.word for one in as_said(timed, sound)])
        if not result.text:
            raise BadInput("no word was heard in the recording", remedy="check the microphone and dictate again")
        return result


@dataclass(frozen=True)
class TimedWord:
    """A word and the seconds of the sound that hold it."""

    word: Word
    start: float
    end: float


def as_said(words: Sequence[TimedWord], sound: Float32[np.ndarray, " time"]) -> Sequence[TimedWord]:
    """The words without those at the end that nobody said: the recogniser fills silence with what it was told to expect.

    Left out are words that lie in silence, and a last sentence that it is not sure of and that would have been said too fast.
    """
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    level = np.sqrt(np.square(frames).mean(axis=1))
    is_voiced = level > (SILENT_SHARE * float(np.percentile(level, 90)) if len(level) else 0.0)
    kept = list(words)
    while kept:
        last = _last_sentence(kept)
        if not _is_said(kept[-1], is_voiced):
            kept.pop()
        elif last < len(kept) and kept[last].word.probability < UNSURE and _is_rushed(kept[last:], is_voiced):
            del kept[last:]
        else:
            break
    return kept


def _last_sentence(words: Sequence[TimedWord]) -> int:
    """Where the last sentence begins; the count of words where there is only one."""
    ends = [k for k, one in enumerate(words[:-1]) if one.word.text.rstrip().endswith((".", "?", "!"))]
    return ends[-1] + 1 if ends else len(words)


def _is_said(one: TimedWord, is_voiced: Bool[np.ndarray, " frame"]) -> bool:
    """Whether a word holds some voice: a final "left" may be three parts breath; sides and denials stay whatever their sound."""
    return one.word.core in lexicon().kept or float(_frames(one.start, one.end, is_voiced).mean()) > LEAST_VOICED


def _is_rushed(words: Sequence[TimedWord], is_voiced: Bool[np.ndarray, " frame"]) -> bool:
    letters = sum(letter.isalnum() for one in words for letter in one.word.text)
    seconds = float(_frames(words[0].start, words[-1].end, is_voiced).sum()) / FRAMES_PER_SECOND
    return letters > FASTEST * seconds


def _frames(start: float, end: float, of: Bool[np.ndarray, " frame"]) -> Bool[np.ndarray, " stretch"]:
    first = int(start * FRAMES_PER_SECOND)
    stretch = of[first : max(first + 1, int(np.ceil(end * FRAMES_PER_SECOND)))]
    return stretch if len(stretch) else np.zeros(1, dtype=np.bool_)


def _expected(first: str, model: "WhisperModel") -> str:
    """What to expect: first what is given, then of the usual sentences as many as there is room for."""
    sentences = list(LEADING)
    while True:
        told = " ".join((first, *sentences, ENDING)).strip()
        if not sentences or len(model.hf_tokenizer.encode(f" {told}", add_special_tokens=False).ids) <= MOST_TOKENS:
            return told
        sentences.pop()


def _word(text: str, probability: float, model: "WhisperModel") -> Word:
    """A heard word; everyday English has it where the recogniser's vocabulary holds it in one piece."""
    bare = " " + "".join(letter for letter in text.lower() if letter.isalpha() or letter == "'")
    return Word(text, float(probability), len(model.hf_tokenizer.encode(bare, add_special_tokens=False).ids) == 1)


@cache
def loaded(folder: Path, threads: int) -> "WhisperModel":
    """The recogniser of a folder, loaded once."""
    from faster_whisper import WhisperModel

    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)


def check_installed() -> None:
    """Refuse early where the recogniser is not installed.

    Raises:
        MissingPart: it is not.
    """
    if find_spec("faster_whisper") is None:
        raise MissingPart(
            "the speech recogniser is not installed",
            found="no faster-whisper",
            remedy="install MedOmni with its speech extra, or give the dictation as text",
            where="--dictation",
        )
