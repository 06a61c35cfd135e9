from dataclasses import replace
from pathlib import Path

import pytest
import torch

from preprocessing.segment.classes import CHANNELS, CLASSES
from preprocessing.segment.network import BlockUNet
from preprocessing.segment.train import Machine, _Run, read_recipe, train
from preprocessing.segment.training.export import SHIFTS, shifted
from preprocessing.segment.training.samples import save_case
from tests.unit.preprocessing.segment.training.test_samples import small_case

SMALL = {"patch": [16, 32, 32], "filters": [4, 6, 8], "workers": 0, "batch": 1, "warm_up": 2}


def run(maps: Path, out: Path, steps: int, last: int) -> dict[str, torch.Tensor]:
    recipe = replace(read_recipe(None), steps=last, checkpoint_every=2, mixed_precision=False, **SMALL)  # type: ignore[arg-type]
    stop = replace(recipe, steps=steps)
    train(maps, out, stop, Machine())
    return dict(torch.load(out / "checkpoint.pt", weights_only=True)["network"])


def maps_of(folder: Path) -> Path:
    for kind in ("atlas", "phantom", "real"):
        save_case(small_case(kind), folder / f"{kind}-0.npz")
    return folder


def test_shipped_recipe_has_few_settings_and_few_parameters() -> None:
    recipe = read_recipe(None)
    network = BlockUNet(**recipe.network)  # type: ignore[arg-type]
    assert len(vars(recipe)) <= 30
    assert sum(p.numel() for p in network.parameters()) <= 3_000_000


def test_stopped_training_goes_on_where_it_was(tmp_path: Path) -> None:
    maps = maps_of(tmp_path / "maps")
    whole = run(maps, tmp_path / "whole", 4, 4)
    recipe = replace(read_recipe(None), steps=4, checkpoint_every=2, mixed_precision=False, **SMALL)  # type: ignore[arg-type]

    class Stopped(Exception):
        pass

    def stop_at(step: int, loss: float, rate: float) -> None:
        if step == 2:
            raise Stopped

    from preprocessing.segment import train as module

    kept = module._Log.add
    module._Log.add = lambda self, step, loss, rate: stop_at(step, loss, rate)  # type: ignore[method-assign,assignment]
    try:
        train(maps, tmp_path / "parts", recipe, Machine())
    except Stopped:
        pass
    finally:
        module._Log.add = kept  # type: ignore[method-assign]
    parts = run(maps, tmp_path / "parts", 4, 4)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=0)


def test_training_learns_its_maps(tmp_path: Path) -> None:
    maps = maps_of(tmp_path / "maps")
    before = run(maps, tmp_path / "short", 1, 1)
    after = run(maps, tmp_path / "long", 6, 6)
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_training_may_begin_with_a_network_that_saw_no_window_and_knew_fewer_classes(tmp_path: Path) -> None:
    recipe = replace(read_recipe(None), **SMALL)  # type: ignore[arg-type]
    told = recipe.network
    older = BlockUNet(**{**told, "window": (), "out_channels": 20}).eval()  # type: ignore[arg-type]
    torch.save({"average": older.state_dict()}, tmp_path / "older.pt")
    run_ = _Run(recipe, Machine())
    run_.start_from(tmp_path / "older.pt")
    image = torch.linspace(-5, 3, 16 * 32 * 32).reshape(1, 1, 16, 32, 32)
    with torch.no_grad():
        before, now = older(image), run_.network.eval()(image)
    assert now.shape[1] == told["out_channels"]
    torch.testing.assert_close(now[:, :20], before, rtol=1e-4, atol=1e-4)


def test_window_parts_what_the_whole_range_holds_close() -> None:
    network = BlockUNet(in_channels=1, out_channels=2, filters=(4, 6, 8), window=(-0.8, 1.2))
    fluid, lung = (network._blocks(torch.full((1, 1, 4, 4, 4), value)) for value in (0.05, 0.25))
    assert fluid.shape == (1, 16, 2, 2, 2)
    assert float((lung - fluid)[0, 8].mean()) > 2 * float((lung - fluid)[0, 0].mean()) > 0


def test_contrast_medium_changes_less_than_soft_tissue_does() -> None:
    network = BlockUNet(in_channels=1, out_channels=2, filters=(4, 6, 8), bright=(0.75, 0.3))
    low, knee, high = (float(network._blocks(torch.full((1, 1, 4, 4, 4), value)).mean()) for value in (0.25, 0.75, 1.75))
    assert knee - low == pytest.approx(0.5)
    assert high - knee == pytest.approx(0.3)


def test_shipped_scores_are_shifted_as_the_export_says() -> None:
    network = BlockUNet(**read_recipe(None).network)  # type: ignore[arg-type]
    network.eval()
    after = shifted(network.state_dict())
    image = torch.zeros(1, 1, *[32] * 3)
    with torch.no_grad():
        plain = network(image)
        network.load_state_dict(after)
        moved = network(image) - plain
    for number in range(CHANNELS):
        name = "background" if number == 0 else CLASSES[number - 1]
        torch.testing.assert_close(moved[:, number], torch.full_like(moved[:, number], SHIFTS.get(name, 0.0)), rtol=0, atol=1e-4)
