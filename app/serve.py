"""The server: pages, API and viewer files in one ASGI process, drafts in a worker process beside it.

    Desk, host, port -> a server that runs until it is stopped

Without a sign-in it serves this machine alone and refuses to be reached from elsewhere. A worker that dies is started again, and
its job is free at once.
"""

import asyncio
import gc
import ipaddress
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from app.api.application import create_api
from app.desk import worker
from app.desk.desk import Desk, held, sweep
from app.store import jobs, studies
from app.store.database import reading, transaction
from app.web import place
from medomni import logs
from medomni.errors import BadSettings, MissingPart

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

WEB = Path(__file__).with_name("web")
HERE = ("localhost", "127.0.0.1", "[::1]")
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(self)"),
)
RESTART_S = 1.0
"""How long a worker that died stays down, so that one that cannot start does not spin."""


def serve(desk: Desk, host: str, port: int) -> None:
    """Serve a desk until the process is stopped.

    Raises:
        BadSettings: another server has the desk, or the host can be reached from elsewhere and nobody signs in.
        MissingPart: the app extra is not installed.
    """
    check_host(desk, host)
    try:
        import streamlit as st
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.routing import Mount
        from starlette.staticfiles import StaticFiles
    except ModuleNotFoundError as error:
        raise MissingPart("the web app is not installed", found=f"no {error.name}", remedy='pip install "medomni[app]"') from None
    with held(desk):
        recover(desk)
        place.set_desk(desk)

        @asynccontextmanager
        async def lifespan(_app: object) -> AsyncIterator[dict[str, Any]]:
            gc.collect()
            gc.freeze()  # what is imported by now stays: looking through it again and again would stall a save for 0.2 s
            supervising = asyncio.create_task(_supervise(desk))
            try:
                yield {}
            finally:
                supervising.cancel()
                with suppress(asyncio.CancelledError):
                    await supervising

        app = st.App(
            WEB / "main.py",
            secrets=_secrets(desk),
            lifespan=lifespan,
            routes=[
                Mount("/api", create_api(desk)),
                Mount("/medomni", StaticFiles(directory=WEB / "static")),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_names(desk, host)), Middleware(Guarded)],
        )
        logs.event("serving", host=host, port=port)
        app.run(config=_config(desk, host, port))


def recover(desk: Desk) -> None:
    """Bring a desk in order after a server that died: what it left half is gone, the jobs it had are free."""
    with reading(desk.engine) as tx:
        known = studies.folders(tx)
    sweep(desk, known)
    with transaction(desk.engine) as tx:
        jobs.release(tx)  # whoever had them is dead: this server alone has the desk


def check_host(desk: Desk, host: str) -> None:
    """Refuse to be reached from elsewhere where nobody signs in.

    Raises:
        BadSettings: it would be.
    """
    is_here = host in HERE or _is_loopback(host)
    if not is_here and not desk.has_sign_in:
        raise BadSettings(
            "whoever reaches this address could read and sign",
            found="no sign-in is set up",
            remedy="set MEDOMNI_OIDC_ISSUER, MEDOMNI_OIDC_CLIENT and MEDOMNI_OIDC_SECRET, or leave --host out",
            where="--host",
        )
    if desk.has_sign_in and not desk.settings.oidc_client:
        raise BadSettings("the client id is missing", remedy="set it as the provider knows it", where="MEDOMNI_OIDC_CLIENT")


class Guarded:
    """Adds headers that keep a page from being framed, sniffed or told of elsewhere.

    Answers of the API are never kept, and sent as they are: packing a report takes longer than a hospital's network.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on and add the headers to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_api = scope["path"].startswith("/api/")
        if is_api:
            scope = {**scope, "headers": [header for header in scope["headers"] if header[0] != b"accept-encoding"]}

        async def told(message: "Message") -> None:
            if message["type"] == "http.response.start":
                own = (*HEADERS, (b"cache-control", b"no-store")) if is_api else HEADERS
                names = {key for key, _ in own}
                message["headers"] = [(key, value) for key, value in message["headers"] if key.lower() not in names] + list(own)
            await send(message)

        await self.app(scope, receive, told)


async def _supervise(desk: Desk) -> None:
    """Keep one worker alive; free the job of one that died. What fails here is told and tried again: drafts must go on."""
    while True:
        name = worker.name()
        try:
            code = await _run_worker(desk, name)
            logs.event("worker_ended", code=code)
            await asyncio.to_thread(_free, desk, name)
        except (OSError, SQLAlchemyError) as error:
            logs.event("worker_failed", level=logging.ERROR, error=type(error).__name__)
        await asyncio.sleep(RESTART_S)


async def _run_worker(desk: Desk, name: str) -> int:
    """Run a worker until it ends; one that does not end with the server in time ends as soon as the server is gone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.desk.worker", name, str(os.getpid())), stdin=subprocess.DEVNULL, env=_environment(desk)
    )
    try:
        return await process.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError, TimeoutError):
            process.terminate()
            await asyncio.wait_for(process.wait(), timeout=5)
        raise


def _free(desk: Desk, name: str) -> None:
    with transaction(desk.engine) as tx:
        jobs.release(tx, name)


def _environment(desk: Desk) -> dict[str, str]:
    root = str(Path(__file__).parents[1])
    paths = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    return os.environ | {"MEDOMNI_HOME": str(desk.settings.home), "PYTHONPATH": paths}


def _config(desk: Desk, host: str, port: int) -> dict[str, Any]:
    return {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.enableXsrfProtection": True,
        "server.maxUploadSize": desk.settings.upload_mib,
        "browser.gatherUsageStats": False,
        "browser.serverAddress": urlsplit(desk.settings.public_url).hostname or "localhost",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showSidebarNavigation": True,
        "theme.primaryColor": "#1f6a9c",
        "logger.level": "error",
        "logger.hideWelcomeMessage": True,
    }


def _secrets(desk: Desk) -> dict[str, Any]:
    """What Streamlit's sign-in needs; nothing where nobody signs in."""
    settings = desk.settings
    if not desk.has_sign_in:
        return {}
    return {
        "auth": {
            "redirect_uri": f"{settings.public_url}/oauth2callback",
            "cookie_secret": desk.secret,
            "client_id": settings.oidc_client,
            "client_secret": settings.oidc_secret.get_secret_value(),
            "server_metadata_url": settings.oidc_issuer.rstrip("/") + "/.well-known/openid-configuration",
        }
    }


def _names(desk: Desk, host: str) -> list[str]:
    """The host names that a request may be addressed to: a page elsewhere cannot reach this one under a name of its own."""
    stated = urlsplit(desk.settings.public_url).hostname
    named = {"localhost", "127.0.0.1", "::1", host.strip("[]"), *([stated] if stated else [])}
    return sorted(named - {"0.0.0.0", "::"})  # noqa: S104 (taken out, not bound to)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
