"""NIfTI in and out: the same voxels at the same place in the patient, or a refusal before anything is allocated."""

import gzip
import struct

import nibabel
import numpy as np
import pytest

from medomni.errors import BadInput
from preprocessing.assemble import assemble, read_volume
from preprocessing.dicom import open_study
from preprocessing.nifti import write_nifti
from tests import ct_files, factories
from tests.ct_files import codes, save, series

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def saved(path, array, affine, **header):
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def plain(path, array=None, **header):
    return saved(path, ct_files.hu().T if array is None else array, np.diag([-0.7, -0.8, 2.5, 1]), **header)


def refused(path):
    with pytest.raises(BadInput) as caught:
        assemble(open_study(path), lambda share: None)
    assert str(caught.value).startswith(path.name + ": ")
    return str(caught.value)


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz"])
def test_a_nifti_ct_gives_its_hu_and_place(tmp_path, name):
    affine = np.array([[-0.7, 0, 0, 90.0], [0, -0.8, 0, 70.0], [0, 0, 2.5, -30.0], [0, 0, 0, 1]])
    path = saved(tmp_path / name, ct_files.hu().T, affine)
    study = open_study(path)
    assert study.grid.slice_origins_mm[0].tolist() == [-90, -70, -30]
    assert study.grid.spacing_mm == pytest.approx((2.5, 0.8, 0.7))
    assert codes(study) == {"nifti_source"}
    volume = assemble(study, lambda share: None)
    assert volume.hu.dtype == np.int16
    np.testing.assert_array_equal(volume.hu, ct_files.hu())


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (-1, 1, -1), (1, -1, -1)])
def test_whatever_the_order_of_axes_each_voxel_keeps_its_place(tmp_path, order, signs):
    rng = np.random.default_rng(3)
    array = rng.integers(-1000, 1000, (9, 10, 11)).astype(np.int16)
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, world in enumerate(order):
        affine[world, axis] = signs[axis] * (1.0, 1.5, 2.0)[axis]
    affine[:3, 3] = (5, -7, 11)
    volume = read_volume(saved(tmp_path / "ct.nii", array, affine))
    assert np.argmax(np.abs(volume.grid.normal)) == 2
    assert volume.grid.row_direction[0] == pytest.approx(1)
    for index in ((0, 0, 0), (8, 9, 10), (3, 7, 2)):
        place = LPS_TO_RAS @ affine @ [*index, 1]
        z, y, x = np.unravel_index(
            np.argmin(np.linalg.norm(factories.world_mm(volume.grid) - place[:3], axis=-1)), volume.grid.shape
        )
        np.testing.assert_allclose(volume.grid.to_world_mm(np.array([z, y, x])), place[:3], atol=1e-3)
        assert volume.hu[z, y, x] == array[index]


