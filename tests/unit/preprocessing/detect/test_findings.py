"""The rule detectors on phantoms with placed disease: what is there is found on its side, what is not is not invented."""

from functools import cache

import pytest

from medomni.phantom import Placed, make_case
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Laterality, Presence
from medomni.types.volume import Volume
from preprocessing.detect.findings import detect
from preprocessing.measure.regions import measure
from preprocessing.measure.scope import scope
from preprocessing.segment.hu_rules import HuRules
from preprocessing.segment.medomni_ct import MedomniCt
from tests import factories


@cache
def _detect(seed, placed):
    case = make_case(seed, placed)
    return case, _run(case.volume)


def _run(volume, segmenter=None):
    segmentation = (segmenter or HuRules()).segment(volume, lambda _: None)
    regions = measure(volume, segmentation)
    coverage, _ = scope(volume, segmentation, regions)
    return detect(volume, segmentation, regions, coverage, lambda _: None)


def _finding(detection, label):
    return next(f for f in detection.findings if f.label == label)


def test_every_label_is_answered_and_only_evaluated_ones_are_absent():
    detection = _run(factories.small_chest().volume)
    labels = {n for n, entry in vocabulary().labels.items() if entry.is_always_answered and not entry.is_measurement_only}
    assert len(labels) == 18
    assert labels <= {f.label for f in detection.findings}
    absent = {f.label for f in detection.findings if f.presence is Presence.ABSENT}
    assert absent <= {"lung_opacity", "emphysema", "pleural_effusion", "medical_material"}
    assert all(f.reason for f in detection.findings if f.presence is Presence.NOT_EVALUATED)


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed",
    [2, 6],
)
def test_healthy_phantom_gets_no_finding(seed):
    _, detection = _detect(seed, ())
    seen = [f.label for f in detection.findings if f.presence in (Presence.PRESENT, Presence.UNCERTAIN)]
    assert set(seen) <= {"lung_volume", "lung_density", "low_attenuation_area", "high_attenuation_area"}


@pytest.mark.slow
@pytest.mark.parametrize(("side", "zone", "seed"), [("right", "lower", 24), ("left", "upper", 25)])
def test_ground_glass_is_found_with_side_zone_and_size(side, zone, seed):
    case, detection = _detect(seed, (Placed("lung_opacity", side, zone, "moderate"),))
    finding = _finding(detection, "lung_opacity")
    assert finding.presence is Presence.PRESENT
    assert finding.laterality is Laterality(side)
    assert {m.name for f in detection.findings for m in f.measurements} <= set(vocabulary().measurements)
    assert f"{side}_{zone}_zone" in finding.anatomy
    truth_ml = float((case.lesions.mask("lung_opacity").sum(axis=(1, 2)) * case.volume.grid.voxel_volumes_ml).sum())
    # the truth holds the faint border, which the density rule leaves out
    assert 0.7 * truth_ml < finding.measurement(f"opacity_volume_{side}").value < 1.15 * truth_ml
    index = finding.evidence[0].slice_index
    assert case.lesions.mask("lung_opacity")[index].any()


@pytest.mark.slow
def test_pleural_fluid_is_a_candidate_on_its_side():
    _, detection = _detect(17, (Placed("pleural_effusion", "left", "lower", "moderate"),))
    finding = _finding(detection, "pleural_effusion")
    assert finding.presence is Presence.UNCERTAIN
    assert finding.laterality is Laterality.LEFT
    assert finding.measurement("effusion_volume_left").value > 100


@pytest.mark.slow
def test_emphysema_is_found_by_densitometry():
    _, detection = _detect(22, (Placed("emphysema", "right", "middle", "severe"),))
    finding = _finding(detection, "emphysema")
    assert finding.presence in (Presence.PRESENT, Presence.UNCERTAIN)
    assert finding.laterality is Laterality.RIGHT
    assert finding.measurement("laa950_right").value > 8
    assert finding.measurement("laa950_left").value < 1


@pytest.mark.slow
def test_free_nodule_is_found_with_its_diameter():
    case, detection = _detect(31, (Placed("lung_nodule", "right", "middle", "severe"),))
    finding = _finding(detection, "lung_nodule")
    assert finding.presence is Presence.PRESENT
    assert finding.laterality is Laterality.RIGHT
    assert finding.measurement("mean_diameter").value == pytest.approx(case.nodules[0].measurements["mean_diameter"], abs=1.5)


