"""Detectors outside the lung on bodies of simple shapes, whose sizes and densities are known exactly."""

import numpy as np
import pytest

from medomni.anatomy import SEGMENTED_LESIONS
from medomni.types.finding import Laterality, Presence
from medomni.types.region import Coverage
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.detect import abdomen, calcium, devices, heart, hernia, nodes, pleura, spine
from preprocessing.detect.case import Case
from preprocessing.measure.regions import measure
from tests import factories

SPACING = (3.0, 2.0, 2.0)
ON = factories.grid(shape=(48, 120, 150), spacing_mm=SPACING, origin_mm=(-150.0, -120.0, 0.0))
EVALUATED = ("lungs", "pleura", "heart", "mediastinum", "great_vessels", "liver", "spleen", "kidneys", "bones", "devices")
LESIONS = SEGMENTED_LESIONS


def _box(x, y, z):
    """Mask of the voxels whose middles lie in the half-open ranges (mm)."""
    place = factories.world_mm(ON)
    return np.logical_and.reduce([(place[..., a] >= low) & (place[..., a] < high) for a, (low, high) in enumerate((x, y, z))])


BODY = _box((-140, 140), (-100, 100), (-1, 150))
RIGHT, LEFT = _box((-120, -60), (-60, 60), (12, 130)), _box((60, 120), (-60, 60), (12, 130))
HEART = _box((-50, 58), (-60, 20), (20, 100))
AORTA = _box((0, 24), (30, 54), (20, 130))
FAT = ((_box((-58, 58), (20, 90), (-1, 150)), -100), (AORTA, 40))
"""What lies behind the heart."""


def _case(parts=(), lesions=None, masks=None, noise=0.0):
    """A chest with lungs, heart and aorta; ``parts`` are (mask, HU) painted last."""
    found = {"lung_right": RIGHT, "lung_left": LEFT, "heart": HEART, "aorta": AORTA, **(masks or {})}
    painted = ((BODY, 50), (RIGHT | LEFT, -850), (HEART | AORTA, 40), *parts)
    volume = factories.volume(on=ON, parts=painted)
    if noise:
        hu = volume.hu + np.random.default_rng(1).normal(0, noise, ON.shape)
        volume = Volume(hu.astype(np.int16), ON)
    labels = factories.segmentation(found, ON)
    seen = None
    if lesions is not None:
        seen = factories.segmentation({name: lesions.get(name, np.zeros(ON.shape, bool)) for name in LESIONS}, ON)
    segmentation = Segmentation(labels.labels, ON, labels.names, labels.segmenter, labels.digest, lesions=seen)
    return Case(volume, segmentation, measure(volume, segmentation), Coverage(region="chest", evaluated=EVALUATED))


def test_cardiothoracic_ratio_is_widest_heart_over_widest_inner_chest():
    case = _case()
    assert heart.cardiothoracic_ratio(case) == pytest.approx(108 / 240, abs=0.01)
    (finding,) = heart.cardiomegaly(case)
    assert finding.presence is Presence.ABSENT
    assert finding.measurement("cardiothoracic_ratio").value == pytest.approx(0.45, abs=0.01)


def test_wide_heart_is_cardiomegaly_on_the_slice_where_it_is_widest():
    wide = HEART | _box((-58, 90), (-60, 20), (60, 66))
    (finding,) = heart.cardiomegaly(_case(masks={"heart": wide}))
    assert finding.presence is Presence.PRESENT
    assert finding.measurement("cardiothoracic_ratio").slice_index in (20, 21)


def test_heart_cut_by_the_view_is_not_called_small():
    (finding,) = heart.cardiomegaly(_case(masks={"heart": _box((-50, 58), (-60, 20), (-1, 80))}))
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "outside_field_of_view")


def test_pericardial_fluid_has_its_volume_and_thickness():
    fluid = _box((-50, 58), (20, 32), (-1, 110))
    case = _case(parts=((fluid, 12),), lesions={"pericardial_effusion": fluid})
    (finding,) = heart.pericardial_effusion(case)
    assert finding.presence is Presence.PRESENT
    volume = fluid.sum() * np.prod(SPACING) / 1000
    assert finding.measurement("pericardial_fluid_volume").value == pytest.approx(volume)
    assert finding.measurement("pericardial_fluid_thickness").value == pytest.approx(12, abs=3)


def test_fat_round_the_heart_is_no_pericardial_fluid():
    fat = _box((-50, 58), (20, 32), (20, 100))
    (finding,) = heart.pericardial_effusion(_case(parts=((fat, -90),), lesions={"pericardial_effusion": fat}))
    assert finding.presence is Presence.ABSENT


