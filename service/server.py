"""Runs the service in this process."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from types import FrameType
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.http.protocol import Protocol, allow_files
from service.presets import Presets
from service.settings import Settings

log = structlog.get_logger()

READ_S = 0.1
"""How long calls that were sent before SIGTERM may take to be read."""

KEEP_ALIVE_S = 75
"""Workers that beat every half minute keep their connection."""

GRACE_S = 5
"""How long open calls may take to end after SIGTERM."""

FITS_S = 3.0
"""How long those may take that wait for a fit: they are refused then, in time to hear so."""


class CannotListen(Exception):  # noqa: N818 - it names a state of things
    """The address is taken or not this machine's, or the app could not start."""


class Server(uvicorn.Server):
    """Says where it listens, and ends the streams of open pages before it waits for open calls."""

    def __init__(self, app: FastAPI, *, fits_s: float = FITS_S, **options: Any) -> None:
        self._app, self._fits_s = app, fits_s
        super().__init__(uvicorn.Config(app, http=Protocol, ws="none", access_log=False, **options))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # FastAPI puts the routes together as calls look for theirs: the first ones, and all that
        # come meanwhile, would wait for that.
        nowhere = {"type": "http", "method": "GET", "path": "/-", "root_path": "", "headers": []}
        for route in self._app.routes:
            route.matches(nowhere)
        await super().startup(sockets)
        # What is loaded now stays. To look through all of it for garbage, again and again, would
        # hold up every call at that moment, and show in the slowest of a hundred.
        gc.collect()
        gc.freeze()
        for server in self.servers:
            for bound in server.sockets:
                host, port = bound.getsockname()[:2]
                url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
                log.info("listening", url=url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state = self._app.state
        state.is_stopping = True
        state.news.close()
        ending = asyncio.get_running_loop().call_later(self._fits_s, state.context.fits.stop)
        # A call that is on its way in an open connection is read before idle ones are closed.
        for listening in self.servers:
            listening.close()
        await asyncio.sleep(READ_S)
        await super().shutdown(sockets)
        ending.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Asked twice, it does not hurry: a stop takes a few seconds at most, and one that is cut
        short leaves callers without an answer."""
        self.should_exit = True


def run(settings: Settings, presets: Presets) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        presets: what the dashboard's form for a new study offers.

    Raises:
        CannotListen: the address cannot be bound; the log says why.
    """
    allow_files()
    server = Server(
        create_app(settings, presets=presets),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        forwarded_allow_ips=settings.proxies,
    )

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn ends on these by itself and then raises them again; being asked to stop is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        server.run()
    except SystemExit as error:
        raise CannotListen(f"cannot listen on {settings.host}:{settings.port}") from error
