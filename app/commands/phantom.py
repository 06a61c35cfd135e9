"""``medomni phantom``: generated chest CT studies, for trying MedOmni without a patient."""

from pathlib import Path
from typing import Annotated

import typer

from app import options
from app.options import Json, Quiet

Count = Annotated[int, typer.Option("--count", min=1, max=10_000, help="How many studies.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="First seed; study i is made from seed + i.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the studies.", show_default=False)]


def phantom(out: Out, count: Count = 1, seed: Seed = 0, as_json: Json = False, quiet: Quiet = False) -> None:
    """Write generated chest CT studies as DICOM, with the truth about each."""
    from app import atomic, wiring
    from app.progress import StageWatch
    from medomni.errors import BadInput
    from medomni.phantom import write_case

    wiring.start()
    written: list[str] = []
    with StageWatch(is_quiet=quiet) as watch, watch.stage("phantom") as progress:
        for number in range(count):
            with atomic.new_folder(out, replace=True) as folder:
                case = out / write_case(folder, seed + number).name
                if case.exists():
                    raise BadInput("the case is already there", remedy="give another --out or --seed", where=case.name)
            written.append(str(case))
            progress((number + 1) / count)
    if as_json:
        options.answer_json({"out": str(out), "cases": written})
    else:
        options.answer("\n".join(written))
