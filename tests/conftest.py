"""Settings of the whole suite: array shapes are checked, and nothing outside the test's own folders is used."""

import os
import sys

import pytest
from jaxtyping import install_import_hook

from tests import shapes

PACKAGES = ("medomni", "preprocessing", "adapters", "evaluation", "app")

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
install_import_hook(PACKAGES, f"{shapes.__name__}.{shapes.check.__name__}")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory, monkeypatch, _networks):
    """Every test has its own user data folder and sees no setting of the person who runs it."""
    for name in tuple(os.environ):
        if name.startswith("MEDOMNI_") and name != "MEDOMNI_DATA":
            monkeypatch.delenv(name)
    data_home = tmp_path_factory.mktemp("data-home")
    (data_home / "medomni").mkdir()
    (data_home / "medomni" / "cache").symlink_to(_networks)
    monkeypatch.setenv("XDG_DATA_HOME", str(data_home))


@pytest.fixture(scope="session")
def _networks(tmp_path_factory, worker_id):
    """Where converted networks are kept: a conversion takes some CPU-seconds, so all tests of all workers share them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "networks"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Say how a test process ended that ended by itself: pytest-xdist says only that it did."""
    if error:
        code = node.gateway._io.popen.wait(timeout=60)  # no public way to it
        told = f"{node.gateway.id}: the process ended with {code}\n"
        kept = node.config.rootpath / ".pytest_cache"
        kept.mkdir(exist_ok=True)
        (kept / "process_died").write_text(told, encoding="utf-8")
        sys.stderr.write(f"\n{told}")
