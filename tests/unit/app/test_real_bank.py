"""Real series in the bank; a phantom written as DICOM stands for one, since no patient's images are in the repository."""

import tarfile

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from adapters.samples import cut_out, load_sample
from app import bank, real_bank
from medomni.anatomy import LOBES
from medomni.model.config import LABELS
from medomni.phantom import make_case
from medomni.phantom.write import write_dicom
from medomni.types.volume import Volume

UNKNOWN = ("emphysema", "lung_nodule")


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    case = make_case(7, (), shape=(96, 128, 128), spacing_mm=(3.0, 2.8, 2.8))
    series = write_dicom(case, folder / "one")
    with tarfile.open(folder / "one.tar.xz", "w:xz") as archive:
        archive.add(series, "one")
    made = [real_bank.Visit(folder / "one.tar.xz", number, UNKNOWN, folder / "bank") for number in range(4)]
    real_bank.write(made, 1, lambda _: None)
    return made


def test_first_visit_is_the_series_as_it_is(visits):
    sample = load_sample(visits[0].file)
    assert sample.lesions == ()
    assert sample.unknown == UNKNOWN


def test_later_visits_have_diseases_where_the_image_changed(visits):
    before, drawn = load_sample(visits[0].file), 0
    for visit in visits[1:]:
        if not visit.file.exists():
            continue
        with np.load(visits[0].file) as one, np.load(visit.file) as other:
            changed = np.abs(one["codes"].astype(int) - other["codes"].astype(int)) > 20
            cells = changed.reshape(changed.shape[0] // 2, 2, changed.shape[1] // 4, 4, changed.shape[2] // 4, 4)
            for inside in other["occ"]:
                full = inside >= 16
                if full.any():
                    drawn += 1
                    assert cells.mean(axis=(1, 3, 5))[full].mean() > 10 * changed.mean()
    assert drawn > 0
    assert before.codes.any()


def test_what_nobody_judged_teaches_nothing_outside_the_lesions(visits):
    sample, rng = load_sample(visits[0].file), np.random.default_rng(0)
    centre = np.array([n // step // 2 for n, step in zip(sample.codes.shape, (2, 4, 4), strict=True)])
    places = cut_out(sample, centre, (24, 48, 48), rng).places
    for label in UNKNOWN:
        assert (places[LABELS.index(label)] == 255).all()
    assert (places[LABELS.index("medical_material")] == 0).all()


def test_bank_of_real_series_goes_on_where_it_stopped(visits, monkeypatch):
    monkeypatch.setattr(real_bank, "write_one", lambda _: pytest.fail("drawn again"))
    real_bank.write([visit for visit in visits if visit.file.exists()], 1, lambda _: None)


def test_series_may_be_a_nifti_file(tmp_path):
    case = make_case(7, (), shape=(96, 128, 128), spacing_mm=(3.0, 2.8, 2.8))
    image = nibabel.Nifti1Image(case.volume.hu[:, ::-1, ::-1].T, np.diag([2.8, 2.8, 3.0, 1.0]))
    nibabel.save(image, tmp_path / "one-ct.nii.gz")
    visit = real_bank.Visit(tmp_path / "one-ct.nii.gz", 0, UNKNOWN, tmp_path / "bank")
    real_bank.write([visit], 1, lambda _: None)
    sample = load_sample(visit.file)
    assert visit.file.name.startswith("one-ct-") and sample.codes.any() and sample.structures.any()


def test_blood_without_contrast_is_as_dense_as_tissue_and_the_spine_stays():
    case = make_case(7, (), shape=(96, 128, 128), spacing_mm=(3.0, 2.8, 2.8))
    hu = case.volume.hu.copy()
    aorta = binary_erosion(case.truth.mask("aorta"))
    hu[case.truth.mask("aorta", "heart", "pulmonary_artery")] = 350
    bright = Volume(hu, case.volume.grid)
    plain = real_bank.without_contrast(bright, bank.own_segmenter().segment(bright, lambda _: None)).hu
    beside = aorta & _between_lungs(case)
    assert beside.any() and np.median(plain[beside]) < 65
    spine = binary_erosion(case.truth.mask("vertebrae"))
    assert np.mean(plain[spine] == hu[spine]) > 0.8
    assert (plain[hu < 40] == hu[hu < 40]).all()


def _between_lungs(case):
    lungs = case.truth.mask(*(name for lobes in LOBES.values() for name in lobes))
    from_left = np.maximum.accumulate(lungs, axis=2)
    return from_left & np.maximum.accumulate(lungs[:, :, ::-1], axis=2)[:, :, ::-1]


def test_diseases_are_drawn_from_the_kinds_given():
    drawn = [one for n in range(40) for one in real_bank.draw_diseases(("emphysema", "consolidation"), np.random.default_rng(n))]
    assert {item.kind for item in drawn} == {"emphysema", "consolidation"}
    assert {item.side for item in drawn} == {"left", "right"}
