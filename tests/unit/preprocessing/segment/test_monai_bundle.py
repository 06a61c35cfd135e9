"""Any local MONAI bundle: exact labels on every kind of grid, safe reading of its configuration and weights."""

import json

import numpy as np
import pytest

from medomni.errors import BadInput, MissingPart
from medomni.types.volume import Volume
from preprocessing.resample import to_working
from preprocessing.segment import bundle_inference
from preprocessing.segment.bundle_image import orient, prepare
from preprocessing.segment.monai_bundle import MonaiBundle
from tests import factories

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SAME_SPACING = {
    "supine": factories.grid(),
    "prone": factories.prone_grid(),
    "feet_first": factories.feet_first_grid(),
}
OTHER = {
    "rotated": factories.rotated_grid(20),
    "tilted": factories.tilted_grid(15),
    "uneven": factories.uneven_grid(),
    "coronal": factories.coronal_grid(),
}


def tissue(on):
    """Random blobs of air, fat, liver and bone: every voxel far from a threshold."""
    hu = np.random.default_rng(5).choice([-1000, -100, 50, 700], size=on.shape)
    return Volume(hu.astype(np.int16), on)


def expected(hu):
    return np.where(hu > 100, 2, np.where(hu > 0, 1, 0)).astype(np.uint8)


def silent(_):
    pass


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return MonaiBundle(factories.tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


@pytest.mark.parametrize("on", SAME_SPACING.values(), ids=SAME_SPACING.keys())
def test_labels_are_exact_at_the_bundles_own_spacing(bundle, on):
    volume = tissue(on)
    found = bundle.segment(volume, silent)
    assert np.array_equal(found.labels, expected(volume.hu))
    assert found.names == {1: "liver", 2: "bone", 3: "odd_thing_7"}


@pytest.mark.parametrize("on", OTHER.values(), ids=OTHER.keys())
def test_labels_lie_where_the_tissue_is_on_grids_that_must_be_resampled(bundle, on):
    ball = factories.ball(on, factories.world_mm(on).reshape(-1, 3).mean(axis=0), 12.0)
    found = bundle.segment(factories.volume(-100, on, [(ball, 90)]), silent)
    overlap = 2 * np.sum(found.mask("liver") & ball) / (found.mask("liver").sum() + ball.sum())
    assert found.labels.shape == on.shape
    assert overlap > 0.85


@pytest.mark.parametrize("on", [*SAME_SPACING.values(), factories.coronal_grid()])
@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "SRA", "PIR"])
def test_orientation_is_the_one_monai_gives(on, axcodes):
    import torch
    from monai.data import MetaTensor
    from monai.transforms.spatial.array import Orientation

    volume = tissue(on)
    ras = np.diag([-1.0, -1, 1, 1]) @ on.affine
    image = MetaTensor(torch.tensor(volume.hu.transpose(2, 1, 0).copy())[None].float(), affine=torch.tensor(ras))
    wanted = Orientation(axcodes=axcodes, labels=(("L", "R"), ("P", "A"), ("I", "S")))(image)[0].numpy()
    native = sorted_spacing(on)
    assert np.allclose(orient(to_working(volume, native).hu, axcodes), wanted, atol=0.05)


def sorted_spacing(on):
    directions = np.abs(np.stack([on.normal, on.column_direction, on.row_direction]))
    return tuple(on.spacing_mm[int(np.argmax(directions[:, world]))] for world in (2, 1, 0))


