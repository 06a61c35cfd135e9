"""What the recogniser puts into the silence at the end of a recording is left out."""

import numpy as np

from preprocessing.ears import TimedWord, as_said
from preprocessing.heard import Word

RATE = 16_000


def sound(*stretches):
    """Noise of a level for some seconds each, always the same."""
    rng = np.random.default_rng(0)
    return np.concatenate([level * rng.standard_normal(int(seconds * RATE)) for level, seconds in stretches]).astype(np.float32)


def said(text, start, end, probability=0.9):
    return TimedWord(Word(f" {text}", probability, True), start, end)


def heard(words, of):
    return [one.word.text.strip() for one in as_said(words, of)]


def test_words_in_the_silence_at_the_end_were_not_said():
    words = [said("no", 0.1, 0.4), said("effusion.", 0.4, 0.95), said("Emphysema.", 1.1, 1.4), said("Emphysema.", 1.4, 1.4)]
    assert heard(words, sound((0.1, 1.0), (0.0, 0.5))) == ["no", "effusion."]
    assert heard(words, sound((0.1, 1.0), (0.001, 0.5))) == ["no", "effusion."], "the noise of a room is silence"


def test_words_that_are_said_softly_or_after_a_pause_stay():
    words = [said("no", 0.1, 0.4), said("effusion.", 2.1, 2.9)]
    assert heard(words, sound((0.1, 1.0), (0.0, 1.0), (0.02, 1.0))) == ["no", "effusion."]


def test_side_at_the_end_is_never_lost():
    spoken = sound((0.1, 1.0), (0.0, 0.5))
    assert heard([said("on", 0.5, 0.8), said("the", 0.8, 0.95), said("left.", 0.95, 1.1)], spoken)[-1] == "left."
    assert heard([said("on", 0.5, 0.8), said("the", 0.8, 0.95), said("right.", 1.1, 1.3)], spoken)[-1] == "right."


def test_last_sentence_that_is_unsure_and_too_fast_was_not_said():
    spoken = sound((0.1, 1.0), (0.0, 0.5))
    first = [said("no", 0.1, 0.4), said("effusion.", 0.4, 0.85)]
    assert heard([*first, said("Thank", 0.85, 0.93, 0.1), said("you.", 0.93, 1.0, 0.98)], spoken) == ["no", "effusion."]
    assert heard([*first, said("Sorry.", 0.85, 1.0, 0.9)], spoken)[-1] == "Sorry.", "it is sure"
    slow = [said("no", 0.1, 0.2), said("effusion.", 0.2, 0.4), said("Normal.", 0.5, 0.95, 0.3)]
    assert heard(slow, spoken)[-1] == "Normal.", "it has time enough"
    assert heard([said("Sorry.", 0.85, 1.0, 0.1)], spoken) == ["Sorry."], "what is said at all is shown"


def test_nothing_is_left_of_silence():
    assert heard([said("Emphysema.", 0.2, 0.4)], np.zeros(RATE, np.float32)) == []
    assert heard([], np.zeros(0, np.float32)) == []
