"""Runs the trained omni model on one study: in torch, or from a packed file as OpenVINO graphs without torch.

    codes, structures -> Viewed: what was seen before any text is read, which may be kept
    Viewed, texts -> Raw: logits of all, of the CT alone and without it, gates, importance

On a CPU both need the same time for a scan; compiling graphs costs a second more than building the model in torch, which a
draft imports anyway: its detectors run there. The first layers run slab by slab, so that of the memory only what lies on cells of
5 x 6 x 6 mm, and the scan itself, grow with the scan.
"""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Float32, UInt8

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
    from medomni.model.vision import Near, Seen, Sight

FIRST, NEAR = "first", "near"
"""Graphs of the first layers over a slab and of what follows over the whole scan; those after them depend on what is given."""
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
PACKED = ".medomni"
"""Ending of a packed model."""
Codes = UInt8[np.ndarray, "z y x"]
Structures = UInt8[np.ndarray, "z h w"]
Texts = Sequence[tuple[str, str]]
"""Kind (history, dictation) and words of each text."""


@dataclass(frozen=True, eq=False)
class Viewed:
    """What was seen of a scan; no text has a say in it.

    Attributes:
        cells: logit of each label at each cell.
        sight: what the far network reads, the arrays of ``vision.Sight`` in its order.
    """

    cells: Float32[np.ndarray, "label z y x"]
    sight: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Raw:
    """What comes out of the model for one study.

    Attributes:
        whole, image, blind: logits (label,) given all, the CT alone, and nothing.
        gates: mean over layers, by "stream<-modality".
        importance: of each modality.
        cut: kinds of text whose end was not read.
    """

    whole: Float32[np.ndarray, "label"]
    image: Float32[np.ndarray, "label"]
    blind: Float32[np.ndarray, "label"]
    gates: Mapping[str, float]
    importance: Mapping[str, float]
    cut: tuple[str, ...] = ()


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

    def see(self, codes: Codes, structures: Structures) -> Viewed:
        """Look at a scan."""
        ...

    def answer(self, viewed: Viewed, texts: Texts) -> Raw:
        """Answer from what was seen and what is told; without a text no text encoder is loaded."""
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
        near = omni.near(*_tensors(codes, structures))
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

    def see(self, codes: Codes, structures: Structures) -> Viewed:
        """See ``Runtime``."""
        import torch

        from medomni.model.vision import sight_of

        torch.set_num_threads(self.threads)
        with torch.inference_mode():
            near = _near(self.folder, _loaded(self.folder, ("vision",)).omni, codes, structures)
            _last.clear()  # nothing of a patient stays
            return viewed_of(near, sight_of(near, *_tensors(codes, structures)))

    def answer(self, viewed: Viewed, texts: Texts) -> Raw:
        """See ``Runtime``."""
        import torch

        from medomni.model.vision import Sight

        torch.set_num_threads(self.threads)
        loaded = _loaded(self.folder, IN_DRAFTS if texts else ("vision",))
        ids = loaded.words.joined([texts]) if texts else None
        with torch.inference_mode():
            seen = loaded.omni.far(Sight(*(torch.from_numpy(part) for part in viewed.sight)))
            return replace(raw_of(loaded.omni, seen, ids), cut=loaded.words.cut(texts))


def viewed_of(near: "Near", sight: "Sight") -> Viewed:
    """What was seen as arrays of one layout, so that kept ones give the same bits as fresh ones."""
    parts_of = (getattr(sight, field.name) for field in fields(sight))
    return Viewed(near.cells[0].numpy(), tuple(np.ascontiguousarray(part.numpy()) for part in parts_of))


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
            for name in ("digest", f"{NEAR}.xml"):
                archive.getinfo(name)
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

    def see(self, codes: Codes, structures: Structures) -> Viewed:
        """See ``Runtime``."""
        first, near = (self._compiled(name) for name in (FIRST, NEAR))
        batch = [np.ascontiguousarray(array)[None] for array in (codes, structures)]
        found = [first([array[:, slab.seen] for array in batch])[0][:, :, slab.kept] for slab in slabs(len(codes))]
        cells, *sight = near([np.concatenate(found, axis=2), *batch]).values()
        return Viewed(cells[0], tuple(sight))

    def answer(self, viewed: Viewed, texts: Texts) -> Raw:
        """See ``Runtime``."""
        has_text = bool(texts)
        words = TextWords(self._archive.read(WORDS).decode(), int(json.loads(self._archive.read(CONFIG))["longest_text"]))
        given = [np.array(words.ids(texts))[None]] if has_text else []
        out = self._compiled(_last_graph(has_text=has_text))([*viewed.sight, *given])
        return replace(_raw(list(out.values()), has_text=has_text), cut=words.cut(texts))

    def _compiled(self, name: str) -> Any:  # noqa: ANN401  (OpenVINO's model)
        settings = EXACT | {"INFERENCE_NUM_THREADS": self.threads}
        return core().compile_model(_read_graph(self._archive, name), "CPU", settings)


