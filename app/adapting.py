"""One training of a recipe, from phantoms to weights: what it needs is made first, and what is there already is used.

recipe, work folder -> bank -> near.pt; another bank -> sights, tokenizer -> fused.pt -> gates.pt; spoken dictations -> audio.pt;
judged phantoms -> omni folder; language model, or one of the Qwen-Omni classes -> adapter folder
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from medomni.errors import BadInput

if TYPE_CHECKING:
    from adapters.answers import AnswersRecipe
    from adapters.decoder import DecoderRecipe
    from adapters.fused import FusedRecipe
    from adapters.listening import ListeningRecipe
    from adapters.lora import LoraRecipe
    from adapters.near import NearRecipe
    from adapters.qwen import QwenRecipe
    from adapters.sights import Patient
    from medomni.model.omni import Omni
    from medomni.pipeline import Progress
    from medomni.settings import Settings

NEAR, FUSED, GATES, AUDIO, WORDS, OMNI = "near.pt", "fused.pt", "gates.pt", "audio.pt", "tokenizer.json", "omni"


def train_near(recipe: "NearRecipe", work: Path, tracking_uri: str, progress: "Progress", jobs: int) -> Path:
    """Return the checkpoint of the near network, trained to its end.

    Raises:
        BadInput: a real series that the recipe names is not there.
    """
    from adapters import near
    from adapters.loop import Told
    from app import bank, real_bank
    from medomni.model.config import base

    files = _bank(recipe, work / "bank", progress, jobs)
    checkpoint, real = work / NEAR, work / "bank-real"
    visits = [
        real_bank.Visit(Path(recipe.real_folder) / name, number, tuple(unknown), real)
        for name, unknown in recipe.real.items()
        for number in range(recipe.real_visits if recipe.real_folder else 0)
    ]
    for visit in visits:
        if not visit.archive.is_file():
            raise BadInput("a real series of the recipe is not there", remedy="correct real_folder", where=visit.archive.name)
    real_bank.write(visits, jobs or os.cpu_count() or 1, progress)
    digests = {"bank": bank.digest(work / "bank"), "bank_real": bank.digest(real)}
    with Told("near", tracking_uri, asdict(recipe) | digests) as told:
        near.train(files, checkpoint, recipe, base(), told, [visit.file for visit in visits if visit.file.exists()])
    return checkpoint


def train_fused(recipe: "FusedRecipe", work: Path, tracking_uri: str, progress: "Progress", jobs: int) -> Path:
    """Return the checkpoint of the whole model, trained to its end.

    Raises:
        BadInput: the near network was not trained in this folder.
    """
    import numpy as np

    from adapters import fused, sights, told_texts
    from adapters.loop import Told, averaged
    from app import bank
    from medomni.model.config import base
    from medomni.model.weights import sha256_of
    from medomni.model.words import TextWords, learn_words

    config, folder = base(), work / "bank-fused"
    learner = fused.learner_on(averaged(_made(work / NEAR, "near.toml")), config)
    files = _bank(recipe, folder, progress, jobs)
    known = _patients(files, learner.omni, work, sha256_of(work / NEAR), progress)
    patients, held_back = fused.split(known, recipe.held_back)
    tokenizer = work / WORDS
    readers = [sights.load_person(file) for file in sorted((work / "bank").glob("*.npz"))]
    if not tokenizer.exists():
        rng = np.random.default_rng(recipe.seed)
        write: tuple[Callable[..., str], ...] = (told_texts.dictation, told_texts.history)
        texts = [one(person.info, rng) for person in (*patients, *readers) for one in write]
        learn_words(texts, config.vocabulary, tokenizer)
    words = TextWords(tokenizer.read_text("utf-8"), config.longest_text)
    with Told("fused", tracking_uri, asdict(recipe) | {"bank": bank.digest(folder)}) as told:
        fused.train(learner, fused.Turns(patients, words, recipe, readers), work / FUSED, told)
    with Told("gates", tracking_uri, asdict(recipe) | {"bank": bank.digest(folder)}) as told:
        fused.train_gates(learner, fused.Turns(held_back, words, recipe), work / FUSED, work / GATES, told)
    return work / GATES


def train_audio(recipe: "ListeningRecipe", work: Path, tracking_uri: str, progress: "Progress", jobs: int) -> Path:
    """Return the checkpoint of the audio encoder, trained to its end.

    Raises:
        BadInput: the rest of the model was not trained in this folder.
        MissingPart: a speech synthesiser is not there.
    """
    from adapters import listening, voices
    from adapters.loop import Told
    from app import bank, spoken_bank
    from medomni.model.words import TextWords

    omni = _omni(work)
    voices.check_installed(recipe.voices)
    patients = [file for name in ("bank", "bank-fused") for file in sorted((work / name).glob("*.npz"))]
    files = spoken_bank.write(patients, recipe, omni.config.mels, work / "sounds", jobs or os.cpu_count() or 1, progress)
    words = TextWords((work / WORDS).read_text("utf-8"), omni.config.longest_text)
    dictations = listening.Dictations([voices.load(file) for file in files], words, recipe)
    learner = listening.learner_on(omni, dictations.vocabulary())
    with Told("audio", tracking_uri, asdict(recipe) | {"sounds": bank.digest(work / "sounds")}) as told:
        listening.train(learner, dictations, work / AUDIO, told)
    return work / AUDIO


def fit_answers(recipe: "AnswersRecipe", work: Path, tracking_uri: str, progress: "Progress", jobs: int) -> Path:
    """Return the folder of the whole model with its answers, as it ships; with an audio encoder where one was trained.

    Raises:
        BadInput: the model was not trained in this folder.
        MissingPart: the recipe names a model that is there, and it is not.
    """
    from adapters import answers, listening
    from adapters.loop import Told, averaged
    from medomni.model import checkpoint, omni_folder
    from medomni.model.weights import sha256_of
    from medomni.model.words import TextWords

    if recipe.model:
        return _fit_curves(recipe, work, tracking_uri, progress, jobs)
    omni = _omni(work)
    files = _judged(recipe, work, progress, jobs)
    words = TextWords((work / WORDS).read_text("utf-8"), omni.config.longest_text)
    unseen = sorted((work / "bank-fused").glob("*.npz"))
    out = work / OMNI
    out.mkdir(exist_ok=True)
    digests = {"judged": _digest_of(files), "base": sha256_of(work / GATES)}
    with Told("answers", tracking_uri, asdict(recipe) | digests) as told:
        found = answers.fit(files, _patients(files, omni, work, sha256_of(work / NEAR), progress), omni, words, unseen)
        whole = listening.with_ears(omni, averaged(work / AUDIO)) if (work / AUDIO).exists() else omni
        checkpoint.save(whole, found, work / WORDS, out)
        told.note(result=omni_folder.digest_of(out))
    return out


def _fit_curves(recipe: "AnswersRecipe", work: Path, tracking_uri: str, progress: "Progress", jobs: int) -> Path:
    """The folder of a model that is there, with the curves of its answers fitted anew and all else as it was."""
    from adapters import answers
    from adapters.loop import Told
    from medomni.model import checkpoint, omni_folder
    from medomni.model.config import MODALITIES

    source = omni_folder.SHIPPED if recipe.model == "shipped" else Path(recipe.model)
    known = checkpoint.load(source, MODALITIES)
    files = _judged(recipe, work, progress, jobs)
    patients = _patients(files, known.omni, work, known.digest, progress)
    out = work / OMNI
    out.mkdir(exist_ok=True)
    with Told("answers", tracking_uri, asdict(recipe) | {"judged": _digest_of(files), "base": known.digest}) as told:
        checkpoint.save(known.omni, answers.fit_curves(patients, known.omni, known.words, known.answers), source / WORDS, out)
        told.note(result=omni_folder.digest_of(out))
    return out


def _judged(recipe: "AnswersRecipe", work: Path, progress: "Progress", jobs: int) -> list[Path]:
    """The phantoms that answers are fitted on, as the detectors judge them today."""
    from app import judged

    seeds = range(recipe.first_seed, recipe.first_seed + recipe.phantoms)
    return judged.write(seeds, work / "judged", jobs or os.cpu_count() or 1, progress)


def _digest_of(files: list[Path]) -> str:
    """A digest of the content of files: what was judged depends on the detectors too, not on the names alone."""
    from medomni.model.weights import sha256_of

    return hashlib.sha256("".join(sha256_of(file) for file in files).encode()).hexdigest()


def _omni(work: Path) -> "Omni":
    """The model for CT and text as trained in a folder."""
    from adapters import fused
    from adapters.loop import averaged
    from medomni.model.config import base

    learner = fused.learner_on(averaged(_made(work / NEAR, "near.toml")), base())
    learner.load_state_dict(averaged(_made(work / GATES, "fused.toml")))
    return learner.omni.eval()


def _bank(recipe: "NearRecipe | FusedRecipe", folder: Path, progress: "Progress", jobs: int) -> list[Path]:
    """The files of a bank, with what it lacked."""
    from app import bank
    from medomni.phantom.cohort import BodyRegion

    if recipe.region not in tuple(BodyRegion):
        raise BadInput("the recipe names a region that no phantom has", remedy="say chest or abdomen", where="region")
    orders = [bank.BankOrder(recipe.first_seed + number, folder, BodyRegion(recipe.region)) for number in range(recipe.bodies)]
    bank.write(orders, jobs or os.cpu_count() or 1, progress)
    return sorted(folder.glob("*.npz"))


def _patients(files: list[Path], omni: "Omni", work: Path, digest: str, progress: "Progress") -> "list[Patient]":
    """What the near network of this digest sees of each file, kept from one run to the next."""
    from adapters import fused, sights

    kept = []
    for path in sights.look(files, omni.vision.near, work / f"sights-{digest[:12]}" / files[0].parent.name):
        kept.append(path)
        progress(len(kept) / len(files))
    return fused.patients_of(kept)


def _made(path: Path, recipe: str) -> Path:
    """A file that another recipe makes."""
    if not path.is_file():
        raise BadInput("what this is built on was not trained here", remedy=f"run first: medomni adapt {recipe}", where=path.name)
    return path


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
    digests = {"base": base_identity(), "base_kept": weights.digest_of(folder), "wording": _wording()}
    with Told(name, tracking_uri, asdict(recipe) | digests) as told:
        learner = decoder.train(folder, work / f"{name}.pt", recipe, told)
    decoder.save(learner, work / name, name, base_identity(), _facts(recipe))
    return work / name


def train_qwen(recipe: "QwenRecipe", work: Path, name: str, settings: "Settings", tracking_uri: str) -> Path:
    """Return the folder of the adapter, trained to its end, with its card.

    Raises:
        BadInput: neither the recipe nor the settings name a folder with a model.
        MissingPart: the model cannot be loaded.
    """
    from adapters import qwen
    from adapters.loop import Told
    from medomni.model.backends.digests import digests_in
    from medomni.model.backends.qwen_omni import QwenOmni

    model = recipe.model or settings.drafter_model
    if not model or not Path(model).is_dir():
        remedy = "give a folder as model of the recipe, or in MEDOMNI_DRAFTER_MODEL"
        raise BadInput("the folder of the model is not there", remedy=remedy, where="model")
    drafter = QwenOmni(model, device=settings.device, digests=digests_in(settings.home))
    base = drafter.parts[0].digest
    with Told(name, tracking_uri, asdict(recipe) | {"model": model, "base": base, "wording": _wording()}) as told:
        learner = qwen.train(drafter, work / f"{name}.pt", recipe, told)
    qwen.save(learner, work / name, model, {"name": name, "base": base, **_facts(recipe)})
    return work / name


def _wording() -> str:
    """The digest of the sentences that are learned."""
    from importlib.resources import files

    return hashlib.sha256(files("medomni.data").joinpath("wording_en.toml").read_bytes()).hexdigest()


def _facts(recipe: "LoraRecipe") -> dict[str, str | int | float]:
    """What the card of an adapter says besides its name and base."""
    return {
        "steps": recipe.steps,
        "batch": recipe.batch,
        "seed": recipe.seed,
        "wording": _wording(),
        "licence": "Apache-2.0",
        "saw": "statements drawn by chance, worded by medomni/data/wording_en.toml; no patient, no image",
    }
