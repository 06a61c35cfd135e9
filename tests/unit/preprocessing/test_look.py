"""The model's look at a study, with untrained weights saved to disk: places, modalities, and what is loaded for them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medomni import pipeline
from medomni.anatomy import LOBES
from medomni.errors import BadInput, MissingPart
from medomni.model import checkpoint, omni_folder, omni_runtime
from medomni.model.boxes import Chance, Extent, Found, Join
from medomni.model.config import LABELS, tiny
from medomni.model.omni import Given, Omni
from medomni.model.omni_folder import Answering
from medomni.model.omni_runtime import Raw
from medomni.model.words import learn_words
from medomni.pipeline import Stages
from medomni.reporting.phrases import notice_text
from medomni.types.dictation import Told
from medomni.types.finding import Laterality
from medomni.types.notice import Notice
from medomni.types.opinion import Joint, logistic
from preprocessing.look import OmniLook, Sighted, evidence, opinion_of
from preprocessing.scan import to_scan
from tests import factories

ON = factories.grid(shape=(40, 96, 128), spacing_mm=(5.0, 3.0, 3.0), origin_mm=(-190.0, -140.0, 0.0))
PLACE = factories.world_mm(ON)
LEFT = (PLACE[..., 0] > 20) & (PLACE[..., 0] < 130) & (np.abs(PLACE[..., 1]) < 90)
RIGHT = (PLACE[..., 0] < -20) & (PLACE[..., 0] > -130) & (np.abs(PLACE[..., 1]) < 90)
LOBES_SEEN = {LOBES["left"][0]: LEFT, LOBES["right"][0]: RIGHT}
STUDY = factories.volume(on=ON, parts=((LEFT | RIGHT, -850),))
STRUCTURES_SEEN = factories.segmentation(LOBES_SEEN, ON)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(3)
    made = tmp_path_factory.mktemp("omni")
    learn_words(["cough", "fever and cough"], tiny().vocabulary, made / omni_folder.WORDS)
    extent = Extent(at_least=-6.0, join=Join.SIDES)
    joint, chance = Joint(offset=0.0, silence=0.0, own=1.0, theirs=1.0), Chance(offset=0.0, score=0.0, label=0.0)
    answer = Answering(offset=0.0, slope=1.0, joint=joint, threshold=0.5, extent=extent, chance=chance)
    checkpoint.save(Omni(tiny(), omni_folder.IN_DRAFTS), dict.fromkeys(LABELS, answer), made / omni_folder.WORDS, made)
    return made


@pytest.fixture(scope="module")
def packed(folder, tmp_path_factory):
    pytest.importorskip("openvino")
    file = tmp_path_factory.mktemp("packed") / f"omni{omni_runtime.PACKED}"
    omni_runtime.pack(folder, file)
    return file


def test_places_have_chances_and_unlikely_ones_are_not_told(packed):
    runtime, scan = OmniLook(packed).runtime, to_scan(STUDY, STRUCTURES_SEEN).focused()
    viewed = runtime.see(scan.codes, scan.structures)
    raw, sighted = runtime.answer(viewed, ()), Sighted(viewed, scan.structures, scan.grid)
    told = opinion_of(raw, sighted, runtime.answers, STUDY.grid, "").labels
    assert any(one.evidence for one in told)
    assert all(one.chances == (0.5,) * len(one.evidence) for one in told)
    rare = {"chance": Chance(offset=-9.0, score=0.0, label=0.0)}
    answers = {label: answer.model_copy(update=rare) for label, answer in runtime.answers.items()}
    assert not any(one.evidence for one in opinion_of(raw, sighted, answers, STUDY.grid, "").labels)


def test_every_label_gets_an_opinion_with_its_place(packed):
    opinion = OmniLook(packed)(STUDY, STRUCTURES_SEEN, Told())
    assert [one.label for one in opinion.labels] == list(LABELS)
    assert opinion.given == ("vision",)
    assert len(opinion.digest) == 64
    for one in opinion.labels:
        for place in one.evidence:
            low, high = place.box_mm
            assert all(a < b for a, b in zip(low, high, strict=True))
            assert 0 <= place.slice_index < ON.shape[0]
        assert set(one.anatomy) <= set(LOBES_SEEN)


def test_a_history_is_heard_and_logged(packed):
    without, given = (OmniLook(packed)(STUDY, STRUCTURES_SEEN, Told(history=text)) for text in ("", "fever and cough"))
    assert given.given == ("vision", "text")
    assert "query<-text" in given.gates
    assert "query<-text" not in without.gates
    assert sum(given.importance.values()) == pytest.approx(1.0, abs=0.01)
    assert [one.logit for one in given.labels] != [one.logit for one in without.labels]
    assert [one.image_probability for one in given.labels] == [one.image_probability for one in without.labels]


def test_a_history_that_speaks_against_a_finding_does_not_take_its_place(folder):
    answers = checkpoint.load(folder, ("vision",)).answers
    scan = to_scan(STUDY, STRUCTURES_SEEN).focused()
    cells = np.zeros((len(LABELS), *scan.cells), np.float32)
    sure, unsure = (np.full(len(LABELS), value, np.float32) for value in (6.0, -6.0))
    sighted = Sighted(omni_runtime.Viewed(cells, ()), scan.structures, scan.grid)
    raw = Raw(whole=unsure, image=sure, blind=unsure, gates={}, importance={"vision": 1.0})
    assert all(one.evidence for one in opinion_of(raw, sighted, answers, ON, "digest").labels)
    nothing = replace(raw, image=unsure)
    assert not any(one.evidence for one in opinion_of(nothing, sighted, answers, ON, "digest").labels)


def test_without_a_history_no_text_encoder_is_built(folder):
    assert not hasattr(checkpoint.load(folder, ("vision",)).omni, "text")
    assert not hasattr(checkpoint.load(folder, ("text",)).omni, "vision")


def test_saved_weights_answer_as_before_up_to_half_precision(folder):
    loaded = checkpoint.load(folder, omni_folder.IN_DRAFTS)
    torch.manual_seed(3)
    fresh = Omni(tiny(), omni_folder.IN_DRAFTS).state_dict()
    assert all(torch.allclose(fresh[name], value, atol=1e-3) for name, value in loaded.omni.state_dict().items())


def test_missing_weights_are_a_missing_part(tmp_path):
    with pytest.raises(MissingPart, match="omni model"):
        OmniLook(tmp_path)(STUDY, STRUCTURES_SEEN, Told())


def test_box_of_cells_lies_where_the_scan_lies():
    scan = to_scan(STUDY, STRUCTURES_SEEN).focused()
    middle = np.array(scan.cells) // 2
    corner = middle * np.array([5.0, 6.0, 6.0])
    box = Found(1.0, tuple(corner), tuple(corner + np.array([5.0, 6.0, 6.0])), middle[None])
    place = evidence(box, middle, scan.grid, ON)
    low, high = place.box_mm
    assert all(a < at < b for a, at, b in zip(low, place.position_mm, high, strict=True))
    assert ON.slice_origins_mm[place.slice_index][2] == pytest.approx(place.position_mm[2], abs=2.6)


def test_side_follows_the_lobes_of_the_likely_cells(packed):
    opinion = OmniLook(packed)(STUDY, STRUCTURES_SEEN, Told())
    for one in opinion.labels:
        left = [place for place in one.evidence if place.position_mm[0] > 0]
        assert one.laterality is not Laterality.RIGHT or not left
        sides = {"left" if name.endswith("left") else "right" for name in one.anatomy}
        expected = {0: Laterality.NONE, 2: Laterality.BILATERAL}.get(len(sides))
        assert one.laterality is (expected or Laterality(next(iter(sides))))


@pytest.mark.parametrize("texts", [(), [("history", "fever and cough"), ("dictation", "a nodule")]])
def test_a_packed_model_answers_as_torch_does(folder, packed, texts):
    scan = to_scan(STUDY, STRUCTURES_SEEN).focused()
    runtimes = [omni_runtime.open_runtime(model, 1) for model in (folder, packed)]
    views = [runtime.see(scan.codes, scan.structures) for runtime in runtimes]
    assert np.allclose(views[0].cells, views[1].cells, atol=1e-3)
    for one, other in zip(views[0].sight, views[1].sight, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
    by_torch, by_graphs = (runtime.answer(view, texts) for runtime, view in zip(runtimes, views, strict=True))
    for name in ("whole", "image", "blind"):
        assert np.allclose(getattr(by_graphs, name), getattr(by_torch, name), atol=1e-3)
    assert (by_graphs.gates, by_graphs.importance) == (by_torch.gates, by_torch.importance)
    assert omni_runtime.open_runtime(packed, 1).digest == omni_folder.digest_of(folder)


def test_any_file_is_no_packed_model(tmp_path):
    file = tmp_path / f"other{omni_runtime.PACKED}"
    file.write_bytes(b"something")
    with pytest.raises(BadInput, match="no packed omni model"):
        omni_runtime.open_runtime(file, 1).see(np.zeros((10, 4, 4), np.uint8), np.zeros((10, 2, 2), np.uint8))


def test_of_lungs_without_lobes_sides_are_told_and_no_lobes(packed):
    whole = factories.segmentation({"lung_left": LEFT, "lung_right": RIGHT}, ON)
    opinion = OmniLook(packed)(STUDY, whole, Told())
    assert not any(one.anatomy for one in opinion.labels)
    assert {Laterality.LEFT, Laterality.RIGHT, Laterality.BILATERAL} & {one.laterality for one in opinion.labels}
    one = OmniLook(packed)(STUDY, factories.segmentation({"lung": LEFT | RIGHT}, ON), Told())
    assert {label.laterality for label in one.labels} == {Laterality.UNKNOWN}
    assert to_scan(STUDY, whole).focused().codes.shape == to_scan(STUDY, STRUCTURES_SEEN).focused().codes.shape


def test_what_was_seen_of_the_last_scan_is_not_looked_at_again(folder, monkeypatch):
    scan = to_scan(STUDY, STRUCTURES_SEEN).focused()
    cells = omni_runtime.cells_of(folder, scan.codes, scan.structures)
    runtime = omni_runtime.open_runtime(folder, 1)
    monkeypatch.setattr("medomni.model.vision.NearNetwork.forward", None)  # cannot run again
    viewed = runtime.see(scan.codes, scan.structures)
    assert np.allclose(cells, 1 / (1 + np.exp(-viewed.cells)), atol=1e-6)
    with pytest.raises(TypeError):
        runtime.see(scan.codes[:, :, :-4], scan.structures[:, :, :-2])


def test_model_hears_a_code_as_its_term():
    """With the shipped weights and the text alone."""
    loaded = checkpoint.load(omni_folder.SHIPPED, ("text",))
    number = LABELS.index("emphysema")

    def probability(text):
        with torch.inference_mode():
            answer = loaded.omni(Given(text=loaded.words.joined([[("history", text)]])))
        return logistic(loaded.answers["emphysema"].offset + loaded.answers["emphysema"].slope * float(answer.logits[0, number]))

    assert probability("J43.9") == probability("Known emphysema.") > 0.5
    assert probability("Cough. J43.9.") == probability("Cough. emphysema.") > 0.5
    assert probability("已知J43.9。") == probability("已知肺气肿。") > 0.5
    assert probability("Lot J43.9-12.") < 0.2


def test_long_history_leaves_the_dictation_its_room(folder):
    words = checkpoint.load(folder, ("text",)).words
    told = Told(history="fever and cough " * 300, dictation="a nodule")
    ids, said = words.ids(told.texts), words.ids([("dictation", "a nodule")])
    assert len(ids) == tiny().longest_text
    assert ids[-len(said) :] == said
    assert ids[: -len(said)] == words.ids([("history", told.history)])[: -len(said)]
    assert words.cut(told.texts) == ("history",)
    assert words.cut([("history", "cough"), ("dictation", "a nodule")]) == ()
    both = Told(history="cough", dictation="a nodule " * 300).texts
    assert words.ids(both) == words.ids(both[1:])
    assert words.cut(both) == ("history", "dictation")


@pytest.mark.parametrize("model", ["folder", "packed"])
def test_report_says_when_a_text_was_not_wholly_read(model, request):
    unused = dict.fromkeys(("read", "assemble", "understand", "listen", "measure", "scope", "detect", "compare"), lambda *_: None)
    stages = Stages(segmenter=None, look=OmniLook(request.getfixturevalue(model)), **unused)
    told = {"history_beyond_model": Told(history="cough " * 300), "dictation_beyond_model": Told(dictation="a nodule " * 300)}
    for code, texts in told.items():
        _, (notice,) = pipeline._opinion(stages, STUDY, STRUCTURES_SEEN, texts)
        assert notice == Notice(code=code)
        assert all(notice_text(notice, language) for language in ("en", "zh"))
    assert pipeline._opinion(stages, STUDY, STRUCTURES_SEEN, Told(history="cough", dictation="a nodule"))[1] == ()
