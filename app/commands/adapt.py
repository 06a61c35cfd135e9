"""``medomni adapt``: one training by its recipe."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from app import options
from app.options import Json, Quiet

KINDS = ("near", "fused", "audio", "answers", "decoder", "qwen")
SHIPPED = ("near", "fused", "audio", "answers", "chest_ct", "abdomen_ct", "qwen_omni")
"""Recipes that ship."""

Recipe = Annotated[
    Path,
    typer.Argument(
        metavar="RECIPE", help="Recipe file, or one that ships: near, fused, audio, answers, chest_ct, abdomen_ct, qwen_omni."
    ),
]
Work = Annotated[
    Path, typer.Option("--work", metavar="DIR", help="Folder of the bank, checkpoints and what is kept.", show_default=False)
]
Jobs = Annotated[int, typer.Option("--jobs", min=0, max=64, help="Processes that draw phantoms; 0 for one per CPU.")]
Track = Annotated[bool, typer.Option("--track/--no-track", help="Log the run in MLflow.")]


def adapt(recipe: Recipe, work: Work, jobs: Jobs = 0, track: Track = True, as_json: Json = False, quiet: Quiet = False) -> None:
    """Train a part of the omni model, or an adapter, by its recipe; a run that was stopped goes on.

    Phantoms are drawn first where the folder lacks them. Runs are logged in MLflow with the recipe and the digests of what was
    learned from.
    """
    from app import adapting, wiring
    from app.progress import StageWatch

    settings = wiring.start()
    kind, table = read(recipe)
    name = recipe.name.removesuffix(".toml")
    work.mkdir(parents=True, exist_ok=True)
    uri = settings.tracking_uri if track else ""
    with StageWatch(is_quiet=quiet) as watch, watch.stage("prepare") as progress:
        if kind == "near":
            checkpoint = adapting.train_near(_made(kind, table, recipe), work, uri, progress, jobs)
        elif kind == "fused":
            checkpoint = adapting.train_fused(_made(kind, table, recipe), work, uri, progress, jobs)
        elif kind == "audio":
            checkpoint = adapting.train_audio(_made(kind, table, recipe), work, uri, progress, jobs)
        elif kind == "answers":
            checkpoint = adapting.fit_answers(_made(kind, table, recipe), work, uri, progress, jobs)
        elif kind == "decoder":
            checkpoint = adapting.train_decoder(_made(kind, table, recipe), work, name, settings.home, uri)
        else:
            checkpoint = adapting.train_qwen(_made(kind, table, recipe), work, name, settings, uri)
    if as_json:
        options.answer_json({"result": str(checkpoint)})
    else:
        options.answer(str(checkpoint))


def read(recipe: Path) -> tuple[str, dict[str, Any]]:
    """Return what a recipe trains, and its settings.

    Raises:
        BadInput: there is no such recipe, or it is none.
    """
    from importlib.resources import files

    from medomni.errors import BadInput

    shipped = files("adapters") / "recipes" / f"{recipe.name.removesuffix('.toml')}.toml"
    try:
        text = recipe.read_text("utf-8") if recipe.is_file() else shipped.read_text("utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError as error:
        known = f"shipped: {', '.join(SHIPPED)}"
        raise BadInput("no recipe has this name", found=known, remedy="give a file", where=recipe.name) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput("the recipe is no TOML", found=type(error).__name__, remedy="correct it", where=recipe.name) from error
    kind = table.pop("kind", None)
    if kind not in KINDS:
        remedy = f"let kind be one of {', '.join(KINDS)}"
        raise BadInput("the recipe does not say what it trains", found=f"kind {kind!r}"[:40], remedy=remedy, where=recipe.name)
    return str(kind), table


def _made(kind: str, table: dict[str, Any], path: Path) -> Any:  # noqa: ANN401  (the recipe of its kind)
    from adapters.answers import AnswersRecipe
    from adapters.decoder import DecoderRecipe
    from adapters.fused import FusedRecipe
    from adapters.listening import ListeningRecipe
    from adapters.near import NearRecipe
    from adapters.qwen import QwenRecipe
    from medomni.errors import BadInput

    recipes = {
        "near": NearRecipe,
        "fused": FusedRecipe,
        "audio": ListeningRecipe,
        "answers": AnswersRecipe,
        "decoder": DecoderRecipe,
        "qwen": QwenRecipe,
    }
    try:
        return recipes[kind](**table)
    except (TypeError, ValueError) as error:
        raise BadInput(
            "the recipe lacks a key, has one too many or one that cannot be",
            found=str(error).split("__init__() ")[-1][:120],
            remedy="compare it with the one that ships",
            where=path.name,
        ) from error
