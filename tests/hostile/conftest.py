import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.checks import Run, run_case
from tests.hostile.corpus import Case, read_corpus
from tests.hostile.product import REPOSITORY, Product

SEED = int(os.environ.get("HOSTILE_SEED", "1"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The written corpus; made in a process of its own, as a person makes it."""
    out = tmp_path_factory.mktemp("hostile") / "corpus"
    command = [sys.executable, "-m", "tests.hostile", str(out), "--seed", str(SEED)]
    subprocess.run(command, check=True, cwd=REPOSITORY, capture_output=True)
    return out


@pytest.fixture(scope="session")
def cases(corpus: Path) -> dict[str, Case]:
    return read_corpus(corpus)


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory, corpus: Path):
    """The warm program, with a home and a temporary folder of its own."""
    program = Product(tmp_path_factory.mktemp("product"))
    good = str(corpus / "control_good_series")
    near = str(corpus / "enc_jpegls_near")
    program.warm([["draft", good, "--out", "a", "--quiet"], ["draft", near, "--out", "b"], ["export", "x", "--to", "html"]])
    yield program
    program.close()


@pytest.fixture(scope="session")
def run_of(product: Product, cases: dict[str, Case], corpus: Path):
    """Return the run of a case; each case runs once a session."""
    runs: dict[str, Run] = {}

    def run(name: str) -> Run:
        if name not in runs:
            runs[name] = run_case(product, cases[name], corpus)
        return runs[name]

    return run


@pytest.fixture(scope="session")
def error_of(product: Product, cases: dict[str, Case], corpus: Path) -> dict[str, dict]:
    """How far the reader is from the truth, by case id."""
    known = [case for case in cases.values() if case.truths]
    outcome, rows = product.compare([with_truths(case, corpus) for case in known], product.room("_compared"))
    assert outcome.code == 0, outcome.stderr[-1500:]
    return dict(zip((case.id for case in known), rows, strict=True))


def with_truths(case: Case, corpus: Path) -> dict:
    """Return the study of a case with its true volumes by series UID."""
    truths = {truth.series_uid: str(corpus / truth.file) for truth in case.truths}
    return {"source": str(corpus / case.input), "truths": truths}


def shared_data(name: str) -> Path:
    """Return a folder of the data that is no part of the repository, or skip the test."""
    root = Path(os.environ.get("MEDOMNI_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / name).exists():
        pytest.skip(f"no {name} below {root}: set MEDOMNI_DATA")
    return root / name