@pytest.mark.parametrize("on", [*SAME_SPACING.values(), *OTHER.values()], ids=[*SAME_SPACING, *OTHER])
def test_the_right_side_is_the_patients_right_whatever_the_position(tmp_path, on):
    import torch

    class RightHalf(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            side = torch.linspace(-1.0, 1.0, x.shape[2]).reshape(1, 1, -1, 1, 1) + 0 * x
            return torch.cat([0 * x, side], dim=1)

    folder = factories.tiny_bundle(
        tmp_path / "side",
        labels={"0": "background", "1": "Lung_R"},
        inference={"inferer": {"roi_size": [96, 96, 96]}, "pixdim": [1.5, 1.5, 1.5], "network_def": None},
        weights="",
    )
    torch.jit.script(RightHalf()).save(str(folder / "models" / "model.ts"))
    found = MonaiBundle(folder).segment(factories.volume(0, on), silent)
    x = factories.world_mm(on)[..., 0]
    right, other = x[found.mask("lung_right")], x[~found.mask("lung_right")]
    assert len(right) > 0.3 * x.size
    assert np.median(right) < np.median(other) - 10


def test_blocks_give_the_same_labels_as_one_pass(bundle, monkeypatch):
    volume = tissue(factories.grid((24, 40, 36)))
    whole = bundle.segment(volume, silent).labels
    monkeypatch.setattr(bundle_inference, "LOGITS_MIB", 0.2)
    assert len(bundle_inference._blocks((36, 40, 24), bundle.plan)) > 1
    assert np.array_equal(bundle.segment(volume, silent).labels, whole)


@pytest.mark.parametrize("limit_mib", [1024, 0.3])
def test_progress_counts_windows_up_to_one(bundle, monkeypatch, limit_mib):
    monkeypatch.setattr(bundle_inference, "LOGITS_MIB", limit_mib)
    told = []
    bundle.segment(tissue(factories.grid((24, 40, 36))), told.append)
    assert told == sorted(told)
    assert told[0] == 0
    assert told[-1] == 1
    assert told[-2] == pytest.approx(0.97)


def test_side_names_lose_their_side_when_the_side_is_unknown(tmp_path):
    folder = factories.tiny_bundle(tmp_path / "b", labels={"0": "bg", "1": "left lung", "2": "Lung_R", "3": "spleen"})
    on = factories.grid(is_side_known=False)
    found = MonaiBundle(folder).segment(tissue(on), silent)
    assert found.names == {1: "lung", 2: "spleen"}
    assert np.array_equal(found.mask("lung"), tissue(on).hu > 0)


def test_unknown_labels_are_kept_and_said(bundle):
    notices = bundle.segment(tissue(factories.grid()), silent).notices
    assert [(n.code, n.fields) for n in notices] == [("bundle_unknown_labels", {"count": "1", "names": "odd_thing_7"})]


def test_torchscript_weights_give_the_same_labels_and_are_marked(tmp_path, bundle):
    folder = factories.tiny_bundle(tmp_path / "ts", inference={"network_def": None}, weights="ts")
    volume = tissue(factories.grid())
    found = MonaiBundle(folder).segment(volume, silent)
    assert np.array_equal(found.labels, bundle.segment(volume, silent).labels)
    assert "bundle_torchscript" in {notice.code for notice in found.notices}


def test_a_pickle_is_refused_unless_allowed(tmp_path):
    folder = factories.tiny_bundle(tmp_path / "pt", weights="pt")
    volume = tissue(factories.grid())
    with pytest.raises(MissingPart, match="pickle"):
        MonaiBundle(folder).segment(volume, silent)
    found = MonaiBundle(folder, allow_pickle=True).segment(volume, silent)
    assert np.array_equal(found.labels, expected(volume.hu))
    assert "bundle_pickle" in {notice.code for notice in found.notices}


def test_an_allowed_pickle_still_cannot_run_code(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    folder = factories.tiny_bundle(tmp_path / "evil", weights="")
    (folder / "models" / "model.pt").write_bytes(pickle.dumps({"model": Evil()}))
    with pytest.raises(BadInput, match="weights cannot be used"):
        MonaiBundle(folder, allow_pickle=True).segment(tissue(factories.grid()), silent)
    assert not (tmp_path / "ran").exists()


def test_digest_changes_with_weights_and_with_configuration(tmp_path):
    first = MonaiBundle(factories.tiny_bundle(tmp_path / "a")).digest
    assert MonaiBundle(factories.tiny_bundle(tmp_path / "b")).digest == first
    assert MonaiBundle(factories.tiny_bundle(tmp_path / "c", metadata={"version": "0.2"})).digest != first
    folder = factories.tiny_bundle(tmp_path / "d")
    weights = folder / "models" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert MonaiBundle(folder).digest != first


HOSTILE_EXPRESSIONS = [
    "$__import__('os').system('touch {ran}')",
    "$[x for x in ().__class__.__base__.__subclasses__()]",
    "$open('{ran}', 'w')",
    "$(lambda: 1)()",
    "$'a' * 10**9",
    "$10 ** 10 ** 10",
    "$@pixdim",
    "$@nothing_there",
    "%other.json#a",
]


@pytest.mark.parametrize("text", HOSTILE_EXPRESSIONS)
def test_code_in_the_configuration_is_refused_and_never_run(tmp_path, text):
    ran = tmp_path / "ran"
    folder = factories.tiny_bundle(tmp_path / "b", inference={"pixdim": text.replace("{ran}", str(ran))})
    with pytest.raises(BadInput) as error:
        MonaiBundle(folder).segment(tissue(factories.grid()), silent)
    assert not ran.exists()
    assert len(str(error.value).splitlines()) == 1
    assert "pixdim" in str(error.value) or "nothing_there" in str(error.value)


def test_the_refusal_names_the_expression_and_the_way_out(tmp_path):
    folder = factories.tiny_bundle(tmp_path / "b", inference={"pixdim": "$list(range(1, 4))"})
    with pytest.raises(BadInput, match=r"'pixdim' holds '\$list\(range\(1, 4\)\)'.*--trust-bundle"):
        _ = MonaiBundle(folder).plan


def test_trusted_code_is_run_and_said(tmp_path):
    folder = factories.tiny_bundle(tmp_path / "b", inference={"pixdim": "$[float(n) for n in (1.5, 2, 3)]"})
    volume = tissue(factories.grid())
    found = MonaiBundle(folder, trust_code=True).segment(volume, silent)
    assert np.array_equal(found.labels, expected(volume.hu))
    assert "bundle_code_trusted" in {notice.code for notice in found.notices}


@pytest.mark.parametrize(
    "network",
    [
        {"_target_": "os.system", "command": "true"},
        {"_target_": "monai.networks.nets.os"},
        {"_target_": "torch.hub.load"},
        {"_target_": "ResNet", "pretrained": True},
        {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 4, "act": {"_target_": "os.getcwd"}},
        {"_target_": "UNet", "channels": [10**9]},
        {"_target_": "UNet", "surprise": 1},
    ],
)
def test_only_networks_of_monai_with_plain_settings_are_built(tmp_path, network):
    folder = factories.tiny_bundle(tmp_path / "b", inference={"network_def": network})
    with pytest.raises(BadInput, match="network"):
        MonaiBundle(folder).segment(tissue(factories.grid()), silent)


def test_damaged_weights_are_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = factories.tiny_bundle(tmp_path / "b")
    path = folder / "models" / "model.safetensors"
    good, state = path.read_bytes(), load_file(path)
    name = next(iter(state))
    cases = {
        "damaged safetensors": b"\xff" * 7 + b"\x7f" + b"{" * 100,
        "1 tensors missing": {k: v for k, v in state.items() if k != name},
        "1 of another shape": {**state, name: np.zeros((1, 1), np.float32)},
        "not finite": {**state, name: np.full_like(state[name], np.nan)},
    }
    for words, content in cases.items():
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            save_file(content, path)
        with pytest.raises(BadInput, match=words):
            MonaiBundle(folder).segment(tissue(factories.grid()), silent)
    path.write_bytes(good)
    MonaiBundle(folder).segment(tissue(factories.grid()), silent)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metadata": {"network_data_format": None}}, "does not name its labels"),
        ({"inference": {"inferer": {"roi_size": [0, 16, 16]}}}, "out of range"),
        ({"inference": {"preprocessing": {"transforms": [{"_target_": "Resized"}]}}}, "not supported"),
        ({"inference": {"pixdim": [1.0, 1.0]}}, "three numbers"),
        ({"inference": {"pixdim": [1e-9, 1.0, 1.0]}}, "out of range"),
        ({"labels": {str(k): f"part {k}" for k in range(300)}}, "too many labels"),
        ({"labels": {"0": "background", "9": "liver"}}, "does not give the labels"),
    ],
)
def test_a_bundle_that_cannot_be_used_says_why(tmp_path, change, words):
    folder = factories.tiny_bundle(tmp_path / "b", **change)
    with pytest.raises(BadInput, match=words):
        MonaiBundle(folder).segment(tissue(factories.grid()), silent)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BadInput, match="not a MONAI bundle"):
        _ = MonaiBundle(tmp_path).plan
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text("{" * 5000)
    (tmp_path / "configs" / "inference.json").write_text("{}")
    with pytest.raises(BadInput, match="cannot be read"):
        _ = MonaiBundle(tmp_path).plan