def _last_graph(*, has_text: bool) -> str:
    """Name of the graph that answers from a sight, or from a sight and a text."""
    return "text" if has_text else "ct"


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
        for name, graph in converted(loaded.omni):
            _write_graph(archive, name, graph)


def parts(omni: "Omni") -> "tuple[torch.nn.Module, torch.nn.Module, torch.nn.Module]":
    """The model as three modules: the first layers over a slab, what else is seen of the whole scan, and the answer."""
    import torch

    from medomni.model.vision import Sight, sight_of

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
            self.near = omni.vision.near

        def forward(self, cells: torch.Tensor, codes: torch.Tensor, structures: torch.Tensor) -> "tuple[torch.Tensor, ...]":
            near = self.near.rest(cells)
            sight = sight_of(near, codes, structures)
            return near.cells, *(getattr(sight, field.name) for field in fields(sight))

    class Last(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.omni = omni

        def forward(self, *given: torch.Tensor) -> "tuple[torch.Tensor, ...]":
            count = len(fields(Sight))
            seen = self.omni.vision.far(Sight(*given[:count]))
            return _outputs(self.omni, seen, given[count] if len(given) > count else None)

    return First().eval(), Rest().eval(), Last().eval()


def raw_of(omni: "Omni", seen: "Seen", ids: "torch.Tensor | None") -> Raw:
    """What comes out for a scan that was looked at already."""
    return _raw([one.numpy() for one in _outputs(omni, seen, ids)], has_text=ids is not None)


def _outputs(omni: "Omni", seen: "Seen", ids: "torch.Tensor | None") -> "tuple[torch.Tensor, ...]":
    import torch

    from medomni.model.omni import Given

    image = omni(Given(seen))
    whole = image if ids is None else omni(Given(seen, ids))
    blind = omni.prior + 0.0
    gates = torch.stack([whole.fused.gates[pair].mean() for pair in _pairs(has_text=ids is not None)])
    return whole.logits[0], image.logits[0], blind, gates, whole.fused.importance[0]


def converted(omni: "Omni") -> Iterator[tuple[str, object]]:
    """The modules as OpenVINO graphs for scans and texts of any size, by name."""
    import torch

    first, rest, last = parts(omni)
    codes, structures = (torch.zeros(1, 24, side, side + 8, dtype=torch.uint8) for side in (64, 32))
    structures = structures[..., :36]
    ids = torch.ones(1, 24, dtype=torch.int64)
    with torch.no_grad():
        cells = first(codes, structures)
        _, *sight = rest(cells, codes, structures)
        yield FIRST, graph_of(first, (codes, structures))
        yield NEAR, graph_of(rest, (cells, codes, structures))
        yield _last_graph(has_text=False), graph_of(last, tuple(sight))
        yield _last_graph(has_text=True), graph_of(last, (*sight, ids))


def _pairs(*, has_text: bool) -> list[tuple[str, str]]:
    """The pairs that have a gate."""
    given = ("vision", "text") if has_text else ("vision",)
    return [(stream, other) for stream in (*given, "query") for other in given if other != stream]


def _raw(found: "list[np.ndarray]", *, has_text: bool) -> Raw:
    whole, image, blind, gates, importance = found
    names = [f"{stream}<-{other}" for stream, other in _pairs(has_text=has_text)]
    return Raw(
        whole,
        image,
        blind,
        {name: round(float(gate), 3) for name, gate in zip(names, gates, strict=True)},
        {name: round(float(share), 3) for name, share in zip(MODALITIES, importance, strict=True)},
    )


def _read_graph(archive: zipfile.ZipFile, name: str) -> object:
    tensor = openvino().Tensor(np.frombuffer(archive.read(f"{name}.bin"), np.uint8).copy())
    return core().read_model(archive.read(f"{name}.xml"), tensor)


def _write_graph(archive: zipfile.ZipFile, name: str, graph: object) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / f"{name}.xml"
        openvino().save_model(graph, str(made), compress_to_fp16=False)
        for suffix in (".xml", ".bin"):
            archive.writestr(f"{name}{suffix}", made.with_suffix(suffix).read_bytes())
