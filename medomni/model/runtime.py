"""OpenVINO, which runs our networks on a CPU, kept from reporting its use over the network."""

import sys
from types import ModuleType

from medomni.errors import MissingPart

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
