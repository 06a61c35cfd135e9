"""Textures of the lungs: what the network says of a cell is found again at its place, side and size."""

import numpy as np
import pytest

from preprocessing.detect import texture_network
from preprocessing.detect.place import fine_to_study
from preprocessing.detect.texture import lung_textures
from preprocessing.detect.texture_kinds import BLOCK, DIVISOR, KINDS
from preprocessing.morphology import shrink
from tests.unit.preprocessing.detect.lungs import ball, lung_case

CENTRE_MM = (-24.0, 8.0, 6.0)


def says_dense(hu):
    """In place of the network: every disease where a block is denser than lung."""
    assert all(n % divisor == 0 for n, divisor in zip(hu.shape, DIVISOR, strict=True))
    blocks = hu.reshape(hu.shape[0], hu.shape[1] // BLOCK, BLOCK, hu.shape[2] // BLOCK, BLOCK).mean(axis=(2, 4))
    return np.repeat((blocks > -450)[None].astype(np.float32), len(KINDS), axis=0)


@pytest.mark.parametrize(("spacing_mm", "shape"), [((1.5, 1.0, 1.0), (48, 72, 96)), ((3.0, 0.7, 0.7), (26, 100, 138))])
def test_a_disease_has_its_size_its_side_and_its_place(monkeypatch, spacing_mm, shape):
    monkeypatch.setattr(texture_network, "probabilities", says_dense)
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, 20.0, 0.0), spacing_mm=spacing_mm, shape=shape)
    textures = lung_textures(case)
    assert textures is not None
    plain = lung_textures(lung_case(spacing_mm=spacing_mm, shape=shape))
    beside = {side: plain.millilitres("atelectasis", side) for side in ("left", "right")}
    assert textures.millilitres("atelectasis", "right") - beside["right"] == pytest.approx(4.19, rel=0.25)
    assert textures.millilitres("atelectasis", "left") == beside["left"]
    place = case.volume.grid.to_world_mm(fine_to_study(case, np.array(textures.place("atelectasis", "right"))))
    assert np.linalg.norm(place - CENTRE_MM) < 15


def test_cells_lie_over_the_voxels_they_speak_of(monkeypatch):
    monkeypatch.setattr(texture_network, "probabilities", says_dense)
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, 24.0, 0.0), noise_hu=0.0)
    on_coarse = lung_textures(case).on_coarse("consolidation", case) > 0.5
    lungs = shrink(case.mask("lung_right", "lung_left"), 5.0, case.spacing_mm)
    dense = lungs & (case.coarse.hu > -450)
    both = 2 * (on_coarse & dense).sum() / ((on_coarse & lungs).sum() + dense.sum())
    assert both > 0.75


def test_network_answers_once_for_each_block():
    network = texture_network.TextureNetwork()
    import torch

    with torch.no_grad():
        logits = network(torch.full((2, 8, 16, 24), -850.0))
    assert logits.shape == (2, len(KINDS), 8, 8, 12)
    assert sum(p.numel() for p in network.parameters()) < 300_000
    assert not [name for name in network.state_dict() if "skip_layers" in name]
