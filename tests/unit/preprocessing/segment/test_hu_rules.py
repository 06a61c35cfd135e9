"""Lungs, airway, bone and body by CT numbers, against phantoms whose truth is exact."""

from functools import cache

import numpy as np
import pytest

from medomni.phantom import Placed, make_case
from medomni.phantom.disease.placed import LOBES
from medomni.types.volume import Volume
from preprocessing.segment.hu_rules import HuRules
from tests import factories

CASES = {
    "plain": (0, ()),
    "stomach gas under the left lung": (15, (Placed("pleural_effusion", "left", "lower", "mild"),)),
    "consolidation": (12, (Placed("consolidation", "right", "lower", "moderate"),)),
    "ground glass": (24, (Placed("lung_opacity", "right", "lower", "moderate"),)),
    "emphysema": (22, (Placed("emphysema", "right", "middle", "severe"),)),
}


@cache
def _case(name):
    seed, placed = CASES[name]
    case = make_case(seed, placed)
    return case, HuRules().segment(case.volume)


def _dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_both_lungs_agree_with_the_truth(name):
    case, found = _case(name)
    for side, lobes in LOBES.items():
        assert _dice(found.mask(f"lung_{side}"), case.truth.mask(*lobes)) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_trachea_is_no_lung(name):
    case, found = _case(name)
    truth = case.truth.mask("airway")
    slices = np.flatnonzero(truth.any(axis=(1, 2)))
    lungs = found.mask("lung_right", "lung_left")
    trachea = truth.copy()
    trachea[: int(slices.mean())] = False
    assert (lungs & trachea).sum() < 0.01 * trachea.sum()
    assert (lungs & truth).sum() < 0.2 * truth.sum()  # the ends of the main bronchi run into the lung
    assert _dice(found.mask("airway"), case.truth.mask("airway")) > 0.6


def test_sides_are_the_patients_whatever_way_the_slices_lie():
    plain = factories.small_chest()
    grid = plain.volume.grid
    expected = HuRules().segment(plain.volume)
    turned = factories.oblique_grid(
        (-grid.row_direction, -grid.column_direction, grid.normal),
        shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        origin_mm=tuple(grid.to_world_mm(np.array([0, grid.shape[1] - 1, grid.shape[2] - 1]))),
    )
    found = HuRules().segment(Volume(np.ascontiguousarray(plain.volume.hu[:, ::-1, ::-1]), turned))
    np.testing.assert_array_equal(found.labels[:, ::-1, ::-1], expected.labels)


def test_unknown_orientation_names_no_side():
    plain = factories.small_chest()
    on = factories.grid(plain.volume.grid.shape, plain.volume.grid.spacing_mm, is_side_known=False)
    found = HuRules().segment(Volume(plain.volume.hu, on))
    assert set(found.names.values()) == {"body", "lung", "airway", "bone"}
    assert set(np.unique(found.labels)) <= {0, *found.names}


def test_empty_image_gives_empty_structures():
    found = HuRules().segment(factories.volume(fill=-1000, on=factories.grid(shape=(6, 32, 32))))
    assert not found.labels.any()


def test_lung_cut_by_the_edge_of_the_field_is_still_lung():
    plain = factories.small_chest()
    whole = HuRules().segment(plain.volume)
    columns = np.flatnonzero(whole.mask("lung_right").any(axis=(0, 1)))
    first = int(columns[0]) + 3
    grid = plain.volume.grid
    origin = tuple(grid.to_world_mm(np.array([0, 0, first])))
    cut = factories.grid((*grid.shape[:2], grid.shape[2] - first), grid.spacing_mm, origin)
    found = HuRules().segment(Volume(np.ascontiguousarray(plain.volume.hu[:, :, first:]), cut))
    truth = whole.mask("lung_right")[:, :, first:]
    assert _dice(found.mask("lung_right"), truth) > 0.9
