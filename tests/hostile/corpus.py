"""The corpus: which cases there are, and how one seed becomes a folder of them with a manifest.

OUT/manifest.json            what the program must do with each case, and what it must never say
OUT/<id>/...                 the input of the case
OUT/_truth/<id>_<k>.npz      the true volume, where there is one
"""

import importlib
import json
import logging
import tomllib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

ROOMS = ("geometry", "intensity", "modality", "encoding", "corrupt", "archives", "text", "nifti", "documents")
KINDS = ("study", "fhir", "adapter", "audio")


class Verdict(StrEnum):
    """What the program must do."""

    REJECT = "R"
    WARN = "W"
    HANDLE = "H"


@dataclass(frozen=True)
class Truth:
    """The volume that a right reader returns, in a file beside the corpus.

    The file holds hu (slice, row, column) sorted along the normal, origins_mm (slice, 3) and orientation (6), all LPS.
    ``hu_tolerance`` is 0 unless the source is lossy.
    """

    file: str
    series_uid: str
    hu_tolerance: int = 0


@dataclass(frozen=True)
class Case:
    """One input with its verdict. ``personal`` must appear nowhere; ``facts`` are what its own tests need."""

    id: str
    verdict: Verdict
    duty: str
    kind: str
    input: str
    personal: tuple[str, ...] = ()
    must_not_exist: tuple[str, ...] = ()
    truths: tuple[Truth, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)


Builder = Callable[["Bench"], None]
_BUILDERS: dict[str, tuple[str, Builder]] = {}


def case(kind: str = "study") -> Callable[[Builder], Builder]:
    """Register the function below as the builder of the case with its name."""

    def register(build: Builder) -> Builder:
        if kind not in KINDS or build.__name__ in _BUILDERS:
            raise ValueError(f"kind {kind} is unknown or {build.__name__} is built twice")
        _BUILDERS[build.__name__] = (kind, build)
        return build

    return register


def verdicts() -> dict[str, tuple[Verdict, str]]:
    """Return verdict and duty of every id, as the table states them."""
    table = tomllib.loads(Path(__file__).with_name("verdicts.toml").read_text(encoding="utf-8"))
    return {name: (Verdict(letter), duty) for name, (letter, duty) in table.items()}


def builders() -> dict[str, tuple[str, Builder]]:
    """Return kind and builder of every id."""
    for room in ROOMS:
        importlib.import_module(f"tests.hostile.{room}")
    return dict(_BUILDERS)


def write_corpus(out: Path, seed: int, only: list[str] | None = None) -> tuple[Case, ...]:
    """Write the cases into a new folder; the same seed and library versions give the same bytes."""
    from tests.hostile.bench import Bench

    out.mkdir(parents=True)
    written = []
    for name, (kind, build) in builders().items():
        if only and name not in only:
            continue
        bench = Bench(out, name, seed)
        with lenient_pydicom():
            build(bench)
        verdict, duty = verdicts()[name]
        written.append(
            Case(
                id=name,
                verdict=verdict,
                duty=duty,
                kind=kind,
                input=bench.input,
                personal=tuple(bench.personal),
                must_not_exist=tuple(bench.must_not_exist),
                truths=tuple(bench.truths),
                facts=bench.facts,
            )
        )
    manifest = {"seed": seed, "cases": [asdict(one) for one in written]}
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return tuple(written)


def read_corpus(out: Path) -> dict[str, Case]:
    """Return the cases of a written corpus by id."""
    rows = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["cases"]
    return {row["id"]: _read_case(row) for row in rows}


def _read_case(row: dict) -> Case:
    truths = tuple(Truth(**truth) for truth in row.pop("truths"))
    verdict, personal, canaries = Verdict(row.pop("verdict")), row.pop("personal"), row.pop("must_not_exist")
    return Case(verdict=verdict, personal=tuple(personal), must_not_exist=tuple(canaries), truths=truths, **row)


@contextmanager
def lenient_pydicom() -> Iterator[None]:
    """Let pydicom write what the Standard forbids, and nothing else changed afterwards."""
    from pydicom import config

    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.IGNORE
    level = logging.getLogger("pydicom").level
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        config.settings.writing_validation_mode, config.settings.reading_validation_mode = before
        logging.getLogger("pydicom").setLevel(level)
