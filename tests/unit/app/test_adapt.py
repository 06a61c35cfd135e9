import sqlite3
from pathlib import Path

import pytest

from adapters import wordings
from app.commands import adapt
from medomni.errors import BadInput, MissingPart
from medomni.model import weights
from medomni.model.adapter import base_identity, card_of
from medomni.reporting.vocabulary import vocabulary
from tests.tiny_llama import write_tiny_llama
from tests.unit.adapters.test_near import write_sample


@pytest.mark.parametrize("name", adapt.SHIPPED)
def test_recipe_that_ships_is_read_by_its_name_and_has_at_most_30_keys(tmp_path, name):
    kind, table = adapt.read(tmp_path / name)
    assert kind == {"chest_ct": "decoder", "abdomen_ct": "decoder", "qwen_omni": "qwen"}.get(name, name)
    assert len(table) <= 30
    made = adapt._made(kind, table, tmp_path / name)
    assert set(getattr(made, "labels", ())) <= set(vocabulary().labels)
    assert (made.phantoms if kind == "answers" else made.steps) > 0


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("steps = ", "no TOML"),
        ("steps = 3", "what it trains"),
        ('kind = "near"\nsteps = 3', None),
        ('kind = "vision"', "what it trains"),
    ],
)
def test_recipe_that_is_none_is_refused(tmp_path, text, wrong):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=wrong):
        adapt._made(*adapt.read(path), path)


def test_unknown_name_says_which_recipes_ship(tmp_path):
    with pytest.raises(BadInput, match="near, fused, audio, answers, chest_ct, abdomen_ct, qwen_omni"):
        adapt.read(tmp_path / "nothing")


def test_fused_needs_the_near_network_first(tmp_path):
    from app import adapting

    kind, table = adapt.read(tmp_path / "fused")
    with pytest.raises(BadInput, match=r"near\.toml"):
        adapting.train_fused(adapt._made(kind, table, tmp_path), tmp_path, "", lambda _: None, 1)


def test_audio_encoder_needs_the_rest_of_the_model_first(tmp_path):
    from app import adapting

    kind, table = adapt.read(tmp_path / "audio")
    with pytest.raises(BadInput, match=r"near\.toml"):
        adapting.train_audio(adapt._made(kind, table, tmp_path), tmp_path, "", lambda _: None, 1)


def test_answers_need_the_whole_model_first(tmp_path):
    from app import adapting

    kind, table = adapt.read(tmp_path / "answers")
    with pytest.raises(BadInput, match=r"near\.toml"):
        adapting.fit_answers(adapt._made(kind, table, tmp_path), tmp_path, "", lambda _: None, 1)


def test_curves_follow_detectors_that_changed_and_all_else_stays(tmp_path):
    from adapters.answers import SELDOM, USUAL, AnswersRecipe
    from app import adapting
    from medomni.model import checkpoint
    from medomni.model.config import LABELS, MODALITIES, tiny
    from medomni.model.omni import Omni
    from medomni.model.omni_folder import WEIGHTS, Answering, digest_of
    from medomni.model.words import learn_words
    from medomni.types.opinion import Joint

    label, model, judged = "consolidation", tmp_path / "model", tmp_path / "work" / "judged"
    model.mkdir()
    judged.mkdir(parents=True)
    learn_words(["no consolidation"], 300, tmp_path / "words.json")
    deaf = Joint(offset=0.0, silence=0.0, own=1.0, theirs=0.0)
    known = Answering(offset=9.0, slope=0.0, joint=deaf, threshold=0.5, extent=USUAL, chance=SELDOM)
    checkpoint.save(Omni(tiny(), MODALITIES), dict.fromkeys(LABELS, known), tmp_path / "words.json", model)
    for seed in range(12):
        kind, probability = (label, 0.9) if seed % 2 else ("emphysema", 0.1)
        presence = "present" if seed % 2 else "absent"
        finding = {
            "id": "one",
            "label": label,
            "presence": presence,
            "probability": probability,
            "evidence": [{"slice_index": 1}],
        }
        told = {"history": {"en": "cough", "zh": "咳嗽"}, "judged": {"findings": [finding]}}
        write_sample(judged / f"{seed}.npz", kind, seed, **told)
    recipe = AnswersRecipe(phantoms=12, first_seed=0, model=str(model))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    out = adapting.fit_answers(recipe, tmp_path / "work", uri, lambda _: None, 1)
    found = checkpoint.load(out, ("vision",)).answers[label]
    assert found.joint.probability(0.0, 0.9) > 0.6
    assert found.joint.probability(0.0, 0.1) < 0.4
    assert (found.extent, found.chance) == (USUAL, SELDOM)
    assert (out / WEIGHTS).read_bytes() == (model / WEIGHTS).read_bytes()
    run = logged(tmp_path / "mlflow.db")
    assert (run["phantoms"], run["base"], run["result"]) == ("12", digest_of(model), digest_of(out))
    assert len(run["judged"]) == 64


