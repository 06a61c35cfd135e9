"""The training of the nodule network: its recipe is whole, its variations keep the window, its patches carry the right label."""

import tomllib
from importlib.resources import files

import numpy as np
import torch

from preprocessing.detect.nodule_patches import EDGE
from preprocessing.detect.nodule_samples import Samples, found_samples, joined, thicker
from preprocessing.detect.train_nodule import PLACES, read_recipe, varied
from tests.unit.preprocessing.detect.lungs import ball, lung_case

MOST_KEYS = 30
NONE = np.zeros((0, 3))


def test_shipped_recipe_loads_and_is_short():
    recipe = read_recipe(None)
    assert len(recipe.phantom_seeds) == len(recipe.phantom_findings)
    assert not [name for name in recipe.series if "covid" in name or name.startswith("nodules")]
    table = tomllib.loads(files("preprocessing.detect").joinpath("train_nodule.toml").read_text("utf-8"))
    assert len(table) <= MOST_KEYS


def test_listed_places_belong_to_series_of_the_recipe():
    listed = tomllib.loads(files("preprocessing.detect").joinpath(PLACES).read_text("utf-8"))
    assert {name for kind in listed.values() for name in kind} <= set(read_recipe(None).series)


def test_variation_keeps_shape_and_window():
    patches = torch.rand((4, 2, EDGE, EDGE, EDGE)) * 2 - 1
    made = varied(patches, 0.05, np.random.default_rng(0), torch.Generator().manual_seed(0))
    assert made.shape == patches.shape
    assert float(made.abs().max()) <= 1.0
    assert not torch.equal(made, patches)


def test_known_nodule_is_labelled_and_its_neighbourhood_left_out():
    centre = (-24.0, 4.0, 2.0)
    case = lung_case(lambda hu, world: ball(hu, world, centre, 10.0, 30.0))
    known = found_samples(case.volume, case.segmentation, np.array([centre]), NONE, 2, np.random.default_rng(0))
    unknown = found_samples(case.volume, case.segmentation, NONE, NONE, 2, np.random.default_rng(0))
    assert known.is_nodule.sum() >= 2
    assert not unknown.is_nodule.any()
    both = joined([known, unknown])
    assert len(both.patches) == len(both.is_nodule) == len(known.is_nodule) + len(unknown.is_nodule)
    assert isinstance(both, Samples)


def test_thicker_slices_average_and_keep_the_body_in_place():
    case = lung_case()
    volume, segmentation = thicker(case.volume, case.segmentation, 3)
    assert volume.hu.shape[0] == case.volume.hu.shape[0] // 3 == segmentation.labels.shape[0]
    assert np.isclose(volume.grid.slice_spacing_mm, 3 * case.volume.grid.slice_spacing_mm)
    assert np.isclose(volume.grid.slice_positions_mm[0], case.volume.grid.slice_positions_mm[:3].mean())
