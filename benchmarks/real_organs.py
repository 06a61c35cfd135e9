"""Claim: on real CT that no training saw, heart, great vessels and lungs are outlined as the references have them.

    python benchmarks/real_organs.py [--json] [--data FOLDER] [--segmenter medomni-ct] [--overlays FOLDER]

FOLDER (default ``../shared/data/ct``) holds two thoracic crops with masks of heart, aorta and pulmonary artery (output of
another model, not drawn by people; bar 0.75), and chest series. Where the lungs of a series are healthy, those of the
segmenter are held against the density rules (bar 0.97), first as the network alone has them, before the same rules repair
them; everywhere the two are printed side by side. ``--overlays`` draws each
series with its labels, to be looked at. A series that is not there is left out.
"""

import argparse
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np

from evaluation.metrics.overlap import dice
from evaluation.scorecard import all_hold, as_line, at_least, row

CROPS = {
    "thorax-totalsegmentator-a": {"heart": "heart", "aorta": "aorta"},
    "thorax-totalsegmentator-b": {"heart": "heart", "pulmonary-artery": "pulmonary_artery"},
}
HEALTHY = ("chest-covid-ct-md-normal001",)
SERIES = ("chest-*.tar.xz", "abdomen-tcia-*.tar.xz")
ORGAN_BAR, LUNG_BAR = 0.75, 0.97


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "ct")
    words.add_argument("--segmenter", default="medomni-ct", help="an installed segmenter, or a bundle folder")
    words.add_argument("--overlays", type=Path, help="folder for one picture of each series")
    given = words.parse_args()
    if given.overlays:
        given.overlays.mkdir(parents=True, exist_ok=True)
    rows = [*crop_rows(given), *series_rows(given)]
    if not rows:
        sys.stderr.write("no real CT here: nothing was measured\n")
        return 0
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


def segmenter(name: str):  # noqa: ANN201
    """The chosen segmenter."""
    from app import wiring

    return wiring.stages(name, wiring.start()).segmenter


def crop_rows(given):  # noqa: ANN001, ANN201
    """Dice of each reference mask of the thoracic crops."""
    from preprocessing.nifti import open_nifti, read_nifti

    for crop, masks in CROPS.items():
        path = given.data / f"{crop}-ct.nii.gz"
        if not path.exists():
            continue
        volume = read_nifti(open_nifti(path), lambda _: None)
        found = segmenter(given.segmenter).segment(volume, lambda _: None)
        for file, name in masks.items():
            true = read_mask(given.data / f"{crop}-{file}.nii.gz")
            yield at_least(f"{crop}: Dice of {name}", dice(true, found.mask(name)), ORGAN_BAR)
        draw(given, crop, volume, found)


def read_mask(path: Path) -> np.ndarray:
    """A mask in the order of a volume's voxels: to the head, to the back, to the left."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.load(path))
    return np.asarray(image.dataobj)[::-1, ::-1].transpose(2, 1, 0) > 0


def series_rows(given):  # noqa: ANN001, ANN201
    """Lungs of each series against the density rules."""
    from medomni.errors import BadInput
    from preprocessing.assemble import read_packed
    from preprocessing.measure.regions import LUNG_PARTS
    from preprocessing.segment.hu_rules import HuRules

    for archive in sorted(path for pattern in SERIES for path in given.data.glob(pattern)):
        try:
            volume = read_packed(archive)
        except BadInput as refused:
            sys.stderr.write(f"{archive.name}: {refused}\n")
            continue
        found, rules = segmenter(given.segmenter).segment(volume, lambda _: None), HuRules().segment(volume)
        lungs = [name for side in LUNG_PARTS.values() for name in side]
        name = archive.name.removesuffix(".tar.xz")
        bar = LUNG_BAR if name in HEALTHY else None
        agreement = dice(found.mask(*lungs), rules.mask(*lungs))
        yield (at_least if bar else row)(f"{name}: Dice of the lungs against the density rules", agreement, bar)
        yield from network_row(given, name, volume)
        if found.lesions is not None:
            voxel_ml = float(volume.grid.voxel_volumes_ml[0])
            for lesion in found.lesions.names.values():
                yield row(f"{name}: {lesion} of the network (mL)", found.lesions.mask(lesion).sum() * voxel_ml)
        draw(given, name, volume, found)


def network_row(given, name: str, volume):  # noqa: ANN001, ANN201
    """Aerated lung of the network's labels, before anything repairs them, against that of the density rules, at 3 mm."""
    from preprocessing.resample import to_working
    from preprocessing.segment.classes import GRID_MM
    from preprocessing.segment.density import by_density
    from preprocessing.segment.medomni_ct import MedomniCt, lungs_agreement

    if given.segmenter == MedomniCt.name:
        working = to_working(volume, (GRID_MM,) * 3)
        density = by_density(working)
        agreement = lungs_agreement(own_network().infer(working.hu, density.body), working.hu, density)
        yield row(f"{name}: Dice of the network's own aerated lung, unrepaired, against them (3 mm)", agreement)


@cache
def own_network():  # noqa: ANN201
    """The default segmenter without what keeps its results."""
    from preprocessing.segment.medomni_ct import MedomniCt

    return MedomniCt()


def draw(given, name: str, volume, found) -> None:  # noqa: ANN001
    """Axial and coronal slices with the labels in colour."""
    if not given.overlays:
        return
    from PIL import Image

    colours = np.random.default_rng(5).integers(60, 255, (256, 3))
    labels = found.labels.astype(np.int64)
    if found.lesions is not None:
        labels = np.where(found.lesions.labels > 0, 100 + found.lesions.labels, labels)
    strips = []
    for axis in (0, 1):
        step = 1 if axis == 0 else max(1, round(volume.grid.spacing_mm[1] / volume.grid.spacing_mm[0]))
        tiles = []
        for share in np.linspace(0.1, 0.9, 8):
            index = int(share * (volume.hu.shape[axis] - 1))
            hu, label = np.take(volume.hu, index, axis).astype(np.float32), np.take(labels, index, axis)
            if axis == 1:
                ratio = volume.grid.spacing_mm[0] / volume.grid.spacing_mm[2]
                order = np.floor(np.arange(int(len(hu) * ratio)) / ratio).astype(int)[::-1]
                hu, label = hu[order], label[order]
            shrink = max(1, round(hu.shape[1] / 256))
            hu, label = hu[:: shrink * step, ::shrink], label[:: shrink * step, ::shrink]
            grey = np.clip((hu + 160) / 400 * 255, 0, 255)
            tile = np.repeat(grey[..., None], 3, axis=2)
            tile[label > 0] = 0.6 * tile[label > 0] + 0.4 * colours[label[label > 0]]
            tiles.append(tile)
        strips.append(np.hstack(tiles))
    width = max(strip.shape[1] for strip in strips)
    picture = np.vstack([np.pad(strip, ((0, 0), (0, width - strip.shape[1]), (0, 0))) for strip in strips])
    Image.fromarray(picture.astype(np.uint8)).save(given.overlays / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
