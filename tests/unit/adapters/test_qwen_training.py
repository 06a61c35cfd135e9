import shutil
from pathlib import Path

import numpy as np
import pytest

from adapters import check, lora, qwen
from adapters.loop import Told
from medomni.cache import Cache
from medomni.errors import BadInput
from medomni.model.adapter import card_of
from medomni.model.backends.digests import folder_digest
from medomni.model.backends.instructions import answers, instructions, question
from medomni.model.backends.qwen_inputs import END
from medomni.model.backends.qwen_omni import QwenOmni
from medomni.model.config import LABELS
from tests.tiny_qwen import write_tiny_qwen
from tests.unit.medomni.model.backends.test_qwen_omni import KINDS, on_slice, shown

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    return write_tiny_qwen(tmp_path_factory.mktemp(request.param), request.param)


def recipe(**changes):
    values = {"labels": LABELS, "seed": 1, "steps": 4, "batch": 1, "rank": 4, "alpha": 8, "learning_rate": 5e-2, "warm_up": 1}
    values |= {"weight_decay": 0.0, "average_decay": 0.2, "checkpoint_every": 2, "gradient_checkpointing": False, "model": ""}
    return qwen.QwenRecipe(**{**values, **changes})


@pytest.fixture(scope="module")
def saved(folder, tmp_path_factory):
    """The learner of an adapter, its folder and its checkpoint."""
    work = tmp_path_factory.mktemp("adapter")
    learner = qwen.train(QwenOmni(str(folder)), work / "c.pt", recipe(steps=12), Told("qwen"))
    card = {"name": "tiny", "base": "b", "steps": 12, "batch": 1, "seed": 1, "licence": "Apache-2.0"}
    qwen.save(learner, work / "tiny", str(folder), card)
    return learner, work / "tiny", work / "c.pt"


def lesson(folder, seed=9):
    return qwen.Lessons(QwenOmni(str(folder)).inputs, recipe()).lesson(np.random.default_rng(seed))


def loss(model, batch):
    ids, mask, targets = batch
    with torch.no_grad():
        return float(model(input_ids=ids, attention_mask=mask, labels=targets).loss)


def test_adapter_is_trained_saved_loaded_and_changes_what_is_written(folder, saved):
    _, thin, _ = saved
    plain, adapted = QwenOmni(str(folder)), QwenOmni(str(folder), thin)
    inputs = plain.inputs.of("", "Findings:", [np.zeros((112, 112), np.uint8)])
    with torch.no_grad():
        before, after = (model.loaded(**inputs).logits for model in (plain, adapted))
    assert not torch.allclose(before, after, atol=1e-4)
    assert loss(adapted.loaded, lesson(folder)) < loss(plain.loaded, lesson(folder)) - 0.08
    base, part = adapted.parts
    assert (base.role, part.role) == ("drafter", "adapter")
    kept = Cache(Path(), 0)
    assert (base.digest, part.digest) == (folder_digest(folder, kept), folder_digest(thin, kept))
    assert base.digest.startswith(base.version)


def test_drafter_with_the_adapter_words_statements_and_sees_their_slices(folder, saved):
    adapted = QwenOmni(str(folder), saved[1])
    assert len(adapted.word([on_slice(80), on_slice(90)], "en", shown())) == 2


def test_loaded_adapter_answers_as_the_learner_does(folder, saved):
    learner, thin, _ = saved
    ids, mask, _ = lesson(folder)
    with torch.no_grad():
        ours, theirs = (
            model(input_ids=ids, attention_mask=mask).logits for model in (learner.model, QwenOmni(str(folder), thin).loaded)
        )
    assert torch.allclose(ours, theirs, atol=1e-2)


def test_only_queries_and_values_of_the_language_model_are_adapted(folder, saved):
    learner, thin, _ = saved
    stems = [f"language_model.layers.{block}.self_attn.{name}" for block in range(2) for name in ("q_proj", "v_proj")]
    summary = check.check_adapter(thin, str(folder))
    assert (summary.rank, summary.alpha, summary.tensors) == (4, 8, 8)
    assert [name.removeprefix("model.") for name in summary.target_modules] == stems
    assert len(learner.names) == 8
    assert all(any(stem in name for stem in stems) for name in learner.names)
    with pytest.raises(BadInput, match="another base model"):
        check.check_adapter(thin, f"{folder}/")


def test_base_stands_still_and_is_not_in_the_checkpoint(folder, saved):
    learner, _, checkpoint = saved
    plain, adapted = (dict(model.named_parameters()) for model in (QwenOmni(str(folder)).loaded, learner.model.get_base_model()))
    assert all(
        torch.equal(value, adapted.get(name, adapted.get(name.replace("_proj.", "_proj.base_layer."))))
        for name, value in plain.items()
    )
    stored = torch.load(checkpoint, weights_only=True)
    assert [value.shape for value in stored["module"].values()] == [value.shape for value in learner.thin]
    assert len(stored["average"]) == len(learner.thin) + 1


