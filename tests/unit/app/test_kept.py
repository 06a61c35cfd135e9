import zlib
from dataclasses import dataclass, replace

import numpy as np
import pytest

from app import kept
from medomni.anatomy import LOBES
from medomni.cache import Cache
from medomni.model import omni_runtime
from medomni.model.omni_folder import IN_DRAFTS, SHIPPED
from medomni.pipeline import Detection, Stages, volume_digest
from medomni.types.dictation import Told
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.notice import Notice
from medomni.types.region import Coverage, Region
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.look import OmniLook
from tests import factories

GRID = factories.grid((4, 6, 8), (2.0, 1.0, 1.0))
VOLUME = Volume(np.arange(192, dtype=np.int16).reshape(4, 6, 8), GRID)
COVERAGE = Coverage(region="chest")


def segmentation(value=1):
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:3, 2:4, 2:5] = value
    lesions = Segmentation(np.roll(labels, 1, axis=2), GRID, {3: "nodule"}, "s 1", "d", (Notice(code="inner"),))
    return Segmentation(labels, GRID, {1: "liver", 2: "spleen"}, "s 1", "d", (Notice(code="outer", fields={"a": "b"}),), lesions)


def finding():
    proof = (Evidence(structure="liver", slice_index=2, box_mm=((0.0, 1.0, 2.0), (3.0, 4.0, 5.0))),)
    size = (Measurement(name="long_diameter", value=8.25, unit="mm"),)
    return Finding(
        id="n-1", label="lung_nodule", presence=Presence.PRESENT, probability=0.93, laterality=Laterality.LEFT,
        evidence=proof, measurements=size,
    )  # fmt: skip


@dataclass
class Counting:
    """Stages that count how often they work."""

    segmented: int = 0
    measured: int = 0
    detected: int = 0
    digest: str = "weights-1"
    name: str = "counting"

    def segment(self, _volume, _progress):
        self.segmented += 1
        return segmentation()

    def measure(self, _volume, _segmentation):
        self.measured += 1
        return (Region(structure="liver", voxels=12),)

    def detect(self, _volume, _segmentation, _regions, _coverage, _progress):
        self.detected += 1
        return Detection((finding(),), segmentation().lesions, (Notice(code="seen"),))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "kept", 1 << 24)


def walk(cache, work, volume=VOLUME):
    unused = dict.fromkeys(("read", "assemble", "understand", "listen", "scope", "look", "compare"), lambda *_: None)
    stages = kept.KeptStages(cache, Stages(segmenter=work, measure=work.measure, detect=work.detect, **unused))
    labels = kept.KeptSegmenter(cache, work).segment(volume, lambda _: None)
    regions = stages.measure(volume, labels)
    return labels, regions, stages.detect(volume, labels, regions, COVERAGE, lambda _: None)


def same(one, other):
    inner = (one.lesions is None) == (other.lesions is None) and (one.lesions is None or same(one.lesions, other.lesions))
    facts = [(s.names, s.segmenter, s.digest, s.notices) for s in (one, other)]
    return inner and np.array_equal(one.labels, other.labels) and facts[0] == facts[1] and other.grid is GRID


def test_second_walk_works_nothing_and_gives_the_same_values(cache):
    work = Counting()
    first, second = walk(cache, work), walk(cache, work)
    assert (work.segmented, work.measured, work.detected) == (1, 1, 1)
    assert same(first[0], second[0])
    assert first[1] == second[1]
    assert (first[2].findings, first[2].notices) == (second[2].findings, second[2].notices)
    assert same(first[2].lesions, second[2].lesions)


def test_changed_voxel_is_another_study(cache):
    work, other = Counting(), VOLUME.hu.copy()
    other[0, 0, 0] += 1
    walk(cache, work)
    walk(cache, work, Volume(other, GRID))
    assert (work.segmented, work.detected) == (2, 2)


def test_other_weights_and_other_code_are_asked_again(cache, monkeypatch):
    work = Counting()
    walk(cache, work)
    walk(cache, replace(work, digest="weights-2"))
    monkeypatch.setattr(kept, "code_digest", lambda: "changed")
    again = Counting()
    walk(cache, again)
    assert (again.segmented, again.measured, again.detected) == (1, 1, 1)


@pytest.mark.parametrize(("name", "is_kept"), [("medomni-ct", True), ("hu-rules", True), ("plug-in", False), ("bundle", False)])
def test_only_our_own_segmenters_are_kept(cache, name, is_kept):
    unused = dict.fromkeys(("read", "assemble", "understand", "listen", "scope", "look", "compare"), lambda *_: None)
    work = Counting(name=name)
    stages = kept.through(cache, Stages(segmenter=work, measure=work.measure, detect=work.detect, **unused))
    assert isinstance(stages.segmenter, kept.KeptSegmenter) is is_kept


def test_entry_that_cannot_be_read_is_made_anew(cache, monkeypatch):
    work = Counting()
    walk(cache, work)
    for file in cache.folder.glob("*.kept"):
        cache.put(file.stem, b"another form")
    walk(cache, work)
    assert (work.segmented, work.measured, work.detected) == (2, 2, 2)
    walk(cache, work)
    assert work.segmented == 2


