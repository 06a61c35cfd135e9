"""``medomni phantom``: generated CT studies with their truth, for trying MedOmni without a patient."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import options
from app.options import Json, Quiet

if TYPE_CHECKING:
    from app.cohort import Order

Count = Annotated[int, typer.Option("--count", min=1, max=10_000, help="How many studies.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="First seed; study i is made from seed + i.")]
Region = Annotated[str, typer.Option("--region", metavar="chest|abdomen", help="What is scanned.")]
Lang = Annotated[str, typer.Option("--lang", metavar="en|zh|mixed", help="Language of dictation and page; mixed draws it.")]
Jobs = Annotated[int, typer.Option("--jobs", min=0, max=64, help="Processes; 0 for one per CPU, at most four.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the studies.", show_default=False)]


def phantom(
    out: Out,
    count: Count = 1,
    seed: Seed = 0,
    region: Region = "chest",
    lang: Lang = "en",
    jobs: Jobs = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write generated CT studies as DICOM, with the truth about each, and a page that shows them."""
    from app import cohort, wiring
    from app.progress import StageWatch

    wiring.start()
    orders = [_order(number, out, region, lang) for number in range(seed, seed + count)]
    with StageWatch(is_quiet=quiet) as watch, watch.stage("phantom") as progress:
        written = cohort.write(orders, jobs, progress)
        gallery = cohort.show(out)
    if as_json:
        options.answer_json({"out": str(out), "cases": written, "gallery": str(gallery)})
    else:
        options.answer("\n".join([*written, str(gallery)]))


def _order(seed: int, out: Path, region: str, lang: str) -> "Order":
    from app.cohort import Order
    from medomni.phantom.cohort import BodyRegion

    if region not in tuple(BodyRegion):
        raise typer.BadParameter("chest or abdomen", param_hint="--region")
    if lang not in ("en", "zh", "mixed"):
        raise typer.BadParameter("en, zh or mixed", param_hint="--lang")
    return Order(seed, out, BodyRegion(region), lang)
