"""Diseases drawn into a body: where each one lies, that its measures match its mask, and that worse is more."""

import numpy as np
import pytest

from medomni.phantom.body import draw_body
from medomni.phantom.canvas import Canvas
from medomni.phantom.disease.apply import add_diseases, prepare_person
from medomni.phantom.disease.host import firm, lung_of
from medomni.phantom.disease.placed import KINDS, SEVERITIES, VARIANTS, Placed
from medomni.phantom.person import make_person
from tests import sites


def ill(*placed, seed=0):
    body = sites.body()
    lesions = add_diseases(body, placed, np.random.default_rng(seed))
    return body, lesions


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_leaves_a_mark_with_its_place_and_volume(kind):
    body, lesions = ill(Placed(kind, severity="severe"))
    lesion = lesions[0]
    assert lesion.kind == kind
    assert lesion.mask.any()
    assert lesion.mask.shape == body.canvas.shape
    if kind != "lung_nodule":
        assert lesion.measurements["volume"] == pytest.approx(lesion.mask.sum() * body.canvas.voxel_ml)
    (x0, y0, z0), (x1, y1, z1) = lesion.box_mm
    x, y, z = lesion.centre_mm
    assert x0 <= x <= x1
    assert y0 <= y <= y1
    assert z0 <= z <= z1
    assert lesion.side == ("right" if Placed(kind).is_sided else "")
    assert np.isfinite(body.hu).all()


def test_all_kinds_together_and_the_same_seed_gives_the_same_body():
    placed = tuple(Placed(kind) for kind in KINDS)
    one, _ = ill(*placed, seed=1)
    other, _ = ill(*placed, seed=1)
    assert one.hu.tobytes() == other.hu.tobytes()


@pytest.mark.parametrize("severity", SEVERITIES)
def test_pericardial_fluid_surrounds_the_heart_which_keeps_its_shape(severity):
    placed = Placed("pericardial_effusion", severity=severity)
    body, (lesion,) = ill(placed)
    assert not np.any(lesion.mask & firm(body))
    assert np.array_equal(body.parts["heart"], sites.body().parts["heart"])
    assert lesion.measurements["thickness"] == pytest.approx(placed.size, abs=4.5)
    assert -15 < np.median(body.hu[lesion.mask]) < 25
    assert not np.any(lesion.mask & (lung_of(body, "left") | lung_of(body, "right")))


def test_fluid_is_taken_from_the_lung_and_airless_lung_is_not():
    body, (fluid, pressed) = ill(Placed("pleural_effusion", "left", severity="severe"))
    lung = lung_of(body, "left")
    assert (fluid.kind, pressed.kind) == ("pleural_effusion", "atelectasis")
    assert not np.any(fluid.mask & lung)
    assert not np.any(pressed.mask & ~lung)


def test_a_collapsed_lobe_leaves_its_room_to_its_neighbour():
    healthy = sites.body()
    body, (lesion,) = ill(Placed("atelectasis", "left", "lower", "severe", variant="lobar"))
    assert body.parts[lesion.lobe].sum() < 0.7 * healthy.parts[lesion.lobe].sum()
    assert lung_of(body, "left").sum() == lung_of(healthy, "left").sum()


@pytest.mark.parametrize("variant", VARIANTS["bronchiectasis"])
def test_wide_bronchi_hold_air_and_have_walls(variant):
    body, (lesion,) = ill(Placed("bronchiectasis", "left", "lower", "severe", variant=variant))
    assert lesion.measurements["broncho_arterial_ratio"] > 1.5
    assert np.median(body.hu[lesion.parts["lumen"]]) < -850
    assert body.hu[lesion.mask & ~lesion.parts["lumen"]].mean() > -800


