import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"medomni", "preprocessing", "adapters", "evaluation", "app"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the tree, so that no earlier build can lend it files."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(out), str(tree)], check=True)
    (built,) = out.glob("medomni-*.whl")
    with zipfile.ZipFile(built) as archive:
        yield {name: archive.read(name) for name in archive.namelist()}


def test_top_level_is_exactly_the_five_packages(wheel):
    top = {name.partition("/")[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES


def test_every_module_and_data_file_is_in(wheel):
    ours = {
        str(path.relative_to(ROOT))
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.suffix in {".py", ".toml", ".json", ".safetensors"}
    }
    assert ours - set(wheel) == set()


def test_tests_and_benchmarks_stay_out(wheel):
    assert not any(name.startswith(("tests/", "benchmarks/", "docs/")) for name in wheel)


def test_command_and_segmenters_are_registered(wheel):
    (text,) = (data.decode() for name, data in wheel.items() if name.endswith("entry_points.txt"))
    assert "medomni = app.cli:main" in text
    assert "hu-rules = preprocessing.segment.hu_rules:HuRules" in text


def test_licence_is_in(wheel):
    assert any(name.endswith("/LICENSE") and b"Apache License" in data for name, data in wheel.items())
