"""Volumes, densities and extents of segmented structures."""

import numpy as np
import pytest

from preprocessing.measure.regions import measure
from tests import factories


def test_volume_density_box_and_shares_of_a_lung():
    on = factories.grid(shape=(20, 64, 64), spacing_mm=(3.0, 2.0, 1.5))
    lung = np.zeros(on.shape, bool)
    lung[5:15, 10:30, 20:40] = True
    volume = factories.volume(fill=40, on=on, parts=((lung, -800),))
    volume.hu[5:6, 10:30, 20:40] = -980
    volume.hu[6:8, 10:30, 20:40] = -500
    regions = {r.structure: r for r in measure(volume, factories.segmentation({"lung_right": lung, "airway": lung & False}, on))}
    found = regions["lung_right"]
    assert found.value("volume") == pytest.approx(10 * 20 * 20 * 9.0 / 1000)
    assert found.value("mean_hu") == pytest.approx(-800 + 0.1 * -180 + 0.2 * 300)
    assert found.value("laa950") == pytest.approx(10.0)
    assert found.value("haa") == pytest.approx(20.0)
    assert (found.first_slice, found.last_slice, found.touches_edge) == (5, 14, False)
    low, high = np.array(found.box_mm)
    np.testing.assert_allclose(low, on.to_world_mm(np.array([5, 10, 20])), atol=0.01)
    np.testing.assert_allclose(high, on.to_world_mm(np.array([14, 29, 39])), atol=0.01)
    assert not regions["airway"].is_found


def test_uneven_slices_count_with_the_height_they_stand_for():
    on = factories.uneven_grid(shape=(12, 16, 16))
    whole = np.ones(on.shape, bool)
    (body,) = measure(factories.volume(on=on), factories.segmentation({"body": whole}, on))
    assert body.value("volume") == pytest.approx(float(on.voxel_volumes_ml.sum()) * 256)
    assert body.touches_edge
    assert all(m.is_lower_bound for m in body.measurements if m.name == "volume")


def test_metal_and_padding_beyond_12_bits_are_counted_at_the_ends():
    on = factories.grid(shape=(4, 8, 8))
    volume = factories.volume(fill=20000, on=on)
    (bone,) = measure(volume, factories.segmentation({"bone": np.ones(on.shape, bool)}, on))
    assert bone.value("mean_hu") == 3071
