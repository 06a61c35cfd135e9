"""Lesions put into a CT: where they lie, that they look like that CT, and that the rest of it stays as it was."""

import numpy as np
import pytest

from medomni.phantom.disease import Placed
from medomni.phantom.grain import measure_grain
from medomni.phantom.insert import INSERTABLE, insert, insert_arrays
from medomni.types.volume import Grid, Volume
from tests import sites


def volume_of(hu, flipped=False):
    dz, dy, dx = sites.SPACING_MM
    sign = -1.0 if flipped else 1.0
    origins = np.zeros((hu.shape[0], 3))
    origins[:] = (-sign * 100, -sign * 80, 0)
    origins[:, 2] = np.arange(hu.shape[0]) * dz
    row, column = np.array([sign, 0.0, 0.0]), np.array([0.0, sign, 0.0])
    return Volume(np.rint(hu).astype(np.int16), Grid(hu.shape, (dy, dx), row, column, origins))


@pytest.mark.parametrize("kind", INSERTABLE)
def test_a_lesion_lies_on_its_side_and_nothing_else_changes(kind):
    hu, lungs = sites.chest()
    made = insert_arrays(hu, sites.SPACING_MM, lungs, (Placed(kind, "left", "middle"),), np.random.default_rng(0))
    mask = made.placed[0].mask
    assert mask.any()
    assert (mask & lungs["lung_left"]).sum() > 0.9 * mask.sum()
    assert np.array_equal(made.hu[lungs["lung_right"]], hu[lungs["lung_right"]])
    darker = kind in ("emphysema", "mosaic_attenuation_pattern")
    assert (hu - made.hu if darker else made.hu - hu)[mask].mean() > 20
    assert made.placed[0].centre_mm[0] > 0


@pytest.mark.parametrize("kind", INSERTABLE)
def test_the_same_generator_gives_the_same_ct_and_the_input_stays(kind):
    hu, lungs = sites.chest()
    before = hu.copy()
    one, other = (insert_arrays(hu, sites.SPACING_MM, lungs, (Placed(kind),), np.random.default_rng(3)) for _ in range(2))
    assert one.hu.tobytes() == other.hu.tobytes()
    assert np.array_equal(hu, before)


def test_consolidated_lung_stays_lung_and_fluid_does_not():
    hu, lungs = sites.chest()
    placed = (Placed("consolidation", "right", severity="severe"), Placed("pleural_effusion", "left", amount=200.0))
    made = insert_arrays(hu, sites.SPACING_MM, lungs, placed, np.random.default_rng(1))
    by_kind = {lesion.kind: lesion.mask for lesion in made.placed}
    assert np.array_equal(made.lungs["lung_right"], lungs["lung_right"])
    assert not np.any(made.lungs["lung_left"] & by_kind["pleural_effusion"])
    assert "atelectasis" in by_kind


def test_inserted_tissue_is_as_noisy_as_the_ct():
    hu, lungs = sites.chest(noise_hu=25.0)
    made = insert_arrays(
        hu, sites.SPACING_MM, lungs, (Placed("pleural_effusion", "right", amount=250.0),), np.random.default_rng(0)
    )
    fluid = made.placed[0].mask
    inner = fluid & np.roll(fluid, 1, 2) & np.roll(fluid, 2, 2)
    steps = (made.hu - np.roll(made.hu, 1, 2))[inner]
    assert steps.std() / np.sqrt(2) == pytest.approx(25, rel=0.25)


@pytest.mark.parametrize("noise_hu", [8.0, 30.0])
def test_the_grain_of_a_ct_is_measured(noise_hu):
    hu, lungs = sites.chest(noise_hu=noise_hu)
    grain = measure_grain(hu, lungs["lung_right"] | lungs["lung_left"], sites.SPACING_MM)
    assert grain.noise_hu == pytest.approx(noise_hu, rel=0.2)
    assert grain.noise_blur < 0.55


def test_a_blurred_ct_has_blurred_lesions():
    from scipy import ndimage

    hu, lungs = sites.chest(noise_hu=0.0)
    soft = ndimage.gaussian_filter(hu, (0, 1.2, 1.2))
    whole = lungs["lung_right"] | lungs["lung_left"]
    assert measure_grain(soft, whole, sites.SPACING_MM).blur_mm > measure_grain(hu, whole, sites.SPACING_MM).blur_mm + 0.8


@pytest.mark.parametrize("flipped", [False, True])
def test_places_are_patient_millimetres_however_the_array_lies(flipped):
    hu, lungs = sites.chest()
    turn = (slice(None), slice(None, None, -1), slice(None, None, -1)) if flipped else (slice(None),) * 3
    turned = {name: np.ascontiguousarray(mask[turn]) for name, mask in lungs.items()}
    volume = volume_of(np.ascontiguousarray(hu[turn]), flipped)
    made = insert(
        volume, turned, (Placed("lung_nodule", "left", "upper", amount=18.0, contact="free"),), np.random.default_rng(2)
    )
    (lesion,) = made.placed
    assert made.volume.grid is volume.grid
    assert made.volume.hu.dtype == np.int16
    found = volume.grid.to_world_mm(np.argwhere(made.lesions["lung_nodule"]).mean(axis=0))
    assert np.allclose(found, lesion.centre_mm, atol=1.5)
    assert lesion.mask[turned["lung_left"]].sum() > 0.9 * lesion.mask.sum()
    low, high = np.array(lesion.box_mm)
    assert np.all(low < found)
    assert np.all(found < high)
    assert np.max(high - low) < 32


def test_lobes_can_be_named_instead_of_sides():
    hu, lungs = sites.chest()
    low = np.zeros_like(lungs["lung_right"])
    low[:30] = True
    lobes = {"lung_lower_lobe_right": lungs["lung_right"] & low, "lung_upper_lobe_right": lungs["lung_right"] & ~low}
    placed = Placed("consolidation", "right", lobe="lung_upper_lobe_right", variant="lobar")
    made = insert_arrays(hu, sites.SPACING_MM, lobes, (placed,), np.random.default_rng(0))
    assert made.placed[0].lobe == "lung_upper_lobe_right"
    assert not np.any(made.placed[0].mask & lobes["lung_lower_lobe_right"])


def test_what_cannot_be_inserted_is_refused():
    hu, lungs = sites.chest()
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="can be inserted"):
        insert_arrays(hu, sites.SPACING_MM, lungs, (Placed("cardiomegaly"),), rng)
    with pytest.raises(ValueError, match="no left lung"):
        insert_arrays(hu, sites.SPACING_MM, {"lung_right": lungs["lung_right"]}, (Placed("lung_opacity", "left"),), rng)
