from dataclasses import replace

import numpy as np
import pytest

from medomni.errors import BadSettings, MissingPart
from medomni.model.backends.key_slices import EDGE, key_slices
from medomni.model.backends.qwen_omni import QwenOmni, drafter
from medomni.pipeline import Shown
from medomni.reporting.rewording import reword
from medomni.settings import load
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from tests import drafts, factories
from tests.unit.medomni.reporting.test_guard import statement

KINDS = ("qwen2_5_omni_thinker", "qwen3_omni_moe_thinker")


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    pytest.importorskip("transformers")
    from tests.tiny_qwen import write_tiny_qwen

    return write_tiny_qwen(tmp_path_factory.mktemp(request.param), request.param)


def shown(slices=154, history=""):
    grid = factories.grid((slices, 60, 80), (1.5, 5.0, 5.0))
    hu = np.full(grid.shape, -1000, np.int16)
    hu[:, 10:50, 10:70] = np.linspace(-900, 200, 60, dtype=np.int16)
    labels = np.zeros(grid.shape, np.uint8)
    labels[:, 20:40, 20:60] = 1
    return Shown(Volume(hu, grid), Segmentation(labels, grid, {1: "liver"}, "s", "d"), history)


def on_slice(index, label="lung_nodule"):
    one = statement(label, place="x")
    return replace(
        one, sentence=one.sentence.model_copy(update={"receipt": one.sentence.receipt.model_copy(update={"slice_index": index})})
    )


def test_slices_that_prove_statements_are_shown_in_their_window():
    known = shown()
    lung, soft = key_slices(known.volume, known.segmentation, [on_slice(80), on_slice(80), on_slice(80, "cardiomegaly")])
    assert lung.shape == (20 + 24, 40 + 24)
    assert lung.max() <= 255
    assert (soft == 0).mean() > (lung == 0).mean()
    assert key_slices(known.volume, known.segmentation, [on_slice(None), on_slice(9999)]) == []
    assert len(key_slices(known.volume, known.segmentation, [on_slice(number) for number in range(9)])) == 4


def test_large_pictures_are_made_smaller():
    grid = factories.grid((2, 700, 512), (1.5, 0.7, 0.7))
    volume = Volume(np.zeros(grid.shape, np.int16), grid)
    (picture,) = key_slices(volume, Segmentation(np.zeros(grid.shape, np.uint8), grid, {}, "s", "d"), [on_slice(1)])
    assert max(picture.shape) == EDGE


def test_tiny_model_of_each_class_drafts_through_the_real_path_and_is_replaced(folder):
    draft = drafts.draft(drafts.findings(drafts.nodule()))
    model = QwenOmni(str(folder))
    new, counts = reword(draft, drafts.grid(), lambda statements, language: model.word(statements, language, shown()))
    assert new == draft
    assert (counts.asked, counts.kept) == (1, 0)


def test_pictures_and_history_reach_the_model(folder):
    model = QwenOmni(str(folder))
    without = model.inputs("Findings:", [], "")
    picture = np.zeros((112, 112), np.uint8)
    given = model.inputs("Findings:", [picture, picture], "Cough for weeks. " * 200)
    assert given["image_grid_thw"].shape[0] == 2
    assert given["input_ids"].shape[1] > without["input_ids"].shape[1]
    text = model._words.decode(given["input_ids"][0].tolist())
    assert "Cough for weeks." in text
    assert len(text) < len(model._words.decode(without["input_ids"][0].tolist())) + 1200
    one, other = (model.ask("Findings:", [np.full((112, 112), value, np.uint8)], "", 3) for value in (0, 255))
    assert isinstance(one, str) and isinstance(other, str)


def test_adapter_is_trained_saved_loaded_and_changes_what_is_written(folder, tmp_path):
    torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
    plain = QwenOmni(str(folder))
    how = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    learner = peft.get_peft_model(QwenOmni(str(folder))._loaded, how).train()
    inputs = plain.inputs("Findings:", [np.zeros((112, 112), np.uint8)], "")
    optimiser = torch.optim.AdamW((p for p in learner.parameters() if p.requires_grad), lr=0.05)
    losses = []
    for _ in range(6):
        loss = learner(**inputs, labels=inputs["input_ids"]).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    learner.save_pretrained(str(tmp_path / "adapter"))
    adapted = QwenOmni(str(folder), tmp_path / "adapter")
    with torch.no_grad():
        before, after = (model._loaded(**inputs).logits for model in (plain, adapted))
    assert not torch.allclose(before, after, atol=1e-4)
    assert [part.role for part in adapted.parts] == ["drafter", "adapter"]


def test_model_that_is_not_there_is_a_missing_part(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingPart, match="MEDOMNI_DRAFTER_MODEL"):
        _ = QwenOmni("nobody/no-such-model").folder
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(MissingPart, match="cannot be loaded"):
        _ = QwenOmni(str(tmp_path))._loaded


def test_settings_name_the_model():
    assert drafter(load({"MEDOMNI_DRAFTER_MODEL": "/models/qwen"}), None).model == "/models/qwen"
    with pytest.raises(BadSettings, match="MEDOMNI_DRAFTER_MODEL"):
        drafter(load({}), None)


def test_chinese_is_left_to_the_phrase_bank():
    assert QwenOmni("x").word([statement()], "zh", shown()) == []
