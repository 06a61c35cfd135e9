"""Phantom chests: the same seed gives the same chest, the anatomy is in its place, the truth is true."""

import numpy as np
import pytest

from medomni.anatomy import LOBES
from medomni.phantom import Placed, make_case
from tests import factories

SEEDS = (0, 1, 2, 3)


def bits(case):
    return case.volume.hu.tobytes(), case.truth.labels.tobytes(), case.lesions.labels.tobytes()


def lung(case, side):
    return case.truth.mask(*LOBES[side])


def middle_mm(case, *names):
    place = np.argwhere(case.truth.mask(*names)).mean(axis=0)
    return case.volume.grid.to_world_mm(place)


def volume_ml(case, mask):
    return mask.sum() * case.volume.grid.voxel_volumes_ml[0]


def test_same_seed_same_bytes_and_another_seed_another_chest():
    size = {"shape": (24, 48, 48), "spacing_mm": (12.5, 7.5, 7.5)}
    ill = (Placed("lung_opacity"),)
    assert bits(make_case(4, ill, **size)) == bits(make_case(4, ill, **size))
    assert bits(make_case(4, ill, **size)) != bits(make_case(5, ill, **size))


@pytest.mark.parametrize("seed", SEEDS)
def test_anatomy_is_in_its_place(seed):
    case = factories.small_chest(seed)
    right, left = (middle_mm(case, *LOBES[side]) for side in ("right", "left"))
    heart, liver, spleen, aorta = (middle_mm(case, n) for n in ("heart", "liver", "spleen", "aorta"))
    assert right[0] < -40 < 40 < left[0]
    assert heart[0] > 0
    assert liver[0] < 0 < spleen[0]
    assert liver[2] < heart[2] < right[2] + 40
    assert aorta[0] > 0
    assert middle_mm(case, "stomach")[0] > 20


@pytest.mark.parametrize("seed", SEEDS)
def test_lungs_have_human_size_and_the_left_is_smaller(seed):
    values = factories.small_chest(seed).measurements
    assert 2500 < values["lung_volume_total"] < 7000
    assert 0.7 < values["lung_volume_left"] / values["lung_volume_right"] < 0.98


@pytest.mark.parametrize(
    ("structure", "low", "high"),
    [
        ("lung_lower_lobe_right", -900, -740),
        ("heart", 25, 320),
        ("aorta", 25, 450),
        ("liver", 35, 140),
        ("vertebrae", 100, 700),
        ("airway", -1000, -650),
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_tissue_has_the_hu_of_its_kind(seed, structure, low, high):
    case = factories.small_chest(seed)
    inside = case.truth.mask(structure)
    assert low < np.median(case.volume.hu[inside]) < high


@pytest.mark.parametrize("seed", SEEDS)
def test_the_lungs_are_whole_and_never_touch_each_other_or_the_edge(seed):
    from scipy import ndimage

    case = factories.small_chest(seed)
    for side in ("right", "left"):
        mask = lung(case, side)
        parts, count = ndimage.label(mask)
        assert max(np.bincount(parts.ravel())[1:]) > 0.99 * mask.sum(), count
        assert not mask[[0, -1]].any()
    grown = ndimage.binary_dilation(lung(case, "right"))
    assert not np.any(grown & lung(case, "left"))


def test_truth_labels_share_no_voxel_and_lie_in_the_body():
    case = factories.small_chest(0)
    outside = case.truth.labels == 0
    assert np.median(case.volume.hu[outside]) < -950
    assert outside[:, 0].all()
    assert outside[:, -1].all()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("lung_opacity", "lung_opacity"), ("consolidation", "consolidation"), ("emphysema", "emphysema")],
)
@pytest.mark.parametrize("severity", ["mild", "moderate", "severe"])
def test_a_placed_disease_has_exactly_its_size(kind, name, severity):
    placed = Placed(kind, "left", "lower", severity)
    case = factories.small_chest(1, (placed,))
    lesion = case.lesions.mask(name)
    assert 100 * lesion.sum() / lung(case, "left").sum() == pytest.approx(placed.size, abs=0.3)
    assert not np.any(lesion & ~lung(case, "left"))


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_effusion_has_its_volume_lies_at_the_back_and_is_no_lung(side):
    case = factories.small_chest(2, (Placed("pleural_effusion", side, amount=400.0),))
    fluid, inside = case.lesions.mask("pleural_effusion"), lung(case, side)
    assert volume_ml(case, fluid) == pytest.approx(400, rel=0.01)
    assert not np.any(fluid & inside)
    assert np.argwhere(fluid)[:, 1].mean() > np.argwhere(inside)[:, 1].mean()
    assert -5 < np.median(case.volume.hu[fluid]) < 25
    x = case.volume.grid.to_world_mm(np.argwhere(fluid).mean(axis=0))[0]
    assert (x > 0) == (side == "left")
    assert case.measurements[f"effusion_volume_{side}"] == pytest.approx(400, rel=0.01)


@pytest.mark.parametrize("zone", ["upper", "middle", "lower"])
def test_a_nodule_lies_in_its_zone_with_its_diameter(zone):
    case = make_case(3, (Placed("lung_nodule", "right", zone, amount=18.0),), (60, 128, 128), (5.0, 2.8, 2.8))
    (nodule,) = case.nodules
    mask = case.lesions.mask("nodule")
    assert (6 * volume_ml(case, mask) * 1000 / np.pi) ** (1 / 3) == pytest.approx(18, abs=1.2)
    place = case.volume.grid.to_world_mm(np.argwhere(mask).mean(axis=0))
    assert np.allclose(place, nodule.centre_mm, atol=2.5)
    z = np.flatnonzero(lung(case, "right").any(axis=(1, 2)))
    share = (np.argwhere(mask)[:, 0].mean() - z[0]) / (z[-1] - z[0])
    low, high = {"upper": (0.58, 1), "middle": (0.3, 0.68), "lower": (0, 0.42)}[zone]
    assert low - 0.05 < share < high + 0.05


def test_disease_changes_the_lung_it_is_in_and_not_the_other():
    normal, ill = factories.small_chest(0), factories.small_chest(0, (Placed("consolidation", "left", "lower", "severe"),))
    assert ill.measurements["mean_hu_left"] > normal.measurements["mean_hu_left"] + 60
    assert ill.measurements["mean_hu_right"] == pytest.approx(normal.measurements["mean_hu_right"], abs=3)
    assert np.array_equal(lung(ill, "left"), lung(normal, "left"))


def test_worse_emphysema_means_more_low_attenuation_and_a_normal_lung_has_little():
    worse = [factories.small_chest(0, (Placed("emphysema", "right", "upper", s),)) for s in ("mild", "moderate", "severe")]
    shares = [factories.small_chest(0).measurements["laa950_right"], *(case.measurements["laa950_right"] for case in worse)]
    assert shares == sorted(shares)
    assert shares[0] < 3
    assert shares[-1] > 10


def test_a_nodule_too_large_for_its_zone_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        factories.small_chest(0, (Placed("lung_nodule", "left", "upper", amount=150.0),))


@pytest.mark.parametrize("wrong", [{"kind": "cold"}, {"side": "both"}, {"zone": "here"}, {"severity": "bad"}, {"amount": -1.0}])
def test_an_impossible_disease_is_refused(wrong):
    with pytest.raises(ValueError, match="cannot place"):
        Placed(**{"kind": "lung_opacity", **wrong})
