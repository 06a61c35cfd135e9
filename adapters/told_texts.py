"""Texts of a patient of the bank, written anew for each use: history and dictation, English or Chinese, in varied wording.

info of a bank file, rng -> text
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from medomni.phantom.cohort import BodyRegion
from medomni.phantom.dictation import dictate
from medomni.phantom.facts import Fact
from medomni.phantom.report import Told, compose
from medomni.phantom.scan import Technique
from medomni.phantom.sentences import LANGUAGES, Voice
from medomni.phantom.write import opening_of

CENTIMETRES = 0.35
"""Share of speakers who give lengths in centimetres."""


def told_of(info: dict[str, Any]) -> Told:
    """What a report would tell of a patient."""
    facts = tuple(Fact(**{**fact, "lobes": tuple(fact["lobes"]), "box_mm": None, "centre_mm": None}) for fact in info["facts"])
    return Told(BodyRegion(info["region"]), facts, Technique(**info["technique"]), info["phase"], frozenset(info["organs"]))


def dictation(info: dict[str, Any], rng: np.random.Generator, languages: Sequence[str] = LANGUAGES) -> str:
    """A dictated report, as spoken words in one of the languages."""
    language = languages[int(rng.integers(len(languages)))]
    voices = [Voice(language, rng, is_centimetre=bool(rng.random() < CENTIMETRES)) for _ in range(2)]
    told = told_of(info)
    return dictate(compose(told, voices[0]), opening_of(told.region, info["age"], info["sex"], language), voices[1])


def history(info: dict[str, Any], rng: np.random.Generator) -> str:
    """The clinical history."""
    return str(info["history"][LANGUAGES[int(rng.integers(len(LANGUAGES)))]])
