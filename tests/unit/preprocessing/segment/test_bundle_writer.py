"""What training writes is a bundle that every door reads, with the weights as they were scored."""

import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from preprocessing.segment.bundle_config import read_network, read_plan
from preprocessing.segment.bundle_image import prepare
from preprocessing.segment.bundle_network import read_state
from preprocessing.segment.bundle_writer import BundleCard, half_precision, write_bundle
from preprocessing.segment.classes import CHANNELS, CLASSES, GRID_MM
from preprocessing.segment.medomni_ct import SHIPPED
from preprocessing.segment.monai_bundle import MonaiBundle
from preprocessing.segment.network import BlockUNet
from preprocessing.segment.training import export
from preprocessing.segment.training.samples import to_input
from tests import factories


def card(**changes):
    stated = {"name": "own", "version": "1", "description": "", "labels": ("background", "liver"), "spacing_mm": 3.0}
    return BundleCard(**{**stated, "window_hu": (-1000.0, 500.0), "divisor": 16, "readme": "# Card\n", **changes})


def test_the_plan_says_what_the_card_said(tmp_path):
    plan = read_plan(factories.tiny_own_bundle(tmp_path))
    assert plan.channels == dict(enumerate(CLASSES, start=1))
    assert (plan.spacing_mm, plan.axcodes, plan.divisor, plan.roi_size) == ((GRID_MM,) * 3, "SPL", 2, (32, 32, 32))
    assert not plan.has_sigmoid
    assert read_network(tmp_path)["out_channels"] == CHANNELS


def test_the_network_is_fed_as_in_training(tmp_path):
    hu = np.linspace(-1500, 1500, 60, dtype=np.float32).reshape(3, 4, 5)
    plan = read_plan(factories.tiny_own_bundle(tmp_path))
    assert np.allclose(prepare(hu, plan.intensity), to_input(hu), atol=1e-5)


def test_any_bundle_door_loads_it(tmp_path):
    found = MonaiBundle(factories.tiny_own_bundle(tmp_path)).segment(factories.volume(40), lambda _: None)
    assert set(found.names.values()) == set(CLASSES)


def test_stored_weights_are_those_of_half_precision(tmp_path):
    state = {"weight": torch.tensor([1.0, 1e-3, 1 / 3]), "steps": torch.tensor(7)}
    write_bundle(tmp_path, {"_target_": "UNet"}, state, card())
    stored = read_state(tmp_path / "models" / "model.safetensors")
    assert stored["weight"].dtype == torch.float16
    assert torch.equal(stored["weight"], half_precision(state)["weight"])
    assert torch.allclose(stored["weight"].float(), state["weight"], rtol=1e-3)
    assert stored["steps"] == 7


def test_card_data_and_scores_stand_in_the_metadata(tmp_path):
    written = card(data=("phantoms 1 to 9", "series A"), scores={"dice_liver_phantom": 0.9})
    write_bundle(tmp_path, {"_target_": "UNet"}, {"weight": torch.ones(1)}, written)
    metadata = json.loads((tmp_path / "configs" / "metadata.json").read_text())
    assert metadata["data_source"] == "phantoms 1 to 9; series A"
    assert metadata["eval_metrics"] == {"dice_liver_phantom": 0.9}
    assert metadata["license"] == "Apache-2.0"
    assert (tmp_path / "docs" / "README.md").read_text() == "# Card\n"
    assert "Apache-2.0" in (tmp_path / "LICENSE").read_text()


def test_monai_reads_the_bundle_that_ships_and_its_network_fits_its_metadata():
    from monai.bundle import ConfigParser, verify_net_in_out
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import Compose

    metadata, inference = SHIPPED / "configs" / "metadata.json", SHIPPED / "configs" / "inference.json"
    parser = ConfigParser()
    parser.read_config(str(inference))
    parser.read_meta(str(metadata))
    assert isinstance(parser.get_parsed_content("network_def"), BlockUNet)
    assert isinstance(parser.get_parsed_content("inferer"), SlidingWindowInferer)
    for name in ("preprocessing", "postprocessing"):
        assert isinstance(parser.get_parsed_content(name), Compose)
    for name in ("monai_version", "pytorch_version", "numpy_version"):
        assert parser[f"_meta_::{name}"]
    verify_net_in_out("network_def", str(metadata), str(inference), device="cpu", n=2)  # raises where shapes or types differ


def test_the_shipped_bundle_states_the_scores_of_its_own_weights():
    stated = tomllib.loads((Path(export.__file__).parent / export.SCORES).read_text(encoding="utf-8"))
    weights = (SHIPPED / "models" / "model.safetensors").read_bytes()
    assert stated["digest"] == hashlib.sha256(weights).hexdigest(), "other weights: run the benchmarks and state what they print"
    metadata = json.loads((SHIPPED / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["eval_metrics"] == export.scores_of(weights)
    assert {"phantoms_liver", "phantoms_lung_opacity", "real_aorta_a"} <= set(metadata["eval_metrics"])


def test_scores_of_other_weights_are_not_stated(capsys):
    assert export.scores_of(b"others") == {}
    assert "of other weights" in capsys.readouterr().err


def test_the_shipped_card_holds_each_score_and_says_where_it_fails():
    card = (SHIPPED / "docs" / "README.md").read_text(encoding="utf-8")
    assert card == Path(export.__file__).with_name("medomni_ct.md").read_text(encoding="utf-8")
    scores = card.partition("## Scores")[2].partition("## Where it fails")[0]
    metadata = json.loads((SHIPPED / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert [name for name, figure in metadata["eval_metrics"].items() if f"{figure:.3f}" not in scores] == []
    assert card.partition("## Where it fails")[2].count("\n- ") >= 5


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"weight": torch.tensor([float("nan")])}, "half precision"),
        ({"weight": torch.tensor([1e6])}, "half precision"),
        ({"weight": torch.zeros(5_000_000)}, "may be shipped"),
    ],
)
def test_weights_that_cannot_be_shipped_are_refused_and_nothing_is_written(tmp_path, state, words):
    with pytest.raises(ValueError, match=words):
        write_bundle(tmp_path / "bundle", {"_target_": "UNet"}, state, card())
    assert not (tmp_path / "bundle").exists()