def test_a_bundle_without_weights_says_where_they_belong(tmp_path):
    folder = factories.tiny_bundle(tmp_path / "b", weights="")
    with pytest.raises(MissingPart, match=r"models/model\.safetensors"):
        MonaiBundle(folder).segment(tissue(factories.grid()), silent)


def test_yaml_configuration_reads_like_json(tmp_path):
    import yaml

    folder = factories.tiny_bundle(tmp_path / "b")
    path = folder / "configs" / "inference.json"
    (folder / "configs" / "inference.yaml").write_text(yaml.safe_dump(json.loads(path.read_text())))
    wanted = MonaiBundle(folder).plan
    path.unlink()
    assert MonaiBundle(folder).plan == wanted


def test_intensity_steps_equal_monais():
    import torch
    from monai.transforms.intensity.array import NormalizeIntensity, ScaleIntensity, ScaleIntensityRange

    from preprocessing.segment.bundle_config import IntensityStep

    image = np.random.default_rng(0).normal(0, 300, (6, 7, 8)).astype(np.float32)
    image[image < -200] = 0
    steps = [
        (
            ScaleIntensityRange(-57, 164, 0, 1, clip=True),
            "range",
            {"a_min": -57, "a_max": 164, "b_min": 0, "b_max": 1, "clip": 1},
        ),
        (NormalizeIntensity(nonzero=True), "normalize", {"nonzero": 1}),
        (NormalizeIntensity(subtrahend=50, divisor=200), "normalize", {"subtrahend": 50, "divisor": 200}),
        (ScaleIntensity(minv=-1, maxv=1), "rescale", {"minv": -1, "maxv": 1}),
    ]
    for monai_step, kind, numbers in steps:
        wanted = np.asarray(monai_step(torch.from_numpy(image)[None]))[0]
        assert np.allclose(prepare(image, (IntensityStep(kind, numbers),)), wanted, atol=1e-5), kind
