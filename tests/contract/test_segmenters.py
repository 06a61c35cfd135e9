"""One contract for every segmenter: labels on the study's own grid, known names, the same bytes twice, progress up to 1."""

import re

import numpy as np
import pytest

from medomni.anatomy import anatomy
from medomni.types.segmentation import Segmentation
from preprocessing.segment.hu_rules import HuRules
from preprocessing.segment.medomni_ct import MedomniCt
from preprocessing.segment.monai_bundle import MonaiBundle
from tests import factories

GRIDS = {
    "tilted": factories.tilted_grid(12),
    "prone": factories.prone_grid(),
    "coronal": factories.coronal_grid(),
    "uneven": factories.uneven_grid(),
    "one_slice": factories.grid((1, 32, 40)),
    "side_unknown": factories.grid(is_side_known=False),
}
NAMES = ("hu-rules", "monai-bundle", "medomni-ct")


@pytest.fixture(scope="module")
def segmenters(tmp_path_factory):
    labels = {"0": "background", "1": "liver", "2": "bone", "3": "Lung_L"}
    coarse = {"pixdim": [4.0, 4.0, 5.0], "inferer": {"roi_size": [48, 48, 48], "overlap": 0.25}}
    folder = factories.tiny_bundle(tmp_path_factory.mktemp("contract") / "tiny", labels=labels, inference=coarse)
    own = MedomniCt(factories.tiny_own_bundle(tmp_path_factory.mktemp("contract") / "own"))
    return {"hu-rules": HuRules(), "monai-bundle": MonaiBundle(folder), "medomni-ct": own}


def run(segmenter, volume):
    told: list[float] = []
    found = segmenter.segment(volume, told.append)
    return found, told


def check(found, told, volume, segmenter):
    assert isinstance(found, Segmentation)
    assert found.grid is volume.grid
    assert found.labels.shape == volume.hu.shape
    assert found.labels.dtype == np.uint8
    assert set(np.unique(found.labels)) <= {0, *found.names}
    assert 0 not in found.names
    assert all(name in anatomy().structures for name in found.names.values())
    assert told == sorted(told)
    assert told[-1] == 1
    assert min(told) >= 0
    assert re.fullmatch(r"[0-9a-f]{64}", found.digest)
    assert found.segmenter.startswith(segmenter.name)
    if found.lesions is not None:
        assert found.lesions.grid is volume.grid
        assert set(np.unique(found.lesions.labels)) <= {0, *found.lesions.names}
        assert all(name in anatomy().structures for name in found.lesions.names.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_chest_is_labelled_on_its_own_grid(segmenters, name):
    volume = factories.small_chest(0).volume
    found, told = run(segmenters[name], volume)
    check(found, told, volume, segmenters[name])
    assert found.labels.any()


@pytest.mark.parametrize("on", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize("name", NAMES)
def test_any_grid_is_labelled_on_itself(segmenters, name, on):
    ball = factories.ball(on, factories.world_mm(on).reshape(-1, 3).mean(axis=0), 14.0)
    volume = factories.volume(-1000, on, [(ball, 60)])
    check(*run(segmenters[name], volume), volume, segmenters[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_volume_gives_the_same_bytes(segmenters, name):
    volume = factories.small_chest(1).volume
    first, second = (run(segmenters[name], volume)[0] for _ in range(2))
    assert first.labels.tobytes() == second.labels.tobytes()
    assert (first.names, first.digest) == (second.names, second.digest)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fill", [-1000, 40])
def test_a_volume_of_one_value_gives_labels_without_failing(segmenters, name, fill):
    volume = factories.volume(fill)
    check(*run(segmenters[name], volume), volume, segmenters[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_volume_is_left_as_it_was(segmenters, name):
    volume = factories.volume(-1000, parts=[(factories.ball(factories.grid(), (0, 0, 0), 12), 50)])
    before = volume.hu.copy()
    run(segmenters[name], volume)
    assert np.array_equal(volume.hu, before)


@pytest.mark.parametrize("name", NAMES)
def test_no_side_is_named_when_the_side_is_unknown(segmenters, name):
    volume = factories.volume(50, factories.grid(is_side_known=False))
    found, _ = run(segmenters[name], volume)
    named = [*found.names.values(), *(found.lesions.names.values() if found.lesions else ())]
    assert not any(word in ("left", "right") for name in named for word in name.split("_"))
