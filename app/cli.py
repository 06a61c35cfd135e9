"""The ``medomni`` command: registers the commands and turns errors into one line and an exit code.

Results go to stdout, everything else to stderr. The commands import their work when they run, so ``--help`` loads
neither torch nor numpy.
"""

import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, NoReturn

import typer

from app.commands import adapt, doctor, draft, export, info, phantom, segment, serve, style, weights
from app.known import as_known
from medomni import __version__, logs
from medomni.errors import MedOmniError

DEBUG = "--debug"

app = typer.Typer(
    name="medomni",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Exit codes: 0 ok, 1 our bug, 2 usage, 3 bad input, 4 missing part, 5 withheld as unsafe, 6 settings.",
)
app.command("draft")(draft.draft)
app.command("segment")(segment.segment)
app.command("export")(export.export)
app.command("info")(info.info)
app.command("doctor")(doctor.doctor)
app.command("phantom")(phantom.phantom)
app.command("adapt")(adapt.adapt)
app.command("serve")(serve.serve)
app.command("style")(style.style)
app.add_typer(weights.app, name="weights")
app.add_typer(serve.app, name="audit")


def _version_only(is_asked: bool) -> bool:
    if is_asked:
        typer.echo(f"medomni {__version__}")
        raise typer.Exit
    return is_asked


@app.callback()
def medomni(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            callback=_version_only,
        ),
    ] = False,
    _debug: Annotated[
        bool, typer.Option(DEBUG, help="Show the traceback of an error; it may hold patient data. May stand anywhere.")
    ] = False,
) -> None:
    """Draft CT reports: findings first, then measurements, then words. Not a medical device."""


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and exit with its code."""
    given = list(sys.argv[1:] if words is None else words)
    logs.configure("warning")
    signal.signal(signal.SIGTERM, _stop)
    try:
        app(args=[word for word in given if word != DEBUG], prog_name="medomni")
    except Exception as error:
        if DEBUG in given:
            traceback.print_exc()
        known = _as_known(error)
        sys.stderr.write(f"medomni: {known}\n")
        sys.exit(known.exit_code)
    sys.exit(0)


def _as_known(error: Exception) -> MedOmniError:
    return as_known(error) or MedOmniError(
        "this is a bug in MedOmni",
        found=type(error).__name__,
        remedy=f"run the command again with {DEBUG} and report the traceback, without patient data",
    )


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Leave through the ``finally`` blocks, so that no half-written folder stays behind."""
    sys.exit(128 + signal.SIGTERM)
