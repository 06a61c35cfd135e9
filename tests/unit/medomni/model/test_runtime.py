"""A process in which networks ran goes on after they are gone."""

import subprocess
import sys

import pytest

PROGRAM = """
import gc, signal, subprocess, sys
import numpy as np
from medomni.model.runtime import core, openvino
openvino()
from openvino import Model, opset13 as ops

def network():
    given = ops.parameter([1, 4], np.float32)
    return core().compile_model(Model([ops.relu(given)], [given]), "CPU")

first, second = network(), network()
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGCHLD, lambda *_: None)
for _ in range(20):
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)
print("alive")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_signals_are_caught_after_networks_are_gone():
    command = [sys.executable, "-X", "faulthandler", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