def test_code_digest_covers_rules_tables_and_weights():
    from pathlib import Path

    root = Path(kept.__file__).parents[1]
    names = {path.name for pattern in kept.MADE_OF for path in (root / "preprocessing").rglob(pattern)}
    assert {"calibration.toml", "model.safetensors", "nodule.py"} <= names
    assert len(kept.code_digest()) == 64


def test_digest_of_a_volume_is_made_once():
    from medomni import pipeline

    volume = Volume(VOLUME.hu.copy(), GRID)
    assert volume_digest(volume) == volume_digest(volume) == pipeline._digest(volume)


def test_scope_is_worked_out_once(cache):
    calls, work = [], Counting()

    def scope(*_):
        calls.append(1)
        return COVERAGE, (Notice(code="seen"),)

    unused = dict.fromkeys(("read", "assemble", "understand", "listen", "look", "compare"), lambda *_: None)
    stages = kept.KeptStages(cache, Stages(segmenter=work, measure=work.measure, detect=work.detect, scope=scope, **unused))
    first, second = (stages.scope(VOLUME, segmentation(), ()) for _ in range(2))
    assert first == second == (COVERAGE, (Notice(code="seen"),))
    assert len(calls) == 1


def chest():
    """A small chest with two lungs, one half dense, and its segmentation."""
    on = factories.grid(shape=(8, 40, 60), spacing_mm=(5.0, 3.0, 3.0), origin_mm=(-90.0, -60.0, 0.0))
    place = factories.world_mm(on)
    sides = {"left": place[..., 0], "right": -place[..., 0]}
    lungs = {side: (x > 10) & (x < 50) & (np.abs(place[..., 1]) < 35) for side, x in sides.items()}
    noise = np.random.default_rng(0).normal(0.0, 60.0, on.shape).astype(np.int16)
    dense = lungs["left"] & (place[..., 1] > 0)
    volume = factories.volume(on=on, fill=40, parts=((lungs["left"] | lungs["right"], -850), (dense, 40)))
    masks = {LOBES[side][0]: mask for side, mask in lungs.items()}
    return Volume(volume.hu + noise, on), factories.segmentation(masks, on)


def looking(cache, look):
    unused = dict.fromkeys(("read", "assemble", "understand", "listen", "measure", "scope", "detect", "compare"), lambda *_: None)
    return kept.through(cache, Stages(segmenter=Counting(name="hu-rules"), look=look, **unused)).look


def test_another_history_of_the_same_ct_runs_what_follows_the_near_network_alone(cache):
    """With the shipped model: what was kept gives the bits of a fresh look, whatever is told."""
    look, study = OmniLook(), chest()
    texts = [Told(), Told(history="Known emphysema."), Told(history="Cough.", dictation="Small left effusion."), Told()]
    loaded = {told: omni_runtime._loaded(SHIPPED, modalities).omni for told, modalities in ((0, ("vision",)), (1, IN_DRAFTS))}
    for omni in loaded.values():
        omni.calls.clear()
    again = looking(cache, look)
    opinions = [again(*study, told) for told in texts]
    assert loaded[0].calls == {"near": 1, "far": 1}
    assert loaded[1].calls == {"far": 2, "text": 2}
    assert opinions == [look(*study, told) for told in texts]
    assert opinions[0] == opinions[3] != opinions[1]
    assert any(one.evidence for one in opinions[0].labels)


def test_what_was_seen_is_read_back_as_it_was():
    sighted = OmniLook().see(*chest())
    content = kept.sighted_bytes(sighted)
    again = kept.sighted_of(content)
    arrays = [(one.viewed.cells, *one.viewed.sight, one.structures, one.grid.slice_origins_mm) for one in (sighted, again)]
    assert len(arrays[0]) == len(arrays[1])
    assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(*arrays, strict=True))
    assert (again.grid.shape, again.grid.pixel_spacing_mm) == (sighted.grid.shape, sighted.grid.pixel_spacing_mm)
    assert again.grid.is_side_known == sighted.grid.is_side_known
    assert len(content) < sighted.viewed.cells.nbytes / 2
    with pytest.raises(zlib.error):
        kept.sighted_of(b"another form")


def test_other_voxels_other_structures_and_other_weights_are_looked_at_anew(cache, monkeypatch):
    volume, labels = chest()
    loaded = omni_runtime._loaded(SHIPPED, ("vision",)).omni
    loaded.calls.clear()
    looking(cache, OmniLook())(volume, labels, Told())
    looking(cache, OmniLook())(Volume(volume.hu + np.int16(1), volume.grid), labels, Told())
    looking(cache, OmniLook())(volume, replace(labels, digest="1" * 64), Told())
    monkeypatch.setattr(OmniLook, "digest", "other weights")
    looking(cache, OmniLook())(volume, labels, Told())
    assert loaded.calls["near"] == 4
