"""The log: single lines of an event name with plain fields, for operators.

``event`` is the only way to write to it. A field is a number or a short word of letters, digits and ``._:/+-``; what
is none is replaced, so that no sentence or name can enter a log by accident. Other libraries' loggers are silenced,
because they quote header values.
"""

import logging
import re
import sys
import warnings

LOGGER = "medomni"
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._:/+-]")
_LONGEST_WORD = 64


def configure(level: str) -> None:
    """Send MedOmni's events from ``level`` up to stderr, and nobody else's."""
    logging.lastResort = logging.NullHandler()
    logging.captureWarnings(capture=True)
    warnings.simplefilter("ignore")
    root = logging.getLogger()
    if not any(isinstance(handler, logging.NullHandler) for handler in root.handlers):
        root.addHandler(logging.NullHandler())
    logger = logging.getLogger(LOGGER)
    logger.handlers = [logging.StreamHandler(sys.stderr)]
    logger.handlers[0].setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    logger.propagate = False
    logger.setLevel(level.upper())


def event(name: str, *, level: int = logging.INFO, **fields: str | int | float) -> None:
    """Write one line: the event, then its fields as ``key=value``."""
    line = " ".join([_plain(name), *(f"{key}={_plain(value)}" for key, value in fields.items())])
    logging.getLogger(LOGGER).log(level, line)


def _plain(value: str | int | float) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return _NOT_PLAIN.sub("_", text)[:_LONGEST_WORD]
