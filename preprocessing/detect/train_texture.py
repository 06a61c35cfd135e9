"""Trains the texture network: ``python -m preprocessing.detect.train_texture --samples DIR --out DIR [--recipe TOML]``.

    samples of texture_samples.py -> patches, mirrored, scaled and with another scanner's noise -> network -> model.safetensors

Each step draws its patches by its own seed, so a stopped run goes on as if it had not been. The average of the weights over
time is what is shipped.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import avg_pool3d, binary_cross_entropy_with_logits, interpolate

from medomni.recipe import recipe_of, share_of_rate
from preprocessing.detect.texture_kinds import BLOCK, KINDS
from preprocessing.detect.texture_network import TextureNetwork
from preprocessing.detect.texture_samples import LUNG_BIT, Sample, load_sample

SHOWN_SHARE = 0.25
"""A block shows a disease when this share of it does."""


@dataclass(frozen=True)
class Recipe:
    """The settings of one training, see ``train_texture.toml``."""

    seed: int
    steps: int
    batch: int
    patch: list[int]
    learning_rate: float
    warm_up: int
    weight_decay: float
    average_decay: float
    positive_weights: dict[str, float]
    share_real: float
    share_diseased: float
    checkpoint_every: int


def read_recipe(path: Path | None) -> Recipe:
    """The recipe of a file, the shipped one without."""
    return recipe_of(Recipe, "preprocessing.detect", "train_texture.toml", path)


class Patches(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Batch ``i`` of a training, drawn from the samples by the seed and ``i`` alone: CT numbers, and a mask for each bit."""

    def __init__(self, samples: tuple[tuple[bool, Sample], ...], recipe: Recipe) -> None:
        """Take (is real, sample) pairs."""
        self.samples, self.recipe = samples, recipe
        is_real = np.array([real for real, _ in samples])
        share = recipe.share_real if is_real.any() else 0.0
        self.odds = np.where(is_real, share / max(1, is_real.sum()), (1 - share) / max(1, (~is_real).sum()))

    def __len__(self) -> int:
        """Steps of the whole training."""
        return self.recipe.steps

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """CT numbers (batch, z, y, x) and truth (batch, kind and lung, z, y / 2, x / 2) as shares of a block."""
        rng = np.random.default_rng([self.recipe.seed, index])
        drawn = [self._draw(rng) for _ in range(self.recipe.batch)]
        return torch.stack([hu for hu, _ in drawn]), torch.stack([truth for _, truth in drawn])

    def _draw(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        _, sample = self.samples[int(rng.choice(len(self.samples), p=self.odds / self.odds.sum()))]
        stretch = np.exp(rng.normal(0, 0.08, 3))
        wanted = np.array(self.recipe.patch)
        size = np.maximum(4, np.round(wanted * stretch)).astype(int)
        hu, truth = _cut(sample, _centre(sample, self.recipe.share_diseased, rng), size)
        for axis in range(3):
            if rng.random() < 0.5:
                hu, truth = np.flip(hu, axis), np.flip(truth, axis)
        shape = tuple(int(n) for n in wanted)
        seen = torch.from_numpy(hu.astype(np.float32))[None, None]
        image = interpolate(seen, size=shape, mode="trilinear", align_corners=False)
        bits = np.stack([(truth >> bit) & 1 for bit in (*range(len(KINDS)), LUNG_BIT)]).astype(np.float32)
        masks = interpolate(torch.from_numpy(bits)[None], size=shape, mode="nearest")
        return _scanned(image[0, 0], rng), avg_pool3d(masks, (1, BLOCK, BLOCK))[0]


def _centre(sample: Sample, share_diseased: float, rng: np.random.Generator) -> np.ndarray:
    """A voxel of a disease that the sample shows, each disease as often as another, or any voxel of the lungs."""
    shown = [k for k in range(len(KINDS)) if bool((sample.truth >> k & 1).any())]
    bit = int(rng.choice(shown)) if shown and rng.random() < share_diseased else LUNG_BIT
    places = np.flatnonzero(sample.truth >> bit & 1)
    place = np.unravel_index(int(rng.choice(places)), sample.truth.shape)
    return np.array(place) + rng.normal(0, 6, 3)


def _cut(sample: Sample, centre: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A box around a place, moved so that it lies inside; a sample that is too small goes on with its border."""
    shape = np.array(sample.hu.shape)
    first = np.clip(np.round(centre - size / 2), 0, np.maximum(0, shape - size)).astype(int)
    box = tuple(slice(int(a), int(a + n)) for a, n in zip(first, size, strict=True))
    hu, truth = sample.hu[box], sample.truth[box]
    lacking = [(0, int(n - m)) for n, m in zip(size, hu.shape, strict=True)]
    return np.pad(hu, lacking, mode="edge"), np.pad(truth, lacking)


def _scanned(hu: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Another breath and another scanner: denser or thinner lung, softer image, more noise."""
    inside = ((hu < -500) & (hu > -1000)).float()
    hu = hu + inside * float(rng.normal(0, 25)) * (rng.random() < 0.6)
    if rng.random() < 0.4:
        soft = avg_pool3d(hu[None, None], (1, 3, 3), stride=1, padding=(0, 1, 1), count_include_pad=False)[0, 0]
        share = float(rng.uniform(0.2, 0.8))
        hu = hu * (1 - share) + soft * share
    noise = torch.from_numpy(rng.standard_normal(hu.shape, dtype=np.float32))
    if rng.random() < 0.5:
        noise = 1.8 * avg_pool3d(noise[None, None], (1, 3, 3), stride=1, padding=(0, 1, 1), count_include_pad=False)[0, 0]
    return hu + noise * float(rng.uniform(0, 25))


def train(samples: Path, out: Path, recipe: Recipe, *, is_half: bool = True, last: int | None = None) -> TextureNetwork:
    """Train to the end (or to step ``last``), or go on from ``out/checkpoint.pt``; returns the network with averaged weights."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    torch.manual_seed(recipe.seed)
    network = TextureNetwork()
    decay = torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average_decay)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=decay)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: share_of_rate(step, recipe.warm_up, recipe.steps))
    parts: dict[str, Any] = {"network": network, "average": average, "optimiser": optimiser, "schedule": schedule}
    first = 0
    if checkpoint.exists():
        stored = torch.load(checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(stored[name])
        first = int(stored["step"])
    patches = Patches(tuple((path.name.startswith("real"), load_sample(path)) for path in sorted(samples.glob("*.npz"))), recipe)
    sys.stderr.write(f"{len(patches.samples)} samples, from step {first} of {recipe.steps}\n")
    weights = torch.tensor([recipe.positive_weights[kind] for kind in KINDS])
    start, losses = time.monotonic(), list[float]()
    for step in range(first, recipe.steps if last is None else last):
        hu, truth = patches[step]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_half):
            logits = network(hu)
        loss = texture_loss(logits.float(), truth, weights)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        average.update_parameters(network)
        losses.append(float(loss.detach()))
        if (step + 1) % 20 == 0:
            left = (time.monotonic() - start) / (step + 1 - first) * (recipe.steps - step - 1) / 60
            sys.stderr.write(f"step {step + 1} loss {np.mean(losses[-20:]):.4f} left {left:.0f} min\n")
        if (step + 1) % recipe.checkpoint_every == 0 or step + 1 == recipe.steps:
            states = {name: part.state_dict() for name, part in parts.items()}
            torch.save({**states, "step": step + 1}, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
    averaged = average.module
    assert isinstance(averaged, TextureNetwork)  # noqa: S101  (what was wrapped above)
    return averaged


def texture_loss(logits: torch.Tensor, truth: torch.Tensor, positive_weights: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of each disease over the blocks that are lung or disease.

    Blocks that show a disease count ``positive_weights`` times, one for each kind.
    """
    shows = (truth[:, :-1] > SHOWN_SHARE).float()
    counts = ((truth[:, -1:] > 0.5) | (shows.sum(dim=1, keepdim=True) > 0)).float()
    weight = positive_weights[:, None, None, None]
    each = binary_cross_entropy_with_logits(logits, shows, pos_weight=weight, reduction="none")
    return (each * counts).sum() / (counts.sum() * shows.shape[1]).clamp(min=1)


def write(network: TextureNetwork, out: Path, facts: dict[str, object]) -> None:
    """Write the weights in half precision, and what is known about them."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    state = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(state, out / "model.safetensors")
    (out / "metadata.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """The command line of this module."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--samples", type=Path, required=True)
    words.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the weights")
    words.add_argument("--recipe", type=Path)
    given = words.parse_args()
    recipe = read_recipe(given.recipe)
    network = train(given.samples, given.out, recipe)
    sources = sorted({path.name.rsplit("-", 1)[0] for path in given.samples.glob("real-*.npz")})
    phantoms = len({path.name.split("-")[1] for path in given.samples.glob("phantom-*.npz")})
    write(network, given.out, {"steps": recipe.steps, "phantom_bodies": phantoms, "real_series": sources, "kinds": KINDS})


if __name__ == "__main__":
    main()