@pytest.mark.parametrize("kind", ["coronary_artery_wall_calcification", "arterial_wall_calcification"])
def test_more_calcium_scores_higher_and_lies_in_its_artery(kind):
    scores = []
    for severity in SEVERITIES:
        body, (lesion,) = ill(Placed(kind, severity=severity))
        scores.append(lesion.measurements["agatston"])
        assert (body.hu[lesion.mask] >= 130).all()
        assert lesion.measurements["calcium_volume_mm3"] == pytest.approx(lesion.mask.sum() * body.canvas.voxel_ml * 1000)
    assert scores == sorted(scores)
    assert scores[0] < scores[-1]


@pytest.mark.parametrize("variant", VARIANTS["lymphadenopathy"])
def test_nodes_are_enlarged_soft_and_no_organ(variant):
    body, (lesion,) = ill(Placed("lymphadenopathy", severity="severe", variant=variant))
    assert lesion.measurements["short_diameter"] >= 10
    assert lesion.measurements["short_diameter"] == pytest.approx(26, abs=10)
    assert not np.any(lesion.mask & firm(body))
    assert 0 < np.median(body.hu[lesion.mask]) < 60


def test_a_hiatal_hernia_is_stomach_behind_the_heart():
    body, (lesion,) = ill(Placed("hiatal_hernia", severity="severe"))
    assert not np.any(lesion.mask & ~body.parts["stomach"])
    heart = np.argwhere(body.parts["heart"])
    assert np.argwhere(lesion.mask)[:, 1].mean() > heart[:, 1].mean()
    assert lesion.measurements["width"] == pytest.approx(75, abs=25)


@pytest.mark.parametrize("variant", VARIANTS["medical_material"])
def test_every_device_is_brighter_than_what_it_lies_in(variant):
    healthy = sites.body()
    body, (lesion,) = ill(Placed("medical_material", variant=variant, amount=1.0))
    assert lesion.variant == variant
    assert lesion.measurements["devices"] == 1
    assert np.percentile((body.hu - healthy.hu)[lesion.mask], 50) > 150


def test_a_fatty_liver_is_darker_the_worse_it_is():
    healthy = sites.body()
    usual = float(np.median(healthy.hu[healthy.parts["liver"]]))
    drops = [usual - ill(Placed("steatosis", severity=s))[1][0].measurements["mean_hu"] for s in SEVERITIES]
    assert drops == pytest.approx([17, 27, 47], abs=6)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_large_spleen_is_drawn_with_its_length(severity):
    placed = Placed("splenomegaly", severity=severity)
    person = prepare_person(make_person(0), (placed,))
    body = draw_body(Canvas((60, 60, 70), (5.0, 5.0, 5.0), 0.0), person, np.random.default_rng([0, 2]))
    (lesion,) = add_diseases(body, (placed,), np.random.default_rng(0))
    assert lesion.measurements["length"] == pytest.approx(placed.size, abs=16)
    assert not np.any(lesion.mask & firm(body, but=("spleen",)))


def test_stone_and_cyst_lie_in_the_kidney_of_their_side():
    body, lesions = ill(Placed("renal_stone", "left"), Placed("renal_cyst", "right"))
    cyst, stone = lesions
    assert stone.centre_mm[0] > 0 > cyst.centre_mm[0]
    assert body.hu[stone.mask].max() > 200
    assert -5 < np.median(body.hu[cyst.mask]) < 25
    assert cyst.measurements["long_diameter"] == pytest.approx(30, abs=10)


@pytest.mark.parametrize("variant", VARIANTS["vertebral_fracture"])
def test_a_fractured_vertebra_has_lost_height(variant):
    healthy = sites.body()
    body, (lesion,) = ill(Placed("vertebral_fracture", severity="severe", variant=variant))
    assert lesion.mask.any()
    assert body.parts["vertebrae"].sum() < healthy.parts["vertebrae"].sum()
    changed = np.argwhere(body.hu != healthy.hu)
    assert abs(changed[:, 0].mean() - np.argwhere(lesion.mask)[:, 0].mean()) < 5
