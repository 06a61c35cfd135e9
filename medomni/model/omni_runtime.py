"""Runs the trained omni model on one study: in torch, or from a packed file as OpenVINO graphs without torch.

    codes, structures, texts -> Raw: cells, logits of all, of the CT alone and without it, gates, importance

On a CPU both need the same time for a scan; compiling graphs costs a second more than building the model in torch, which a
draft imports anyway. The first layers run slab by slab, so that memory does not grow with the scan.
"""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from medomni.errors import BadInput
from medomni.model.config import MODALITIES
from medomni.model.omni_folder import ANSWERS, CONFIG, IN_DRAFTS, WORDS, Answering, answers_of, digest_of, require
from medomni.model.runtime import core, graph_of, openvino
from medomni.model.slabs import slabs
from medomni.model.words import TextWords

if TYPE_CHECKING:
    import torch

    from medomni.model.checkpoint import Loaded
    from medomni.model.omni import Omni
    from medomni.model.vision import Near, Seen

GRAPHS = ("first", "rest")
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
PACKED = ".medomni"
"""Ending of a packed model."""
Codes = UInt8[np.ndarray, "z y x"]
Structures = UInt8[np.ndarray, "z h w"]
Ids = Int64[np.ndarray, "word"]
Texts = Sequence[tuple[str, str]]
"""Kind (history, dictation) and words of each text."""


@dataclass(frozen=True, eq=False)
class Raw:
    """What comes out of the model for one study.

    Attributes:
        cells: logit of each label at each cell.
        whole, image, blind: logits (label,) given all, the CT alone, and nothing.
        gates: mean over layers, by "stream<-modality".
        importance: of each modality.
    """

    cells: Float32[np.ndarray, "label z y x"]
    whole: Float32[np.ndarray, "label"]
    image: Float32[np.ndarray, "label"]
    blind: Float32[np.ndarray, "label"]
    gates: Mapping[str, float]
    importance: Mapping[str, float]


class Runtime(Protocol):
    """Runs the model on one study."""

    @property
    def answers(self) -> Mapping[str, Answering]:
        """How logits become answers."""
        ...

    @property
    def digest(self) -> str:
        """Of everything that an answer follows from."""
        ...

    def run(self, codes: Codes, structures: Structures, texts: Texts) -> Raw:
        """Run the model; without a text no text encoder is loaded."""
        ...


def open_runtime(model: Path, threads: int) -> Runtime:
    """Return what runs a model folder or a packed model; either is read when it runs."""
    return Packed(model, threads) if model.suffix == PACKED else InTorch(model, threads)


def cells_of(folder: Path, codes: Codes, structures: Structures) -> Float32[np.ndarray, "label d h2 w2"]:
    """How likely each label is in each cell of a scan, by the near network of a model folder alone.

    Raises:
        MissingPart: the weights are not there.
    """
    import torch

    torch.set_num_threads(1)  # a second one saves a third of the time and costs twice the CPU
    with torch.inference_mode():
        near = _near(folder, _loaded(folder, ("vision",)).omni, codes, structures)
        return np.asarray(torch.sigmoid(near.cells[0]).numpy())


_last: "dict[tuple[Path, bytes], Near]" = {}
"""What was seen of a scan by detectors, until the model has looked at the same one."""


def _near(folder: Path, omni: "Omni", codes: Codes, structures: Structures) -> "Near":
    """What the near network of a folder sees of a scan; it runs once for detectors and model."""
    digest = hashlib.blake2b(repr(codes.shape).encode())
    for array in (codes, structures):
        digest.update(np.ascontiguousarray(array).data)
    key = (folder, digest.digest())
    near = _last.get(key)
    if near is None:
        near = omni.vision.near(*_tensors(codes, structures))
        _last.clear()
        _last[key] = near
    return near


