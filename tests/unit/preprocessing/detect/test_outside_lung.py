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
from preprocessing.detect.proofs import proofs
from preprocessing.measure.regions import measure
from tests import factories
from tests.unit.preprocessing.detect.lungs import shown

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


def _case(parts=(), lesions=None, masks=None, noise=0.0, **shows):
    """A chest with lungs, heart and aorta; ``parts`` are (mask, HU) painted last, ``shows`` what the network sees."""
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
    coverage = Coverage(region="chest", evaluated=EVALUATED)
    return shown(Case(volume, segmentation, measure(volume, segmentation), coverage), **shows)


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
    case = _case(parts=((plaque, 320),), coronary_artery_wall_calcification=plaque)
    slices = len(np.flatnonzero(plaque.any(axis=(1, 2))))
    (finding,) = calcium.coronary_calcification(case)
    assert finding.presence is Presence.PRESENT
    assert finding.measurement("calcium_score").value == pytest.approx(64 * 3 * slices)
    assert plaque[finding.evidence[0].slice_index].any()
    seen = calcium.FOR_EACH_ML * plaque.sum() * np.prod(SPACING) / 1000
    assert calcium.coronary_amount(case) == pytest.approx(64 * 3 * slices + seen)


def test_calcified_valve_ring_deep_in_the_heart_is_no_coronary_calcium():
    ring = _box((0, 8), (-24, -16), (56, 64))
    case = _case(parts=((ring, 600),))
    assert calcium.coronary_amount(case) == 0.0
    (finding,) = calcium.coronary_calcification(case)
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "not_excluded")


def test_what_is_as_dense_as_calcium_where_the_network_sees_none_is_not_scored():
    plaque = _box((0, 8), (-60, -52), (50, 56))
    assert calcium.coronary_amount(_case(parts=((plaque, 320),))) == 0.0
    plaque = _box((0, 4), (34, 44), (60, 72))
    (finding,) = calcium.arterial_calcification(_case(parts=((plaque, 450),)))
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "not_excluded")  # nor denied
    (finding,) = calcium.arterial_calcification(_case())
    assert finding.presence is Presence.ABSENT


def test_places_far_from_the_heart_are_no_coronary_calcium():
    assert calcium.coronary_amount(_case(coronary_artery_wall_calcification=_box((-120, -80), (-20, 20), (50, 56)))) == 0.0


def test_calcium_is_not_scored_in_enhanced_blood_nor_in_noise():
    enhanced = _case(parts=((HEART | AORTA, 250),))
    (finding,) = calcium.arterial_calcification(enhanced)
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "contrast_medium")
    (finding,) = calcium.arterial_calcification(_case(noise=80))
    assert finding.reason == "image_too_noisy"


@pytest.mark.parametrize("hidden", [{"noise": 80}, {"parts": ((HEART | AORTA, 250),)}])
def test_calcium_that_the_network_sees_in_noise_or_contrast_is_possible_and_has_no_score(hidden):
    plaque = _box((0, 20), (34, 44), (60, 84))
    (finding,) = calcium.arterial_calcification(_case(**hidden, arterial_wall_calcification=plaque))
    assert finding.presence is Presence.UNCERTAIN
    assert finding.probability == calcium.DOUBTFUL_CEILING
    assert not finding.measurements
    assert plaque[finding.evidence[0].slice_index].any()


def test_metal_beside_the_heart_leaves_calcium_unjudged():
    plaque, wire = _box((0, 8), (-60, -52), (50, 56)), _box((0, 6), (-70, -64), (50, 60))
    case = _case(parts=((plaque, 320), (wire, 3000)), coronary_artery_wall_calcification=plaque)
    (finding,) = calcium.coronary_calcification(case)
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "metal")
    assert calcium.coronary_amount(case) is None


def test_aortic_plaque_counts_and_bone_beside_the_aorta_does_not():
    plaque, bone = _box((0, 4), (34, 44), (60, 72)), _box((-4, 40), (56, 90), (20, 130))
    assert calcium.aortic_amount(_case(parts=((plaque, 450),), arterial_wall_calcification=plaque)) > 100
    near = _case(parts=((bone, 300),), arterial_wall_calcification=_box((0, 4), (48, 54), (60, 63)))
    assert calcium.aortic_calcium(near).score == 0.0


