import json
import re

import numpy as np
import pytest
import torch

from adapters import fused, near, sights, told_texts
from adapters.loop import Told, averaged
from adapters.samples import save_sample
from app import bank
from medomni.model.config import LABELS, tiny
from medomni.model.omni import Given
from medomni.model.words import SPECIAL, TextWords, learn_words
from medomni.phantom import make_case
from medomni.phantom.disease import Placed
from preprocessing.detect.calibrate import true_segmentation
from preprocessing.scan import to_scan


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Four small phantoms in a bank, two of them with an effusion."""
    folder = tmp_path_factory.mktemp("bank")
    for seed in range(4):
        placed = (Placed("pleural_effusion", "right", "", "severe"),) if seed % 2 else ()
        case = make_case(seed, placed, shape=(24, 48, 48), spacing_mm=(12.0, 7.4, 7.4))
        scan = to_scan(case.volume, true_segmentation(case))
        voxels = [bank.voxels_in_cells(lesion.mask, case.volume.grid, scan) for lesion in case.drawn]
        save_sample(folder / f"{seed}.npz", scan, voxels, bank.told(case, scan))
    return sorted(folder.glob("*.npz"))


@pytest.fixture(scope="module")
def patients(files, tmp_path_factory):
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("sights")
    return fused.patients_of(list(sights.look(files, near.NearLearner(tiny()).near, out)))


@pytest.fixture(scope="module")
def words(patients, tmp_path_factory):
    file = tmp_path_factory.mktemp("words") / "tokenizer.json"
    rng = np.random.default_rng(0)
    learn_words([told_texts.dictation(patient.info, rng) for patient in patients], tiny().vocabulary, file)
    return TextWords(file.read_text("utf-8"), tiny().longest_text)


def recipe(**changes):
    values = {
        "region": "chest",
        "bodies": 2,
        "first_seed": 3_100_000,
        "text_first": 0,
        "text_share": 0.3,
        "held_back": 1,
        "gate_steps": 3,
        "gate_rate": 3e-3,
        "seed": 1,
        "steps": 4,
        "batch": 6,
        "learning_rate": 3e-3,
        "warm_up": 1,
    }
    return fused.FusedRecipe(**{**values, "weight_decay": 0.0, "average_decay": 0.5, "checkpoint_every": 2, **changes})


def learner():
    torch.manual_seed(1)
    return fused.learner_on(near.NearLearner(tiny()).state_dict(), tiny())


def test_sight_is_kept_with_the_truth_of_its_patient(patients):
    effusion = LABELS.index("pleural_effusion")
    assert [int(patient.labels[effusion]) for patient in patients] == [0, 1, 0, 1]
    assert all(torch.isfinite(value).all() for patient in patients for value in sights.asdict_of(patient.sight).values())


def test_texts_of_a_patient_say_what_is_true(patients):
    from medomni.reporting import labeler

    rng = np.random.default_rng(3)
    texts = {told_texts.dictation(patients[1].info, rng) for _ in range(8)}
    assert len(texts) > 3
    for text in texts:
        language = "zh" if any("\u4e00" <= letter <= "\u9fff" for letter in text) else "en"
        assert "pleural_effusion" in labeler.presences(text, language)


def test_words_of_a_patient_follow_each_other(words):
    ids = words.joined([[("history", "Cough."), ("dictation", "Effusion.")], []])
    assert ids[0, 0] == SPECIAL.index("<history>")
    assert SPECIAL.index("<dictation>") in ids[0]
    assert (ids[1] == 0).all()
    assert words.joined([[("history", "long " * 500)]]).shape[1] == tiny().longest_text


def test_turn_follows_the_ct_to_label_and_the_voice_to_edit(patients, words):
    turns = fused.Turns(patients, words, recipe(batch=40))
    drawn = [turns.turn(np.random.default_rng(seed)) for seed in range(30)]
    assert {turn.task for turn in drawn} >= {"label", "edit"}
    labelling = [turn for turn in drawn if turn.task in ("label", "draft", "box")]
    assert all(torch.equal(turn.target[turn.has_sight], turn.seen[turn.has_sight]) for turn in labelling)
    edits = [turn for turn in drawn if turn.task == "edit"]
    assert any(not torch.equal(turn.target[turn.has_sight], turn.seen[turn.has_sight]) for turn in edits)


def test_texts_alone_come_first_and_now_and_then(patients, words):
    turns = fused.Turns(patients[:2], words, recipe(steps=40, text_first=5), patients[2:])
    drawn = list(turns.after(0))
    assert all(turn.sight is None for turn in drawn[:5])
    assert {turn.sight is None for turn in drawn[5:]} == {True, False}
    assert torch.equal(next(iter(turns.after(3))).text, drawn[3].text)
    assert set(learner().losses(drawn[0])) == {"text", "heard"}


def test_training_lowers_the_loss_and_leaves_the_near_network_alone(patients, words, tmp_path):
    one, checkpoint = learner(), tmp_path / "c.pt"
    before = {name: value.clone() for name, value in one.omni.vision.near.state_dict().items()}
    turns = fused.Turns(patients, words, recipe(steps=30, batch=12))
    first = float(torch.stack(list(one.losses(turns.turn(np.random.default_rng(0))).values())).sum())
    fused.train(one, turns, checkpoint, Told("fused"))
    again = learner()
    again.load_state_dict(averaged(checkpoint))
    later = float(torch.stack(list(again.losses(turns.turn(np.random.default_rng(0))).values())).sum())
    assert later < first
    changed = [name for name, value in one.omni.vision.near.state_dict().items() if not torch.equal(value, before[name])]
    assert [name for name in changed if "running" not in name and "batches" not in name] == []


def test_pairs_that_match_lose_less_than_pairs_that_do_not():
    one = torch.nn.functional.normalize(torch.eye(6), dim=1)
    warmth = torch.tensor(2.0)
    assert fused.pairs_loss(one, one, warmth) < fused.pairs_loss(one, one.roll(1, 0), warmth)


def test_patients_of_whom_nothing_is_given_on_one_side_are_answered(patients, words):
    one = learner().eval()
    turn = fused.Turns(patients, words, recipe(batch=8)).turn(np.random.default_rng(2))
    with torch.no_grad():
        losses = one.losses(turn)
        answer = one.omni(Given(text=turn.text), "label")
    assert all(torch.isfinite(value) for value in losses.values())
    assert torch.isfinite(answer.logits).all()
    assert json.dumps(turn.task)


def test_importance_is_learned_from_how_much_each_modality_is_missed(patients, words):
    one = learner()
    turns = fused.Turns(patients, words, recipe(batch=12))
    weighed = [turn for turn in (turns.turn(np.random.default_rng(seed)) for seed in range(30)) if turn.is_weighed]
    losses = [one.losses(turn) for turn in weighed]
    assert any("importance" in loss for loss in losses)
    first = next(loss["importance"] for loss in losses if "importance" in loss)
    first.backward()
    assert one.omni.fusion.important.weight.grad is not None
    assert all(parameter.grad is None for parameter in one.omni.heard.parameters())


def test_a_body_is_learned_from_or_held_back(patients):
    learned, held = fused.split([*patients, *patients], 1)
    seeds = {one.info["seed"] for one in patients}
    assert {one.info["seed"] for one in held} == {max(seeds)}
    assert {one.info["seed"] for one in learned} == seeds - {max(seeds)}
    assert len(learned) + len(held) == 2 * len(patients)


@pytest.mark.parametrize("held_back", [0, 2, 3])
def test_some_bodies_must_be_held_back_and_not_all(held_back):
    with pytest.raises(ValueError, match="held_back"):
        recipe(held_back=held_back)


def test_gates_and_importance_learn_on_alone_and_nothing_else_changes(patients, words, tmp_path):
    one = learner()
    turns = fused.Turns(patients, words, recipe(steps=2, batch=8, gate_steps=4, gate_rate=1e-2))
    fused.train(one, turns, tmp_path / "fused.pt", Told("fused"))
    fused.train_gates(one, turns, tmp_path / "fused.pt", tmp_path / "gates.pt", Told("gates"))
    before, after = averaged(tmp_path / "fused.pt"), averaged(tmp_path / "gates.pt")
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    for learned in (".gate.", ".important.", ".telling."):
        assert any(learned in name for name in changed)
    assert all(re.search(r"\.gate\.|\.pair$|\.important\.|\.telling\.", name) for name in changed)
    assert all(turn.sight is not None and turn.is_weighed for turn in turns.looks_after(0))
