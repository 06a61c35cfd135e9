"""Trains the nodule network: ``python -m preprocessing.detect.train_nodule --data FOLDER --out FOLDER [--recipe TOML]``.

    real CT and healthy phantoms, nodules put into them -> patches -> network -> model.safetensors, metadata.json

FOLDER of ``--data`` holds the archives of the real series that the recipe names; one that is missing is an error, because the
card lists what the weights were trained on. About forty CPU-minutes on one core.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from medomni.recipe import recipe_of
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.assemble import read_packed, read_volume
from preprocessing.detect.nodule_network import NoduleNetwork
from preprocessing.detect.nodule_samples import Samples, found_samples, inserted_samples, joined, pneumonia_samples, thicker
from preprocessing.segment.hu_rules import HuRules

PLACES = "train_nodule_places.toml"


@dataclass(frozen=True)
class Recipe:
    """The settings of one training, see ``train_nodule.toml``."""

    seed: int
    series: list[str]
    series_with_pneumonia: list[str]
    thickest_mm: float
    rounds: int
    nodules_per_round: int
    phantom_seeds: list[int]
    phantom_findings: list[str]
    phantom_shape: list[int]
    phantom_spacing_mm: list[float]
    diameter_mm: list[float]
    looks_per_nodule: int
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    noise: float
    held_out_share: float


def main() -> int:
    """Train and write the weights with their score."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--recipe", type=Path)
    given = words.parse_args()
    recipe = read_recipe(given.recipe)
    samples = make_samples(given.data, recipe)
    network, score = train(samples, recipe)
    given.out.mkdir(parents=True, exist_ok=True)
    write(network, given.out, score)
    sys.stdout.write(json.dumps(score) + "\n")
    return 0


def read_recipe(path: Path | None) -> Recipe:
    """The recipe of a file, the shipped one without."""
    return recipe_of(Recipe, "preprocessing.detect", "train_nodule.toml", path)


def make_samples(data: Path, recipe: Recipe) -> Samples:
    """Patches of all sources, in their order."""
    rng = np.random.default_rng(recipe.seed)
    listed = tomllib.loads(files("preprocessing.detect").joinpath(PLACES).read_text("utf-8"))
    parts: list[Samples] = []
    for name, volume, segmentation in sources(data, recipe):
        known, doubtful = (np.array(listed[kind].get(name, ()), float).reshape(-1, 3) for kind in ("nodules", "left_out"))
        parts.append(found_samples(volume, segmentation, known, doubtful, recipe.looks_per_nodule, rng))
        if name in recipe.series_with_pneumonia:
            parts.append(pneumonia_samples(volume, segmentation, rng))
        low, high = recipe.diameter_mm
        for _ in range(recipe.rounds):
            parts.append(
                inserted_samples(volume, segmentation, recipe.nodules_per_round, (low, high), recipe.looks_per_nodule, rng)
            )
        sys.stderr.write(f"{name}: {volume.grid.slice_spacing_mm:.1f} mm, {sum(len(p.is_nodule) for p in parts)} patches\n")
    return joined(parts)


def sources(data: Path, recipe: Recipe) -> Iterator[tuple[str, Volume, Segmentation]]:
    """Each real series at its own and at thicker slices, then the phantoms."""
    for name in recipe.series:
        volume = _read(data, name)
        segmentation = HuRules().segment(volume)
        for slices in range(1, max(1, int(recipe.thickest_mm / volume.grid.slice_spacing_mm + 0.01)) + 1):
            yield (name, *thicker(volume, segmentation, slices))
    yield from _phantoms(recipe)


def _phantoms(recipe: Recipe) -> Iterator[tuple[str, Volume, Segmentation]]:
    from medomni.phantom import make_case
    from medomni.phantom.disease import Placed

    shape, spacing = recipe.phantom_shape, recipe.phantom_spacing_mm
    for seed, kind in zip(recipe.phantom_seeds, recipe.phantom_findings, strict=True):
        ill = tuple(Placed(kind, side, "", "moderate") for side in ("right", "left")) if kind else ()
        case = make_case(seed, ill, (shape[0], shape[1], shape[2]), (spacing[0], spacing[1], spacing[2]))
        yield "phantom", case.volume, HuRules().segment(case.volume)


def _read(data: Path, name: str) -> Volume:
    plain = data / f"{name}-ct.nii.gz"
    return read_volume(plain) if plain.exists() else read_packed(data / f"{name}.tar.xz")


def train(samples: Samples, recipe: Recipe) -> tuple[NoduleNetwork, dict[str, float]]:
    """Train on most of the patches; the score is that of the held-out rest."""
    torch.manual_seed(recipe.seed)
    rng, noise = np.random.default_rng(recipe.seed), torch.Generator().manual_seed(recipe.seed)
    order = rng.permutation(len(samples.is_nodule))
    held_out = order[: int(recipe.held_out_share * len(order))]
    used = order[len(held_out) :]
    network = NoduleNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    steps = recipe.epochs * (len(used) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=steps)
    nodules = samples.is_nodule[used].mean()
    weight = torch.tensor([0.5 / (1.0 - nodules), 0.5 / nodules], dtype=torch.float32)
    for epoch in range(recipe.epochs):
        network.train()
        total = 0.0
        for batch in _batches(rng.permutation(used), recipe.batch):
            patches = varied(torch.from_numpy(samples.patches[batch]), recipe.noise, rng, noise)
            target = torch.from_numpy(samples.is_nodule[batch].astype(np.float32))
            smooth = target * (1.0 - 2.0 * recipe.label_smoothing) + recipe.label_smoothing
            loss = binary_cross_entropy_with_logits(network(patches), smooth, weight[target.long()])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += loss.item()
        sys.stderr.write(f"epoch {epoch + 1}: loss {total * recipe.epochs / steps:.3f}\n")
    return network, _score(network.eval(), samples, held_out)


def _batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for first in range(0, len(order) - size + 1, size):
        yield order[first : first + size]


def varied(patches: torch.Tensor, noise: float, rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
    """The patches mirrored, turned within the slice, brightened and with more noise, all at random."""
    for axis in (2, 3, 4):
        if rng.random() < 0.5:
            patches = torch.flip(patches, (axis,))
    if rng.random() < 0.5:
        patches = patches.transpose(3, 4)
    count = len(patches)
    gain, shift, spread = (torch.rand(count, 1, 1, 1, 1, generator=generator) for _ in range(3))
    added = torch.randn(patches.shape, generator=generator) * spread * noise
    added[:, 1] *= 0.4  # block averages hold less noise
    return (patches * (0.92 + 0.16 * gain) + 0.1 * (shift - 0.5) + added).clamp(-1.0, 1.0)


def _score(network: NoduleNetwork, samples: Samples, held_out: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    with torch.no_grad():
        logits = torch.cat(
            [network(torch.from_numpy(samples.patches[held_out[k : k + 64]])) for k in range(0, len(held_out), 64)]
        )
    truth = samples.is_nodule[held_out]
    return {
        "held_out_auc": round(float(roc_auc_score(truth, logits.numpy())), 4),
        "held_out_patches": float(len(held_out)),
        "patches": float(len(samples.is_nodule)),
        "nodule_patches": float(samples.is_nodule.sum()),
    }


def write(network: NoduleNetwork, out: Path, score: dict[str, float]) -> None:
    """Write the weights and what is known about them."""
    from safetensors.torch import save_file

    state = {name: value.contiguous() for name, value in network.state_dict().items() if "num_batches" not in name}
    save_file(state, out / "model.safetensors")
    (out / "metadata.json").write_text(json.dumps(score, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
