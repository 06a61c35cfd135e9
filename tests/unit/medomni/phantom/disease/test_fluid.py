"""Pleural fluid: its volume, where it gathers, and the lung it presses."""

import numpy as np
import pytest

from medomni.phantom.disease.fluid import effusion, pressed_lung, push
from medomni.phantom.disease.placed import Placed
from medomni.phantom.disease.site import Site, paint
from tests import sites


@pytest.mark.parametrize("variant", ["free", "loculated"])
@pytest.mark.parametrize("ml", [60.0, 250.0])
def test_an_effusion_has_its_volume_and_the_hu_of_water(variant, ml):
    site = sites.site()
    layer = effusion(site, Placed("pleural_effusion", amount=ml, variant=variant), np.random.default_rng(0))
    hu = site.hu.copy()
    paint(hu, layer)
    assert layer.mask.sum() * site.canvas.voxel_ml == pytest.approx(ml, rel=0.03)
    assert -6 < np.median(hu[layer.mask]) < 26


def test_free_fluid_lies_at_the_back_and_climbs_along_the_wall():
    site = sites.site()
    fluid = effusion(site, Placed("pleural_effusion", amount=250.0, variant="free"), np.random.default_rng(0)).mask
    assert np.argwhere(fluid)[:, 1].mean() > np.argwhere(site.lung)[:, 1].mean() + 5
    near, far = site.lung & (site.costal_mm < 5), site.lung & (site.costal_mm > 20)
    front = [np.argwhere(fluid & part)[:, 1].min() for part in (near, far) if np.any(fluid & part)]
    assert front[0] <= front[-1]


def test_most_of_a_pleural_space_can_fill_but_never_all():
    site = sites.site()
    fluid = effusion(site, Placed("pleural_effusion", amount=9000.0, variant="free"), np.random.default_rng(0)).mask
    assert 0.6 < fluid.sum() / site.lung.sum() < 0.85


def test_pressed_lung_lies_beside_the_fluid_and_is_airless():
    site = sites.site()
    fluid = effusion(site, Placed("pleural_effusion", amount=300.0, variant="free"), np.random.default_rng(0)).mask
    rim = pressed_lung(Site(site.canvas, site.hu, site.lung & ~fluid, site.side, site.lobes), fluid, np.random.default_rng(1))
    hu = site.hu.copy()
    paint(hu, rim)
    assert rim.mask.any()
    assert not np.any(rim.mask & fluid)
    assert np.median(hu[rim.mask]) > -300


def test_pushed_lung_grows_denser_and_its_lobes_move_forward():
    site = sites.site()
    fluid = effusion(site, Placed("pleural_effusion", amount=300.0, variant="free"), np.random.default_rng(0)).mask
    hu, lobes = site.hu.copy(), {name: mask.copy() for name, mask in site.lobes.items()}
    push(hu, fluid, site.lung, lobes)
    free = site.lung & ~fluid
    assert hu[free].mean() > site.hu[free].mean() + 10
    low = "lung_lower_lobe_right"
    assert (lobes[low] & free).sum() > (site.lobes[low] & free).sum()
    assert np.array_equal(hu[~site.lung], site.hu[~site.lung])