@pytest.mark.slow
def test_pneumonia_is_no_nodule():
    placed = (Placed("lung_opacity", "left", "upper", "mild"), Placed("consolidation", "left", "upper", "mild"))
    case = make_case(20, placed)
    detection = _run(case.volume, MedomniCt())  # the density rules leave most of a consolidation outside the lung
    consolidation = _finding(detection, "consolidation")
    assert consolidation.presence is Presence.PRESENT
    voxels = sum(int(lesion.mask.sum()) for lesion in case.drawn if lesion.kind == "consolidation")
    true_ml = voxels * float(case.volume.grid.voxel_volumes_ml[0])
    assert consolidation.measurement("consolidation_volume_left").value == pytest.approx(true_ml, rel=0.2)
    nodule = _finding(detection, "lung_nodule")
    assert (nodule.presence, nodule.reason) == (Presence.NOT_EVALUATED, "not_excluded")


@pytest.mark.slow
def test_vessels_inside_ground_glass_are_no_consolidation():
    _, detection = _detect(62, (Placed("lung_opacity", "right", "lower", "severe"),))
    assert _finding(detection, "lung_opacity").presence is Presence.PRESENT
    assert _finding(detection, "consolidation").presence is Presence.NOT_EVALUATED


@pytest.mark.slow
def test_masks_are_handed_on_only_for_what_was_found():
    _, healthy = _detect(2, ())
    assert not healthy.lesions.labels.any()
    assert not healthy.lesions.names
    _, ill = _detect(62, (Placed("lung_opacity", "right", "lower", "severe"),))
    assert set(ill.lesions.names.values()) == {"lung_opacity"}


def test_slices_too_far_apart_leave_opacities_unjudged():
    detection = _run(factories.small_chest(3, (Placed("lung_opacity", "right", "lower", "severe"),)).volume)
    for label in ("lung_opacity", "consolidation"):
        assert _finding(detection, label).reason == "resolution_too_low"


@pytest.mark.slow
def test_unknown_orientation_gives_no_side_anywhere():
    case, _ = _detect(24, (Placed("lung_opacity", "right", "lower", "moderate"),))
    on = factories.grid(case.volume.grid.shape, case.volume.grid.spacing_mm, is_side_known=False)
    detection = _run(Volume(case.volume.hu, on))
    opacity = _finding(detection, "lung_opacity")
    assert opacity.presence is Presence.PRESENT
    for finding in detection.findings:
        assert finding.laterality in (Laterality.UNKNOWN, Laterality.NONE)
        assert not [m.name for m in finding.measurements if "left" in m.name or "right" in m.name]
        assert not [zone for zone in finding.anatomy if "left" in zone or "right" in zone]


def test_segmented_nodules_are_measured_one_by_one():
    on = factories.grid(shape=(40, 96, 96), spacing_mm=(3.0, 3.0, 3.0), origin_mm=(-144.0, -144.0, 0.0))
    right, left = factories.ball(on, (-70, 0, 60), 50), factories.ball(on, (70, 0, 60), 50)
    small, large = factories.ball(on, (-70, 10, 60), 5), factories.ball(on, (80, 0, 63), 9)
    body = factories.ball(on, (0, 0, 60), 140)
    volume = factories.volume(on=on, parts=((body, 40), (right | left, -850), (small | large, 30)))
    nodules = small | large
    segmentation = factories.segmentation(
        {"body": body & ~right & ~left, "lung_right": right & ~nodules, "lung_left": left & ~nodules, "nodule": nodules}, on
    )
    regions = measure(volume, segmentation)
    coverage, _ = scope(volume, segmentation, regions)
    found = [f for f in detect(volume, segmentation, regions, coverage, lambda _: None).findings if f.label == "lung_nodule"]
    assert [f.laterality for f in found] == [Laterality.LEFT, Laterality.RIGHT]
    assert [f.presence for f in found] == [Presence.PRESENT] * 2
    assert found[0].measurement("long_diameter").value == pytest.approx(18, abs=4)
    assert found[0].evidence[0].slice_index == 21
