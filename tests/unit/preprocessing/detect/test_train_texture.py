"""The training of the texture network: samples of known truth, and a stopped run that ends as a whole one."""

from dataclasses import replace

import numpy as np
import torch

from preprocessing.detect.texture_kinds import KINDS
from preprocessing.detect.texture_samples import LUNG_BIT, draw_diseases, load_sample, phantom_samples
from preprocessing.detect.train_texture import Patches, read_recipe, texture_loss, train

SMALL = {"patch": [8, 16, 16], "batch": 2, "warm_up": 1, "checkpoint_every": 1}


def write_samples(folder):
    rng = np.random.default_rng(0)
    for number in range(3):
        hu = rng.normal(-850, 20, (12, 24, 24)).astype(np.int16)
        truth = np.full(hu.shape, 1 << LUNG_BIT, np.uint16)
        hu[3:9, 4:14, 6:18] = 20
        truth[3:9, 4:14, 6:18] |= 1 << KINDS.index("consolidation")
        folder.mkdir(exist_ok=True)
        np.savez(folder / f"{'real' if number == 0 else 'phantom'}-{number}-0.npz", hu=hu, truth=truth)
    return folder


def test_a_patch_shows_what_its_truth_says(tmp_path):
    folder = write_samples(tmp_path / "samples")
    sample = load_sample(next(folder.iterdir()))
    recipe = replace(read_recipe(None), steps=3, **SMALL)
    hu, truth = Patches(((False, sample),), recipe)[0]
    assert hu.shape == (2, 8, 16, 16)
    assert truth.shape == (2, len(KINDS) + 1, 8, 8, 8)
    dense = torch.nn.functional.avg_pool3d(hu[:, None], (1, 2, 2))[:, 0]
    shown = truth[:, KINDS.index("consolidation")]
    assert dense[shown > 0.9].mean() > -200
    assert dense[shown == 0].mean() < -600


def test_loss_counts_lung_only_and_falls_where_the_answer_is_right():
    truth = torch.zeros(1, len(KINDS) + 1, 2, 2, 2)
    truth[:, -1, 0] = 1
    truth[:, 0, 0, 0, 0] = 1
    weights = torch.full((len(KINDS),), 3.0)
    right = torch.where(truth[:, :-1] > 0, 9.0, -9.0)
    assert texture_loss(right, truth, weights) < 1e-3 < texture_loss(-right, truth, weights)
    elsewhere = right.clone()
    elsewhere[:, :, 1] = 9.0
    assert texture_loss(elsewhere, truth, weights) == texture_loss(right, truth, weights)


def test_a_stopped_training_goes_on_where_it_was(tmp_path):
    folder = write_samples(tmp_path / "samples")
    recipe = replace(read_recipe(None), steps=3, **SMALL)
    whole = train(folder, tmp_path / "whole", recipe, is_half=False).state_dict()
    train(folder, tmp_path / "parts", recipe, is_half=False, last=2)
    parts = train(folder, tmp_path / "parts", recipe, is_half=False).state_dict()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=0)


def test_phantom_samples_follow_from_the_seed():
    one, other = next(phantom_samples(2_000_001)), next(phantom_samples(2_000_001))
    assert np.array_equal(one.hu, other.hu)
    assert np.array_equal(one.truth, other.truth)
    lungs = one.truth >> LUNG_BIT & 1
    assert -900 < np.median(one.hu[lungs > 0]) < -600


def test_diseases_are_drawn_from_the_kinds_given():
    drawn = [item for seed in range(40) for item in draw_diseases(("emphysema", "consolidation"), np.random.default_rng(seed))]
    assert {item.kind for item in drawn} == {"emphysema", "consolidation"}
    assert {item.side for item in drawn} == {"left", "right"}
