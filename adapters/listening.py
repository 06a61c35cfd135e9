"""Teaches the audio encoder to hear what the text encoder reads; all else stands still.

    spoken dictations, recipe -> checkpoint with averaged weights

Each step takes pieces of dictations: some sentences that follow each other, as one voice says them, varied in speed, pitch,
loudness and noise. What the text encoder makes of the same words is what the sound shall bring: tokens with the same mean, the
labels that are asserted and denied, the place in the shared space, where a CT finds its dictation. The words are learned too, in
order (connectionist temporal classification; Graves et al. 2006), which is what makes a small encoder listen; that is not kept.

The fusion treats a sound as it treats a text: it learned how from texts, and a sound begins with the same weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from adapters.fused import pairs_loss
from adapters.loop import Loop, Schedule, Told
from adapters.voices import FLOOR, Spoken, of_kept
from medomni.model.audio import HOP, RATE_HZ
from medomni.model.config import MODALITIES
from medomni.model.fusion import STREAMS, FusionLayer, mean_of
from medomni.model.omni import Given, Omni
from medomni.model.words import PAD, TextWords

FASTER, HIGHER = (0.75, 1.35), (0.85, 1.3)
"""How fast and how high a voice is made to speak."""
LOUDER, TILTED, COLOURED, NOISY, NARROW = 0.15, 0.3, 0.12, 0.6, 0.15
"""Loudness, slope and bends of the spectrum (a tenth is 4 dB), and shares of pieces with noise and of a telephone's bandwidth."""
BENDS = 6
"""Frequencies, evenly on the mel scale, between which the spectrum is bent."""
NOISE = (-1.0, 0.05)
"""Level of noise, in a log-mel spectrum; a voice lies at 0.1 to 0.5."""
TELEPHONE = 2146 / 2840
"""Share of the bands, even on the mel scale, that lie below 4 of 8 kHz."""
FRAMES_A_SECOND = RATE_HZ // HOP
MOST_SENTENCES = 24
PAUSE = (5, 70)
"""Frames between two sentences."""
LABELS_WEIGHT, WORDS_WEIGHT, APART_WEIGHT, PAIRS_WEIGHT = 4.0, 0.5, 1.0, 0.3


@dataclass(frozen=True)
class ListeningRecipe(Schedule):
    """The settings of one training; the keys of ``recipes/audio.toml``.

    ``voices`` speak ``dictations`` of each patient of the banks. A step has pieces of ``longest_s`` seconds at most, ``seconds``
    in all: single sentences for ``single_first`` steps, then longer ones, and whole dictations after as many steps again.
    """

    voices: Sequence[str]
    dictations: int
    seed: int
    seconds: int
    longest_s: int
    single_first: int

    def __post_init__(self) -> None:
        if not self.voices:
            raise ValueError("voices is empty: name at least one")


@dataclass(frozen=True, eq=False)
class Pieces:
    """What a step hears.

    Attributes:
        spectra, frames: sounds (batch, mel, frame) and their lengths.
        words: the same as ids (batch, word).
        firsts: places in the batch of pieces with different words.
    """

    spectra: torch.Tensor
    frames: torch.Tensor
    words: torch.Tensor
    firsts: list[int]


