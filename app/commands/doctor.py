"""``medomni doctor``: checks that this installation can work, one line for each part with its remedy."""

import os
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import typer

from app import options
from app.options import Json
from medomni.errors import BadSettings, MedOmniError, MissingPart

OLDEST_PYTHON = (3, 11)
PACKAGES = ("medomni", "preprocessing", "adapters", "evaluation", "app")
CODECS = {"gdcm": "JPEG Lossless", "openjpeg": "JPEG 2000", "jpeg_ls": "JPEG-LS", "rle": "RLE"}
LEAST_FREE_MIB = 512


class State(StrEnum):
    """How a part is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Line(NamedTuple):
    """One checked part. ``remedy`` is empty when it is well."""

    state: State
    part: str
    found: str
    remedy: str = ""


def doctor(as_json: Json = False) -> None:
    """Check Python, packages, codecs, settings and folders, and say what to do about what is wrong."""
    lines = [line for check in CHECKS for line in check()]
    if as_json:
        options.answer_json({"checks": [line._asdict() for line in lines]})
    else:
        options.answer("\n".join(_text(line) for line in lines))
    failed = [line for line in lines if line.state is State.FAIL]
    if failed:
        is_settings = any(line.part == "settings" for line in failed)
        raise typer.Exit(BadSettings.exit_code if is_settings else MissingPart.exit_code)


def check_python() -> Iterator[Line]:
    """The interpreter is new enough."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    is_new = sys.version_info >= OLDEST_PYTHON
    yield (Line(State.OK, "python", found) if is_new else Line(State.FAIL, "python", found, "install Python 3.11 or later"))


def check_packages() -> Iterator[Line]:
    """Every required package is installed in a version that MedOmni was made for."""
    from packaging.requirements import Requirement

    try:
        stated = requires("medomni") or []
    except PackageNotFoundError:
        yield Line(State.FAIL, "package medomni", "not installed", "run `pip install -e .` in the repository")
        return
    for requirement in map(Requirement, stated):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        part, remedy = f"package {requirement.name}", f'run `pip install "{requirement}"`'
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Line(State.FAIL, part, "not installed", remedy)
            continue
        fits = requirement.specifier.contains(found.partition("+")[0], prereleases=True)
        yield Line(State.OK, part, found) if fits else Line(State.FAIL, part, found, remedy)


def check_names() -> Iterator[Line]:
    """The five top-level names are ours: another package called ``app`` or ``adapters`` could stand before them."""
    home = Path(__file__).resolve().parents[2]
    for name in PACKAGES:
        spec = find_spec(name)
        where = Path(spec.origin).resolve().parents[1] if spec and spec.origin else None
        if where == home:
            yield Line(State.OK, f"name {name}", "this installation")
        else:
            found = f"another package in {where}" if where else "not found"
            yield Line(State.FAIL, f"name {name}", found, "install MedOmni in its own virtual environment")


def check_codecs() -> Iterator[Line]:
    """The decoders of compressed DICOM can be loaded."""
    for module, syntax in CODECS.items():
        try:
            import_module(module)
        except ImportError as error:
            remedy = "install MedOmni again; without it such files are refused"
            yield Line(State.FAIL, f"codec {syntax}", type(error).__name__, remedy)
        else:
            yield Line(State.OK, f"codec {syntax}", module)


def check_torch() -> Iterator[Line]:
    """Torch can be loaded; which build it is."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Line(State.FAIL, "torch build", type(error).__name__, "install torch again, then MedOmni")
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    device = "an accelerator answers" if torch.cuda.is_available() else "runs on the CPU"
    yield Line(State.OK, "torch build", f"{build}, {device}")


def check_settings() -> Iterator[Line]:
    """The environment variables can be used, and none is misspelt."""
    from medomni.settings import load, unknown

    try:
        settings = load(os.environ)
    except BadSettings as error:
        yield Line(State.FAIL, "settings", str(error), "set the variable right or remove it")
        return
    yield Line(State.OK, "settings", f"{settings.threads} threads, log level {settings.log_level}")
    for name in unknown(os.environ):
        yield Line(State.WARN, "settings", f"{name} is no setting", "see docs/reference/settings.md")
    yield _writable("home folder", settings.home)


def check_folders() -> Iterator[Line]:
    """Temporary files can be written and have room."""
    import shutil
    import tempfile

    folder = Path(tempfile.gettempdir())
    yield _writable("temporary folder", folder)
    free_mib = shutil.disk_usage(folder).free // 2**20
    remedy = "" if free_mib >= LEAST_FREE_MIB else "free some disk space"
    yield Line(State.WARN if remedy else State.OK, "temporary space", f"{free_mib} MiB free", remedy)


def check_segmenters() -> Iterator[Line]:
    """Every installed segmenter can be imported."""
    from medomni import plugins

    for name in plugins.names(plugins.Group.SEGMENTERS):
        try:
            plugins.load(plugins.Group.SEGMENTERS, name)
        except MissingPart as error:
            yield Line(State.WARN, f"segmenter {name}", error.found, error.remedy)
        else:
            yield Line(State.OK, f"segmenter {name}", "can be imported")


def check_drafter() -> Iterator[Line]:
    """What words drafts has all it needs; a server is not asked."""
    from app import wiring
    from medomni.settings import load

    try:
        settings = load(os.environ)
    except BadSettings:  # told with the settings
        return
    part = f"drafter {settings.drafter}"
    try:
        lacking = wiring.lacking(settings)
    except MedOmniError as error:
        yield Line(State.FAIL, part, "; ".join(filter(None, (error.wrong, error.found))), error.remedy)
        return
    yield Line(State.WARN, part, lacking.wrong, lacking.remedy) if lacking else Line(State.OK, part, "ready")


CHECKS: tuple[Callable[[], Iterator[Line]], ...] = (
    check_python,
    check_packages,
    check_names,
    check_codecs,
    check_torch,
    check_settings,
    check_folders,
    check_segmenters,
    check_drafter,
)


def _writable(part: str, folder: Path) -> Line:
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if existing.is_dir() and os.access(existing, os.W_OK):
        return Line(State.OK, part, str(folder))
    return Line(State.FAIL, part, f"{folder} cannot be written", "change its rights, or set MEDOMNI_HOME or TMPDIR")


def _text(line: Line) -> str:
    remedy = f"  -> {line.remedy}" if line.remedy else ""
    return f"{line.state:<4}  {line.part:<28} {line.found}{remedy}"
