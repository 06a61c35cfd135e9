"""The scanner: its noise has the stated size and grain, kernels and slices blur as they should, metal throws streaks."""

import numpy as np
import pytest

from medomni.phantom.canvas import Canvas
from medomni.phantom.scan import KERNELS, Technique, draw_technique, scan


def water(shape=(24, 128, 128), spacing_mm=(2.5, 2.4, 2.4), width_mm=300.0):
    canvas = Canvas(shape, spacing_mm, middle_z_mm=0.0)
    body = np.broadcast_to((canvas.x**2 + canvas.y**2) < (width_mm / 2) ** 2, shape).copy()
    return canvas, np.where(body, 0, -1000).astype(np.float32), body


def scanned(technique=None, seed=0, hu=None, **size):
    canvas, plain, body = water(**size)
    return scan(canvas, plain if hu is None else hu, body, technique or Technique(), np.random.default_rng(seed))


def middle_deviation(image):
    return float(image[:, 48:80, 48:80].std())


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("noise_hu", [8.0, 20.0])
def test_noise_in_the_middle_of_a_reference_body_is_as_stated(kernel, noise_hu):
    image = scanned(Technique(kernel, noise_hu=noise_hu))
    assert middle_deviation(image) == pytest.approx(noise_hu * KERNELS[kernel].noise, rel=0.1)


def test_a_wider_body_is_noisier_and_water_keeps_its_hu():
    narrow, wide = (scanned(width_mm=width) for width in (240.0, 300.0))
    assert middle_deviation(wide) > 1.2 * middle_deviation(narrow)
    assert wide[:, 48:80, 48:80].mean() == pytest.approx(0, abs=1.5)


def test_a_sharp_kernel_has_finer_grain_and_steeper_edges():
    def grain(kernel):
        image = scanned(Technique(kernel, noise_hu=20.0), shape=(8, 256, 256), spacing_mm=(2.5, 1.2, 1.2))[:, 96:160, 96:160]
        image = image - image.mean()
        return float((image[:, :, 1:] * image[:, :, :-1]).mean() / (image**2).mean())

    def steepest(kernel):
        return float(np.abs(np.diff(scanned(Technique(kernel, noise_hu=0.0))[12, 64].astype(float))).max())

    assert grain("LUNG") < grain("STANDARD") < grain("SOFT")
    assert steepest("LUNG") > steepest("SOFT")


def test_thick_slices_blur_along_the_body_only():
    _, hu, _ = water()
    hu[12] += 400
    thin, thick = (scanned(Technique(slice_thickness_mm=t, noise_hu=0.0), hu=hu.copy()) for t in (2.5, 3.75))
    assert thin[12, 64, 64] > thick[12, 64, 64] > 200
    assert thick[13, 64, 64] > thin[13, 64, 64]


def test_iodine_and_calcium_are_brighter_at_100_kv():
    _, hu, _ = water()
    hu[hu == 0] = 300
    low, standard = (scanned(Technique(kvp=kvp, noise_hu=0.0), hu=hu.copy())[12, 64, 64] for kvp in (100, 120))
    assert low == pytest.approx(300 + 0.17 * 200, abs=2)
    assert standard == pytest.approx(300, abs=2)


def test_metal_throws_streaks_and_bone_does_not():
    def disturbed(value):
        _, hu, _ = water()
        hu[10:14, 60:63, 60:63] = value
        image = scanned(Technique(noise_hu=0.0), hu=hu)
        return float(image[12, 66:76, 40:90].std())

    assert disturbed(8000.0) > 10
    assert disturbed(1200.0) < 2


def test_a_table_lies_behind_the_back():
    image = scanned(Technique(noise_hu=0.0), width_mm=200.0)
    canvas, _, body = water(width_mm=200.0)
    behind = np.broadcast_to(canvas.y > 105, body.shape)
    assert image[behind].max() > -600
    assert image[np.broadcast_to(canvas.y < -105, body.shape)].max() < -950


def test_the_same_generator_gives_the_same_bytes_and_another_other_noise():
    assert scanned(seed=1).tobytes() == scanned(seed=1).tobytes()
    assert scanned(seed=1).tobytes() != scanned(seed=2).tobytes()


@pytest.mark.parametrize("wrong", [{"kernel": "X"}, {"kvp": 70}, {"slice_thickness_mm": 0.0}, {"noise_hu": -1.0}])
def test_an_impossible_technique_is_refused(wrong):
    with pytest.raises(ValueError, match="no scanner"):
        Technique(**wrong)


def test_departments_choose_every_kernel_and_never_low_dose_with_contrast():
    drawn = [draw_technique(np.random.default_rng(k), 2.5, has_contrast=k % 2 == 0) for k in range(120)]
    assert {technique.kernel for technique in drawn} == set(KERNELS)
    assert not any(technique.is_low_dose for technique in drawn[::2])
    assert 5 < sum(technique.is_low_dose for technique in drawn[1::2]) < 25
    assert all(technique.slice_thickness_mm >= 2.5 for technique in drawn)


def test_exposure_grows_as_noise_falls():
    assert Technique(noise_hu=8.0).exposure_mas > 2 * Technique(noise_hu=13.0).exposure_mas
