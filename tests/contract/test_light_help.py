import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "monai", "mlflow", "numpy", "scipy", "pydicom", "nibabel", "fhir", "gdcm", "transformers"}
SCRIPT = """
import json, sys
from app.cli import main
try:
    main(sys.argv[1:])
except SystemExit as left:
    print(json.dumps([left.code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["draft", "--help"], ["export", "--help"]])
def test_help_loads_nothing_heavy(words):
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stderr)
    assert code == 0
    assert done.stdout
    assert HEAVY & set(modules) == set()


def test_info_alone_loads_no_model_library():
    done = subprocess.run([sys.executable, "-c", SCRIPT, "info"], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stderr)
    assert code == 0
    assert {"torch", "monai", "mlflow", "numpy", "pydicom"} & set(modules) == set()
