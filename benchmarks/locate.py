"""Whether a pasted cut-out of a CT slice is found again: how far from its place, and whether one of another patient is refused.

    python benchmarks/locate.py STUDY STUDY... [--count 40] [--json]

From each study cut-outs are taken at random places, in random planes, windows, zooms and sizes, as a person would make them
on a screen: scaled, a third with JPEG's losses, a third with an outline drawn on it. Each is looked for in its own study, and a
quarter of them in the next one, of another patient.
"""

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from medomni.types.volume import Volume
from preprocessing.assemble import assemble
from preprocessing.dicom import open_study
from preprocessing.locate import PLANES, WINDOWS_HU, _slices, _world, locate, read_picture
from preprocessing.orient import canonical

WITHIN_VOXELS = 2
"""The bar: reporting research B11."""


def main() -> None:
    """Print a row for each study."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("studies", nargs="+", type=Path)
    arguments.add_argument("--count", type=int, default=40)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    rng, rows = np.random.default_rng(5), []
    volumes = [read(path) for path in given.studies]
    for path, volume, other in zip(given.studies, volumes, [*volumes[1:], volumes[0]], strict=True):
        rows.append(scores(path.name, volume, other, given.count, rng))
        if not given.json:
            print(*(f"{key} {value}" for key, value in rows[-1].items()), sep=", ", flush=True)
    found = sum(row["found_within_2_voxels"] * row["cut_outs"] for row in rows) / sum(row["cut_outs"] for row in rows)
    if given.json:
        print(json.dumps(rows))
    else:
        print(f"all: {found:.3f} found within {WITHIN_VOXELS} voxels")


def read(path: Path) -> Volume:
    """The volume of a study."""
    return assemble(open_study(path), lambda share: None)


def scores(name: str, volume: Volume, other: Volume, count: int, rng: np.random.Generator) -> dict:
    """How many cut-outs of a volume are found, and how many of a stranger's volume."""
    good, missed, wrong, strange, seconds, likes, foreign = 0, 0, 0, 0, [], [], []
    for k in range(count):
        data, middle = cut_out(volume, rng, kind=k % 3)
        picture = read_picture(data)
        began = time.process_time()
        found = locate(volume, picture)
        seconds.append(time.process_time() - began)
        if found is None:
            missed += 1
        elif in_voxels(volume, np.array(found.position_mm) - middle) <= WITHIN_VOXELS:
            good += 1
            likes.append(found.likeness)
        else:
            wrong += 1
        if k < count // 4:
            stranger = locate(other, picture) if other is not volume else None
            strange += stranger is not None
            foreign.append(stranger.likeness if stranger else 0)
    return {
        "study": name,
        "cut_outs": count,
        "found_within_2_voxels": good / count,
        "not_found": missed / count,
        "elsewhere": wrong / count,
        "least_likeness": min(likes, default=0),
        "found_in_another_patient": f"{strange} of {count // 4}",
        "cpu_seconds": round(float(np.median(seconds)), 1),
    }


def in_voxels(volume: Volume, offset_mm: np.ndarray) -> float:
    """The largest distance along an axis of the grid, in voxels."""
    grid = volume.grid
    axes = np.stack([grid.normal, grid.column_direction, grid.row_direction])
    return float(np.max(np.abs(axes @ offset_mm) / grid.spacing_mm))


def cut_out(volume: Volume, rng: np.random.Generator, kind: int) -> tuple[bytes, np.ndarray]:
    """A picture as a person would paste it, and the LPS millimetres of its middle."""
    view = canonical(volume)
    while True:
        plane = str(rng.choice(PLANES, p=(0.7, 0.2, 0.1)))
        stack, spacing = _slices(view, plane)
        extent = [n * along for n, along in zip(stack.shape, spacing, strict=True)]
        size = [min(float(rng.uniform(40, 200)), 0.9 * room) for room in extent[1:]]
        start = [float(rng.uniform(0, room - mm)) for room, mm in zip(extent[1:], size, strict=True)]
        index = int(rng.integers(len(stack)))
        first = [round(at / along) for at, along in zip(start, spacing[1:], strict=True)]
        last = [at + max(4, round(mm / along)) for at, mm, along in zip(first, size, spacing[1:], strict=True)]
        part = np.asarray(stack[index, first[0] : last[0], first[1] : last[1]], np.float32)
        low, high = WINDOWS_HU[int(rng.integers(len(WINDOWS_HU)))]
        low, high = low * rng.uniform(0.9, 1.1), high * rng.uniform(0.9, 1.2)
        grey = np.clip((part - low) / (high - low), 0, 1) * 255
        if grey.std() > 25 and np.mean(part > -950) > 0.5:  # somebody would paste this
            break
    zoom = rng.uniform(1.0, 3.5)
    shown = [max(24, round(n * along * zoom)) for n, along in zip(part.shape, spacing[1:], strict=True)]
    image = Image.fromarray(grey.astype(np.uint8)).resize((shown[1], shown[0]), Image.Resampling.BILINEAR)
    if kind == 1:
        image = image.convert("RGB")
        box = [shown[1] * 0.3, shown[0] * 0.35, shown[1] * 0.6, shown[0] * 0.7]
        ImageDraw.Draw(image).ellipse(box, outline=(255, 176, 0), width=2)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=75) if kind == 2 else image.save(stream, "PNG")
    middle = [(a + b - 1) / 2 * along for a, b, along in zip(first, last, spacing[1:], strict=True)]
    return stream.getvalue(), _world(volume, view, plane, index * spacing[0], *middle)


if __name__ == "__main__":
    main()