def test_pleural_fluid_of_the_segmenter_has_side_and_volume():
    fluid = _box((-120, -60), (60, 80), (20, 80))
    case = _case(parts=((fluid, 8),), lesions={"pleural_effusion": fluid}, pleural_effusion=_box((-100, -80), (60, 80), (20, 80)))
    (finding,) = pleura.pleural_effusion(case)
    assert (finding.presence, finding.laterality) == (Presence.PRESENT, Laterality.RIGHT)
    figure = finding.measurement("effusion_volume_right")
    assert figure.value == pytest.approx(fluid.sum() * np.prod(SPACING) / 1000, rel=0.02)
    assert not figure.is_lower_bound


def test_segmented_fluid_as_dense_as_fat_is_dropped():
    fat = _box((-120, -60), (60, 80), (20, 80))
    (finding,) = pleura.pleural_effusion(_case(parts=((fat, -90),), lesions={"pleural_effusion": fat}, pleural_effusion=fat))
    assert finding.presence is Presence.ABSENT


def test_fluid_that_one_network_alone_sees_is_neither_called_nor_denied():
    fluid = _box((-120, -60), (60, 80), (20, 80))
    (finding,) = pleura.pleural_effusion(_case(parts=((fluid, 8),), lesions={"pleural_effusion": fluid}))
    assert (finding.presence, finding.reason) == (Presence.NOT_EVALUATED, "not_excluded")


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


def test_a_pulmonary_artery_that_outshines_the_aorta_is_no_line():
    artery, branch = _box((0, 24), (-20, 4), (30, 60)), _box((8, 14), (4, 70), (44, 50))
    line = _box((-60, 20), (-52, -48), (50, 54))
    for hu, wanted in ((600, Presence.ABSENT), (900, Presence.PRESENT)):
        parts = ((artery, 420), (branch, 420), (line, hu))
        (finding,) = devices.medical_material(_case(parts, masks={"pulmonary_artery": artery}))
        assert finding.presence is wanted
    (finding,) = devices.medical_material(_case(((line, 600),)))
    assert finding.presence is Presence.PRESENT


def _with_node(node, hu=40, around=()):
    """Fat behind the heart with a node in it that the network sees."""
    return _case((*FAT, (node, hu), *around), lymphadenopathy=node)


def test_the_largest_node_has_its_short_axis_and_none_is_never_absent():
    large, small = _box((-44, -20), (60, 82), (100, 124)), _box((30, 36), (60, 66), (60, 66))
    (finding,) = nodes.enlarged_node(_with_node(large | small))
    assert finding.presence is Presence.UNCERTAIN
    assert finding.measurement("short_diameter").value == pytest.approx(20, abs=3)
    (none,) = nodes.enlarged_node(_case())
    assert (none.presence, none.reason) == (Presence.NOT_EVALUATED, "not_excluded")


def test_fat_that_the_network_calls_a_node_is_none():
    fat, core = _box((-44, -20), (60, 82), (100, 124)), _box((-36, -28), (66, 74), (106, 115))
    (none,) = nodes.enlarged_node(_with_node(fat, -100))
    assert (none.presence, none.reason) == (Presence.NOT_EVALUATED, "not_excluded")
    assert nodes.short_axis_mm(_with_node(fat, -100, ((core, 40),))) < 12


def test_a_piece_of_a_vein_is_no_node():
    vein = _box((-44, -20), (60, 82), (20, 140))
    piece = vein & _box((-140, 140), (-100, 100), (60, 84))
    assert nodes.short_axis_mm(_case((*FAT, (vein, 40)), lymphadenopathy=piece)) == 0.0
    end = _box((-44, -20), (60, 82), (124, 147))  # what runs out of the view may be a vein as well
    assert nodes.short_axis_mm(_case((*FAT, (end, 40)), lymphadenopathy=end)) == 0.0


