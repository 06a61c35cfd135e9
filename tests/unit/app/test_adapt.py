import pytest

from app.commands import adapt
from medomni.errors import BadInput
from medomni.reporting.vocabulary import vocabulary


@pytest.mark.parametrize("name", adapt.SHIPPED)
def test_recipe_that_ships_is_read_by_its_name_and_has_at_most_30_keys(tmp_path, name):
    kind, table = adapt.read(tmp_path / name)
    assert kind == ("decoder" if name in ("chest_ct", "abdomen_ct") else name)
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
    with pytest.raises(BadInput, match="near, fused, audio, answers, chest_ct, abdomen_ct"):
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
        adapting.fit_answers(adapt._made(kind, table, tmp_path), tmp_path, lambda _: None, 1)