def test_only_answers_are_learned_in_the_form_in_which_the_drafter_asks_and_reads(folder):
    inputs = QwenOmni(str(folder)).inputs
    lessons = qwen.Lessons(inputs, recipe(batch=3))
    ids, mask, targets = lessons.lesson(np.random.default_rng(1))
    learned = targets != lora.NOT_LEARNED
    assert torch.equal(targets[learned], ids[learned])
    assert (mask[learned] == 1).all()
    rng = np.random.default_rng(1)
    for row, written in zip(ids, learned, strict=True):
        statements = qwen.wordings.draw(rng, LABELS)
        said = qwen.wordings.answer(statements, rng)
        asked = inputs.of(instructions(), question(statements))["input_ids"][0]
        assert torch.equal(row[: len(asked)], asked)
        assert not written[: len(asked)].any()
        *words, end = row[written].tolist()
        assert end == inputs.id_of(END)
        assert inputs.words.decode(words) == said
        assert all(answers(said, len(statements)))


def test_stopped_training_goes_on_as_if_it_had_not_been(folder, tmp_path, monkeypatch):
    drafters = [QwenOmni(str(folder)) for _ in range(3)]
    whole = qwen.train(drafters[0], tmp_path / "whole.pt", recipe(), Told("qwen"))
    after = qwen.Lessons.after
    monkeypatch.setattr(
        qwen.Lessons, "after", lambda self, first: (x for _, x in zip(range(2), after(self, first), strict=False))
    )
    half = qwen.train(drafters[1], tmp_path / "parts.pt", recipe(), Told("qwen"))
    assert torch.load(tmp_path / "parts.pt", weights_only=True)["step"] == 2
    monkeypatch.setattr(qwen.Lessons, "after", after)
    parts = qwen.train(drafters[2], tmp_path / "parts.pt", recipe(), Told("qwen"))
    assert all(torch.equal(a, b) for a, b in zip(whole.thin, parts.thin, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(half.thin, parts.thin, strict=True))


def test_recomputed_activations_give_the_same_gradients(folder):
    batch, gradients, kept = lesson(folder, 2), [], []
    for is_recomputing in (False, True):
        learner = qwen.QwenLearner(QwenOmni(str(folder)), recipe(gradient_checkpointing=is_recomputing))
        torch.nn.init.ones_(learner.thin[1])  # both matrices of a pair get a gradient
        held = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda value, held=held: held.append(value.numel()) or value, lambda value: value
        ):
            found = learner.losses(batch)["words"]
        found.backward()
        gradients.append([parameter.grad for parameter in learner.thin])
        kept.append(sum(held))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*gradients, strict=True))
    assert kept[1] < 0.7 * kept[0]


def test_model_stays_in_the_numbers_of_its_makers_and_the_matrices_are_learned_in_float32(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "half")
    QwenOmni(str(folder)).loaded.to(torch.bfloat16).save_pretrained(tmp_path / "half")
    learner = qwen.QwenLearner(QwenOmni(str(tmp_path / "half")), recipe())
    assert {parameter.dtype for parameter in learner.model.parameters() if not parameter.requires_grad} == {torch.bfloat16}
    assert {matrix.dtype for matrix in learner.thin} == {torch.float32}
    learner.losses(lesson(folder))["words"].backward()
    assert all(bool(matrix.grad.isfinite().all()) for matrix in learner.thin)
    assert any(bool(matrix.grad.any()) for matrix in learner.thin)


def test_adapter_of_many_blocks_names_every_one(tmp_path, monkeypatch):
    monkeypatch.setitem(write_tiny_qwen.__globals__["_TEXT"], "num_hidden_layers", 11)  # peft shortens lists of 20 names and more
    folder = write_tiny_qwen(tmp_path / "deep", KINDS[0])
    learner = qwen.QwenLearner(QwenOmni(str(folder)), recipe())
    learner.save(tmp_path / "thin", str(folder), {"name": "thin"})
    summary = check.check_adapter(tmp_path / "thin", str(folder))
    assert (len(summary.target_modules), summary.tensors) == (22, 44)
    assert {name.split(".lora_")[0] for name in learner.names} == {f"base_model.model.{name}" for name in summary.target_modules}


def test_folder_tells_what_the_adapter_saw(saved):
    assert card_of(saved[1])["name"] == "tiny"
    text = (saved[1] / "README.md").read_text()
    assert "12 batches of 1 prompts" in text
    assert "Text only" in text


def test_model_without_such_layers_is_refused():
    with pytest.raises(BadInput, match="no layers"):
        qwen.targets_of(torch.nn.Linear(2, 2))
