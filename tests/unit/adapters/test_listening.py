"""The audio encoder learns from dictations what the text encoder knows of the same words."""

import shutil
import zlib

import numpy as np
import pytest
import torch

from adapters import listening, voices
from adapters.loop import Told, averaged
from medomni.errors import MissingPart
from medomni.model import audio, checkpoint
from medomni.model.config import LABELS, MODALITIES, tiny
from medomni.model.omni import Given, Omni
from medomni.model.omni_folder import SHIPPED
from medomni.model.words import TextWords, learn_words

SENTENCES = ("Large effusion.", "No effusion.", "Emphysema.", "Solid nodule.", "The heart is enlarged.", "Normal aorta.")
VOICE = next((f"{speaker}:{name}" for speaker, name in (("flite", "slt"), ("espeak-ng", "en-us")) if shutil.which(speaker)), "")


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    file = tmp_path_factory.mktemp("words") / "tokenizer.json"
    learn_words(SENTENCES, tiny().vocabulary, file)
    return TextWords(file.read_text("utf-8"), tiny().longest_text)


def sound_of(sentence):
    """Each word as a pattern of its own."""
    parts = [np.random.default_rng(zlib.crc32(word.encode())).random((16, 40)) for word in sentence.split()]
    return voices.kept(np.concatenate(parts, axis=1).astype(np.float32))


def said(count=8):
    rng = np.random.default_rng(0)
    chosen = [list(rng.permutation(SENTENCES)[:4]) for _ in range(count)]
    return [voices.Spoken(sentences, [sound_of(one) for one in sentences], {"seed": 1}) for sentences in chosen]


def recipe(**changes):
    values = {"voices": ["flite:kal"], "dictations": 1, "seed": 2, "seconds": 20, "longest_s": 4, "single_first": 30}
    schedule = {"steps": 60, "learning_rate": 1e-2, "warm_up": 5, "weight_decay": 0.0, "average_decay": 0.9}
    return listening.ListeningRecipe(**{**values, **schedule, "checkpoint_every": 30, **changes})


def model():
    torch.manual_seed(0)
    return Omni(tiny(), ("vision", "text")).eval()


def test_steps_follow_from_the_seed_and_begin_with_single_sentences(words):
    dictations = listening.Dictations(said(), words, recipe())
    again = next(iter(listening.Dictations(said(), words, recipe(steps=42)).after(40)))
    drawn = list(dictations.after(0))
    assert torch.equal(drawn[40].spectra, again.spectra)
    assert torch.equal(drawn[40].words, again.words)
    assert int((drawn[0].words != 0).sum(dim=1).max()) < int((drawn[59].words != 0).sum(dim=1).max())
    assert all(int(step.frames.sum()) >= 20 * listening.FRAMES_A_SECOND for step in drawn)
    rows = [tuple(row) for row in drawn[0].words.tolist()]
    assert sorted(rows[place] for place in drawn[0].firsts) == sorted(set(rows))


def test_longest_piece_is_kept_but_never_less_than_a_sentence(words):
    dictations = listening.Dictations(said(), words, recipe(longest_s=1))
    longest = max(sound_of(one).shape[1] for one in SENTENCES) + listening.PAUSE[1]
    assert int(dictations.pieces(np.random.default_rng(0), 4).frames.max()) <= longest / listening.FASTER[0] + 1


def test_training_brings_sounds_to_their_words_and_leaves_all_else_alone(words, tmp_path):
    trained = model()
    dictations = listening.Dictations(said(), words, recipe())
    learner = listening.learner_on(trained, dictations.vocabulary())
    pieces = dictations.pieces(np.random.default_rng(9), 1)
    first = {name: float(loss) for name, loss in learner.losses(pieces).items()}
    listening.train(learner, dictations, tmp_path / "audio.pt", Told("audio"))
    whole = listening.with_ears(trained, averaged(tmp_path / "audio.pt")).eval()
    later = {name: float(loss) for name, loss in listening.Listener(whole, dictations.vocabulary()).losses(pieces).items()}
    assert later["apart"] < 0.8 * first["apart"]
    assert later["labels"] < first["labels"]
    text = words.joined([[("dictation", SENTENCES[0])]])
    with torch.inference_mode():
        before, after = trained(Given(text=text)), whole(Given(text=text))
        heard = whole(Given(text=text, spectra=pieces.spectra[:1], frames=pieces.frames[:1]))
    assert torch.equal(before.logits, after.logits)
    assert set(heard.claims) == {"text", "audio"}
    assert heard.claims["audio"].shape == (1, len(LABELS))


def test_sounds_begin_with_the_weights_of_texts():
    fusion = listening.as_texts(Omni(tiny())).fusion
    sound, text = MODALITIES.index("audio"), MODALITIES.index("text")
    assert torch.equal(fusion.kind.weight[sound], fusion.kind.weight[text])
    for layer in fusion.layers:
        assert torch.equal(layer.looks["audio"].ask.weight, layer.looks["text"].ask.weight)
        assert torch.equal(layer.pair[:, sound], layer.pair[:, text])


def test_dictation_is_kept_as_it_sounds(tmp_path):
    one = said(1)[0]
    voices.save(tmp_path / "one.npz", one)
    again = voices.load(tmp_path / "one.npz")
    assert list(again.sentences) == list(one.sentences)
    assert all(np.array_equal(a, b) for a, b in zip(again.spectra, one.spectra, strict=True))
    spectrum = np.linspace(-1, 1.5, 80, dtype=np.float32).reshape(16, 5)
    assert np.abs(voices.of_kept(voices.kept(spectrum)) - spectrum).max() <= 0.5 / voices.STEPS + 1e-6


@pytest.mark.skipif(not VOICE, reason="needs flite or espeak-ng, speech synthesisers")
def test_voice_speaks_longer_for_more_words():
    short, rate = voices.speak("No effusion.", VOICE)
    long, _ = voices.speak("There is a large effusion on the left, and none on the right.", VOICE)
    assert short.shape[0] == 1
    assert 0.3 * rate < short.shape[1] < long.shape[1]
    with pytest.raises(MissingPart, match="voice is not there"):
        voices.speak("No.", f"{VOICE.partition(':')[0]}:nobody-{'x' * 9}")


def test_speaker_that_is_not_installed_is_named():
    with pytest.raises(MissingPart, match="no nobody-speaks"):
        voices.check_installed(["nobody-speaks:slt"])


@pytest.mark.skipif(not shutil.which("flite"), reason="needs flite, a speech synthesiser")
def test_shipped_model_hears_what_is_said_to_be_there_and_what_is_not():
    omni = checkpoint.load(SHIPPED, ("text", "audio")).omni
    place = LABELS.index("pleural_effusion")

    def heard(text):
        sound = audio.log_mel(audio.heard(*voices.speak(text, "flite:rms"), 30), omni.config.mels)[None]
        with torch.inference_mode():
            return float(omni.encode(Given(spectra=sound, frames=torch.tensor([sound.shape[-1]])))["audio"].claims[0, place])

    there = heard("There is a large left pleural effusion.")
    assert there > heard("No pleural effusion.") + 2
    assert there > heard("There is mild emphysema.") + 2
