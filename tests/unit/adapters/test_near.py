import io
import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from adapters import near
from adapters.answers import SELDOM, USUAL
from adapters.loop import Loop, Told, averaged
from adapters.samples import ALSO, centre_of, cut_out, labels_of, load_sample
from medomni.model import checkpoint, omni_folder
from medomni.model.config import LABELS, tiny
from medomni.model.omni import Omni
from medomni.model.scan import GRID_MM, STRUCTURES, to_codes
from medomni.types.opinion import Joint

SHAPE = (24, 48, 48)
LESION = STRUCTURES.index("lung_opacity") + 1


def write_sample(path, kind="consolidation", seed=0, **told):
    """A bank file: a ball of one disease in a cube of lung; ``told`` is what else is known of the patient."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    ball = ((z - 12) * 2.5) ** 2 + ((y - 24) * 1.5) ** 2 + ((x - 20) * 1.5) ** 2 < 12**2
    hu = np.where(ball, 30, -850) + rng.normal(0, 10, SHAPE)
    structures = np.full((SHAPE[0], SHAPE[1] // 2, SHAPE[2] // 2), STRUCTURES.index("lung_upper_lobe_left") + 1, np.uint8)
    structures[ball[:, ::2, ::2]] = LESION
    voxels = ball.reshape(12, 2, 12, 4, 12, 4).sum(axis=(1, 3, 5)).astype(np.uint8)
    corners = [np.argwhere(ball).min(axis=0) * GRID_MM, (np.argwhere(ball).max(axis=0) + 1) * GRID_MM]
    start = [0.75, 0.75, 1.25]
    box = [[float(v) for v in corner[::-1]] for corner in corners]
    info = {"start_mm": start, "lesions": [{"kind": kind, "box_mm": box}], **told}
    arrays = {
        "codes": to_codes(hu),
        "structures": structures,
        "occ": voxels[None],
        "info": np.frombuffer(json.dumps(info).encode(), np.uint8),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.save(stream, array)
            archive.writestr(f"{name}.npy", stream.getvalue())
    return path


@pytest.fixture
def files(tmp_path):
    return [write_sample(tmp_path / f"{number}.npz", seed=number) for number in range(3)]


def recipe(**changes):
    values = {
        "region": "chest",
        "bodies": 1,
        "first_seed": 3_000_000,
        "begins_with": "",
        "often": {},
        "mixed_precision": False,
        "real_folder": "",
        "real": {},
        "real_visits": 0,
        "real_share": 0.0,
        "seed": 1,
        "steps": 3,
        "batch": 2,
        "size": [16, 32, 32],
        "learning_rate": 1e-2,
        "warm_up": 1,
    }
    values |= {"weight_decay": 0.0, "average_decay": 0.5, "checkpoint_every": 1}
    return near.NearRecipe(**{**values, **changes})


def test_lesion_of_a_file_is_where_its_box_says(files):
    sample = load_sample(files[0])
    assert labels_of(files[0]) == {"consolidation"}
    assert set(np.array(LABELS)[sample.labels == 1]) == {"consolidation", ALSO["consolidation"]}
    lesion = sample.lesions[0]
    middle = (np.argwhere(lesion.voxels > 16) + 0.5) * np.array([5.0, 6.0, 6.0])
    assert (middle > lesion.box[:3]).all()
    assert (middle < lesion.box[3:]).all()


def test_cut_out_holds_the_lesion(files):
    sample, rng = load_sample(files[0]), np.random.default_rng(0)
    one = cut_out(sample, np.array([6, 6, 5]), (24, 48, 48), rng)
    assert one.codes.shape == (24, 48, 48)
    assert (one.places[LABELS.index("consolidation")] == 1).any()
    assert (one.places[LABELS.index("emphysema")] == 0).all()


def test_cut_out_beyond_the_scan_is_air(files):
    one = cut_out(load_sample(files[0]), np.array([0, 0, 0]), (24, 48, 48), np.random.default_rng(1))
    assert (one.structures[:8, :8, :8] == 0).all()


def test_mirrored_cut_out_keeps_the_truth_over_the_lesion(files):
    sample = load_sample(files[0])
    corners = set()
    for seed in range(12):
        one = cut_out(sample, np.array([6, 6, 2]), (24, 48, 48), np.random.default_rng(seed))
        there = one.places[LABELS.index("consolidation")] == 1
        blocks = one.codes.reshape(12, 2, 12, 4, 12, 4).mean(axis=(1, 3, 5))
        assert blocks[there].mean() > blocks[~there].mean() + 20
        inside = (one.structures == LESION).reshape(12, 2, 12, 2, 12, 2).mean(axis=(1, 3, 5))
        if inside.any():  # the segmenter may be drawn not to have found it, and a voxel off
            assert inside[there].mean() > inside[~there].mean() + 0.4
        corners.add(int(np.argwhere(there)[:, 2].mean() < 6))
    assert corners == {0, 1}


def test_training_goes_on_from_a_trained_model(files, tmp_path):
    joint = Joint(offset=0.0, silence=0.0, own=1.0, theirs=1.0)
    answer = omni_folder.Answering(offset=0.0, slope=1.0, joint=joint, threshold=0.5, extent=USUAL, chance=SELDOM)
    omni, folder = Omni(tiny(), ("vision", "text")), tmp_path / "model"
    folder.mkdir()
    shutil.copy(omni_folder.SHIPPED / omni_folder.WORDS, folder)
    checkpoint.save(omni, dict.fromkeys(LABELS, answer), folder / omni_folder.WORDS, folder)
    out = tmp_path / "on.pt"
    near.train(files, out, recipe(steps=1, learning_rate=0.0, begins_with=str(folder)), tiny(), Told("near"))
    begun = omni.vision.near.state_dict()["judge.weight"]
    assert torch.allclose(averaged(out)["near.judge.weight"], begun, atol=1e-3)


EVEN = replace(tiny(), fine=16, cells=16, middle=16, coarse=16, detail=16)
"""Channels in sixteens and, below, cut-outs as large as in training: others gave gradients that are no numbers in bfloat16."""


def test_products_in_half_precision_teach_nearly_the_same(files):
    batch = next(near.CutOuts(files, recipe(batch=2, size=[48, 96, 96])).after(0))
    gradients, dtypes = [], []
    for mixed in (False, True):
        torch.manual_seed(3)
        learner = near.NearLearner(EVEN, mixed)
        learner.near.cell_block.one.register_forward_hook(lambda _module, _given, made: dtypes.append(made.dtype))
        learner.losses(batch)["places"].backward()
        gradients.append(torch.cat([one.grad.flatten() for one in learner.parameters()]))
    assert dtypes == [torch.float32, torch.bfloat16]
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.95


def test_a_gradient_that_is_no_number_ends_the_training_and_keeps_the_checkpoint(files, tmp_path):
    out, learner = tmp_path / "c.pt", near.NearLearner(tiny())
    loop = Loop(learner, recipe(), out)
    batches = near.CutOuts(files, recipe()).after(0)

    def losses(batch):
        found = learner.losses(batch)["places"]
        return {"places": found * float("nan") if out.exists() else found}

    with pytest.raises(FloatingPointError, match="step 1"):
        loop.run(lambda _: batches, losses, Told("near"))
    assert all(torch.isfinite(value).all() for value in averaged(out).values())


def test_recipe_names_labels_of_the_model_alone():
    with pytest.raises(ValueError, match=r"lung_nodul$"):
        recipe(often={"lung_nodul": 2.0})


def test_real_series_are_drawn_as_often_as_the_recipe_says(files, monkeypatch):
    loaded, original = [], near.load_sample
    monkeypatch.setattr(near, "load_sample", lambda path: loaded.append(path) or original(path))
    drawn = near.CutOuts(files[:1], recipe(steps=100, real_share=0.25, size=[8, 16, 16]), files[1:2])
    assert all(one.codes.any() for one in map(drawn.__getitem__, range(len(drawn))))
    assert 30 <= loaded.count(files[1]) <= 75


def test_labels_are_drawn_as_often_as_the_recipe_says(files):
    shares = near.CutOuts(files, recipe(often={"lung_nodule": 3.0})).shares
    nodule = LABELS.index("lung_nodule")
    assert shares[nodule] == pytest.approx(3 * shares[nodule - 1])
    assert shares.sum() == pytest.approx(1.0)


def test_centre_lies_at_the_lesion(files):
    sample = load_sample(files[0])
    centres = [centre_of(sample, "consolidation", np.random.default_rng(seed)) for seed in range(20)]
    assert np.abs(np.mean(centres, axis=0) - [6, 6, 5]).max() < 3


def test_stopped_training_goes_on_as_if_it_had_not_been(files, tmp_path):
    whole, parts = tmp_path / "whole.pt", tmp_path / "parts.pt"
    near.train(files, whole, recipe(), tiny(), Told("near"))
    short = recipe()
    loop_steps = near.CutOuts.__len__
    near.CutOuts.__len__ = lambda self: 2 * self.recipe.batch
    try:
        near.train(files, parts, short, tiny(), Told("near"))
    finally:
        near.CutOuts.__len__ = loop_steps
    near.train(files, parts, short, tiny(), Told("near"))
    one, other = averaged(whole), averaged(parts)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_training_lets_the_lesion_stand_out(files, tmp_path):
    checkpoint = tmp_path / "c.pt"
    near.train(
        files, checkpoint, recipe(steps=100, size=[24, 48, 48], learning_rate=5e-3, average_decay=0.9), tiny(), Told("near")
    )
    learner = near.NearLearner(tiny())
    learner.load_state_dict(averaged(checkpoint))
    learner.near.eval()
    one = cut_out(load_sample(files[0]), np.array([6, 6, 5]), (24, 48, 48), np.random.default_rng(0))
    with torch.no_grad():
        cells = learner.near(torch.from_numpy(one.codes)[None], torch.from_numpy(one.structures)[None]).cells[0]
    channel = LABELS.index("consolidation")
    there = torch.from_numpy(one.places[channel])
    assert cells[channel][there == 1].mean() > cells[channel][there == 0].mean() + 0.5


def test_unjudged_cells_do_not_count():
    logits, places = torch.zeros(1, len(LABELS), 2, 2, 2), torch.full((1, len(LABELS), 2, 2, 2), 255, dtype=torch.uint8)
    assert float(near.places_loss(logits, places)) == 0.0
