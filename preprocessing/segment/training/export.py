"""A checkpoint -> the bundle that is shipped: ``python -m preprocessing.segment.training.export CHECKPOINT --version 1``.

Takes the average of the weights over the training, in half precision, its scores shifted by ``SHIFTS``, with the model card
beside this file. Scores enter the metadata only when ``medomni_ct_scores.toml`` states them for these very weights: after a
training export, run the benchmarks, state figures and digest there and in the card, and export the exported weights again.
"""

import argparse
import hashlib
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import torch

from preprocessing.segment.bundle_writer import BundleCard, stored_weights, write_bundle
from preprocessing.segment.classes import CHANNELS, CLASSES, GRID_MM, HU_PER_UNIT, LABELS, WINDOW_HU
from preprocessing.segment.medomni_ct import SHIPPED
from preprocessing.segment.network import VOXELS, divisor_of
from preprocessing.segment.train import averaged_weights, read_recipe

LAST_BIAS = "unet.output_block.conv.conv.bias"
SCORES = "medomni_ct_scores.toml"
NETWORK = "preprocessing.segment.network.BlockUNet"
DATA = (
    "synthetic phantoms of this project",
    "SPL Abdominal Atlas (Surgical Planning Laboratory, Brigham and Women's Hospital), as label maps",
    "TCIA RIDER Pilot, doi:10.7937/m87f-mz83 (CC BY 4.0), one partial series with our outlines",
    "TCIA Lung-Fused-CT-Pathology, doi:10.7937/k9/tcia.2018.smt36lpn (CC BY 3.0), one partial series with our outlines",
    "TCIA HCC-TACE-Seg (CC BY 4.0), one series with our outlines",
)
"""What the network saw in training; the card says how much of each."""
SHIFTS = {"pulmonary_artery": -0.92, "lung_opacity": 0.3}
"""Added to the scores of a class. The loss weighs the pulmonary artery 2.5 times, which makes it wide: its logarithm is taken
back. Opacity is shown a little more willingly, by what phantoms of no benchmark (960001 to 960047) ask for."""


def export(checkpoint: Path, out: Path, version: str, recipe_path: Path | None) -> None:
    """Write the bundle of a checkpoint.

    Raises:
        ValueError: the weights do not fit the recipe, or the bundle is too large to ship.
    """
    recipe = read_recipe(recipe_path)
    state = averaged_weights(checkpoint)
    if checkpoint.suffix != ".safetensors":  # what was exported once is shifted already
        state = shifted(state)
    definition = {"_target_": NETWORK, **recipe.network}
    card = BundleCard(
        name="medomni_ct",
        version=version,
        description=f"{CHANNELS - 1} structures and lesions of chest and abdomen CT at {GRID_MM:g} mm, in one pass",
        labels=("background", *CLASSES),
        spacing_mm=GRID_MM,
        window_hu=WINDOW_HU,
        input_range=(WINDOW_HU[0] / HU_PER_UNIT, WINDOW_HU[1] / HU_PER_UNIT),
        divisor=divisor_of(recipe.filters),
        data=DATA,
        scores=scores_of(stored_weights(state)),
        readme=(Path(__file__).parent / "medomni_ct.md").read_text(encoding="utf-8"),
    )
    write_bundle(out, definition, state, card)  # type: ignore[arg-type]


def scores_of(weights: bytes) -> dict[str, float]:
    """The stated scores of these weights (the bytes of ``model.safetensors``) by name; none when they are of other weights."""
    stated = tomllib.loads(files("preprocessing.segment.training").joinpath(SCORES).read_text(encoding="utf-8"))
    if stated["digest"] != hashlib.sha256(weights).hexdigest():
        sys.stderr.write(f"{SCORES} is of other weights: the bundle states no scores until it is brought up to date\n")
        return {}
    return {f"{where}_{name}": figure for where in ("phantoms", "real") for name, figure in stated[where].items()}


def shifted(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights with ``SHIFTS`` in the bias of the last layer, which scores all voxels of a block."""
    bias = state[LAST_BIAS].reshape(CHANNELS, VOXELS).clone()
    for name, shift in SHIFTS.items():
        bias[LABELS[name]] += shift
    return {**state, LAST_BIAS: bias.flatten()}


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(
        prog="python -m preprocessing.segment.training.export", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--recipe", type=Path)
    given = parser.parse_args()
    export(given.checkpoint, given.out, given.version, given.recipe)


if __name__ == "__main__":
    main()
