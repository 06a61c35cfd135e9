"""Reference reports: sayable for every disease in both languages, no number without a measurement, nothing against the truth."""

import re
import tomllib
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from medomni.phantom.cohort import BodyRegion
from medomni.phantom.disease import KINDS, SEVERITIES
from medomni.phantom.disease.placed import SIDED, VARIANTS
from medomni.phantom.facts import FINDINGS, ORGAN_CHANGES, Fact
from medomni.phantom.report import ORGAN_OF, Told, compose, voice_of, write_report
from medomni.phantom.scan import Technique
from medomni.phantom.sentences import LANGUAGES, Voice, bank

ORGANS = frozenset(ORGAN_OF.values())


def told(*facts, **changes):
    values = {"region": BodyRegion.CHEST, "technique": Technique(), "phase": "", "organs": ORGANS, **changes}
    return Told(facts=facts, **values)


def fact(kind, **changes):
    side = "right" if kind in SIDED else ""
    lobes = ("lung_lower_lobe_right",) if side and not kind.startswith("renal") else ()
    return Fact(kind, **{"side": side, "lobes": lobes, **changes})


def report(*facts, seed=0, language="en", **changes):
    return write_report(told(*facts, **changes), voice_of(seed, language))


def numbers(text):
    return set(re.findall(r"\d+(?:\.\d+)?", text))


def leaves(table):
    for value in table.values() if isinstance(table, dict) else table:
        if isinstance(value, str):
            yield value
        else:
            yield from leaves(value)


def test_both_languages_hold_the_same_keys_and_slots():
    english, chinese = (
        tomllib.loads((files("medomni.data") / f"phantom_{language}.toml").read_text(encoding="utf-8")) for language in LANGUAGES
    )
    assert english.keys() == chinese.keys()
    for name in english.keys() - {"normals", "numbers", "separator", "last"}:
        assert english[name].keys() == chinese[name].keys(), name
    for kind in english["forms"]:
        assert english["forms"][kind].keys() == chinese["forms"][kind].keys()
    assert set(english["findings"]) - {"pleural_effusion_both", "medical_material_plural"} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_form_of_a_disease_can_be_said_with_or_without_its_size(kind, language):
    voice = Voice(language, np.random.default_rng(0))
    for variant in ("", *VARIANTS.get(kind, ())):
        for severity in SEVERITIES:
            for measured in ({}, {"volume": 120.0, "mean_diameter": 9.0, "thickness": 11.0, "short_diameter": 13.0}):
                one = fact(kind, variant=variant, severity=severity, measurements=measured)
                for text in (voice.finding(one), voice.impression(one)):
                    if not (kind in ("lung_nodule", "peribronchial_thickening") and not measured):
                        assert text, (kind, variant)
                    assert "{" not in text
                    assert "  " not in text


def test_every_placeable_form_has_words():
    for language in LANGUAGES:
        for kind, variants in VARIANTS.items():
            assert set(variants) <= bank(language).forms[kind].keys()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_names_what_is_there_in_findings_and_calls_nothing_normal(kind, language):
    plain = {text for seed in range(12) for text in compose(told(), voice_of(seed, language)).impression}
    for seed in range(12):
        measured = {"volume": 90.0, "mean_diameter": 12.0, "short_diameter": 14.0, "long_diameter": 14.0}
        sections = compose(told(fact(kind, measurements=measured)), voice_of(seed, language))
        assert not plain & set(sections.impression)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_statement_of_absence_stands_beside_its_presence(language):
    for kind in (*FINDINGS, *ORGAN_CHANGES):
        denied = {text for normal in bank(language).normals if kind in normal.absent for text in normal.texts}
        for seed in range(8):
            text = report(fact(kind, measurements={"volume": 50.0}), seed=seed, language=language)
            assert not [line for line in denied if line in text], (kind, text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_was_measured_or_is_of_the_technique(language):
    measured = {"volume": 347.0, "mean_diameter": 17.0}
    facts = (fact("lung_nodule", measurements=measured), fact("pleural_effusion", measurements={"volume": 412.0}))
    allowed = {"17", "1.7", "350", "410", "2.5", "120", "1", "2", "3"}
    for seed in range(40):
        assert numbers(report(*facts, seed=seed, language=language)) <= allowed


def test_a_number_that_was_not_measured_is_never_said():
    for seed in range(30):
        sections = compose(told(fact("pleural_effusion"), fact("splenomegaly")), voice_of(seed, "en"))
        assert not numbers(" ".join([*(text for _, text in sections.findings), *sections.impression]))


def test_wording_varies_from_author_to_author():
    texts = {report(fact("emphysema", variant="centrilobular"), seed=seed) for seed in range(20)}
    assert len(texts) >= 18


def test_an_organ_out_of_view_is_not_mentioned():
    view = frozenset(("lungs", "pleura"))
    for seed in range(20):
        words = report(seed=seed, organs=view).lower()
        assert not any(name in words for name in ("heart", "aorta", "spleen", "kidney", "liver"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_change_since_the_prior_is_told_with_both_sizes(language):
    grown = fact("lung_nodule", measurements={"mean_diameter": 14.0}, change="larger", before={"mean_diameter": 8.0})
    gone = fact("pleural_effusion", severity="mild")
    texts = [report(grown, seed=s, language=language, prior_date="20230704", prior_months=6, resolved=(gone,)) for s in range(30)]
    assert sum("8 mm" in text for text in texts) > 10
    assert sum("2023" in text or "6" in text for text in texts) == 30


def test_both_sides_are_told_in_one_sentence_with_the_sum_of_volumes():
    left = fact("pleural_effusion", side="left", measurements={"volume": 100.0}, lobes=("lung_lower_lobe_left",))
    right = replace(left, side="right", measurements={"volume": 200.0}, lobes=("lung_lower_lobe_right",))
    texts = [report(right, left, seed=seed) for seed in range(30)]
    assert any("300 mL" in text for text in texts)
    assert not any("100 mL" in text or "200 mL" in text for text in texts)


def test_no_sentence_is_one_of_the_drafts():
    for language in LANGUAGES:
        drafts, references = (
            tomllib.loads((files("medomni.data") / f"{name}_{language}.toml").read_text(encoding="utf-8"))
            for name in ("phrases", "phantom")
        )
        sentences = {text for text in leaves(references["findings"]) if len(text) > 12}
        assert not sentences & set(leaves(drafts))
