"""Ends this process at a named point, as a power cut would, where the test suite asks for it; does nothing otherwise.

    name of a point -> nothing, or SIGKILL

The tests in ``tests/crash`` name a point and look what is there after a restart.
"""

import os
import signal

VARIABLE = "MEDOMNI_KILL_AT"
"""The point's name; read by the test suite alone (``medomni.settings.TEST_ONLY``)."""


def at(point: str) -> None:
    """End this process at once if it is to die here."""
    if os.environ.get(VARIABLE) == point:
        os.kill(os.getpid(), signal.SIGKILL)
