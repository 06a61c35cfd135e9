"""Diseases painted into a lung: each lies in the lung, has its size and its HU, and comes out the same from the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from medomni.phantom.disease.airspace import consolidation, opacity
from medomni.phantom.disease.atelectasis import atelectasis
from medomni.phantom.disease.emphysema import emphysema
from medomni.phantom.disease.interstitium import fibrosis, mosaic, septal_thickening
from medomni.phantom.disease.placed import SEVERITIES, VARIANTS, Placed
from medomni.phantom.disease.site import paint
from tests import sites

DRAW = {
    "lung_opacity": opacity,
    "consolidation": consolidation,
    "emphysema": emphysema,
    "atelectasis": atelectasis,
    "interlobular_septal_thickening": septal_thickening,
    "mosaic_attenuation_pattern": mosaic,
    "pulmonary_fibrotic_sequela": fibrosis,
}
FORMS = [(kind, variant) for kind in DRAW for variant in VARIANTS.get(kind, ("",))]
INEXACT = (("pulmonary_fibrotic_sequela", "bands"), ("mosaic_attenuation_pattern", ""), ("atelectasis", "plate"))
EXACT = [form for form in FORMS if form not in INEXACT]


def drawn(placed, seed=0):
    site = sites.site(placed.side)
    layer = DRAW[placed.kind](site, placed, np.random.default_rng(seed))
    hu = site.hu.copy()
    paint(hu, layer)
    return site, layer, hu


@pytest.mark.parametrize(("kind", "variant"), EXACT)
def test_a_disease_takes_its_share_of_the_lung(kind, variant):
    placed = Placed(kind, "right", "lower", variant=variant, amount=5.0)
    site, layer, _ = drawn(placed)
    assert 100 * layer.mask.sum() / site.lung.sum() == pytest.approx(5.0, abs=0.6)


@pytest.mark.parametrize(("kind", "variant"), FORMS)
def test_a_disease_lies_in_the_lung_and_changes_nothing_far_from_it(kind, variant):
    site, layer, hu = drawn(Placed(kind, "left", "lower", variant=variant))
    assert layer.mask.any()
    assert not np.any(layer.mask & ~site.lung)
    assert np.array_equal(hu[~site.room], site.hu[~site.room])
    assert layer.share.min() >= 0
    assert layer.share.max() <= 1


@pytest.mark.parametrize(("kind", "variant"), FORMS)
def test_the_same_seed_draws_the_same_disease(kind, variant):
    placed = Placed(kind, variant=variant)
    assert drawn(placed, 4)[2].tobytes() == drawn(placed, 4)[2].tobytes()
    assert drawn(placed, 4)[2].tobytes() != drawn(placed, 5)[2].tobytes()


@pytest.mark.parametrize("kind", DRAW)
def test_a_worse_disease_takes_more_lung(kind):
    variant = VARIANTS.get(kind, ("",))[0]
    taken = [drawn(Placed(kind, severity=severity, variant=variant))[1].mask.sum() for severity in SEVERITIES]
    assert taken == sorted(taken)
    assert taken[0] < taken[-1]


@pytest.mark.parametrize("variant", VARIANTS["lung_opacity"])
def test_ground_glass_is_denser_than_lung_and_leaves_its_vessels(variant):
    site, layer, hu = drawn(Placed("lung_opacity", "right", "", "moderate", variant=variant))
    vessel = layer.mask & (site.hu > -20)
    glass = layer.mask & (site.hu < -840)
    assert -800 < np.median(hu[glass]) < -250
    if vessel.any():
        assert np.median(hu[vessel]) > np.median(hu[glass]) + 150


@pytest.mark.parametrize("variant", VARIANTS["consolidation"])
def test_consolidation_is_airless_but_for_its_bronchi(variant):
    _, layer, hu = drawn(Placed("consolidation", "right", "lower", "severe", variant=variant))
    assert -120 < np.median(hu[layer.mask]) < 60
    assert 0.5 < (hu[layer.mask] > -300).mean() <= 1


def test_a_lobar_consolidation_stops_at_the_fissure():
    site, layer, _ = drawn(Placed("consolidation", "right", "lower", "severe", variant="lobar"))
    inside = [int((layer.mask & lobe).sum()) for lobe in site.lobes.values()]
    assert min(inside) == 0 < max(inside)


@pytest.mark.parametrize("variant", VARIANTS["emphysema"])
def test_emphysema_is_below_950_hu(variant):
    _, layer, hu = drawn(Placed("emphysema", "right", "upper", variant=variant))
    assert np.median(hu[layer.mask]) < -940


def test_emphysema_and_bands_lie_in_their_zone():
    for kind, variant in (("emphysema", "centrilobular"), ("pulmonary_fibrotic_sequela", "bands")):
        heights = []
        for zone in ("lower", "upper"):
            site, layer, _ = drawn(Placed(kind, "right", zone, variant=variant))
            heights.append(np.average(site.canvas.z.ravel(), weights=layer.mask.sum(axis=(1, 2))))
        assert heights[1] > heights[0] + 20


def test_dependent_atelectasis_lies_at_the_back():
    site, layer, _ = drawn(Placed("atelectasis", "right", "lower", variant="dependent"))
    assert np.argwhere(layer.mask)[:, 1].mean() > np.argwhere(site.lung)[:, 1].mean() + 5


@pytest.mark.parametrize("lobe", ["lung_upper_lobe_right", "lung_lower_lobe_right"])
def test_most_of_an_atelectasis_of_a_named_lobe_lies_there_whatever_form_is_drawn(lobe):
    site = sites.site()
    low = np.zeros_like(site.lung)
    low[: len(low) // 2] = True
    site = replace(site, lobes={"lung_lower_lobe_right": site.lung & low, "lung_upper_lobe_right": site.lung & ~low})
    for seed in range(6):
        placed = Placed("atelectasis", "right", "", lobe=lobe, amount=1.5)
        mask = atelectasis(site, placed, np.random.default_rng(seed)).mask
        assert (mask & site.lobes[lobe]).sum() > 0.5 * mask.sum()


def test_mosaic_lobules_are_darker_than_their_neighbours():
    site, layer, hu = drawn(Placed("mosaic_attenuation_pattern", "right", "middle"))
    assert np.median(hu[layer.mask]) < np.median(hu[site.lung & ~layer.mask]) - 35
    assert 100 * layer.mask.sum() / site.lung.sum() == pytest.approx(32, abs=8)


def test_honeycombs_hold_air_and_walls():
    _, layer, hu = drawn(Placed("pulmonary_fibrotic_sequela", "left", "lower", "severe", variant="honeycombing"))
    assert (hu[layer.mask] < -900).mean() > 0.1
    assert (hu[layer.mask] > -500).mean() > 0.2
