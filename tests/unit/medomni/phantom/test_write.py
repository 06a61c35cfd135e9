"""Phantom cases on disk: valid DICOM of nobody, masks on the same grid, the same bytes every time."""

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from medomni.phantom import Placed, write_case, write_dicom
from tests import factories


def digests(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    case = factories.small_chest(1, (Placed("lung_opacity"),))
    folder = write_dicom(case, tmp_path_factory.mktemp("phantom") / "dicom")
    return case, [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def test_pixels_and_places_come_back_exactly(series):
    case, images = series
    hu = np.stack([image.pixel_array.astype(int) * int(image.RescaleSlope) + int(image.RescaleIntercept) for image in images])
    assert np.array_equal(hu, case.volume.hu)
    for image, origin in zip(images, case.volume.grid.slice_origins_mm, strict=True):
        assert np.allclose(image.ImagePositionPatient, origin, atol=1e-5)
        assert list(image.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert [float(s) for s in images[0].PixelSpacing] == pytest.approx(case.volume.grid.pixel_spacing_mm)


def test_the_identity_is_clearly_synthetic_and_uids_are_unique(series):
    case, images = series
    assert all(str(image.PatientName).startswith("Phantom^Case") for image in images)
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    uids = [image.StudyInstanceUID for image in images] + [image.SOPInstanceUID for image in images]
    assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)
    assert int(images[0].PatientAge[:3]) == case.age_years
    assert images[0].PatientSex == case.sex


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(series, tmp_path):
    _, images = series
    images[7].save_as(tmp_path / "one.dcm")
    told = subprocess.run(["dciodvfy", str(tmp_path / "one.dcm")], capture_output=True, text=True, check=False)
    assert "Error" not in told.stderr + told.stdout
    assert "CTImage" in told.stderr + told.stdout


@pytest.mark.slow
def test_a_written_case_is_whole_and_the_same_every_time(tmp_path):
    import nibabel

    first, second = (write_case(tmp_path / name, 7) for name in ("a", "b"))
    assert digests(first) == digests(second)
    facts = json.loads((first / "truth.json").read_text(encoding="utf-8"))
    masks = nibabel.load(first / "truth.nii.gz")
    labels = np.asarray(masks.dataobj)
    right = next(int(k) for k, name in facts["truth_labels"].items() if name == "lung_right")
    ml = np.sum(labels == right) * abs(np.linalg.det(masks.affine[:3, :3])) / 1000
    assert ml == pytest.approx(facts["measurements"]["lung_volume_right"], rel=1e-3)
    place = masks.affine @ [*np.argwhere(labels == right).mean(axis=0), 1]
    assert place[0] > 40  # RAS: the patient's right is positive
    assert len(list((first / "dicom").iterdir())) == labels.shape[2]
    assert (first / "history.txt").read_text(encoding="utf-8").strip() == facts["history"]["en"]
