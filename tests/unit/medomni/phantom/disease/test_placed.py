"""What can be placed: every finding of the vocabulary, in growing amounts, and nothing impossible."""

import tomllib
from importlib.resources import files

import pytest

from medomni.phantom.cohort import BodyRegion, draw_findings
from medomni.phantom.disease import AMOUNTS, SEVERITIES, Placed
from medomni.phantom.disease.apply import DRAWING_ORDER
from medomni.phantom.disease.placed import VARIANTS


def findings():
    labels = tomllib.loads((files("medomni.data") / "findings.toml").read_text(encoding="utf-8"))["labels"]
    return [name for name, label in labels.items() if not label["is_measurement_only"]]


def test_each_of_the_18_findings_can_be_placed():
    assert len(findings()) >= 18
    placeable = [name for name in findings() if name in AMOUNTS]
    assert len(placeable) >= 18


def test_every_kind_has_a_place_in_the_order_of_drawing():
    assert sorted(DRAWING_ORDER) == sorted(AMOUNTS)


@pytest.mark.parametrize("kind", AMOUNTS)
def test_a_worse_disease_is_larger(kind):
    sizes = [Placed(kind, severity=severity).size for severity in SEVERITIES]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "cold"},
        {"side": "both"},
        {"zone": "here"},
        {"severity": "bad"},
        {"amount": -1.0},
        {"variant": "solid"},
        {"lobe": "lung_upper_lobe_left"},
        {"margin": "rough"},
        {"contact": "rib"},
    ],
)
def test_an_impossible_disease_is_refused(wrong):
    with pytest.raises(ValueError, match="cannot place"):
        Placed(**{"kind": "lung_opacity", "side": "right", **wrong})


@pytest.mark.parametrize(
    ("kind", "variant"),
    [("mosaic_attenuation_pattern", ""), ("pleural_effusion", ""), ("lymphadenopathy", "hilar"), ("atelectasis", "dependent")],
)
def test_a_lobe_is_refused_where_the_disease_keeps_to_none(kind, variant):
    with pytest.raises(ValueError, match=r"cannot place \w+ in a lobe"):
        Placed(kind, "right", lobe="lung_upper_lobe_right", variant=variant)


def test_no_disease_of_the_cohort_names_a_lobe():
    drawn = [item for region in BodyRegion for seed in range(200) for item in draw_findings(seed, region)]
    assert {item.lobe for item in drawn} == {""}


def test_every_variant_belongs_to_a_kind():
    assert set(VARIANTS) <= set(AMOUNTS)
    for kind, variants in VARIANTS.items():
        for variant in variants:
            assert Placed(kind, variant=variant).variant == variant