def test_a_hernia_that_the_network_sees_has_its_width_and_none_is_never_absent():
    pouch, gas = _box((-46, -16), (26, 58), (30, 66)), _box((-40, -22), (30, 40), (36, 60))
    seen, gullet = _box((-52, -10), (26, 64), (30, 66)), {"esophagus": _box((-16, 0), (30, 46), (12, 130))}
    (finding,) = hernia.hiatal_hernia(_case((*FAT, (pouch, 20), (gas, -950)), masks=gullet, hiatal_hernia=seen))
    assert finding.presence is Presence.PRESENT
    assert finding.probability < 0.9  # the detector alone never states one
    assert finding.measurement("hernia_width").value == pytest.approx(30, abs=6)
    assert pouch[finding.evidence[0].slice_index].any()
    (none,) = hernia.hiatal_hernia(_case(FAT, masks=gullet))
    assert (none.presence, none.reason) == (Presence.NOT_EVALUATED, "not_excluded")
    (fatty,) = hernia.hiatal_hernia(_case(FAT, masks=gullet, hiatal_hernia=pouch))
    assert pouch[fatty.evidence[0].slice_index].any()
    assert not fatty.measurements  # all of it is fat: nothing to measure
    (elsewhere,) = hernia.hiatal_hernia(_case(FAT, masks=gullet, hiatal_hernia=_box((100, 130), (-90, -60), (30, 66))))
    assert elsewhere.presence is Presence.NOT_EVALUATED


def _handed_on(name, detector, case):
    """The mask of a name that goes with what a detector says of a case; None where there is none."""
    made = proofs(case, detector(case))
    return made.mask(name) if made.has(name) else None


FLUID = _box((-50, 58), (20, 32), (-1, 110))
GLAND, PLAQUE, RIM = (
    _box((-44, -20), (60, 82), (100, 124)),
    _box((0, 8), (-60, -52), (50, 56)),
    _box((0, 4), (34, 44), (60, 72)),
)
POUCH, WIRE = _box((-46, -16), (26, 58), (30, 66)), _box((-8, 8), (-80, -72), (40, 50))
LOOKED_FOR = {"lesions": {"pericardial_effusion": FLUID}}
GULLET = {"esophagus": _box((-16, 0), (30, 46), (12, 130))}
CLAIMED = {
    "pericardial_effusion": (
        heart.pericardial_effusion,
        FLUID,
        {"parts": ((FLUID, 12),), "lesions": {"pericardial_effusion": FLUID}},
    ),
    "lymph_node": (nodes.enlarged_node, GLAND, {"parts": (*FAT, (GLAND, 40)), "lymphadenopathy": GLAND}),
    "hiatal_hernia": (hernia.hiatal_hernia, POUCH, {"parts": (*FAT, (POUCH, 20)), "masks": GULLET, "hiatal_hernia": POUCH}),
    calcium.CORONARY: (calcium.coronary_calcification, PLAQUE, {"parts": ((PLAQUE, 320),), calcium.CORONARY: PLAQUE}),
    calcium.ARTERIAL: (calcium.arterial_calcification, RIM, {"parts": ((RIM, 450),), calcium.ARTERIAL: RIM}),
    "medical_material": (devices.medical_material, WIRE, {"parts": ((WIRE, 3000),)}),
}
"""Names of masks: the detector, what it is to outline, and the chest that holds it."""


@pytest.mark.parametrize("name", CLAIMED)
def test_what_is_claimed_hands_its_mask_on_and_points_into_it(name):
    detector, true, chest = CLAIMED[name]
    case = _case(**chest)
    found = _handed_on(name, detector, case)
    assert (found & true).sum() > 0.95 * found.sum()
    assert found.sum() > (0.5 if name == "lymph_node" else 0.8) * true.sum()  # the border of a node is cut off
    (proof,) = detector(case)[0].evidence
    assert proof.structure == name
    assert found[proof.slice_index].any()


@pytest.mark.parametrize("name", CLAIMED)
def test_what_is_not_claimed_hands_no_mask_on(name):
    detector, _, chest = CLAIMED[name]
    plain = _case(FAT, masks=chest.get("masks"), lesions={} if "lesions" in chest else None)
    assert _handed_on(name, detector, plain) is None


def test_calcium_that_only_the_network_sees_is_outlined_by_its_places():
    plaque = _box((0, 20), (34, 44), (60, 84))
    noisy = _case(noise=80, **{calcium.ARTERIAL: plaque})
    assert (_handed_on(calcium.ARTERIAL, calcium.arterial_calcification, noisy) == plaque).all()


def test_what_is_small_is_drawn_over_what_is_wide():
    wire = FLUID & _box((0, 8), (24, 30), (40, 60))
    case = _case(parts=((FLUID, 12), (wire, 3000)), lesions={"pericardial_effusion": FLUID})
    made = proofs(case, (*devices.medical_material(case), *heart.pericardial_effusion(case)))
    assert (made.mask("medical_material") == wire).all()
    assert (made.mask("pericardial_effusion") == FLUID & ~wire).all()


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
