"""The whole way of the default segmenter, with a network that knows the truth in the place of a trained one."""

import numpy as np
import pytest

from medomni.anatomy import SEGMENTED_LESIONS
from medomni.errors import BadInput, MissingPart
from medomni.types.volume import Volume
from preprocessing.measure.regions import LUNG_PARTS, measure
from preprocessing.measure.scope import scope
from preprocessing.segment import medomni_ct
from preprocessing.segment.classes import HU_PER_UNIT, LABELS
from preprocessing.segment.hu_rules import HuRules
from preprocessing.segment.lobes import BODY, BONE
from preprocessing.segment.medomni_ct import MedomniCt, _slabs
from tests import factories

SKY, CHEST = (-1000, 40)


class ByThreshold:
    """A stand-in for the network's runtime: lung is what is dark inside the body, right or left of the middle of the image."""

    name = "threshold"

    def __init__(self, also=None):
        self.shapes, self.also = [], also or {}

    def winners(self, image):
        self.shapes.append(image.shape)
        right = np.arange(image.shape[2]) < image.shape[2] // 2
        hu = image * HU_PER_UNIT
        dark = (hu > -975) & (hu < -455)
        labels = np.where(dark, np.where(right, LABELS["lung_lower_lobe_right"], LABELS["lung_lower_lobe_left"]), 0)
        for name, part in self.also.items():
            labels[part] = LABELS[name]
        return labels.astype(np.uint8)


@pytest.fixture
def segmenter(tmp_path):
    return MedomniCt(factories.tiny_own_bundle(tmp_path / "own"))


def with_network(segmenter, network):
    segmenter.__dict__["runtime"] = network
    return segmenter


def trunk(spacing_mm=(4.0, 3.0, 3.0), shape=(40, 80, 110), is_side_known=True, lung_hu=-850):
    """A body with two lungs that hold vessels."""
    on = factories.grid(shape, spacing_mm, (-1.5 * shape[2], -1.5 * shape[1], -80.0), is_side_known)
    place = factories.world_mm(on)
    body = (place[..., 0] / 150) ** 2 + (place[..., 1] / 105) ** 2 < 1
    lungs = [factories.ball(on, (side * 70, 0, 0), 52) for side in (-1, 1)]
    vessels = [factories.ball(on, (side * 70, 10, z), 6) for side in (-1, 1) for z in (-30, 0, 30)]
    volume = factories.volume(SKY, on, [(body, CHEST), *((lung, lung_hu) for lung in lungs), *((v, 30) for v in vessels)])
    return volume, lungs


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_lungs_agree_with_the_density_rules(segmenter):
    volume, lungs = trunk()
    found = with_network(segmenter, ByThreshold()).segment(volume)
    rules = HuRules().segment(volume)
    for side, truth in zip(("right", "left"), lungs, strict=True):
        mask = found.mask(*LUNG_PARTS[side])
        assert dice(mask, truth) > 0.97
        assert dice(mask, rules.mask(f"lung_{side}")) > 0.97
    assert [notice.code for notice in found.notices] == ["outlined_by_network"]


def test_lung_that_the_network_missed_is_found_and_the_disagreement_is_said(segmenter):
    volume, lungs = trunk()
    network = ByThreshold(also={"liver": np.s_[:, :35]})
    found = with_network(segmenter, network).segment(volume)
    assert dice(found.mask(*LUNG_PARTS["right"]), lungs[0]) > 0.97
    (notice,) = (notice for notice in found.notices if notice.code == "lungs_disagree")
    assert 0.0 < float(notice.fields["overlap"]) < medomni_ct.LUNGS_AGREE


def test_lesions_lie_beside_anatomy_on_the_same_grid(segmenter):
    volume, _ = trunk()
    found = with_network(segmenter, ByThreshold(also={"lung_opacity": np.s_[20:26, 30:40, 24:36]})).segment(volume)
    opacity = found.lesions.mask("lung_opacity")
    assert opacity.any()
    assert found.lesions.grid is volume.grid
    assert found.mask(*LUNG_PARTS["right"], *LUNG_PARTS["left"])[opacity & (volume.hu < -500)].all()
    assert not found.has("lung_opacity")
    assert set(found.lesions.names.values()) == set(SEGMENTED_LESIONS)


def test_the_network_sees_the_body_alone_in_sizes_it_can_halve(segmenter):
    volume, _ = trunk(shape=(41, 120, 150))
    network = ByThreshold()
    with_network(segmenter, network).segment(volume)
    (shape,) = network.shapes
    assert all(size % 2 == 0 for size in shape)
    assert shape[1] <= 2 * 105 / 3 + 8
    assert shape[2] <= 2 * 150 / 3 + 8