class Dictations:
    """The pieces of step ``n`` follow from the seed and ``n`` alone."""

    def __init__(self, said: Sequence[Spoken], words: TextWords, recipe: ListeningRecipe) -> None:
        self.said, self.words, self.recipe = said, words, recipe

    def vocabulary(self) -> torch.Tensor:
        """Ids of the words that are spoken, in order."""
        sentences = sorted({sentence for one in self.said for sentence in one.sentences})
        return torch.tensor(sorted({word for sentence in sentences for word in self.words.ids([("dictation", sentence)])}))

    def after(self, first: int) -> Iterator[Pieces]:
        """The pieces of the steps from ``first`` to the end."""
        for number in range(first, self.recipe.steps):
            share = min(1.0, max(0.0, number / max(1, self.recipe.single_first) - 1.0))
            yield self.pieces(np.random.default_rng([self.recipe.seed, number]), 1 + round(share * MOST_SENTENCES))

    def pieces(self, rng: np.random.Generator, most: int) -> Pieces:
        """Pieces of at most ``most`` sentences."""
        sounds, texts, frames = [], list[str](), 0
        while frames < FRAMES_A_SECOND * self.recipe.seconds:
            one = self.said[int(rng.integers(len(self.said)))]
            count = int(rng.integers(1, min(most, len(one.sentences)) + 1))
            start = int(rng.integers(len(one.sentences) - count + 1))
            lengths = np.cumsum([spectrum.shape[1] for spectrum in one.spectra[start : start + count]])
            end = start + max(1, int((lengths < FRAMES_A_SECOND * self.recipe.longest_s).sum()))
            sounds.append(varied([of_kept(spectrum) for spectrum in one.spectra[start:end]], rng))
            texts.append(" ".join(one.sentences[start:end]))
            frames += sounds[-1].shape[1]
        firsts = [place for place, text in enumerate(texts) if text not in texts[:place]]
        return Pieces(*batch_of(sounds), self.words.joined([[("dictation", text)] for text in texts]), firsts)


