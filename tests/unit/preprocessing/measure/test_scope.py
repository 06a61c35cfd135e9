"""What a volume covers, and what may therefore be said."""

import numpy as np

from preprocessing.measure.regions import measure
from preprocessing.measure.scope import scope
from preprocessing.segment.hu_rules import HuRules
from tests import factories


def _scope(volume, segmentation=None):
    segmentation = segmentation or HuRules().segment(volume)
    return scope(volume, segmentation, measure(volume, segmentation))


def test_whole_chest_by_rules_is_evaluated_for_lungs_with_bronchi_pleura_and_devices_only():
    coverage, notices = _scope(factories.small_chest().volume)
    assert coverage.region == "chest"
    assert set(coverage.evaluated) == {"lungs", "airways", "pleura", "devices"}
    assert coverage.not_evaluated["heart"] == "no_detector"
    assert coverage.not_evaluated["upper_abdomen"] == "no_detector"
    assert "kidneys" not in coverage.not_evaluated
    assert not [n for n in notices if n.code.endswith("undersegmented")]


def test_air_and_noise_are_no_anatomy():
    on = factories.grid(shape=(12, 64, 64))
    air, notices = _scope(factories.volume(fill=-1000, on=on))
    assert (air.region, [n.code for n in notices]) == ("none", ["no_anatomy_found"])
    noise = factories.volume(on=on)
    noise.hu[:] = np.random.default_rng(0).integers(-1024, 3000, on.shape)
    odd, notices = _scope(noise)
    assert (odd.region, [n.code for n in notices]) == ("none", ["unusual_image"])
    assert set(odd.not_evaluated.values()) == {"unusual_image"}


def test_head_is_not_supported():
    on = factories.grid(shape=(30, 64, 64), spacing_mm=(5.0, 4.0, 4.0), origin_mm=(-128.0, -128.0, 0.0))
    skull, brain = factories.ball(on, (0, 0, 75), 80), factories.ball(on, (0, 0, 75), 72)
    coverage, notices = _scope(factories.volume(on=on, parts=((skull, 900), (brain, 35))))
    assert coverage.region == "head"
    assert not coverage.evaluated
    assert [n.code for n in notices] == ["region_not_supported"]


def test_lungs_that_run_out_of_the_volume_are_partly_covered():
    whole = factories.small_chest().volume
    grid = whole.grid
    half = type(grid)(
        (20, *grid.shape[1:]), grid.pixel_spacing_mm, grid.row_direction, grid.column_direction, grid.slice_origins_mm[15:35]
    )
    coverage, notices = _scope(type(whole)(whole.hu[15:35], half))
    assert coverage.is_partial
    assert "lungs_partly_covered" in [n.code for n in notices]


def test_segmenter_of_organs_alone_leaves_a_chest_a_chest():
    chest = factories.small_chest()
    liver = chest.truth.mask("liver")
    coverage, notices = _scope(chest.volume, factories.segmentation({"liver": liver}, chest.volume.grid))
    assert coverage.region == "chest"
    assert coverage.evaluated == ("liver",)
    assert coverage.not_evaluated["lungs"] == "not_segmented"
    assert not notices


def test_thin_slab_shows_too_little():
    on = factories.grid(shape=(3, 64, 64), spacing_mm=(1.0, 3.0, 3.0), origin_mm=(-96.0, -96.0, 0.0))
    coverage, notices = _scope(factories.volume(on=on, parts=((factories.ball(on, (0, 0, 1), 80), 40),)))
    assert (coverage.region, [n.code for n in notices]) == ("none", ["too_little_shown"])


def test_one_small_lung_is_flagged():
    chest = factories.small_chest()
    found = HuRules().segment(chest.volume)
    labels = found.labels.copy()
    left = labels == 3
    rows = np.flatnonzero(left.any(axis=(0, 2)))
    left[:, : int(rows.mean()) + 6] = False
    labels[(labels == 3) & ~left] = 1
    _, notices = _scope(chest.volume, type(found)(labels, found.grid, found.names, found.segmenter, found.digest))
    assert [n.code for n in notices if n.code.startswith("lung_")] == ["lung_left_possibly_undersegmented"]
