"""Segments with any local MONAI bundle folder: its network, its window, its labels, on the study's own grid.

Reads ``configs/metadata`` and ``configs/inference`` (see ``bundle_config.py``), then ``models/*.safetensors``, TorchScript
(``.ts``) or, only when allowed, a pickled ``.pt``. Nothing is downloaded. MONAI is imported when the first study is segmented.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from medomni.anatomy import SIDES, anatomy, slug
from medomni.errors import BadInput, MissingPart
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.resample import labels_to_study, to_working
from preprocessing.segment.bundle_config import BundlePlan, config_files, read_network, read_plan
from preprocessing.segment.bundle_expression import Json, TrustedEvaluator
from preprocessing.segment.bundle_image import orient, prepare, restore, working_spacing_mm
from preprocessing.segment.bundle_inference import infer
from preprocessing.segment.bundle_network import build_network, load_state, load_torchscript, read_state

if TYPE_CHECKING:
    import torch
    from monai.bundle.config_parser import ConfigParser


@dataclass(frozen=True)
class MonaiBundle:
    """A segmenter made of a local MONAI bundle folder.

    ``allow_pickle`` lets a ``model.pt`` be read (tensors only); ``trust_code`` lets the configuration's own expressions run.
    ``device`` is cpu, cuda or cuda:N.
    """

    folder: Path
    allow_pickle: bool = False
    trust_code: bool = False
    device: str = "cpu"

    @cached_property
    def plan(self) -> BundlePlan:
        """What the bundle says about itself."""
        return read_plan(self.folder, self._trusted)

    @cached_property
    def name(self) -> str:
        """The bundle's name as a safe word."""
        return slug(self.plan.name) or "monai_bundle"

    @cached_property
    def digest(self) -> str:
        """sha256 over the names and bytes of configuration and weights."""
        digest = hashlib.sha256()
        for path in (*config_files(self.folder), self._weights):
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def segment(self, volume: Volume, progress: Callable[[float], None]) -> Segmentation:
        """Return the bundle's labels on the volume's own grid.

        Raises:
            BadInput: the bundle cannot be used as it is.
            MissingPart: its weights are missing or need a permission.
        """
        progress(0.0)
        names, table, notices = _name_labels(self.plan, volume.grid.is_side_known)
        network = self.network
        working = to_working(volume, working_spacing_mm(self.plan, volume))
        image = prepare(orient(working.hu, self.plan.axcodes), self.plan.intensity)
        winners = infer(network, image, self.plan, self.device, lambda share: progress(0.02 + 0.95 * share))
        labels = restore(table[winners], self.plan.axcodes)
        back = labels_to_study(labels, working.grid, volume.grid)
        progress(1.0)
        return Segmentation(
            labels=back,
            grid=volume.grid,
            names=names,
            segmenter=f"{self.name} {self.plan.version or '0'}",
            digest=self.digest,
            notices=notices + self._load_notices(),
        )

    @property
    def _trusted(self) -> TrustedEvaluator | None:
        return _trusted_evaluator(self.folder) if self.trust_code else None

    @cached_property
    def _weights(self) -> Path:
        """The weights file: safetensors first, then TorchScript, then a pickle when that was allowed."""
        stems = tuple(dict.fromkeys((self.plan.weights_stem, "model")))
        for suffix in (".safetensors", ".ts", ".pt"):
            for stem in stems:
                path = self.folder / "models" / f"{stem}{suffix}"
                if path.is_file() and (suffix != ".pt" or self.allow_pickle):
                    return path
                if path.is_file():
                    raise MissingPart(
                        "the bundle's weights are a pickle, which can hold code",
                        found=f"models/{path.name}",
                        remedy="convert them to models/model.safetensors, or allow the pickle",
                        where=self.folder.name,
                    )
        raise MissingPart(
            "the bundle has no weights",
            found=f"no models/{stems[0]}.safetensors, .ts or .pt",
            remedy="put the weights there",
            where=self.folder.name,
        )

    @cached_property
    def network(self) -> "torch.nn.Module":
        """The network with its weights, on the device, ready to infer."""
        import torch

        if self.device != "cpu" and not torch.cuda.is_available():
            raise MissingPart("no CUDA device is there", found=f"device {self.device}", remedy="use the device cpu")
        if self._weights.suffix == ".ts":
            network = load_torchscript(self._weights)
        else:
            network = build_network(read_network(self.folder, self._trusted), self._trusted_network)
            load_state(network, read_state(self._weights), self._weights.name)
        return network.to(self.device).eval()

    def _trusted_network(self) -> object:
        if not self.trust_code:
            return None
        return _parser(self.folder).get_parsed_content("network_def")

    def _load_notices(self) -> tuple[Notice, ...]:
        codes = {".ts": "bundle_torchscript", ".pt": "bundle_pickle"}
        notices = []
        if self._weights.suffix in codes:
            notices.append(Notice(code=codes[self._weights.suffix], fields={"file": self._weights.name}))
        if self.trust_code:
            notices.append(Notice(code="bundle_code_trusted", fields={"bundle": self.name}))
        return tuple(notices)


def _name_labels(
    plan: BundlePlan, is_side_known: bool
) -> tuple[dict[int, str], UInt8[np.ndarray, "winners"], tuple[Notice, ...]]:
    """Label names, the label of each winner (0, or 1 + channel), and what could not be named.

    On a grid without a stated orientation no name keeps its side.
    """
    names: dict[int, str] = {}
    label_of: dict[str, int] = {}
    table = np.zeros(max(plan.channels) + 2, dtype=np.uint8)
    unknown = []
    for channel, spelling in plan.channels.items():
        name = anatomy().name_of(spelling)
        if name is None:
            name = slug(spelling) or f"class_{channel}"
            unknown.append(name)
        if not is_side_known:
            name = "_".join(word for word in name.split("_") if word not in SIDES) or name
        if name not in label_of:
            if len(label_of) == 255:
                raise BadInput("the bundle has too many labels", found="over 255", remedy="use a bundle with fewer labels")
            label_of[name] = len(label_of) + 1
            names[label_of[name]] = name
        table[channel + 1] = label_of[name]
    notices = []
    if unknown:
        shown = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
        fields = {"count": str(len(unknown)), "names": shown}
        notices.append(Notice(code="bundle_unknown_labels", level=NoticeLevel.INFO, fields=fields))
    if plan.ignored:
        fields = {"transforms": ", ".join(plan.ignored)}
        notices.append(Notice(code="bundle_transform_ignored", level=NoticeLevel.INFO, fields=fields))
    return names, table, tuple(notices)


def _parser(folder: Path) -> "ConfigParser":
    from monai.bundle.config_parser import ConfigParser

    metadata, inference = config_files(folder)
    parser = ConfigParser()
    parser.read_config(str(inference))
    parser.read_meta(str(metadata))
    parser["bundle_root"] = str(folder)
    return parser


def _trusted_evaluator(folder: Path) -> TrustedEvaluator:
    def evaluate(place: str) -> Json:
        value: Json = _parser(folder).get_parsed_content(place)
        return value

    return evaluate
