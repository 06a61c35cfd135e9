"""Nodules: the diameters that a reader would measure, the HU of their kind, and the place that was asked for."""

import numpy as np
import pytest

from medomni.phantom.disease.nodule import make_shape, nodule
from medomni.phantom.disease.placed import MARGINS, VARIANTS, Placed
from medomni.phantom.disease.site import paint
from tests import sites


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("mean_mm", [4.0, 8.0, 17.0, 29.0])
def test_a_shape_has_its_mean_diameter(margin, mean_mm):
    shape = make_shape(mean_mm, margin, np.random.default_rng(3))
    long_mm, short_mm = shape.diameters_mm()
    assert (long_mm + short_mm) / 2 == pytest.approx(mean_mm, abs=0.5)
    assert short_mm <= long_mm < 1.9 * short_mm
    assert shape.volume_ml() == pytest.approx(np.pi / 6 * mean_mm**3 / 1000, rel=0.45)


@pytest.mark.parametrize("variant", VARIANTS["lung_nodule"])
def test_a_nodule_fills_the_volume_of_its_shape_and_stays_in_the_lung(variant):
    site = sites.site()
    layer = nodule(
        site, Placed("lung_nodule", "right", "middle", amount=20.0, variant=variant, contact="free"), np.random.default_rng(1)
    )
    assert layer.mask.sum() * site.canvas.voxel_ml == pytest.approx(layer.facts["volume"], rel=0.12)
    assert not np.any(layer.mask & ~site.lung)
    assert layer.facts["mean_diameter"] == pytest.approx(20, abs=0.5)


@pytest.mark.parametrize(
    ("variant", "low", "high"),
    [("solid", -60, 60), ("ground_glass", -780, -350), ("calcified", 150, 1000), ("part_solid", -750, 60)],
)
def test_a_nodule_has_the_hu_of_its_kind(variant, low, high):
    site = sites.site()
    layer = nodule(
        site, Placed("lung_nodule", amount=22.0, variant=variant, margin="smooth", contact="free"), np.random.default_rng(2)
    )
    hu = site.hu.copy()
    paint(hu, layer)
    core = layer.mask & (layer.share >= np.median(layer.share[layer.mask]))
    assert low < np.median(hu[core]) < high
    if variant == "part_solid":
        solid = layer.parts["solid_part"]
        assert 0 < solid.sum() < layer.mask.sum()
        assert np.median(hu[solid]) > np.median(hu[layer.mask & ~solid]) + 200


def test_a_nodule_lies_where_it_should():
    site = sites.site()
    near = nodule(site, Placed("lung_nodule", zone="", amount=10.0, contact="pleura"), np.random.default_rng(0))
    free = nodule(site, Placed("lung_nodule", zone="", amount=10.0, contact="free"), np.random.default_rng(0))
    assert site.depth_mm[near.mask].min() < 2
    assert site.depth_mm[free.mask].min() >= 1
    upper = nodule(site, Placed("lung_nodule", zone="upper", amount=10.0), np.random.default_rng(0))
    assert upper.centre_mm[2] > np.mean(site.extent_mm[0])


def test_a_nodule_smaller_than_a_voxel_still_has_a_mask_and_fades():
    site = sites.site()
    layer = nodule(site, Placed("lung_nodule", amount=3.0, variant="solid", contact="free"), np.random.default_rng(0))
    assert 1 <= layer.mask.sum() < 8
    assert layer.share.sum() * site.canvas.voxel_ml == pytest.approx(layer.facts["volume"], rel=0.5)


def test_a_nodule_too_large_for_its_zone_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        nodule(sites.site(), Placed("lung_nodule", zone="upper", amount=150.0), np.random.default_rng(0))
