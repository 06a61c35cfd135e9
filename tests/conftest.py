"""Settings of the whole suite: array shapes are checked, and nothing outside the test's own folders is used."""

import os

import pytest
from jaxtyping import install_import_hook

from tests import shapes

PACKAGES = ("medomni", "preprocessing", "adapters", "evaluation", "app")

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
install_import_hook(PACKAGES, f"{shapes.__name__}.{shapes.check.__name__}")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory, monkeypatch):
    """Every test has its own user data folder and sees no setting of the person who runs it."""
    for name in tuple(os.environ):
        if name.startswith("MEDOMNI_") and name != "MEDOMNI_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data-home")))