def batch_of(sounds: Sequence[Float32[np.ndarray, "mel _"]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Spectra (batch, mel, frame) with silence after the shorter ones, and the frames of each."""
    longest = max(1, *(sound.shape[1] for sound in sounds))
    filled = [np.pad(sound, ((0, 0), (0, longest - sound.shape[1])), constant_values=FLOOR) for sound in sounds]
    return torch.from_numpy(np.stack(filled)), torch.tensor([sound.shape[1] for sound in sounds])


def varied(sentences: Sequence[Float32[np.ndarray, "mel _"]], rng: np.random.Generator) -> Float32[np.ndarray, "mel frame"]:
    """Sentences with pauses between them, as another speaker would have said them into another microphone."""
    mels = len(sentences[0])
    parts = []
    for sentence in sentences:
        parts += [np.full((mels, int(rng.integers(*PAUSE))), FLOOR, np.float32), sentence]
    sound = _warped(np.concatenate(parts, axis=1), rng.uniform(*FASTER), rng.uniform(*HIGHER))
    slope = np.linspace(-0.5, 0.5, mels)[:, None] * rng.uniform(-TILTED, TILTED)
    bends = np.interp(np.linspace(0, BENDS - 1, mels), np.arange(BENDS), rng.normal(0, COLOURED, BENDS))[:, None]
    sound = sound + slope + bends + rng.uniform(-LOUDER, LOUDER)
    if rng.random() < NARROW:
        sound[round(TELEPHONE * mels) :] = FLOOR
    if rng.random() < NOISY:
        tilt = np.linspace(0.5, -0.5, mels)[:, None] * rng.uniform(0.0, 0.5)
        noise = rng.uniform(*NOISE) + tilt + 0.25 * np.log10(rng.exponential(size=sound.shape) + 1e-3)
        sound = np.log10(10 ** (4 * sound) + 10 ** (4 * noise)) / 4
    return np.maximum(sound, FLOOR).astype(np.float32)


def _warped(sound: Float32[np.ndarray, "mel frame"], faster: float, higher: float) -> Float32[np.ndarray, "mel stretched"]:
    """The sound at another speed and with all frequencies moved by a factor along the mel scale."""
    mels, frames = sound.shape
    at = np.clip(np.arange(mels) / higher, 0, mels - 1)
    low = np.minimum(at.astype(int), mels - 2)
    part = (at - low)[:, None].astype(np.float32)
    sound = sound[low] * (1 - part) + sound[low + 1] * part
    return sound[:, np.minimum((np.arange(int(frames / faster)) * faster).astype(int), frames - 1)]


class Listener(torch.nn.Module):
    """The audio encoder and the labels that are heard in it, beside a model that stands still; ``vocabulary`` may be spoken."""

    places: torch.Tensor

    def __init__(self, omni: Omni, vocabulary: torch.Tensor) -> None:
        super().__init__()
        self.omni = omni.requires_grad_(False)
        for part in (omni.audio, omni.overheard):
            part.requires_grad_(True)
        self.spell = torch.nn.Linear(omni.config.width, len(vocabulary) + 1)
        places = torch.zeros(omni.config.vocabulary, dtype=torch.long)
        places[vocabulary] = torch.arange(1, len(vocabulary) + 1)
        self.register_buffer("places", places, persistent=False)

    def losses(self, pieces: Pieces) -> dict[str, torch.Tensor]:
        """Loss of the labels, of the words, of the mean of the tokens, and of the place among others in the shared space."""
        firsts = pieces.firsts
        with torch.no_grad():
            read = self.omni.encode(Given(text=pieces.words))["text"]
            place, mean = self.omni.shared("text", read), mean_of(read.tokens, read.mask)
        heard = self.omni.encode(Given(spectra=pieces.spectra, frames=pieces.frames))["audio"]
        apart = (mean_of(heard.tokens, heard.mask) - mean).square().sum(dim=1) / mean.square().sum(dim=1)
        assert read.claims is not None and heard.claims is not None  # noqa: S101  (both are of words)
        claims = torch.nn.functional.binary_cross_entropy_with_logits(heard.claims, torch.sigmoid(read.claims))
        return {
            "labels": LABELS_WEIGHT * claims,
            "words": WORDS_WEIGHT * self._words_loss(heard.tokens, heard.mask, pieces.words),
            "apart": APART_WEIGHT * apart.mean(),
            "pairs": PAIRS_WEIGHT * pairs_loss(self.omni.shared("audio", heard)[firsts], place[firsts], self.omni.warmth),
        }

    def _words_loss(self, tokens: torch.Tensor, mask: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        spelled = self.spell(tokens).log_softmax(dim=-1).transpose(0, 1)  # (token, batch, word), the first is no word
        spoken = words[:, 1:]  # without what says that this is a dictation
        lengths = (spoken != PAD).sum(dim=1)
        return torch.nn.functional.ctc_loss(spelled, self.places[spoken], mask.sum(dim=1), lengths, zero_infinity=True)


def as_texts(omni: Omni) -> Omni:
    """The same model, in which sounds begin as texts go: wherever a part is for one modality, audio gets the weights of text."""
    audio, text = MODALITIES.index("audio"), MODALITIES.index("text")
    fusion = omni.fusion
    with torch.no_grad():
        omni.overheard.load_state_dict(omni.heard.state_dict())
        omni.audio.norm.load_state_dict(omni.text.norm.state_dict())
        omni.share["audio"].load_state_dict(omni.share["text"].state_dict())
        for rows in (fusion.kind.weight, fusion.important.weight, fusion.important.bias):
            rows[audio] = rows[text]
        for layer in fusion.layers:
            assert isinstance(layer, FusionLayer)  # noqa: S101  (a list of modules forgets what they are)
            for parts in (layer.norms, layer.looks, layer.shows, layer.own):
                parts["audio"].load_state_dict(parts["text"].state_dict())
            layer.pair[:, audio] = layer.pair[:, text]
            layer.pair[STREAMS.index("audio")] = layer.pair[STREAMS.index("text")]
    return omni


def learner_on(trained: Omni, vocabulary: torch.Tensor) -> Listener:
    """What learns, on top of a model that knows texts."""
    omni = Omni(trained.config, ("text", "audio"))
    omni.load_state_dict(trained.state_dict(), strict=False)  # the audio encoder is new, a vision encoder is not needed
    return Listener(as_texts(omni), vocabulary)


def with_ears(trained: Omni, listener: Mapping[str, torch.Tensor]) -> Omni:
    """A model with the audio encoder of averaged weights that ``train`` wrote."""
    omni = Omni(trained.config)
    learned = {name.removeprefix("omni."): value for name, value in listener.items() if name.startswith("omni.")}
    omni.load_state_dict({**trained.state_dict(), **learned})
    return omni


def train(learner: Listener, dictations: Dictations, checkpoint: Path, told: Told) -> None:
    """Train to the end, or go on from the checkpoint."""
    Loop(learner, dictations.recipe, checkpoint).run(dictations.after, learner.losses, told)
