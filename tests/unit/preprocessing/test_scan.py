import numpy as np
import pytest

from medomni.model.scan import CELL, GRID_MM, HU_OF_CODE, LEAST_SLICES, STRUCTURES, Scan, box_mm, focus, to_codes
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.scan import to_scan
from tests import factories


def study(shape=(20, 80, 80), spacing=(5.0, 3.0, 3.0), lesion=False):
    """A box of soft tissue in air, with a liver at one corner of it."""
    grid = factories.grid(shape, spacing)
    hu = np.full(shape, -1000, np.int16)
    hu[:, 20:60, 16:70] = 40
    labels = np.zeros(shape, np.uint8)
    labels[4:10, 30:40, 20:30] = 7
    hu[labels == 7] = 60
    lesions = np.zeros(shape, np.uint8)
    lesions[5:7, 32:36, 22:26] = 3
    seen = Segmentation(lesions, grid, {3: "nodule"}, "x", "") if lesion else None
    return Volume(hu, grid), Segmentation(labels, grid, {7: "liver"}, "x", "", lesions=seen)


def test_scan_holds_the_body_in_whole_cells_and_leaves_air_out():
    volume, segmentation = study()
    scan = to_scan(volume, segmentation)
    assert all(n % step == 0 for n, step in zip(scan.codes.shape, CELL, strict=True))
    assert scan.codes.shape[2] * GRID_MM[2] < 80 * 3.0
    assert (HU_OF_CODE[scan.codes] > 0).mean() > 0.7


def test_structure_lies_where_the_study_has_it():
    volume, segmentation = study(lesion=True)
    scan = to_scan(volume, segmentation)
    liver, nodule = (scan.structures == STRUCTURES.index(name) + 1 for name in ("liver", "nodule"))
    block_ml = GRID_MM[0] * 2 * GRID_MM[1] * 2 * GRID_MM[2] / 1000
    whole = (segmentation.labels == 7).sum() * 45 / 1000
    assert (liver | nodule).sum() * block_ml == pytest.approx(whole, rel=0.1)
    assert nodule.sum() * block_ml == pytest.approx(2 * 4 * 4 * 45 / 1000, rel=0.3)
    places = np.argwhere(liver | nodule) * [1, 2, 2] + [0, 0.5, 0.5]
    world = scan.grid.to_world_mm(places).mean(axis=0)
    expected = volume.grid.to_world_mm(np.argwhere(segmentation.labels == 7)).mean(axis=0)
    assert np.abs(world - expected).max() < 2.0


def test_box_of_a_scan_is_the_box_in_the_patient_and_back():
    scan = to_scan(*study())
    low, high = np.array([5.0, 12.0, 18.0]), np.array([20.0, 30.0, 42.0])
    assert np.allclose(scan.place_mm(box_mm(scan.grid, low, high)), [low, high], atol=1e-6)


def test_focused_scan_is_the_same_place():
    volume, segmentation = study(shape=(20, 200, 200), spacing=(5.0, 1.5, 1.5))
    scan = to_scan(volume, segmentation)
    near = scan.focused()
    assert near.codes.size < scan.codes.size
    places = [np.argwhere(one.structures > 0).mean(axis=0) * [1, 2, 2] for one in (scan, near)]
    assert np.allclose(scan.grid.to_world_mm(places[0]), near.grid.to_world_mm(places[1]), atol=0.1)


def test_few_slices_are_filled_up_with_air():
    scan = to_scan(*study(shape=(1, 80, 80)))
    assert scan.codes.shape[0] == LEAST_SLICES
    assert HU_OF_CODE[scan.codes[-1]].max() <= -1000


def test_codes_are_finer_than_the_noise_of_a_ct():
    hu = np.arange(-1024, 3072).astype(np.int16)
    error = np.abs(HU_OF_CODE[to_codes(hu)] - hu)
    assert error[(hu < -200)].max() <= 4.1
    assert error[(hu > -200) & (hu < 300)].max() <= 2.1
    assert to_codes(np.array([-3024.0, 9000.0])).tolist() == [0, 255]


def test_scan_without_structures_is_looked_at_whole():
    assert focus(np.zeros((4, 10, 12), np.uint8)) == (slice(0, 4), slice(0, 20), slice(0, 24))


def test_scan_that_is_not_made_of_cells_is_refused():
    grid = factories.grid((12, 6, 8), GRID_MM)
    with pytest.raises(ValueError, match="cells"):
        Scan(np.zeros((12, 6, 8), np.uint8), np.zeros((12, 3, 4), np.uint8), grid)
