"""A bundle's network -> a runtime that labels a whole image in one pass: OpenVINO where it is installed, else torch.

Chosen by measurement (docs/adr/0006): at one thread OpenVINO needs half of torch's CPU time for the same labels, because it
picks Winograd convolutions and takes the winning class inside its graph. The graph is made from the torch network once for
each bundle and kept in a cache folder by digest; from then on neither torch nor MONAI is imported.
"""

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import Float32, UInt8

from medomni.model.runtime import core, graph_of, import_openvino, openvino
from preprocessing.segment.monai_bundle import MonaiBundle

if TYPE_CHECKING:
    import torch

MOST_DIFFERING = 1e-3
"""Share of voxels that may get another label from OpenVINO than from torch; 1e-5 to 8e-5 were measured on untrained networks,
whose scores lie closer together than those of a trained one."""


class Runtime(Protocol):
    """Infers whole images with one network."""

    @property
    def name(self) -> str:
        """What does the arithmetic."""
        ...

    def winners(self, image: Float32[np.ndarray, "i j k"]) -> UInt8[np.ndarray, "i j k"]:
        """The channel with the highest score at each voxel; sides must be multiples of the network's divisor."""
        ...


def open_runtime(bundle: MonaiBundle, threads: int, cache: Path | None) -> Runtime:
    """Return the fastest runtime that this installation has for the bundle's device.

    Args:
        bundle: whose network to run.
        threads: CPU threads of one pass.
        cache: folder that keeps converted networks; None converts anew.
    """
    found = import_openvino() if bundle.device == "cpu" else None
    if found is None:
        return TorchRuntime(bundle, threads)
    return OpenVinoRuntime(bundle, threads, cache)


@dataclass(frozen=True)
class TorchRuntime:
    """The network in torch, with channels last: what torch convolves fastest on a CPU."""

    bundle: MonaiBundle
    threads: int
    name: str = "torch"

    @cached_property
    def _network(self) -> "torch.nn.Module":
        import torch

        torch.set_num_threads(self.threads)
        return self.bundle.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]

    def winners(self, image: Float32[np.ndarray, "i j k"]) -> UInt8[np.ndarray, "i j k"]:
        """See ``Runtime``."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(image))[None, None].to(self.bundle.device)
            scores = self._network(batch.contiguous(memory_format=torch.channels_last_3d))[0]
            return np.asarray(_winner_in_turn(scores).cpu().numpy())


@dataclass(frozen=True)
class OpenVinoRuntime:
    """The network in OpenVINO on the CPU, in full precision."""

    bundle: MonaiBundle
    threads: int
    cache: Path | None
    name: str = "openvino"

    @cached_property
    def _compiled(self) -> "CompiledGraph":
        exact = {"INFERENCE_NUM_THREADS": self.threads, "INFERENCE_PRECISION_HINT": "f32"}
        compiled: CompiledGraph = core().compile_model(self._graph(), "CPU", exact)
        return compiled

    def _graph(self) -> object:
        """The kept graph, or a new one where there is none that can be read."""
        version = openvino().__version__.split("-")[0]
        kept = self.cache / f"{self.bundle.digest[:32]}-openvino-{version}.xml" if self.cache else None
        if kept and _is_whole(kept):
            with suppress(RuntimeError):  # not OpenVINO's: made anew below
                return core().read_model(str(kept))
        graph = _convert(self.bundle.network)
        if kept:
            with suppress(OSError):  # a folder that cannot be written costs the next run its second, no more
                _keep(graph, kept)
        return graph

    def winners(self, image: Float32[np.ndarray, "i j k"]) -> UInt8[np.ndarray, "i j k"]:
        """See ``Runtime``."""
        return np.asarray(self._compiled(np.ascontiguousarray(image)[None, None])[0][0])


class CompiledGraph(Protocol):
    """What is used of OpenVINO's ``CompiledModel``."""

    def __call__(self, image: Float32[np.ndarray, "1 1 i j k"]) -> Mapping[int, UInt8[np.ndarray, "1 i j k"]]:
        """Infer one image."""
        ...


def _winner_in_turn(scores: "torch.Tensor") -> "torch.Tensor":
    """Index of the highest score along the first axis, without torch's slow argmax over a strided axis."""
    import torch

    best = scores[0].clone()
    winner = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
    for channel in range(1, len(scores)):
        winner[scores[channel] > best] = channel
        torch.maximum(best, scores[channel], out=best)
    return winner


def _convert(network: "torch.nn.Module") -> object:
    """OpenVINO's graph of a torch network, from image to winning channel, for images of any size."""
    import torch

    class Winner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.network(image)
            return scores.argmax(dim=1).to(torch.uint8)

    graph = graph_of(Winner().eval(), (torch.zeros(1, 1, 64, 64, 64),))
    graph.reshape([1, 1, -1, -1, -1])
    return graph


def _is_whole(path: Path) -> bool:
    """Whether a graph was kept there; its weights are put in place before it, so that it is never without them."""
    return path.is_file() and path.with_suffix(".bin").is_file()


def _keep(graph: object, path: Path) -> None:
    """Write a graph beside its final place and move it there, so that no reader meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        openvino().save_model(graph, str(made), compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            made.with_suffix(suffix).replace(path.with_suffix(suffix))