def logged(database):
    """The parameters of the one run of a store."""
    rows = sqlite3.connect(database)
    assert rows.execute("select status from runs").fetchall() == [("FINISHED",)]
    return dict(rows.execute("select key, value from params"))


@pytest.mark.slow
def test_adapter_states_what_it_was_fitted_to_and_so_does_its_run(tmp_path):
    pytest.importorskip("peft")
    from app import adapting
    from tests.unit.adapters.test_decoder_training import recipe

    folder = write_tiny_llama(weights.folder_of(tmp_path, "decoder"))
    out = adapting.train_decoder(recipe(), tmp_path / "work", "tiny", tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    run, card = logged(tmp_path / "mlflow.db"), card_of(out)
    wording = weights.sha256_of(Path(wordings.__file__).parents[1] / "medomni" / "data" / "wording_en.toml")
    assert (run["base"], run["base_kept"], run["wording"]) == (base_identity(), weights.digest_of(folder), wording)
    assert (card["base"], card["wording"]) == (base_identity(), wording)


def test_adapter_of_a_qwen_folder_states_its_base_and_is_taken_for_the_same_folder_alone(tmp_path):
    pytest.importorskip("peft")
    pytest.importorskip("transformers")
    from app import adapting, wiring
    from medomni.cache import Cache
    from medomni.model.backends.digests import folder_digest
    from medomni.settings import load
    from medomni.types.region import Coverage
    from tests.tiny_qwen import write_tiny_qwen
    from tests.unit.adapters.test_qwen_training import recipe

    folder = write_tiny_qwen(tmp_path / "qwen", "qwen2_5_omni_thinker")
    known = load({"MEDOMNI_DRAFTER_MODEL": str(folder), "MEDOMNI_HOME": str(tmp_path / "home")})
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    out = adapting.train_qwen(recipe(steps=2), tmp_path / "work", "own", known, uri)
    run, card = logged(tmp_path / "mlflow.db"), card_of(out)
    wording = weights.sha256_of(Path(wordings.__file__).parents[1] / "medomni" / "data" / "wording_en.toml")
    base = folder_digest(folder, Cache(Path(), 0))
    assert (run["model"], run["base"], run["wording"], run["steps"]) == (str(folder), base, wording, "2")
    assert (card["name"], card["base"], card["wording"]) == ("own", base, wording)
    drafter = wiring.stages("hu-rules", known, drafter="qwen-omni", adapter=out).drafter(Coverage(region="chest"))
    assert [part.name for part in drafter.parts] == ["qwen-omni qwen", "own"]
    moved = load({"MEDOMNI_DRAFTER_MODEL": str(folder.rename(tmp_path / "moved")), "MEDOMNI_HOME": str(tmp_path / "home")})
    with pytest.raises(BadInput, match="another base model"):
        wiring.stages("hu-rules", moved, drafter="qwen-omni", adapter=out)


@pytest.mark.parametrize("model", ["", "Qwen/Qwen2.5-Omni-7B"])
def test_adapter_is_fitted_to_a_folder_alone(tmp_path, model):
    pytest.importorskip("peft")
    from app import adapting
    from medomni.settings import load
    from tests.unit.adapters.test_qwen_training import recipe

    with pytest.raises(BadInput, match="MEDOMNI_DRAFTER_MODEL"):
        adapting.train_qwen(recipe(model=model), tmp_path, "own", load({}), "")


def test_model_that_is_not_there_is_named(tmp_path):
    from adapters.answers import AnswersRecipe
    from app import adapting

    with pytest.raises(MissingPart, match="nowhere"):
        adapting.fit_answers(AnswersRecipe(1, 0, str(tmp_path / "nowhere")), tmp_path, "", lambda _: None, 1)
