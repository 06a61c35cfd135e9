"""Options that several commands share, and the two ways a command answers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_SEGMENTER = "medomni-ct"
"""What segments when no ``--segmenter`` is given."""

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress on stderr.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are already there.")]
SegmenterName = Annotated[
    str, typer.Option("--segmenter", metavar="NAME|FOLDER", help="Installed segmenter, or a MONAI bundle folder.")
]
TrustBundle = Annotated[
    bool, typer.Option("--trust-bundle", help="Let a MONAI bundle load pickled tensors and run its own expressions.")
]
Source = Annotated[Path, typer.Argument(metavar="STUDY", help="CT study: folder, zip, DICOMDIR, DICOM file or NIfTI file.")]


def answer(text: str) -> None:
    """Print the result for a person on stdout."""
    typer.echo(text)


def answer_json(result: Mapping[str, object]) -> None:
    """Print the result for a program on stdout."""
    typer.echo(json.dumps(result, ensure_ascii=False, indent=1, allow_nan=False))


def warn(text: str) -> None:
    """Print one line on stderr that changes nothing about the result."""
    typer.echo(f"medomni: {text}", err=True)