@pytest.mark.parametrize("hu", [30, 55])
def test_what_is_nearly_as_dense_as_the_heart_is_neither_called_fluid_nor_excluded(hu):
    rim = _box((-50, 58), (20, 32), (-1, 110))
    (finding,) = heart.pericardial_effusion(_case(parts=((rim, hu),), lesions={"pericardial_effusion": rim}))
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "not_excluded")


def test_pericardial_fluid_needs_a_segmenter_that_looks_for_it():
    (finding,) = heart.pericardial_effusion(_case())
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "no_detector")


def test_coronary_score_is_area_times_weight_over_slices_of_3_mm():
    plaque = _box((0, 8), (-60, -52), (50, 56))
    case = _case(parts=((plaque, 320),))
    slices = len(np.flatnonzero(plaque.any(axis=(1, 2))))
    assert calcium.coronary_score(case) == pytest.approx(64 * 3 * slices)
    (finding,) = calcium.coronary_calcification(case)
    assert finding.presence is Presence.PRESENT
    assert plaque[finding.evidence[0].slice_index].any()


def test_calcified_valve_ring_deep_in_the_heart_is_no_coronary_calcium():
    ring = _box((0, 8), (-24, -16), (56, 64))
    case = _case(parts=((ring, 600),))
    assert calcium.coronary_score(case) == 0.0
    (finding,) = calcium.coronary_calcification(case)
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "not_excluded")


def test_calcium_is_not_scored_in_enhanced_blood_nor_in_noise():
    enhanced = _case(parts=((HEART | AORTA, 250),))
    (finding,) = calcium.arterial_calcification(enhanced)
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "contrast_medium")
    (finding,) = calcium.arterial_calcification(_case(noise=80))
    assert finding.reason == "image_too_noisy"


def test_aortic_plaque_counts_and_bone_beside_the_aorta_does_not():
    plaque, bone = _box((0, 4), (34, 44), (60, 72)), _box((-4, 40), (56, 90), (20, 130))
    assert calcium.aortic_score(_case(parts=((plaque, 450),))) > 100
    assert calcium.aortic_score(_case(parts=((bone, 300),))) == 0.0


def test_pleural_fluid_of_the_segmenter_has_side_and_volume():
    fluid = _box((-120, -60), (60, 80), (20, 80))
    (finding,) = pleura.pleural_effusion(_case(parts=((fluid, 8),), lesions={"pleural_effusion": fluid}))
    assert (finding.presence, finding.laterality) == (Presence.PRESENT, Laterality.RIGHT)
    figure = finding.measurement("effusion_volume_right")
    assert figure.value == pytest.approx(fluid.sum() * np.prod(SPACING) / 1000, rel=0.02)
    assert not figure.is_lower_bound


def test_segmented_fluid_as_dense_as_fat_is_dropped():
    fat = _box((-120, -60), (60, 80), (20, 80))
    (finding,) = pleura.pleural_effusion(_case(parts=((fat, -90),), lesions={"pleural_effusion": fat}))
    assert finding.presence is Presence.ABSENT


def test_metal_is_medical_material_and_a_plain_chest_has_none():
    (finding,) = devices.medical_material(_case(parts=((_box((-8, 8), (-80, -72), (40, 50)), 3000),)))
    assert finding.presence is Presence.PRESENT
    (finding,) = devices.medical_material(_case())
    assert finding.presence is Presence.ABSENT


def test_a_feeding_tube_is_a_dense_line_down_the_oesophagus():
    gullet, tube = _box((-20, -4), (30, 46), (12, 148)), _box((-13, -9), (36, 40), (12, 148))
    (finding,) = devices.medical_material(_case(((gullet, 35), (tube, 220)), masks={"esophagus": gullet}))
    assert finding.presence is Presence.PRESENT
    (swallowed,) = devices.medical_material(_case(((gullet, 220),), masks={"esophagus": gullet}))
    assert swallowed.presence is Presence.ABSENT


def test_the_largest_node_of_the_segmenter_has_its_short_axis_and_none_is_never_absent():
    large, small = _box((-44, -20), (-34, -12), (100, 124)), _box((30, 36), (-30, -24), (100, 106))
    (finding,) = nodes.enlarged_node(
        _case(lesions={"lymph_node": large | small}, masks={"airway": _box((-6, 6), (0, 12), (40, 140))})
    )
    assert finding.measurement("short_diameter").value == pytest.approx(22, abs=2)
    (none,) = nodes.enlarged_node(_case(lesions={}))
    assert (none.presence, none.reason) == (Presence.NOT_EVALUATED, "not_excluded")


