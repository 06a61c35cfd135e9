import shutil
from dataclasses import replace

import numpy as np
import pytest

from adapters import voices
from adapters.samples import load_sample, save_sample
from app import bank, spoken_bank
from medomni.model.config import LABELS
from medomni.phantom import make_case
from medomni.phantom.cohort import BodyRegion
from medomni.phantom.disease import Placed
from preprocessing.detect.calibrate import true_segmentation
from preprocessing.scan import to_scan


@pytest.fixture(scope="module")
def case():
    placed = (Placed("consolidation", "left", "lower", "severe"), Placed("pleural_effusion", "right", "", "severe"))
    return make_case(7, placed, shape=(48, 96, 96), spacing_mm=(6.0, 3.7, 3.7))


@pytest.fixture(scope="module")
def file(case, tmp_path_factory):
    scan = to_scan(case.volume, true_segmentation(case))
    voxels = [bank.voxels_in_cells(lesion.mask, case.volume.grid, scan) for lesion in case.drawn]
    path = tmp_path_factory.mktemp("bank") / "chest-7-0.npz"
    save_sample(path, scan, voxels, bank.told(case, scan))
    return path, scan


def test_what_is_kept_of_a_case_is_read_again(case, file):
    sample = load_sample(file[0])
    true = {label for label, there in zip(LABELS, sample.labels, strict=True) if there}
    assert {"consolidation", "lung_opacity", "pleural_effusion"} <= true
    assert sample.info["history"] == case.history
    assert [lesion.label for lesion in sample.lesions] == [one.kind for one in case.drawn if one.kind in LABELS]


def test_lesions_lie_in_their_boxes_on_the_scan(file):
    for lesion in load_sample(file[0]).lesions:
        middles = (np.argwhere(lesion.voxels > 0) + 0.5) * np.array([5.0, 6.0, 6.0])
        assert (middles >= lesion.box[:3] - 6.1).all()
        assert (middles <= lesion.box[3:] + 6.1).all()


def test_a_mask_that_lies_the_other_way_is_refused(case):
    scan = to_scan(case.volume, true_segmentation(case))
    grid = case.volume.grid
    turned = replace(grid, row_direction=-grid.row_direction, column_direction=-grid.column_direction)
    with pytest.raises(ValueError, match="even slices"):
        bank.voxels_in_cells(case.drawn[0].mask, turned, scan)


def test_lesions_keep_their_volume(case, file):
    for lesion, one in zip(load_sample(file[0]).lesions, case.drawn, strict=True):
        ml = float(lesion.voxels.sum()) * 2.5 * 1.5 * 1.5 / 1000
        assert ml == pytest.approx(one.measurements["volume"], rel=0.1)


def test_bank_goes_on_where_it_stopped(tmp_path, monkeypatch):
    order = bank.BankOrder(1, tmp_path, BodyRegion.CHEST)
    order.file(bank.VISITS - 1).touch()
    monkeypatch.setattr(bank, "write_one", lambda _: pytest.fail("drawn again"))
    bank.write([order], 1, lambda _: None)


SPEAKER = next((f"{speaker}:{name}" for speaker, name in (("flite", "kal"), ("espeak-ng", "en-us")) if shutil.which(speaker)), "")


@pytest.mark.skipif(not SPEAKER, reason="needs flite or espeak-ng, speech synthesisers")
def test_patients_are_dictated_about_sentence_by_sentence_and_alike_each_time(file, tmp_path):
    orders = [spoken_bank.SpokenOrder(file[0], number, [SPEAKER], 16, tmp_path) for number in (0, 1)]
    for order in orders:
        spoken_bank.write_one(order)
    one, other = (voices.load(order.file) for order in orders)
    assert any("effusion" in sentence.lower() for sentence in one.sentences)
    assert list(one.sentences) != list(other.sentences)
    assert [spectrum.shape[0] for spectrum in one.spectra] == [16] * len(one.sentences)
    assert one.info == load_sample(file[0]).info
    again = replace(orders[0], out=tmp_path / "again")
    again.out.mkdir()
    spoken_bank.write_one(again)
    assert all(np.array_equal(a, b) for a, b in zip(voices.load(again.file).spectra, one.spectra, strict=True))