def test_a_ct_converted_to_nifti_equals_its_dicom(tmp_path):
    volume = read_volume(save(tmp_path / "study", series()))
    write_nifti(volume.hu, volume.grid, tmp_path / "ct.nii.gz")
    other = read_volume(tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(other.hu, volume.hu)
    np.testing.assert_allclose(other.grid.slice_origins_mm, volume.grid.slice_origins_mm, atol=1e-3)


def test_rescale_and_float_values_are_taken_over(tmp_path):
    image = nibabel.Nifti1Image((ct_files.hu().T.astype(np.int32) + 1024).astype(np.uint16), np.diag([1, 1, 2, 1]))
    image.header.set_slope_inter(1, -1024)
    path = tmp_path / "u.nii"
    nibabel.save(image, path)
    expected = ct_files.hu()[:, ::-1, ::-1]
    np.testing.assert_array_equal(nibabel.load(path).get_fdata(), ct_files.hu().T)
    np.testing.assert_array_equal(read_volume(path).hu, expected)
    whole = saved(tmp_path / "f.nii", ct_files.hu().T.astype(np.float32), np.diag([1, 1, 2, 1]))
    assert read_volume(whole).hu.dtype == np.int16
    np.testing.assert_array_equal(read_volume(whole).hu, expected)
    half = saved(tmp_path / "h.nii", ct_files.hu().T + 0.5, np.diag([1, 1, 2, 1]))
    assert read_volume(half).hu.dtype == np.float32


def test_values_below_air_become_air(tmp_path):
    array = ct_files.hu().T.copy()
    array[0] = -3024
    assert (read_volume(plain(tmp_path / "ct.nii", array)).hu[:, :, 0] == -1024).all()


def test_without_an_orientation_no_side_is_known(tmp_path):
    path = patched(tmp_path / "ct.nii", 252, "<2h", 0, 0)
    study = open_study(path)
    assert not study.grid.is_side_known
    assert "orientation_unknown" in codes(study)
    assert study.grid.spacing_mm == pytest.approx((2.5, 0.8, 0.7))


def test_two_orientations_that_contradict_are_named(tmp_path):
    image = nibabel.Nifti1Image(ct_files.hu().T, np.diag([-1.0, -1.0, 2.0, 1.0]))
    image.set_qform(np.diag([1.0, -1.0, 2.0, 1.0]), 1)
    nibabel.save(image, tmp_path / "ct.nii")
    assert "orientation_conflict" in codes(open_study(tmp_path / "ct.nii"))


def test_the_qform_is_used_where_there_is_no_sform(tmp_path):
    affine = np.array([[0, -0.7, 0, 1.0], [-0.8, 0, 0, 2.0], [0, 0, 2.5, 3.0], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(ct_files.hu().T, None)
    image.set_qform(affine, 1)
    image.set_sform(None, 0)
    nibabel.save(image, tmp_path / "q.nii")
    saved(tmp_path / "s.nii", ct_files.hu().T, affine)
    one, other = open_study(tmp_path / "q.nii").grid, open_study(tmp_path / "s.nii").grid
    np.testing.assert_allclose(one.slice_origins_mm, other.slice_origins_mm, atol=1e-4)
    np.testing.assert_allclose(one.row_direction, other.row_direction, atol=1e-5)


def test_identifiers_depend_on_the_content_and_not_on_the_name(tmp_path):
    one, other = plain(tmp_path / "a.nii"), plain(tmp_path / "b.nii")
    third = plain(tmp_path / "c.nii", ct_files.hu(seed=5).T)
    uids = [open_study(path).identity.study_instance_uid for path in (one, other, third)]
    assert uids[0] == uids[1] != uids[2]
    assert open_study(one).identity.is_study_uid_substituted


def patched(path, at, kind, *values):
    plain(path)
    data = bytearray(path.read_bytes())
    struct.pack_into(kind, data, at, *values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("at", "kind", "values", "says"),
    [
        (42, "<3h", (32767, 32767, 32767), "cut short or its dimensions are wrong"),
        (42, "<3h", (24, -20, 8), "dimensions make no sense"),
        (40, "<h", (9,), "another or a damaged header|dimensions make no sense"),
        (70, "<h", (1536,), "a data type no CT has"),
        (108, "<f", (float("nan"),), "impossible data offset"),
        (108, "<f", (1e30,), "impossible data offset"),
        (280, "<f", (float("nan"),), "the affine makes no sense"),
        (284, "<f", (5.0,), "the affine makes no sense"),
        (280, "<12f", (0.0,) * 12, "the affine makes no sense"),
        (344, "<4s", (b"ni1\0",), "not a single-file"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path, at, kind, values, says):
    import re

    assert re.search(says, refused(patched(tmp_path / "ct.nii", at, kind, *values)))


def test_4d_data_is_refused(tmp_path):
    assert "give one 3D volume" in refused(plain(tmp_path / "ct.nii", np.zeros((8, 8, 8, 5), np.int16)))


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz"])
def test_a_cut_file_is_refused(tmp_path, name):
    path = plain(tmp_path / name)
    path.write_bytes(path.read_bytes()[:-500])
    assert "cut short" in refused(path) or "damaged" in refused(path)


def test_a_packed_bomb_is_refused_before_it_is_unpacked(tmp_path):
    plain(tmp_path / "small.nii")
    head = bytearray((tmp_path / "small.nii").read_bytes()[:352])
    struct.pack_into("<3h", head, 42, 512, 512, 300)
    path = tmp_path / "ct.nii.gz"
    path.write_bytes(gzip.compress(bytes(head) + bytes(150 << 20), 9))
    assert "unpacks to far too much" in refused(path)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.full((8, 8, 8), np.nan, np.float32), "100 % NaN"),
        (np.full((8, 8, 8), np.inf, np.float32), "NaN or infinite"),
        (np.ones((8, 8, 8), np.uint8), "not a CT volume in HU"),
        (np.zeros((8, 8, 2), np.int16), "need at least 3 slices"),
    ],
)
def test_a_volume_that_is_no_ct_is_refused(tmp_path, values, says):
    assert says in refused(plain(tmp_path / "ct.nii", values))


@pytest.mark.parametrize(
    "make", [factories.grid, factories.prone_grid, factories.feet_first_grid, factories.coronal_grid, factories.rotated_grid]
)
def test_a_written_label_map_lies_where_the_grid_says(tmp_path, make):
    grid = make()
    labels = np.random.default_rng(0).integers(0, 9, grid.shape).astype(np.uint8)
    write_nifti(labels, grid, tmp_path / "seg.nii.gz")
    image = nibabel.load(tmp_path / "seg.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), labels.transpose(2, 1, 0))
    assert image.get_data_dtype() == np.uint8
    expected = LPS_TO_RAS @ grid.affine
    np.testing.assert_allclose(image.affine, expected, atol=1e-4)
    np.testing.assert_allclose(image.get_qform(), expected, atol=1e-3)


def test_a_tilted_grid_is_written_with_its_shear(tmp_path):
    grid = factories.tilted_grid()
    write_nifti(np.zeros(grid.shape, np.uint8), grid, tmp_path / "seg.nii")
    header = nibabel.load(tmp_path / "seg.nii").header
    np.testing.assert_allclose(header.get_sform(), LPS_TO_RAS @ grid.affine, atol=1e-4)
    assert int(header["qform_code"]) == 0


def test_simpleitk_reads_the_same_place(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    grid = factories.rotated_grid()
    write_nifti(np.zeros(grid.shape, np.uint8), grid, tmp_path / "seg.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "seg.nii.gz"))
    for index in ((0, 0, 0), (5, 6, 7)):
        place = image.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose(place, grid.to_world_mm(np.array(index)), atol=1e-2)


def test_the_same_labels_give_the_same_bytes_and_no_leftover(tmp_path):
    grid = factories.grid()
    labels = np.arange(np.prod(grid.shape)).reshape(grid.shape).astype(np.uint8)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(labels, grid, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]
