import json
import tomllib

import numpy as np
import pytest
import torch

from adapters import check, decoder, lora
from adapters.loop import Told
from medomni.errors import BadInput
from medomni.model.adapter import CARD, load
from medomni.model.config import LABELS
from medomni.model.decoder_weights import LlamaShape
from medomni.model.generate import Decoder
from medomni.model.runtime import import_openvino
from tests.tiny_llama import write_tiny_llama

pytest.importorskip("peft")
pytest.importorskip("transformers")
IDS = [3, 14, 15, 92, 65]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("llama"))


def recipe(**changes):
    values = {"labels": LABELS, "seed": 1, "steps": 4, "batch": 2, "rank": 4, "alpha": 8, "learning_rate": 1e-2, "warm_up": 1}
    values |= {"weight_decay": 0.0, "average_decay": 0.5, "checkpoint_every": 2, "gradient_checkpointing": False}
    return decoder.DecoderRecipe(**{**values, **changes})


@pytest.fixture(scope="module")
def saved(folder, tmp_path_factory):
    """A trained adapter, its folder and its learner."""
    work = tmp_path_factory.mktemp("adapter")
    learner = decoder.train(folder, work / "c.pt", recipe(steps=30), Told("decoder"))
    decoder.save(learner, work / "tiny", "tiny", "base/int4-32", {"steps": 30})
    return learner, work / "tiny"


def test_base_stands_still_and_the_adapter_learns(folder, saved):
    learner, _ = saved
    fresh = decoder.DecoderLearner(folder, recipe())
    lesson = decoder.Lessons(folder, recipe()).lesson(np.random.default_rng(9))
    with torch.no_grad():
        assert learner.losses(lesson)["words"] < 0.9 * fresh.losses(lesson)["words"]
    plain, adapted = decoder.plain_model(folder), learner.model.get_base_model()
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(dict(plain.named_parameters())[name], dict(adapted.named_parameters())[name])


def test_only_answers_are_learned(folder):
    ids, mask, targets = decoder.Lessons(folder, recipe()).lesson(np.random.default_rng(1))
    learned = targets != lora.NOT_LEARNED
    assert torch.equal(targets[learned], ids[learned])
    assert not learned[:, :10].any()
    assert (mask[learned] == 1).all()


def test_saved_folder_is_a_plain_checked_adapter_with_its_card(saved):
    _, folder = saved
    summary = check.check_adapter(folder, decoder.BASE)
    assert (summary.rank, summary.alpha) == (4, 8)
    card = tomllib.loads((folder / CARD).read_text())
    assert (card["name"], card["base"], card["steps"]) == ("tiny", "base/int4-32", 30)


@pytest.mark.skipif(import_openvino() is None, reason="OpenVINO is not installed")
def test_graph_with_the_adapter_scores_as_peft_does_and_as_merged_weights_do(folder, saved):
    pytest.importorskip("llguidance")
    learner, saved_folder = saved
    graph = Decoder(folder, rounding=0)
    adapter = load(saved_folder, graph.shape, "base/int4-32")
    found, _ = graph._read(graph._request(adapter), graph._words[IDS], 0)
    with torch.no_grad():
        expected = learner.model(input_ids=torch.tensor([IDS])).logits[0, -1].numpy()
    assert np.allclose(found, expected, atol=1e-2)
    import copy

    with torch.no_grad():
        merged = copy.deepcopy(learner.model).merge_and_unload()(torch.tensor([IDS])).logits[0, -1].numpy()
    assert np.allclose(merged, expected, atol=1e-3)


def test_adapter_of_another_base_is_refused(folder, saved):
    with pytest.raises(BadInput, match="another language model"):
        load(saved[1], LlamaShape.read(folder), "other/int4-32")


def test_adapter_that_is_too_wide_is_refused(folder, saved, tmp_path):
    learner = decoder.DecoderLearner(folder, recipe(rank=12))
    decoder.save(learner, tmp_path / "wide", "wide", "b", {})
    with pytest.raises(BadInput, match="too wide"):
        load(tmp_path / "wide", LlamaShape.read(folder), "b")


def test_stopped_training_goes_on_as_if_it_had_not_been(folder, tmp_path, monkeypatch):
    whole = decoder.train(folder, tmp_path / "whole.pt", recipe(), Told("decoder"))
    after = decoder.Lessons.after
    monkeypatch.setattr(
        decoder.Lessons, "after", lambda self, first: (x for _, x in zip(range(2), after(self, first), strict=False))
    )
    decoder.train(folder, tmp_path / "parts.pt", recipe(), Told("decoder"))
    monkeypatch.setattr(decoder.Lessons, "after", after)
    parts = decoder.train(folder, tmp_path / "parts.pt", recipe(), Told("decoder"))
    assert all(torch.equal(a, b) for a, b in zip(whole.thin, parts.thin, strict=True))


def test_recomputed_activations_give_the_same_gradients(folder):
    lesson = decoder.Lessons(folder, recipe()).lesson(np.random.default_rng(2))
    gradients = []
    for is_recomputing in (False, True):
        learner = decoder.DecoderLearner(folder, recipe(gradient_checkpointing=is_recomputing))
        learner.model.train()
        learner.losses(lesson)["words"].backward()
        gradients.append([parameter.grad for parameter in learner.thin])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_less_is_held_where_the_recipe_recomputes(folder):
    lesson, held = decoder.Lessons(folder, recipe()).lesson(np.random.default_rng(2)), {False: 0, True: 0}
    for is_recomputing in held:

        def keep(value, key=is_recomputing):
            held[key] += value.numel()
            return value

        learner = decoder.DecoderLearner(folder, recipe(gradient_checkpointing=is_recomputing))
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            learner.losses(lesson)
    assert held[True] < 0.7 * held[False]


def test_checkpoint_holds_the_thin_matrices_alone(folder, tmp_path):
    learner = decoder.train(folder, tmp_path / "c.pt", recipe(), Told("decoder"))
    stored = torch.load(tmp_path / "c.pt", weights_only=True)["module"]
    assert [value.shape for value in stored.values()] == [value.shape for value in learner.thin]


def test_configuration_holds_nothing_but_what_is_needed(saved):
    config = json.loads((saved[1] / "adapter_config.json").read_text())
    assert set(config) == {
        *("peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "bias", "inference_mode"),
        *("target_modules", "base_model_name_or_path"),
    }