def test_fat_that_the_segmenter_calls_a_node_is_none():
    fat, core = _box((-44, -20), (-34, -12), (100, 124)), _box((-36, -28), (-28, -20), (106, 115))
    airway = {"airway": _box((-6, 6), (0, 12), (40, 140))}
    (none,) = nodes.enlarged_node(_case(((fat, -100),), lesions={"lymph_node": fat}, masks=airway))
    assert (none.presence, none.reason) == (Presence.NOT_EVALUATED, "not_excluded")
    assert nodes.short_axis_mm(_case(((fat, -100), (core, 40)), lesions={"lymph_node": fat}, masks=airway)) < 10


def test_stomach_behind_the_heart_is_a_hernia_and_an_oesophagus_is_not():
    gullet, pouch = _box((-16, 0), (30, 46), (12, 130)), _box((-40, -4), (30, 58), (30, 60))
    case = _case((*FAT, (gullet, 40), (pouch, 20)), masks={"esophagus": gullet, "stomach": pouch})
    (finding,) = hernia.hiatal_hernia(case)
    assert finding.presence is Presence.PRESENT
    without = _case((*FAT, (gullet, 40)), masks={"esophagus": gullet, "stomach": _box((10, 60), (30, 60), (-1, 9))})
    assert hernia.hernia_ml(without) == 0.0
    (finding,) = hernia.hiatal_hernia(without)
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "not_excluded")


def test_hernia_that_no_structure_explains_is_found_with_its_gas_and_one_apart_from_the_oesophagus_is_none():
    gullet, stomach = _box((-16, 0), (30, 46), (12, 130)), _box((10, 60), (30, 60), (-1, 9))
    pouch, gas = _box((-46, -16), (26, 58), (30, 66)), _box((-40, -22), (30, 40), (36, 60))
    known = {"esophagus": gullet, "stomach": stomach}
    whole = _case((*FAT, (gullet, 40), (pouch, 20), (gas, -950)), masks=known)
    (finding,) = hernia.hiatal_hernia(whole)
    assert finding.presence is Presence.PRESENT
    true_ml = pouch.sum() * np.prod(SPACING) / 1000
    assert 0.5 * true_ml < hernia.hernia_ml(whole) < true_ml
    lump = _box((-58, -30), (26, 58), (30, 66))
    assert hernia.hernia_ml(_case((*FAT, (gullet, 40), (lump, 20)), masks=known)) == 0.0


def test_trabecular_density_is_read_inside_the_bodies():
    bodies = [_box((-20, 20), (60, 92), (z, z + 21)) for z in (12, 39, 66, 93)]
    column = np.logical_or.reduce(bodies)
    inner = np.logical_or.reduce([_box((-16, 16), (64, 88), (z + 3, z + 18)) for z in (12, 39, 66, 93)])
    case = _case(parts=((column, 400), (inner, 85)), masks={"vertebrae": column})
    measured, low = spine.bone_density(case)
    assert measured.measurement("trabecular_hu").value == pytest.approx(85, abs=3)
    assert low.presence is Presence.PRESENT


@pytest.mark.parametrize(("liver_hu", "expected"), [(58, Presence.ABSENT), (22, Presence.PRESENT)])
def test_fatty_liver_is_judged_by_its_density(liver_hu, expected):
    liver = _box((-110, -10), (-60, 60), (-1, 12)) | _box((-58, 0), (24, 60), (12, 90))
    finding = abdomen.steatosis(_case(parts=((liver, liver_hu),), masks={"liver": liver}))[0]
    assert finding.presence is expected
    assert finding.measurement("liver_hu").value == pytest.approx(liver_hu, abs=1)


def test_stone_in_the_left_kidney_has_its_side_and_length():
    kidney = _box((64, 110), (62, 98), (20, 100))
    stone = _box((80, 88), (76, 84), (50, 59))
    (finding,) = abdomen.kidney_stones(_case(parts=((kidney, 32), (stone, 700)), masks={"kidney_left": kidney}))
    assert (finding.presence, finding.laterality) == (Presence.PRESENT, Laterality.LEFT)
    assert finding.measurement("stone_length_left").value == pytest.approx(9, abs=3)


@pytest.mark.parametrize(
    ("kidneys", "expected"),
    [
        ({"kidney_right": (20, 100), "kidney_left": (20, 100)}, (Presence.ABSENT, "")),
        ({"kidney_right": (20, 100), "kidney_left": (-1, 30)}, (Presence.NOT_EVALUATED, "outside_field_of_view")),
        ({"kidney_left": (20, 100)}, (Presence.NOT_EVALUATED, "not_segmented")),
    ],
)
def test_no_stone_is_said_only_of_two_whole_kidneys(kidneys, expected):
    sides = {"kidney_right": (-110, -64), "kidney_left": (64, 110)}
    masks = {name: _box(sides[name], (62, 98), z) for name, z in kidneys.items()}
    (finding,) = abdomen.kidney_stones(_case(parts=[(mask, 32) for mask in masks.values()], masks=masks))
    assert (finding.presence, finding.reason) == expected
