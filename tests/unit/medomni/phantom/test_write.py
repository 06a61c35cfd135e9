"""Phantom cases on disk: valid DICOM of nobody, masks on the same grid, the same bytes every time."""

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from medomni.anatomy import LOBES
from medomni.phantom import Placed, make_case, write_case, write_dicom
from medomni.phantom.cohort import BodyRegion
from medomni.phantom.facts import FINDINGS, ORGAN_CHANGES
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


needs_dciodvfy = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian dicom3tools) is not installed")


def assert_valid(series):
    """Nothing is said of the first, the middle and the last image but what kind it is."""
    files = sorted(series.iterdir())
    assert len(files) > 20
    for path in (files[0], files[len(files) // 2], files[-1]):
        told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert (told.stdout + told.stderr).split() == ["CTImage"], path.name


@needs_dciodvfy
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_dciodvfy_finds_no_error(seed, tmp_path):
    assert_valid(write_dicom(factories.small_chest(seed), tmp_path / "dicom"))


@needs_dciodvfy
def test_dciodvfy_finds_no_error_in_a_chest_with_contrast(tmp_path):
    case = factories.small_chest(3)
    assert case.phase
    assert_valid(write_dicom(case, tmp_path / "dicom"))


@needs_dciodvfy
def test_dciodvfy_finds_no_error_in_an_abdomen(tmp_path):
    abdomen = make_case(1, shape=(48, 96, 96), spacing_mm=(6.25, 3.75, 3.75), region=BodyRegion.ABDOMEN)
    assert_valid(write_dicom(abdomen, tmp_path / "dicom"))


@needs_dciodvfy
@pytest.mark.slow
def test_dciodvfy_finds_no_error_in_a_written_case_and_its_prior(written):
    assert_valid(written[0] / "dicom")
    assert_valid(written[0] / "prior" / "dicom")


def test_the_header_states_technique_and_contrast(tmp_path):
    seen = set()
    for seed in range(6):
        case = factories.small_chest(seed)
        image = pydicom.dcmread(write_dicom(case, tmp_path / str(seed)) / "ct0001.dcm", stop_before_pixels=True)
        assert (image.KVP, image.ConvolutionKernel) == (case.technique.kvp, case.technique.kernel)
        assert float(image.SliceThickness) == case.technique.slice_thickness_mm
        assert ("ContrastBolusAgent" in image) == bool(case.phase)
        assert image.BodyPartExamined == "CHEST"
        seen.add(bool(case.phase))
    assert seen == {True, False}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A default case with an earlier study, written twice."""
    out = tmp_path_factory.mktemp("written")
    return tuple(write_case(out / name, 6, language="zh") for name in ("a", "b"))


@pytest.mark.slow
def test_a_written_case_is_the_same_every_time(written):
    assert digests(written[0]) == digests(written[1])
    assert {path.name for path in written[0].iterdir()} == {
        *("dicom", "prior", "truth.nii.gz", "lesions.nii.gz", "truth.json", "coronal.png", "axial.png"),
        *("history.txt", "history_zh.txt", "report.txt", "report_zh.txt", "dictation.txt"),
    }


@pytest.mark.slow
def test_masks_lie_where_the_values_say(written):
    import nibabel

    facts = json.loads((written[0] / "truth.json").read_text(encoding="utf-8"))
    masks = nibabel.load(written[0] / "truth.nii.gz")
    labels = np.asarray(masks.dataobj)
    right = np.isin(labels, [int(k) for k, name in facts["truth_labels"].items() if name in LOBES["right"]])
    ml = right.sum() * abs(np.linalg.det(masks.affine[:3, :3])) / 1000
    assert ml == pytest.approx(facts["measurements"]["lung_volume_right"], rel=1e-3)
    assert (masks.affine @ [*np.argwhere(right).mean(axis=0), 1])[0] > 40  # RAS: the patient's right is positive
    assert len(list((written[0] / "dicom").iterdir())) == labels.shape[2]


@pytest.mark.slow
def test_the_truth_codes_every_finding_and_places_what_is_there(written):
    facts = json.loads((written[0] / "truth.json").read_text(encoding="utf-8"))
    findings = {finding["label"]: finding for finding in facts["findings"]}
    assert list(findings) == [*FINDINGS, *ORGAN_CHANGES]
    assert findings["pleural_effusion"]["codes"][0]["code"]["code"] == "RID34539"
    placed = {item["kind"] for item in facts["placed"]}
    for label, finding in findings.items():
        assert (finding["presence"] == "present") == bool(finding["instances"])
        if finding["in_view"] and label in placed:
            assert finding["presence"] == "present"
    (low, high) = np.array(findings["pleural_effusion"]["instances"][0]["box_mm"])
    assert (high > low).all()
    assert (written[0] / "history_zh.txt").read_text(encoding="utf-8").strip() == facts["history"]["zh"]


@pytest.mark.slow
def test_the_prior_is_an_earlier_study_of_the_same_patient(written):
    now, before = (pydicom.dcmread(written[0] / part / "dicom" / "ct0005.dcm") for part in ("", "prior"))
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        assert now[keyword].value == before[keyword].value
    assert before.StudyDate < now.StudyDate
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
        assert now[keyword].value != before[keyword].value
    facts = json.loads((written[0] / "truth.json").read_text(encoding="utf-8"))
    assert facts["prior"]["date"] == before.StudyDate
    assert any(instance["change"] for finding in facts["findings"] for instance in finding["instances"])
    assert json.loads((written[0] / "prior" / "truth.json").read_text(encoding="utf-8"))["prior"] is None


@pytest.mark.slow
def test_the_page_holds_its_pictures_and_links_to_files_that_exist(written, tmp_path):
    import re

    from medomni.phantom.gallery import write_gallery

    out = written[0].parent
    page = write_gallery(out, tmp_path / "gallery.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page
    assert all((out / link).exists() for link in re.findall(r'href="([^"]+)"', page))
    assert "pleural effusion" in page
