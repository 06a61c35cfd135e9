"""Places that the network judges: what it says of a cell lies over the voxels of that cell, whichever way the study is stored."""

import numpy as np
import pytest

from medomni.model import omni_runtime
from medomni.model.config import LABELS
from medomni.model.omni_folder import SHIPPED
from medomni.model.scan import CELL, HU_OF_CODE
from medomni.types.volume import Grid, Volume
from preprocessing.detect.case import Case
from preprocessing.detect.places import SHOWN, places
from preprocessing.morphology import shrink
from preprocessing.scan import to_scan
from tests import factories
from tests.unit.preprocessing.detect.lungs import ball, lung_case

CENTRE_MM = (-24.0, 8.0, 6.0)
DENSE = LABELS.index("consolidation")


def says_dense(folder, codes, structures):
    """In place of the network: consolidation where a cell is denser than lung."""
    hu = HU_OF_CODE[codes]
    z, y, x = (n // step for n, step in zip(codes.shape, CELL, strict=True))
    means = hu.reshape(z, CELL[0], y, CELL[1], x, CELL[2]).mean(axis=(1, 3, 5))
    made = np.zeros((len(LABELS), z, y, x), np.float32)
    made[DENSE] = means > -450
    return made


@pytest.fixture
def dense(monkeypatch):
    monkeypatch.setattr(omni_runtime, "cells_of", says_dense)


def overlap(case):
    shown = case.once(places).shown("consolidation", case)
    lungs = shrink(case.mask("lung_right", "lung_left"), 5.0, case.spacing_mm)
    seen = lungs & (case.coarse.hu > -450)
    return 2 * (shown & seen).sum() / ((shown & lungs).sum() + seen.sum())


@pytest.mark.parametrize(("spacing_mm", "shape"), [((1.5, 1.0, 1.0), (48, 72, 96)), ((3.0, 0.7, 0.7), (26, 100, 138))])
def test_cells_lie_over_the_voxels_they_speak_of(dense, spacing_mm, shape):
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, 26.0, 0.0), 0.0, spacing_mm, shape)
    assert overlap(case) > 0.75
    assert case.once(places).shown("atelectasis", case).sum() == 0


def turned(case):
    """The same patient, stored from the head down and from left to right, each slice shifted against the one before."""
    on = case.volume.grid
    shift = np.outer(np.arange(on.shape[0]), 0.15 * on.column_direction)
    last = (on.shape[2] - 1) * on.pixel_spacing_mm[1] * on.row_direction
    origins = (on.slice_origins_mm + shift + last)[::-1]
    grid = Grid(on.shape, on.pixel_spacing_mm, -on.row_direction, on.column_direction, origins)
    labels = case.segmentation.labels[::-1, :, ::-1]
    names = {name: labels == label for label, name in case.segmentation.names.items()}
    volume = Volume(np.ascontiguousarray(case.volume.hu[::-1, :, ::-1]), grid)
    return Case(volume, factories.segmentation(names, grid), case.regions, case.coverage)


def test_turned_studies_and_shifted_slices_keep_their_places(dense):
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, 26.0, 0.0), 0.0)
    assert overlap(turned(case)) > 0.75


def test_a_coronal_stack_with_shifted_slices_keeps_its_places(dense):
    on = factories.coronal_grid((60, 48, 90), (2.0, 2.0, 2.0))
    origins = on.slice_origins_mm + np.outer(np.arange(60), 0.5 * on.column_direction)
    grid = Grid(on.shape, on.pixel_spacing_mm, on.row_direction, on.column_direction, origins)
    world = factories.world_mm(grid)
    ball_mm = np.linalg.norm(world - world.reshape(-1, 3).mean(axis=0), axis=-1)
    volume = Volume(np.where(ball_mm < 16, 20, -900).astype(np.int16), grid)
    case = Case(volume, factories.segmentation({"lung_left": ball_mm < 30}, grid), (), lung_case().coverage)
    shown = case.once(places).shown("consolidation", case)
    seen = case.coarse.hu > -450
    assert 2 * (shown & seen).sum() / (shown.sum() + seen.sum()) > 0.8


def test_outside_of_what_the_network_saw_nothing_is_likely(monkeypatch):
    monkeypatch.setattr(omni_runtime, "cells_of", lambda folder, codes, structures: says_dense(folder, codes, structures) * 0 + 1)
    case = lung_case(shape=(48, 72, 160))
    right = {"lung_right": case.segmentation.mask("lung_right") & (np.arange(160) < 60)}
    case = Case(case.volume, factories.segmentation(right, case.volume.grid), case.regions, case.coverage)
    likely = case.once(places).on_coarse("emphysema", case)
    assert (likely[case.mask("lung_right")] > SHOWN).all()
    assert not likely[:, :, -20:].any()


def test_slices_too_far_apart_are_not_looked_at_and_nothing_is_said_of_them(monkeypatch):
    monkeypatch.setattr(omni_runtime, "cells_of", None)
    case = lung_case(spacing_mm=(8.0, 1.0, 1.0), shape=(12, 72, 96))
    seen = case.once(places)
    assert seen.is_blind
    assert not seen.probability.any()


def test_the_shipped_network_says_what_the_model_builds_on():
    case = lung_case(lambda hu, world: ball(hu, world, CENTRE_MM, 26.0, 0.0))
    scan = to_scan(case.volume, case.segmentation).focused()
    viewed = omni_runtime.open_runtime(SHIPPED, 1).see(scan.codes, scan.structures)
    seen = case.once(places)
    np.testing.assert_allclose(seen.probability, 1 / (1 + np.exp(-viewed.cells)), atol=1e-6)
    assert ((seen.probability > 0) & (seen.probability < 1)).all()