def test_no_network_is_asked_about_a_head_or_air(segmenter):
    on = factories.grid((30, 64, 64), (5.0, 4.0, 4.0), (-128.0, -128.0, 0.0))
    skull, brain = factories.ball(on, (0, 0, 75), 80), factories.ball(on, (0, 0, 75), 72)
    network = ByThreshold(also={"liver": np.s_[:]})
    for volume in (factories.volume(on=on, parts=((skull, 900), (brain, 35))), factories.volume(on=on)):
        found = with_network(segmenter, network).segment(volume)
        assert set(np.unique(found.labels)) <= {0, BODY, BONE}
    assert not network.shapes


def test_scope_reads_the_body_part_from_its_labels_without_other_rules(segmenter, monkeypatch):
    volume, _ = trunk()
    found = with_network(segmenter, ByThreshold()).segment(volume)
    monkeypatch.setattr(HuRules, "segment", None)
    coverage, _ = scope(volume, found, measure(volume, found))
    assert coverage.region == "chest"
    assert {"lungs", "pleura"} <= set(coverage.evaluated)


def test_a_head_is_no_chest_by_its_labels(segmenter):
    on = factories.grid((30, 64, 64), (5.0, 4.0, 4.0), (-128.0, -128.0, 0.0))
    skull, brain = factories.ball(on, (0, 0, 75), 80), factories.ball(on, (0, 0, 75), 72)
    volume = factories.volume(on=on, parts=((skull, 900), (brain, 35)))
    found = with_network(segmenter, ByThreshold()).segment(volume)
    coverage, _ = scope(volume, found, measure(volume, found))
    assert coverage.region == "head"


def test_without_a_stated_side_lobes_are_lung_and_kidneys_kidney(segmenter):
    volume, lungs = trunk(is_side_known=False)
    kidney = np.s_[2:10, 40:50, 14:24]
    found = with_network(segmenter, ByThreshold(also={"kidney_right": kidney})).segment(volume)
    assert dice(found.mask("lung"), lungs[0] | lungs[1]) > 0.97
    assert found.mask("kidney").any()
    assert not any(side in name.split("_") for name in found.names.values() for side in ("left", "right"))


def test_a_long_volume_is_inferred_in_overlapping_parts(segmenter, monkeypatch):
    volume, lungs = trunk()
    monkeypatch.setattr(medomni_ct, "MOST_VOXELS", 60_000)
    monkeypatch.setattr(medomni_ct, "OVERLAP_VOXELS", 3)
    network = ByThreshold()
    found = with_network(segmenter, network).segment(volume)
    assert len(network.shapes) > 1
    assert dice(found.mask(*LUNG_PARTS["right"]), lungs[0]) > 0.97


@pytest.mark.parametrize("height", [10, 96, 97, 400, 777])
def test_the_parts_of_a_long_volume_cover_it_once(height):
    area = (slice(0, 300), slice(0, 300))
    slabs = _slabs((slice(3, 3 + height), *area), (3 + height, 300, 300))
    covered = np.concatenate([np.arange(kept.start, kept.stop) for _, kept in slabs])
    assert np.array_equal(covered, np.arange(3, 3 + height))
    assert all(part[0].start <= kept.start < kept.stop <= part[0].stop for part, kept in slabs)


def test_float_volumes_give_the_labels_of_integer_ones(segmenter):
    volume, _ = trunk()
    with_network(segmenter, ByThreshold())
    as_float = Volume(volume.hu.astype(np.float32), volume.grid)
    assert np.array_equal(segmenter.segment(volume).labels, segmenter.segment(as_float).labels)


def test_missing_weights_name_the_other_segmenter(tmp_path):
    with pytest.raises(MissingPart, match="hu-rules"):
        MedomniCt(tmp_path).check()


def test_a_bundle_of_other_classes_is_refused(tmp_path):
    with pytest.raises(BadInput, match="classes"):
        MedomniCt(factories.tiny_bundle(tmp_path / "other")).check()


def test_the_digest_covers_weights_and_rules(tmp_path, monkeypatch):
    first, same, other = (MedomniCt(factories.tiny_own_bundle(tmp_path / str(k), seed=seed)) for k, seed in enumerate((0, 0, 1)))
    assert first.digest == same.digest != other.digest
    monkeypatch.setattr(medomni_ct, "rules_digest", lambda *_: "other rules")
    assert MedomniCt(first.folder).digest != first.digest


def test_torch_in_the_place_of_openvino_is_said(segmenter, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    found = segmenter.segment(factories.volume(40))
    assert "network_on_torch" in {notice.code for notice in found.notices}
