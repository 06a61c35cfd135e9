"""One training of a recipe, from phantoms to weights: what it needs is made first, and what is there already is used.

recipe, work folder -> bank -> near.pt -> sights, tokenizer -> fused.pt; language model -> adapter folder
"""

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from medomni.errors import BadInput

if TYPE_CHECKING:
    from adapters.decoder import DecoderRecipe
    from adapters.fused import FusedRecipe
    from adapters.near import NearRecipe
    from medomni.pipeline import Progress

WORDS_FROM = 4
"""Texts of each patient from which the vocabulary is learned."""


def train_near(recipe: "NearRecipe", work: Path, tracking_uri: str, progress: "Progress", jobs: int) -> Path:
    """Return the checkpoint of the near network, trained to its end."""
    from adapters import near
    from adapters.loop import Told
    from app import bank
    from medomni.model.config import base
    from medomni.phantom.cohort import BodyRegion

    if recipe.region not in tuple(BodyRegion):
        raise BadInput("the recipe names a region that no phantom has", remedy="say chest or abdomen", where="region")
    folder = work / "bank"
    orders = [bank.BankOrder(recipe.first_seed + number, folder, BodyRegion(recipe.region)) for number in range(recipe.bodies)]
    bank.write(orders, jobs or os.cpu_count() or 1, progress)
    checkpoint = work / "near.pt"
    with Told("near", tracking_uri, asdict(recipe) | {"bank": bank.digest(folder)}) as told:
        near.train(sorted(folder.glob("*.npz")), checkpoint, recipe, base(), told)
    return checkpoint


def train_fused(recipe: "FusedRecipe", work: Path, tracking_uri: str, progress: "Progress") -> Path:
    """Return the checkpoint of the whole model, trained to its end.

    Raises:
        BadInput: the near network was not trained in this folder.
    """
    import numpy as np

    from adapters import fused, sights, told_texts
    from adapters.loop import Told, averaged
    from app import bank
    from medomni.model.config import base
    from medomni.model.text import TextWords, learn_words
    from medomni.model.weights import sha256_of

    if not (work / "near.pt").is_file():
        raise BadInput("the near network is not here", remedy="run: medomni adapt near.toml", where="near.pt")
    near = averaged(work / "near.pt")
    learner, config = fused.learner_on(near, base()), base()
    files = sorted((work / "bank").glob("*.npz"))
    kept = []
    for path in sights.look(files, learner.omni.vision.near, work / f"sights-{sha256_of(work / 'near.pt')[:12]}"):
        kept.append(path)
        progress(len(kept) / len(files))
    patients, tokenizer = fused.patients_of(kept), work / "tokenizer.json"
    if not tokenizer.exists():
        rng = np.random.default_rng(recipe.seed)
        write: tuple[Callable[..., str], ...] = (told_texts.dictation, told_texts.history)
        texts = [one(patient.info, rng) for patient in patients for one in write for _ in range(WORDS_FROM)]
        learn_words(texts, config.vocabulary, tokenizer)
    turns = fused.Turns(patients, TextWords(tokenizer, config.longest_text), recipe)
    with Told("fused", tracking_uri, asdict(recipe) | {"bank": bank.digest(work / "bank")}) as told:
        fused.train(learner, turns, work / "fused.pt", told)
    return work / "fused.pt"


def train_decoder(recipe: "DecoderRecipe", work: Path, name: str, home: Path, tracking_uri: str) -> Path:
    """Return the folder of the adapter, trained to its end, with its card.

    Raises:
        MissingPart: the language model was not pulled.
    """
    from adapters import decoder
    from adapters.loop import Told
    from medomni.model import weights
    from medomni.model.adapter import base_identity

    folder = weights.require(home, "decoder")
    with Told(name, tracking_uri, asdict(recipe)) as told:
        learner = decoder.train(folder, work / f"{name}.pt", recipe, told)
    out = work / name
    facts: dict[str, str | int | float] = {
        "steps": recipe.steps,
        "batch": recipe.batch,
        "seed": recipe.seed,
        "licence": "Apache-2.0",
        "saw": "statements drawn by chance, worded by medomni/data/wording_en.toml; no patient, no image",
    }
    decoder.save(learner, out, name, base_identity(), facts)
    return out
