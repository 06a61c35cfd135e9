import numpy as np
import pytest

from adapters import wordings
from medomni.model.config import LABELS
from medomni.model.prompt import prompt, sentences
from medomni.reporting.guard import objection


@pytest.mark.parametrize("label", (*LABELS, "low_bone_density"))
def test_every_sentence_that_is_taught_passes_the_guard(label):
    rng = np.random.default_rng(len(label))
    for _ in range(60):
        one = wordings.statement(label, rng)
        text = wordings.sentence(one, rng)
        assert objection(text, one, "en") is None, text


def test_answer_is_taken_apart_into_its_sentences():
    rng = np.random.default_rng(1)
    statements = wordings.draw(rng)
    answer = wordings.answer(statements, rng)
    assert all(sentences(answer, len(statements)))
    assert prompt(statements).startswith("Findings:\n1 ")


def test_statement_is_worded_in_many_ways():
    rng = np.random.default_rng(2)
    one = wordings.statement("pleural_effusion", rng)
    assert len({wordings.sentence(one, rng) for _ in range(40)}) >= 4


def test_only_the_findings_that_are_named_are_drawn():
    rng = np.random.default_rng(5)
    some = ("splenomegaly", "renal_stone", "hepatic_steatosis", "low_bone_density", "pleural_effusion", "hiatal_hernia")
    assert {one.label for _ in range(40) for one in wordings.draw(rng, some)} == set(some)


def test_same_seed_teaches_the_same():
    assert wordings.pair(np.random.default_rng(3)) == wordings.pair(np.random.default_rng(3))
