"""Dictations spoken by synthetic voices, sentence by sentence, for the audio encoder to learn from.

    text, voice -> sound;  patient, voice, rng -> Spoken (sentences and their spectra) <-> file

A voice is "flite:NAME" or "espeak-ng:NAME", speakers that Debian and most systems have; both speak English here.
"""

import json
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from adapters import told_texts
from medomni.errors import MissingPart
from medomni.model.audio import heard, log_mel

LONGEST_SENTENCE_S = 60
FLOOR, STEPS = -1.0, 85.0
"""Lowest value of a log-mel spectrum, and steps to 1 in which it is kept: half a decibel each."""
_SENTENCE = re.compile(r"(?<=[.:;])\s+|\n+|(?<= period)\s+|(?<= colon)\s+|(?<= paragraph)\s+")


@dataclass(frozen=True, eq=False)
class Spoken:
    """A dictation as it sounds.

    Attributes:
        sentences: as they were spoken.
        spectra: log-mel of each sentence (mel, frame), as ``kept`` keeps them.
        info: the patient of the bank who is spoken of.
    """

    sentences: Sequence[str]
    spectra: Sequence[UInt8[np.ndarray, "mel _"]]
    info: dict[str, Any]


def check_installed(voices: Sequence[str]) -> None:
    """Refuse early.

    Raises:
        MissingPart: the speaker of a voice is not there, or does not know it: flite would speak in another.
    """
    for speaker in dict.fromkeys(voice.partition(":")[0] for voice in voices):
        if shutil.which(speaker) is None:
            raise MissingPart(
                "a speech synthesiser is not installed",
                found=f"no {speaker}",
                remedy=f"install {speaker}, or leave its voices out of the recipe",
                where="voices",
            )
    for voice in voices:
        speaker, _, name = voice.partition(":")
        if speaker == "flite" and name not in _of_flite():
            raise _unknown(voice)


@cache
def _of_flite() -> list[str]:
    """The voices that flite has."""
    listed = subprocess.run(["flite", "-lv"], capture_output=True, check=False, text=True)
    return listed.stdout.partition(":")[2].split()


def _unknown(voice: str) -> MissingPart:
    return MissingPart("a voice is not there", found=voice, remedy="choose one that its speaker lists", where="voices")


def speak(text: str, voice: str) -> tuple[Float32[np.ndarray, "channel time"], int]:
    """What a voice says: samples within 1, and their rate in Hz.

    Raises:
        MissingPart: the speaker is not there, or does not know the voice.
    """
    check_installed([voice])
    speaker, _, name = voice.partition(":")
    with tempfile.TemporaryDirectory() as scratch:
        said, sound = Path(scratch) / "said.txt", Path(scratch) / "said.wav"
        said.write_text(text, encoding="utf-8")
        command = {
            "flite": ["flite", "-voice", name, "-f", str(said), "-o", str(sound)],
            "espeak-ng": ["espeak-ng", "-v", name, "-f", str(said), "-w", str(sound)],
        }[speaker]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode or not sound.is_file():
            raise _unknown(voice)
        with wave.open(str(sound)) as file:
            frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            return (frames / 32768.0).astype(np.float32).reshape(-1, file.getnchannels()).T, file.getframerate()


def spoken(info: dict[str, Any], voice: str, mels: int, rng: np.random.Generator) -> Spoken:
    """An English dictation about a patient of the bank in a voice."""
    sentences, spectra = [], []
    for sentence in _SENTENCE.split(told_texts.dictation(info, rng, ("en",))):
        sound = heard(*speak(sentence, voice), LONGEST_SENTENCE_S) if sentence.strip() else ()
        if len(sound):
            sentences.append(sentence)
            spectra.append(kept(log_mel(sound, mels).numpy()))  # type: ignore[arg-type]
    return Spoken(sentences, spectra, info)


def kept(spectrum: Float32[np.ndarray, "mel frame"]) -> UInt8[np.ndarray, "mel frame"]:
    """A spectrum in a byte a value."""
    return np.clip(np.rint((spectrum - FLOOR) * STEPS), 0, 255).astype(np.uint8)


def of_kept(stored: UInt8[np.ndarray, "mel frame"]) -> Float32[np.ndarray, "mel frame"]:
    """The spectrum of what was kept."""
    return (stored / STEPS + FLOOR).astype(np.float32)


def save(file: Path, said: Spoken) -> None:
    """Write a dictation, whole or not at all."""
    text = json.dumps({"sentences": list(said.sentences), "info": said.info})
    partial = file.with_suffix(".part.npz")
    np.savez_compressed(
        partial,
        spectra=np.concatenate(list(said.spectra), axis=1),
        ends=np.cumsum([one.shape[1] for one in said.spectra]),
        text=np.frombuffer(text.encode("utf-8"), np.uint8),
    )
    partial.replace(file)


def load(file: Path) -> Spoken:
    """Read a dictation."""
    with np.load(file) as stored:
        text = json.loads(bytes(stored["text"]).decode("utf-8"))
        return Spoken(text["sentences"], np.split(stored["spectra"], stored["ends"][:-1], axis=1), text["info"])