def _tensors(codes: Codes, structures: Structures) -> "tuple[torch.Tensor, torch.Tensor]":
    """A scan as a batch of one."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(codes))[None], torch.from_numpy(np.ascontiguousarray(structures))[None]


@dataclass(frozen=True)
class InTorch:
    """The model in torch."""

    folder: Path
    threads: int

    @cached_property
    def digest(self) -> str:
        """See ``Runtime``."""
        return digest_of(require(self.folder))

    @cached_property
    def answers(self) -> Mapping[str, Answering]:
        """See ``Runtime``."""
        return answers_of((require(self.folder) / ANSWERS).read_bytes())

    def run(self, codes: Codes, structures: Structures, texts: Texts) -> Raw:
        """See ``Runtime``."""
        import torch

        torch.set_num_threads(self.threads)
        loaded = _loaded(self.folder, IN_DRAFTS if texts else ("vision",))
        ids = loaded.words.joined([texts]) if texts else None
        with torch.inference_mode():
            near = _near(self.folder, loaded.omni, codes, structures)
            _last.clear()  # nothing of a patient stays
            seen, near = loaded.omni.see(*_tensors(codes, structures), near)
            return raw_of(loaded.omni, near, seen, ids)


@cache
def _loaded(folder: Path, modalities: tuple[str, ...]) -> "Loaded":
    """The model with the encoders of these modalities alone, read once for a process."""
    from medomni.model import checkpoint

    return checkpoint.load(folder, modalities)


@dataclass(frozen=True)
class Packed:
    """The model as one file, without torch."""

    file: Path
    threads: int

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        try:
            archive = zipfile.ZipFile(self.file)
            archive.getinfo("digest")
        except (OSError, zipfile.BadZipFile, KeyError) as error:
            raise BadInput(
                "this is no packed omni model",
                found=type(error).__name__,
                remedy="make one with: medomni weights pack",
                where=self.file.name,
            ) from error
        return archive

    @cached_property
    def digest(self) -> str:
        """See ``Runtime``."""
        return self._archive.read("digest").decode()

    @cached_property
    def answers(self) -> Mapping[str, Answering]:
        """See ``Runtime``."""
        return answers_of(self._archive.read(ANSWERS))

    def run(self, codes: Codes, structures: Structures, texts: Texts) -> Raw:
        """See ``Runtime``."""
        ids = _ids(self._archive.read(WORDS), self._archive.read(CONFIG), texts)
        given = "ct" if ids is None else "text"
        settings = EXACT | {"INFERENCE_NUM_THREADS": self.threads}
        first, rest = (core().compile_model(_read_graph(self._archive, f"{given}-{name}"), "CPU", settings) for name in GRAPHS)
        return _run(first, rest, codes, structures, ids)


def pack(folder: Path, file: Path) -> None:
    """Write a model folder as one file that runs without torch.

    Raises:
        MissingPart: the weights or OpenVINO are not there.
    """
    from medomni.model import checkpoint

    loaded = checkpoint.load(folder, IN_DRAFTS)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("digest", loaded.digest)
        for name in (WORDS, CONFIG, ANSWERS):
            archive.writestr(name, (folder / name).read_bytes())
        for given, has_text in (("ct", False), ("text", True)):
            for name, graph in zip(GRAPHS, converted(loaded.omni, has_text=has_text), strict=True):
                _write_graph(archive, f"{given}-{name}", graph)


def parts(omni: "Omni") -> "tuple[torch.nn.Module, torch.nn.Module]":
    """The model as two modules: the first layers over a slab, and the rest over the whole scan."""
    import torch

    from medomni.model.vision import sight_of

    class First(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.near = omni.vision.near

        def forward(self, codes: torch.Tensor, structures: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.near.slab(codes, structures)
            return out

    class Rest(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.omni = omni

        def forward(self, cells: torch.Tensor, codes: torch.Tensor, structures: torch.Tensor, *ids: torch.Tensor) -> Any:  # noqa: ANN401
            near = self.omni.vision.near.rest(cells)
            seen = self.omni.vision.far(sight_of(near, codes, structures))
            return _outputs(self.omni, near, seen, ids[0] if ids else None)

    return First().eval(), Rest().eval()


def raw_of(omni: "Omni", near: "Near", seen: "Seen", ids: "torch.Tensor | None") -> Raw:
    """What comes out for a scan that was looked at already."""
    return _raw([one.numpy() for one in _outputs(omni, near, seen, ids)], has_text=ids is not None)


def _outputs(omni: "Omni", near: "Near", seen: "Seen", ids: "torch.Tensor | None") -> "tuple[torch.Tensor, ...]":
    import torch

    from medomni.model.omni import Given

    image = omni(Given(seen))
    whole = image if ids is None else omni(Given(seen, ids))
    blind = omni.prior + 0.0
    gates = torch.stack([whole.fused.gates[pair].mean() for pair in _pairs(has_text=ids is not None)])
    return near.cells[0], whole.logits[0], image.logits[0], blind, gates, whole.fused.importance[0]


def converted(omni: "Omni", *, has_text: bool) -> tuple[object, object]:
    """The two modules as OpenVINO graphs for scans and texts of any size."""
    import torch

    first, rest = parts(omni)
    codes, structures = (torch.zeros(1, 24, side, side + 8, dtype=torch.uint8) for side in (64, 32))
    structures = structures[..., :36]
    with torch.no_grad():
        ids = (torch.ones(1, 24, dtype=torch.int64),) if has_text else ()
        return graph_of(first, (codes, structures)), graph_of(rest, (first(codes, structures), codes, structures, *ids))


def _pairs(*, has_text: bool) -> list[tuple[str, str]]:
    """The pairs that have a gate."""
    given = ("vision", "text") if has_text else ("vision",)
    return [(stream, other) for stream in (*given, "query") for other in given if other != stream]


def _run(first: Any, rest: Any, codes: Codes, structures: Structures, ids: Ids | None) -> Raw:  # noqa: ANN401
    batch = [np.ascontiguousarray(array)[None] for array in (codes, structures)]
    found = [first([array[:, slab.seen] for array in batch])[0][:, :, slab.kept] for slab in slabs(len(codes))]
    cells = np.concatenate(found, axis=2)
    out = rest([cells, *batch, *([] if ids is None else [ids[None]])])
    return _raw([np.asarray(out[number]) for number in range(6)], has_text=ids is not None)


def _raw(found: "list[np.ndarray]", *, has_text: bool) -> Raw:
    cells, whole, image, blind, gates, importance = found
    names = [f"{stream}<-{other}" for stream, other in _pairs(has_text=has_text)]
    return Raw(
        cells,
        whole,
        image,
        blind,
        {name: round(float(gate), 3) for name, gate in zip(names, gates, strict=True)},
        {name: round(float(share), 3) for name, share in zip(MODALITIES, importance, strict=True)},
    )


def _ids(words: bytes, config: bytes, texts: Texts) -> Ids | None:
    """The ids of the texts; None without one."""
    if not texts:
        return None
    longest = int(json.loads(config)["longest_text"])
    return np.array(TextWords(words.decode(), longest).ids(texts))


def _read_graph(archive: zipfile.ZipFile, name: str) -> object:
    tensor = openvino().Tensor(np.frombuffer(archive.read(f"{name}.bin"), np.uint8).copy())
    return core().read_model(archive.read(f"{name}.xml"), tensor)


def _write_graph(archive: zipfile.ZipFile, name: str, graph: object) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / f"{name}.xml"
        openvino().save_model(graph, str(made), compress_to_fp16=False)
        for suffix in (".xml", ".bin"):
            archive.writestr(f"{name}{suffix}", made.with_suffix(suffix).read_bytes())
