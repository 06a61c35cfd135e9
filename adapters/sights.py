"""What the near network has seen of each scan of the bank, kept: the far network and the fusion learn from it in minutes.

    bank file, near network -> Sight, truth of the patient -> Patient

A sight is a few hundred numbers for each structure and label; it is made once for each file and digest of the near network.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.samples import labels_in, load_sample
from medomni.model.vision import NearNetwork, Sight, sight_of


@dataclass(frozen=True, eq=False)
class Person:
    """A patient of whom texts tell: the labels that are true, and what else is known."""

    labels: torch.Tensor
    info: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Patient(Person):
    """One patient of a training, with the sight of the CT."""

    sight: Sight


def look(files: Iterable[Path], near: NearNetwork, out: Path) -> Iterator[Path]:
    """Keep the sight of each file in ``out`` and yield where; those that are there are left alone."""
    out.mkdir(parents=True, exist_ok=True)
    near.eval()
    for file in files:
        kept = out / file.name
        if not kept.exists():
            sample = load_sample(file)
            codes = torch.from_numpy(np.ascontiguousarray(sample.codes))[None]
            structures = torch.from_numpy(np.ascontiguousarray(sample.structures))[None]
            with torch.inference_mode():
                sight = sight_of(near(codes, structures), codes, structures)
            arrays = {name: value[0].numpy() for name, value in asdict_of(sight).items()}
            text = np.frombuffer(json.dumps(sample.info).encode("utf-8"), np.uint8)
            partial = kept.with_suffix(".part.npz")
            np.savez_compressed(partial, **{"labels": sample.labels, "info": text, **arrays})  # type: ignore[arg-type]
            partial.replace(kept)
        yield kept


def asdict_of(sight: Sight) -> dict[str, torch.Tensor]:
    """The tensors of a sight by name."""
    return {field.name: getattr(sight, field.name) for field in fields(Sight)}


def load_patient(path: Path) -> Patient:
    """Read one kept sight."""
    with np.load(path) as stored:
        sight = Sight(**{field.name: torch.from_numpy(stored[field.name]) for field in fields(Sight)})
        info = json.loads(bytes(stored["info"]).decode("utf-8"))
        return Patient(torch.from_numpy(stored["labels"]), info, sight)


def load_person(path: Path) -> Person:
    """Read what is known of a patient of the bank, without the scan."""
    with np.load(path) as stored:
        info = json.loads(bytes(stored["info"]).decode("utf-8"))
    return Person(torch.from_numpy(labels_in(info)), info)


def together(sights: Sequence[Sight]) -> Sight:
    """Several sights as a batch; wide places are filled up to the largest scan."""
    shape = [max(sight.wide.shape[axis] for sight in sights) for axis in (1, 2, 3)]
    wide = []
    for sight in sights:
        lacking = [n - have for n, have in zip(shape, sight.wide.shape[1:], strict=True)]
        wide.append(torch.nn.functional.pad(sight.wide, (0, lacking[2], 0, lacking[1], 0, lacking[0])))
    parts = {name: torch.stack([getattr(sight, name) for sight in sights]) for name in asdict_of(sights[0]) if name != "wide"}
    return Sight(**parts, wide=torch.stack(wide))
