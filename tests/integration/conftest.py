"""A phantom study on disk and the command line, run in this process as a person would run it."""

import logging
import signal
import warnings
from collections.abc import Callable
from typing import NamedTuple

import pytest

from app import cli
from medomni.phantom import Placed, make_case
from tests import factories

SHAPE, SPACING_MM = (60, 128, 128), (5.0, 2.8, 2.8)
EFFUSION = (Placed("pleural_effusion", side="right", zone="lower", amount=900.0),)


class Done(NamedTuple):
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def medomni(capfd) -> Callable[..., Done]:
    """Run one command line; child processes' output counts."""
    handler, filters = signal.getsignal(signal.SIGTERM), list(warnings.filters)

    def run(*words: object) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([str(word) for word in words])
        return Done(left.value.code, *capfd.readouterr())

    yield run
    signal.signal(signal.SIGTERM, handler)
    warnings.filters[:] = filters
    logging.captureWarnings(capture=False)


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """A coarse chest with fluid on the right, as a folder of DICOM."""
    folder = tmp_path_factory.mktemp("study") / "ct"
    chest = make_case(0, findings=EFFUSION, shape=SHAPE, spacing_mm=SPACING_MM)
    return factories.write_ct(folder, of=chest.volume, key="fluid", PatientSex="F")


@pytest.fixture(scope="session")
def normal_study(tmp_path_factory):
    """A coarse chest without disease, of another patient, half a year earlier."""
    folder = tmp_path_factory.mktemp("normal") / "ct"
    return factories.write_ct(
        folder, of=make_case(1, findings=(), shape=SHAPE, spacing_mm=SPACING_MM).volume, key="normal", StudyDate="20230702"
    )
