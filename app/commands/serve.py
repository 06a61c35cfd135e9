"""``medomni serve``: the reading room in a browser; and ``medomni audit verify``."""

from typing import Annotated

import typer

from app import options
from app.options import Json

Host = Annotated[str, typer.Option("--host", help="Address to listen at; another than this machine needs a sign-in.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen at.")]
Newest = Annotated[
    str, typer.Option("--newest", metavar="HASH", help="Hash that was written down earlier; must be in the trail.")
]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The trail of who did what.")


def serve(host: Host = "127.0.0.1", port: Port = 8501) -> None:
    """Serve the reading room: worklist, viewer, editing and signing, and the API under /api.

    Without a sign-in it serves this machine alone, for one person. Stop it with Ctrl+C.
    """
    from app import serve as server
    from app import wiring
    from app.desk.desk import open_desk

    settings = wiring.start()
    desk = open_desk(settings)
    server.check_host(desk, host)
    lacking = wiring.lacking(settings)
    if lacking is not None:
        options.warn(f"{lacking}; until then drafts keep their fixed phrases")
    options.answer(f"MedOmni is at http://{host}:{port}; stop it with Ctrl+C")
    server.serve(desk, host, port)


@app.command("verify")
def verify(newest: Newest = "", as_json: Json = False) -> None:
    """Walk the whole trail and tell whether anybody changed it; exit code 3 when somebody did."""
    from app import wiring
    from app.desk.desk import open_desk
    from app.store import audit
    from app.store.database import reading
    from app.store.errors import Tampered

    desk = open_desk(wiring.start())
    with reading(desk.engine) as tx:
        checked = audit.check(tx, newest)
    if as_json:
        options.answer_json({"rows": checked.rows, "newest": checked.newest, "faults": list(checked.faults)})
    elif not checked.faults:
        options.answer(f"{checked.rows} rows, nothing was changed\nnewest {checked.newest}")
    if checked.faults:
        raise Tampered(
            "the audit trail was changed", found="; ".join(checked.faults[:3]), remedy="restore the database from a backup"
        )
