"""OpenVINO, which runs our networks on a CPU, kept from reporting its use over the network."""

import sys
import warnings
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from medomni.errors import MissingPart

if TYPE_CHECKING:
    import torch

NEVER_SENT = ("openvino_telemetry",)
"""Packages that would report the use of OpenVINO over the network when it is imported: kept from being imported."""


def import_openvino() -> ModuleType | None:
    """OpenVINO; None where it is missing or does not load."""
    hidden = [name for name in NEVER_SENT if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's way to say "not there"
    try:
        import openvino

        return openvino if isinstance(openvino, ModuleType) else None
    except (ImportError, OSError):
        return None
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def openvino() -> ModuleType:
    """OpenVINO.

    Raises:
        MissingPart: it is missing or does not load.
    """
    found = import_openvino()
    if found is None:
        raise MissingPart("OpenVINO does not load", remedy="pip install openvino", where="openvino")
    return found


@cache
def core() -> Any:  # noqa: ANN401  (OpenVINO's Core)
    """The one OpenVINO runtime of this process, which lives as long as the process does.

    Each runtime gives its thread a stack for signal handlers, and puts the one before it back when it ends. Two that end in the
    order in which they began leave a stack that is gone: the next signal that is caught ends the process.

    Raises:
        MissingPart: OpenVINO is missing or does not load.
    """
    return openvino().Core()


def graph_of(module: "torch.nn.Module", example: "tuple[torch.Tensor, ...]") -> Any:  # noqa: ANN401  (OpenVINO's model)
    """OpenVINO's graph of a torch module, traced with an example."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer: sizes are checked in Python, which a graph for any size leaves out
        decoder = TorchScriptPythonDecoder(module, example_input=example)  # named, so that it outlives the reading
        reader = FrontEndManager().load_by_framework("pytorch")
        return reader.convert(reader.load(decoder))
